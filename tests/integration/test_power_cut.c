/* Power cuts on a real file system: a store writes to an ext4 on a disk that remembers every write and flush, journal and LMDB
 * alike; its process is killed and started again meanwhile. Afterwards the disk's power is cut before any of them: what had been flushed stays, of the rest nothing, all, a beginning, any
 * of the writes or any of their sectors. Each such disk is mounted, so that ext4 recovers first, and opened by the library: it
 * must hold all that was acknowledged by then, whole, and nothing that was not begun.
 *
 *     test_power_cut                         as one of the tests, for less than a minute
 *     test_power_cut --cuts N [--seed S]     so many cuts
 *
 * Needs root, loop devices, FUSE and mkfs.ext4. Where the machine refuses one of them the test is skipped, with status 77. */
#include "block_log.h"
#include "bytes.h"
#include "scratch.h"
#include "sim_disk.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DISK_BYTES (16u << 20)
#define OPERATIONS 450
#define LIVES 5  /* of the store that is recorded, closed or killed in the end */
#define MORE 3   /* operations after a cut */
#define PASS 100 /* cuts from the beginning of the log to its end */
#define SKIPPED 77

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define CUTS 200
#else
#define CUTS 1000
#endif
#define TEST_S 40 /* no further cut begins then, but by hand */

struct fixture {
    struct scratch scratch;
    char fresh[96], image[96], disk[96], mount[96],
        store[112]; /* a new file system, the one after a cut, the one recorded */
    uint64_t seed, random;
    struct hf_options opts;
    struct ledger *ledger;
    struct block_log *log;

    /* The disk before record `at`, as far as it was flushed; the records behind `flushed` are not. */
    uint8_t *durable;
    size_t at, flushed;
    struct account account; /* after operation `account_at` */
    uint64_t account_at;
    unsigned cuts, shorter, unmountable;
};

static uint64_t n_cuts = CUTS, first_seed = 1;
static bool by_hand, was_skipped;

/* ---- fixture ---- */

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    const char *seed = getenv("HOLDFAST_SEED");

    assert_non_null(f);
    if (access("/dev/shm", W_OK) == 0) /* the images; the disk below them is not the question here */
        setenv("TMPDIR", "/dev/shm", 0);
    scratch_make(&f->scratch);
    snprintf(f->fresh, sizeof(f->fresh), "%s/fresh", f->scratch.dir);
    snprintf(f->image, sizeof(f->image), "%s/image", f->scratch.dir);
    snprintf(f->disk, sizeof(f->disk), "%s/disk", f->scratch.dir);
    snprintf(f->mount, sizeof(f->mount), "%s/mount", f->scratch.dir);
    snprintf(f->store, sizeof(f->store), "%s/store", f->mount);
    assert_int_equal(mkdir(f->mount, 0700), 0);
    f->opts = (struct hf_options){.segment_bytes = 64 << 10,
                                  .max_disk_bytes = 4 << 20,
                                  .checkpoint_bytes = 16 << 10,
                                  .checkpoint_interval_ms = 5};
    f->seed = f->random = seed ? strtoull(seed, NULL, 10) : first_seed;
    f->ledger = mmap(NULL, sizeof(*f->ledger), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(f->ledger != MAP_FAILED);
    f->ledger->seed = f->seed;
    f->durable = malloc(DISK_BYTES);
    assert_non_null(f->durable);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    (void)umount2(f->mount, MNT_DETACH); /* mounted only after a failure, which may have left a store open */
    block_log_stop(f->log);
    block_log_free(f->log);
    scratch_remove(&f->scratch);
    munmap(f->ledger, sizeof(*f->ledger));
    free(f->durable);
    free(f);
    return 0;
}

/* ---- recording ---- */

static void make_file(const char *path, size_t bytes)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_int_equal(ftruncate(fileno(file), (off_t)bytes), 0);
    fclose(file);
}

static bool make_file_system(const struct fixture *f)
{
    char command[256];

    make_file(f->fresh, DISK_BYTES);
    snprintf(command, sizeof(command),
             "PATH=$PATH:/sbin:/usr/sbin mkfs.ext4 -q -F -m 0 -E lazy_itable_init=0,lazy_journal_init=0 %s",
             f->fresh);
    return system(command) == 0;
}

/* The process that writes. Every other one kills itself, when all that was begun is acknowledged. */
static void write_life(const struct fixture *f, unsigned life)
{
    struct ledger *ledger = f->ledger;
    struct hf *store;
    int rc = hf_open(f->store, &f->opts, &store);

    if (rc == 0)
        rc = ledger_write(ledger, store, OPERATIONS * life / LIVES);
    while (rc == 0 && ledger->acked < ledger->begun)
        rc = ledger_write(ledger, store, ledger->begun + 1);
    if (rc == 0 && life % 2)
        raise(SIGKILL);
    if (rc == 0)
        rc = hf_close(store);
    if (rc != 0)
        fprintf(stderr, "writer: %s\n", hf_errmsg());
    _exit(rc != 0);
}

static void record_life(const struct fixture *f, unsigned life)
{
    pid_t pid = fork();
    int status;

    if (pid == 0)
        write_life(f, life);
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(life % 2 ? WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL : status == 0);
}

/* What the machine refuses is a reason to skip, not to fail. */
static void need(bool granted, const char *reason)
{
    if (granted)
        return;
    print_message("power cuts: skipped: %s\n", reason);
    was_skipped = true;
    skip();
}

static void record(struct fixture *f)
{
    make_file(f->disk, 0);
    make_file(f->image, DISK_BYTES);
    need(make_file_system(f), "there is no mkfs.ext4 that works");
    need(block_log_own_mounts() == 0, hf_errmsg());
    need(block_log_start(f->disk, f->fresh, f->ledger, &f->log) == 0, hf_errmsg());
    need(block_mount(f->disk, f->mount) == 0, hf_errmsg());
    for (unsigned life = 1; life <= LIVES; life++)
        record_life(f, life);
    assert_ok(block_unmount(f->mount));
    block_log_stop(f->log);
}

/* ---- cutting ---- */

/* Go back to before the first record. */
static void go_back(struct fixture *f)
{
    FILE *file = fopen(f->fresh, "r");

    assert_non_null(file);
    assert_int_equal(fread(f->durable, 1, DISK_BYTES, file), DISK_BYTES);
    fclose(file);
    f->at = f->flushed = 0;
}

static void apply(const struct fixture *f, uint8_t *disk, size_t i)
{
    const struct block_record *r = block_log_record(f->log, i);

    if (!r->flush)
        memcpy(disk + r->offset, block_log_bytes(f->log, r), r->len);
}

/* Move on to the disk before record `at`. */
static void move_to(struct fixture *f, size_t at)
{
    for (; f->at < at; f->at++) {
        if (!block_log_record(f->log, f->at)->flush)
            continue;
        for (; f->flushed < f->at; f->flushed++)
            apply(f, f->durable, f->flushed);
    }
}

/* What becomes of the writes that were not flushed. */
enum { CUT_NONE, CUT_ALL, CUT_PREFIX, CUT_WRITES, CUT_SECTORS, CUT_WAYS };

static void apply_sectors(struct fixture *f, uint8_t *disk, size_t i)
{
    const struct block_record *r = block_log_record(f->log, i);

    for (uint32_t done = 0; !r->flush && done < r->len; done += BLOCK_SECTOR_BYTES) {
        if (sim_random(&f->random) & 1)
            memcpy(disk + r->offset + done, block_log_bytes(f->log, r) + done, BLOCK_SECTOR_BYTES);
    }
}

static void apply_some(struct fixture *f, uint8_t *disk, unsigned way)
{
    size_t n = f->at - f->flushed, prefix = n > 0 ? sim_random(&f->random) % n : 0;

    for (size_t i = 0; i < n; i++) {
        if (way == CUT_SECTORS)
            apply_sectors(f, disk, f->flushed + i);
        else if (way == CUT_ALL || (way == CUT_PREFIX && i < prefix) ||
                 (way == CUT_WRITES && (sim_random(&f->random) & 1)))
            apply(f, disk, f->flushed + i);
    }
}

/* The image becomes the disk as the cut leaves it. */
static void make_cut(struct fixture *f, unsigned way)
{
    int fd = open(f->image, O_RDWR | O_CLOEXEC);
    uint8_t *disk = mmap(NULL, DISK_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    assert_true(disk != MAP_FAILED);
    memcpy(disk, f->durable, DISK_BYTES);
    apply_some(f, disk, way);
    munmap(disk, DISK_BYTES);
    close(fd);
}

/* ---- judging ---- */

/* A cut, for the complaint. */
struct cut {
    size_t at;
    unsigned way;
    uint64_t acked, begun;
};

#define REJECT(f, c, format, ...)                                                                                  \
    fail_msg("HOLDFAST_SEED=%" PRIu64 ", before record %zu of %zu, way %u, %" PRIu64 " acknowledged, %" PRIu64     \
             " begun: " format,                                                                                    \
             (f)->seed, (c)->at, block_log_n((f)->log), (c)->way, (c)->acked, (c)->begun, __VA_ARGS__)

static struct account account_at(struct fixture *f, uint64_t number)
{
    if (number < f->account_at) {
        f->account = (struct account){0};
        f->account_at = 0;
    }
    while (f->account_at < number)
        account_move(&f->account, f->seed, ++f->account_at);
    return f->account;
}

static void judge_store(struct fixture *f, const struct cut *c, struct hf *store)
{
    struct account account = account_at(f, c->acked), found;
    struct hf_status status;
    int64_t number;

    assert_ok(hf_status(store, &status));
    if (status.quarantined > 0)
        REJECT(f, c, "%s", "damage is reported");
    if (account_read(store, &found) != 0)
        REJECT(f, c, "%s", hf_errmsg());
    number = account_reach(&account, f->seed, c->acked, c->begun, &found);
    if (number < 0)
        REJECT(f, c, "%s", "what the store holds is no account between the two");
    f->shorter += (uint64_t)number < c->begun;
}

/* What the store is told after the cut is there when it is opened again. */
static void judge_reopened(struct fixture *f, const struct cut *c, struct hf *store)
{
    struct ledger more = {.seed = f->seed, .begun = c->begun};
    struct account before, after;

    assert_ok(account_read(store, &before));
    assert_ok(ledger_write(&more, store, c->begun + MORE));
    assert_ok(hf_close(store));
    assert_ok(hf_open(f->store, &f->opts, &store));
    assert_ok(account_read(store, &after));
    for (uint64_t number = c->begun + 1; number <= c->begun + MORE; number++)
        account_move(&before, f->seed, number);
    if (memcmp(&before, &after, sizeof(after)) != 0)
        REJECT(f, c, "%s", "what was written after the cut is not what is there");
    assert_ok(hf_close(store));
}

static void judge(struct fixture *f, const struct cut *c)
{
    struct hf *store;

    f->cuts++;
    if (block_mount(f->image, f->mount) != 0) { /* the file system's loss, not ours; counted */
        f->unmountable++;
        return;
    }
    if (hf_open(f->store, &f->opts, &store) != 0)
        REJECT(f, c, "the store does not open: %s", hf_errmsg());
    judge_store(f, c, store);
    judge_reopened(f, c, store);
    assert_ok(block_unmount(f->mount));
}

static bool time_is_up(const struct timespec *start)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return !by_hand && now.tv_sec - start->tv_sec >= TEST_S;
}

/* Cuts spread over the whole log, again and again at other places, the ways in turn. */
static void cut_all_over(struct fixture *f)
{
    size_t n = block_log_n(f->log);
    struct timespec start;

    clock_gettime(CLOCK_MONOTONIC, &start);
    for (uint64_t i = 0; i < n_cuts && !time_is_up(&start); i++) {
        uint64_t place = (i % PASS * n + sim_random(&f->random) % n) / PASS;
        const struct block_record *r = block_log_record(f->log, place);
        struct cut c = {.at = place, .way = (i + i / PASS) % CUT_WAYS, .acked = r->acked, .begun = r->begun};
        if (i % PASS == 0)
            go_back(f);
        move_to(f, c.at);
        make_cut(f, c.way);
        judge(f, &c);
    }
}

static void test_power_cut__no_acknowledged_write_is_lost_on_a_real_file_system(void **state)
{
    struct fixture *f = *state;

    record(f);
    cut_all_over(f);
    print_message("seed %" PRIu64
                  ": %zu writes and flushes of %u operations, %u power cuts, %u without what was not "
                  "acknowledged, %u that ext4 would not mount, 0 acknowledged writes lost\n",
                  f->seed, block_log_n(f->log), OPERATIONS, f->cuts, f->shorter, f->unmountable);
    assert_true(f->shorter > 0);
    assert_true(f->unmountable * 20 < f->cuts);
}

static void read_arguments(char **args)
{
    by_hand = *args != NULL;
    for (; *args; args += 2) {
        bool seed = strcmp(*args, "--seed") == 0;
        if ((!seed && strcmp(*args, "--cuts") != 0) || !args[1]) {
            fprintf(stderr, "usage: test_power_cut [--cuts N] [--seed S]\n");
            exit(4);
        }
        *(seed ? &first_seed : &n_cuts) = strtoull(args[1], NULL, 10);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_power_cut__no_acknowledged_write_is_lost_on_a_real_file_system, set_up,
                                        tear_down),
    };
    int failed;

    (void)argc;
    read_arguments(argv + 1);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    return was_skipped ? SKIPPED : failed;
}
