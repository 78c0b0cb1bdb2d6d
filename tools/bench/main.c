/* holdfast-bench: how fast Holdfast is beside what one would use instead. Prints one JSON line per comparison. */
#include "plot.h"

#include <holdfast.h>

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROUNDS_DEFAULT 5
#define ROUNDS_QUICK 3
#define CASES_MAX 32 /* named on one command line */

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

static const struct bench_case {
    const char *name;
    int (*run)(const struct bench *bench, const char *name);
    const char *help;
} cases[] = {
    {"set-1-thread", case_set_1_thread, "durable sets by one thread / raw append, LMDB, SQLite, redis-server"},
    {"set-2-threads", case_set_2_threads,
     "durable sets by 2 threads / raw groups of 2, LMDB, SQLite, redis-server"},
    {"set-4-threads", case_set_4_threads, "the same by 4"},
    {"set-16-threads", case_set_16_threads, "the same by 16"},
    {"set-async-window-1024", case_set_async, "asynchronous durable sets / raw groups of 64"},
    {"set-interval-1-thread", case_set_interval,
     "sets synced once a second / redis-server with appendfsync everysec"},
    {"set-value-16", case_set_value_16, "set-1-thread with values of 16 bytes"},
    {"set-value-4k", case_set_value_4k, "the same with 4 KiB"},
    {"set-value-256k", case_set_value_256k, "the same with 256 KiB"},
    {"set-sustained", case_set_sustained,
     "durable sets of a million keys for a minute: tail, stalls, last ten seconds"},
    {"get-hit-100k", case_get_hit, "gets of 100,000 keys in the local tier / mdb_get"},
    {"get-hit-overlay", case_get_hit_overlay, "gets of 100,000 keys in the overlay / mdb_get"},
    {"get-hit-1m", case_get_hit_1m, "gets of a million keys in the local tier / mdb_get"},
    {"get-hit-overlay-1m", case_get_hit_overlay_1m, "gets of a million keys in the overlay / mdb_get"},
    {"get-value-16", case_get_value_16, "get-hit-100k with values of 16 bytes"},
    {"get-value-4k", case_get_value_4k, "the same with 4 KiB"},
    {"get-value-256k", case_get_value_256k, "the same with 256 KiB"},
    {"get-2-threads", case_get_2_threads, "gets by two threads beside a writer / by one; from 1.7 on it is good"},
    {"get-2-threads-writer", case_get_2_threads_writer, "the writer beside them / alone; from 0.9 on it is good"},
    {"scan-100k", case_scan, "a scan of 100,000 keys / an LMDB cursor"},
    {"write-through-async", case_through_async, "asynchronous sets with Redis / hiredis pipelining SET"},
    {"write-through-1ms", case_through_1ms,
     "what a set takes at 1 ms round trip / the slower of fdatasync and SET"},
    {"write-through-20ms", case_through_20ms, "the same at 20 ms"},
    {"reopen-1m-clean", case_reopen_clean, "open with a million keys / with ten thousand"},
    {"reopen-1m-killed", case_reopen_killed, "the same after kill -9 with 8 MiB of journal to recover"},
    {"replay-1m-new", case_replay_new, "a replay of a million keys / redis-cli --pipe"},
    {"replay-1m-known", case_replay_known, "the same, all shared before and overwritten / redis-cli --pipe"},
    {"replay-1m-holdfast-new", case_replay_holdfast_new, "replay-1m-new where only Holdfast nodes write"},
    {"replay-1m-holdfast-known", case_replay_holdfast_known, "replay-1m-known where only Holdfast nodes write"},
    {"replay-1m-this-node-new", case_replay_this_node_new, "replay-1m-new where nobody else writes"},
    {"replay-1m-this-node-known", case_replay_this_node_known, "replay-1m-known where nobody else writes"},
    {"replay-live-p99", case_replay_live, "p99 of sets during a replay / afterwards; from 0.33 on it is good"},
    {"memory-1m-reopened", case_memory, "memory with a million keys stored and pending / 32 MiB"},
    {"memory-1m-written", case_memory_written, "the same in the process that wrote them / 32 MiB"},
    {"disk-bytes", case_disk_bytes, "bytes written per durable set while Redis is away / LMDB, SQLite, raw append"},
    {"offline-updates", case_offline_updates, "disk after ten million updates / 3 x the live data and the journal"},
    {"idle-wakeups", case_idle, "wake-ups of a connected store that nobody uses / 2 a second"},
    {"sidecar-get-pipelined", case_sidecar_get, "GET with 50 clients, 16 at a time / redis-server"},
    {"sidecar-set", case_sidecar_set, "durable SET with 50 clients / redis-server with appendfsync always"},
    {"sidecar-set-pipelined", case_sidecar_set_pipelined, "the same, 16 at a time / the same"},
    {"sidecar-idle", case_sidecar_idle, "resident memory without clients / the same"},
};
#define N_CASES (sizeof(cases) / sizeof(*cases))

struct arguments {
    const char *dir, *plot_dir;
    const char *only[CASES_MAX];
    size_t n_only;
    long rounds;
    bool quick, list, help;
};

/* ---- the command line ---- */

static void print_cases(FILE *file)
{
    for (size_t i = 0; i < N_CASES; i++)
        fprintf(file, "  %-27s %s\n", cases[i].name, cases[i].help);
}

static void print_help(FILE *file)
{
    fputs(
        "usage: holdfast-bench [--case NAME]... [--rounds N] [--dir DIR] [--plot DIR] [--quick] [--list]\n"
        "\n"
        "Measures Holdfast beside what one would use instead, in turns on the same disk, and prints a JSON line\n"
        "per comparison. A ratio above 1 always means that Holdfast is better, or has reached the goal.\n"
        "\n"
        "  --case NAME   only cases whose name begins with NAME\n"
        "  --rounds N    how often each comparison is made; default 5, with --quick 3\n"
        "  --dir DIR     where to make a directory and remove it again; default TMPDIR or /var/tmp, on a disk\n"
        "  --plot DIR    draw there, as SVG beside CSV, the ratios, and of long runs what they did in each tenth\n"
        "                of a second and their latencies; needs gnuplot\n"
        "  --quick       small and short: shows that everything works, not how fast it is\n"
        "  --list        only name the cases\n"
        "  --help        this text\n"
        "\n"
        "Cases (ours / theirs):\n",
        file);
    print_cases(file);
}

static bool is_case(const char *prefix)
{
    for (size_t i = 0; i < N_CASES; i++) {
        if (strncmp(cases[i].name, prefix, strlen(prefix)) == 0)
            return true;
    }
    return false;
}

static int take_case(struct arguments *a, const char *name)
{
    if (!is_case(name))
        return bench_fail("there is no case '%s'; see --list", name);
    if (a->n_only == CASES_MAX)
        return bench_fail("at most %d cases can be named", CASES_MAX);
    a->only[a->n_only++] = name;
    return 0;
}

static int take_rounds(struct arguments *a, const char *text)
{
    char *end;

    a->rounds = strtol(text, &end, 10);
    if (*end || end == text || a->rounds < 1 || a->rounds > BENCH_ROUNDS_MAX)
        return bench_fail("--rounds '%s'; expected a number from 1 to %d", text, BENCH_ROUNDS_MAX);
    return 0;
}

static int parse(int argc, char **argv, struct arguments *ret_arguments)
{
    static const struct option options[] = {
        {"case", required_argument, NULL, 'c'}, {"rounds", required_argument, NULL, 'r'},
        {"dir", required_argument, NULL, 'd'},  {"plot", required_argument, NULL, 'p'},
        {"quick", no_argument, NULL, 'q'},      {"list", no_argument, NULL, 'l'},
        {"help", no_argument, NULL, 'h'},       {0},
    };
    struct arguments a = {0};
    int option, rc = 0;

    while (rc == 0 && (option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        switch (option) {
        case 'c': rc = take_case(&a, optarg); break;
        case 'r': rc = take_rounds(&a, optarg); break;
        case 'd': a.dir = optarg; break;
        case 'p': a.plot_dir = optarg; break;
        case 'q': a.quick = true; break;
        case 'l': a.list = true; break;
        case 'h': a.help = true; break;
        default: rc = -1;
        }
    }
    if (rc == 0 && optind < argc)
        rc = bench_fail("unexpected argument '%s'; see --help", argv[optind]);
    *ret_arguments = a;
    return rc;
}

/* ---- running ---- */

static void on_signal(int number)
{
    (void)number;
    bench_stop();
}

/* The first signal ends the run after the current turn, with everything cleaned up; the second one at once. */
static void watch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND | SA_RESTART};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    signal(SIGPIPE, SIG_IGN); /* a reader that has gone is an error of the next line */
}

static void set_sizes(struct bench *bench, const struct arguments *a)
{
    bench->quick = a->quick;
    bench->plot_dir = a->plot_dir;
    bench->rounds = a->rounds ? (unsigned)a->rounds : a->quick ? ROUNDS_QUICK : ROUNDS_DEFAULT;
    bench->turns = a->quick ? 1 : 4;
    bench->turn_s = a->quick ? 0.15 : 0.2;
    bench->n_keys = a->quick ? 20000 : 100000;
    bench->n_written_keys = a->quick ? 10000 : 100000;
    bench->n_reopened_keys = a->quick ? 50000 : 1000000;
    bench->n_updates = a->quick ? 200000 : 10000000;
    bench->n_replayed_keys = a->quick ? 20000 : 1000000;
    bench->value_bytes = BENCH_VALUE_BYTES;
    bench->n_tail_entries = a->quick ? 5200 : 52000; /* 160 bytes each in the journal: 8 MiB */
}

static bool is_chosen(const struct arguments *a, const char *name)
{
    for (size_t i = 0; i < a->n_only; i++) {
        if (strncmp(name, a->only[i], strlen(a->only[i])) == 0)
            return true;
    }
    return a->n_only == 0;
}

static int run_cases(const struct bench *bench, const struct arguments *a)
{
    int rc = 0;

    for (size_t i = 0; i < N_CASES && rc == 0; i++) {
        if (is_chosen(a, cases[i].name))
            rc = cases[i].run(bench, cases[i].name);
    }
    return rc;
}

static int run(const struct arguments *a)
{
    struct bench bench = {0};
    char *dir = NULL;
    int rc;

    watch_signals();
    set_sizes(&bench, a);
    rc = bench_area_make(a->dir, &dir, bench.fs, sizeof(bench.fs));
    if (rc != 0)
        return rc;
    bench.dir = dir;
    fprintf(stderr, "holdfast-bench %s: %u rounds in '%s' (%s), %ld processors\n", hf_version(), bench.rounds, dir,
            bench.fs, sysconf(_SC_NPROCESSORS_ONLN));
    rc = plot_begin(&bench);
    if (rc == 0)
        rc = bench_make_payload(&bench);
    if (rc == 0)
        rc = run_cases(&bench, a);
    if (rc == 0)
        rc = plot_ratios(&bench);
    bench_area_remove(dir);
    bench_free_payload(&bench);
    free(dir);
    return rc;
}

static int finish_output(int status)
{
    if (status == EXIT_DONE && (fflush(stdout) != 0 || ferror(stdout))) {
        bench_fail("cannot write to standard output");
        return EXIT_FAILED;
    }
    return status;
}

int main(int argc, char **argv)
{
    struct arguments a;

    if (parse(argc, argv, &a) != 0)
        return EXIT_USAGE;
    if (a.help) {
        print_help(stdout);
        return finish_output(EXIT_DONE);
    }
    if (a.list) {
        for (size_t i = 0; i < N_CASES; i++)
            puts(cases[i].name);
        return finish_output(EXIT_DONE);
    }
    return finish_output(run(&a) == 0 ? EXIT_DONE : EXIT_FAILED);
}
