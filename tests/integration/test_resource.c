/* Resources that run out, and calls that fail, on the real parts: real file systems, real LMDB, real limits of the process. Where
 * a fault may end the process, a child meets it. */
#include "ignore.h"
#include "redis_server.h"
#include "scratch.h"
#include "small_disk.h"

#include "lmdb_tier.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define DISK_BYTES (8u << 20)
#define VALUE_BYTES 1000
#define MANY 20000 /* writes that would not fit */
#define CHILD_S 20

/* ---- fixture ---- */

struct fixture {
    struct scratch scratch;
    struct small_disk disk;
    struct hf_options opts;
    struct hf *store; /* NULL while closed */
    char dir[88];     /* of the store */
};

static void forget_faults(void);

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    scratch_make(&f->scratch);
    snprintf(f->dir, sizeof(f->dir), "%s", f->scratch.store);
    f->opts = (struct hf_options){
        .segment_bytes = 64 << 10,
        .max_disk_bytes = 64 << 20,
        .checkpoint_bytes = 256 << 10,
        .checkpoint_interval_ms = 20,
    };
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    forget_faults();
    (void)hf_close(f->store); /* open only after a failure, which has been told */
    small_disk_remove(&f->disk);
    scratch_remove(&f->scratch);
    free(f);
    return 0;
}

/* The store is on a disk of its own; skipped where that is not permitted. */
static void use_disk(struct fixture *f, const char *kind)
{
    if (!small_disk_make(&f->disk, kind, DISK_BYTES))
        skip();
    snprintf(f->dir, sizeof(f->dir), "%s/store", f->disk.dir);
}

static void open_store(struct fixture *f)
{
    assert_ok(hf_open(f->dir, &f->opts, &f->store));
}

/* The last checkpoint may find no room; the handle is gone in any case. */
static void close_full(struct fixture *f)
{
    int rc = hf_close(f->store);

    f->store = NULL;
    if (rc != 0)
        assert_int_equal(rc, HF_EFULL);
}

static void close_store(struct fixture *f)
{
    struct hf *store = f->store;

    f->store = NULL;
    assert_ok(hf_close(store));
}

/* ---- numbered keys ---- */

static struct hf_slice key_of(int i)
{
    static _Thread_local char name[24];

    snprintf(name, sizeof(name), "k%06d", i);
    return s_(name);
}

static struct hf_slice value_of(int i)
{
    static _Thread_local char bytes[VALUE_BYTES];

    memset(bytes, 'a' + i % 26, sizeof(bytes));
    memcpy(bytes, &i, sizeof(i));
    return (struct hf_slice){.data = bytes, .len = sizeof(bytes)};
}

static int set_number(struct fixture *f, int i)
{
    return hf_set(f->store, key_of(i), value_of(i), NULL, NULL);
}

/* Write from `from` on until one is refused, and return its number; `*ret_rc` is how. */
static int write_until_refused(struct fixture *f, int from, int *ret_rc)
{
    int i = from;

    for (*ret_rc = 0; i < from + MANY; i++) {
        *ret_rc = set_number(f, i);
        if (*ret_rc != 0)
            break;
    }
    return i;
}

static void assert_numbers(struct fixture *f, int from, int to)
{
    for (int i = from; i < to; i++) {
        struct hf_buf found = {0};
        struct hf_slice wanted = value_of(i);
        int rc = hf_get(f->store, key_of(i), &found, NULL);
        if (rc != 0)
            fail_msg("number %d of %d to %d: %d, %s", i, from, to, rc, hf_errmsg());
        assert_int_equal(found.len, wanted.len);
        assert_memory_equal(found.data, wanted.data, wanted.len);
        hf_buf_release(&found);
    }
}

/* ---- calls that fail: what the library and LMDB call comes here first ---- */

enum call { CALL_SYNC, CALL_WRITE, CALLS };

static struct {
    enum call call;
    const char *part; /* of the file's path */
    unsigned nth;
    bool forever;
    int error;
    atomic_uint seen, failed;
} fault;
static atomic_bool fault_armed;

static void forget_faults(void)
{
    atomic_store(&fault_armed, false);
}

static void arm_fault(enum call call, const char *part, unsigned nth, bool forever, int error)
{
    forget_faults();
    fault.call = call;
    fault.part = part;
    fault.nth = nth;
    fault.forever = forever;
    fault.error = error;
    atomic_store(&fault.seen, 0);
    atomic_store(&fault.failed, 0);
    atomic_store(&fault_armed, true);
}

static bool is_of_part(int fd)
{
    char link[64], path[512];
    ssize_t n;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, path, sizeof(path) - 1);
    path[n > 0 ? n : 0] = '\0';
    return strstr(path, fault.part) != NULL;
}

static bool fails(enum call call, int fd)
{
    unsigned n;

    if (!atomic_load(&fault_armed) || fault.call != call || !is_of_part(fd))
        return false;
    n = atomic_fetch_add(&fault.seen, 1) + 1;
    if (n < fault.nth || (n > fault.nth && !fault.forever))
        return false;
    atomic_fetch_add(&fault.failed, 1);
    errno = fault.error;
    return true;
}

#define EXPORTED __attribute__((visibility("default"))) /* to LMDB's library, too */

EXPORTED int fdatasync(int fd)
{
    return fails(CALL_SYNC, fd) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

EXPORTED int fsync(int fd)
{
    return fails(CALL_SYNC, fd) ? -1 : (int)syscall(SYS_fsync, fd);
}

EXPORTED ssize_t pwrite(int fd, const void *data, size_t len, off_t offset)
{
    return fails(CALL_WRITE, fd) ? -1 : (ssize_t)syscall(SYS_pwrite64, fd, data, len, offset);
}

/* ---- in a child ---- */

typedef int child_fn(struct fixture *f);

/* Run `body` in a child that lives no longer than CHILD_S; returns its exit code, or 1000 and the signal that ended it. */
static int in_child(struct fixture *f, child_fn *body)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        alarm(CHILD_S);
        for (int signal_number = 1; signal_number < 32; signal_number++)
            (void)signal(signal_number, SIG_DFL); /* cmocka would go on in here */
        _exit(body(f));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* ---- a full disk ---- */

/* Who only reads needs no room. */
static void read_on_full_disk(struct fixture *f, int n)
{
    f->opts.read_only = true;
    open_store(f);
    assert_numbers(f, 0, n);
    close_store(f);
    f->opts.read_only = false;
}

/* An owner begins a segment of the journal, for which there may be no room. */
static void open_on_full_disk(struct fixture *f, int n)
{
    int rc = hf_open(f->dir, &f->opts, &f->store);

    if (rc != 0) {
        assert_int_equal(rc, HF_EFULL);
        f->store = NULL;
        return;
    }
    assert_numbers(f, 0, n);
    close_full(f);
}

static void meet_full_disk(struct fixture *f, const char *kind)
{
    int rc, n, again;

    use_disk(f, kind);
    small_disk_fill(&f->disk, 3u << 20);
    open_store(f);
    n = write_until_refused(f, 0, &rc);
    assert_int_equal(rc, HF_EFULL);
    assert_in_range(n, 500, MANY);
    assert_numbers(f, 0, n);
    again = write_until_refused(f, n, &rc); /* a checkpoint may have freed a segment */
    assert_int_equal(rc, HF_EFULL);
    close_full(f);
    read_on_full_disk(f, again);
    open_on_full_disk(f, again);
    small_disk_empty(&f->disk);
    open_store(f);
    assert_numbers(f, 0, again);
    assert_ok(hf_delete(f->store, key_of(0), NULL));
    close_store(f);
    open_store(f);
    assert_numbers(f, 1, again);
    print_message("%s of %u bytes: %d writes acknowledged, 0 lost\n", kind, DISK_BYTES, again);
}

static void test_disk__a_full_one_refuses_writes_and_loses_none(void **state)
{
    meet_full_disk(*state, "tmpfs");
}

static void test_disk__a_full_ext4_refuses_writes_and_loses_none(void **state)
{
    meet_full_disk(*state, "ext4");
}

static void test_disk__writes_go_on_when_there_is_room_again(void **state)
{
    struct fixture *f = *state;
    int rc, n, rounds = 0, all = 0;

    use_disk(f, "tmpfs");
    open_store(f);
    for (uint64_t left = 0; left <= 1u << 20; left += 65536, rounds++) {
        small_disk_fill(&f->disk, left);
        n = write_until_refused(f, all, &rc);
        assert_int_equal(rc, HF_EFULL);
        assert_numbers(f, 0, n);
        small_disk_empty(&f->disk);
        assert_ok(set_number(f, n));
        assert_ok(hf_checkpoint(f->store));
        all = n + 1;
        if (all > 2500)
            break;
    }
    close_store(f);
    open_store(f);
    assert_numbers(f, 0, all);
    print_message("%d times full and not: %d writes acknowledged, 0 lost\n", rounds, all);
}

/* In a child: what a page of a mapped file cannot have makes SIGBUS. */
static int open_on_what_is_left(struct fixture *f)
{
    int rc = hf_open(f->dir, &f->opts, &f->store);

    if (rc == 0) {
        (void)set_number(f, 0); /* either way */
        rc = hf_close(f->store);
    }
    if (rc != 0 && rc != HF_EFULL)
        fprintf(stderr, "%d: %s\n", rc, hf_errmsg());
    return rc == 0 ? 0 : rc == HF_EFULL ? 1 : 2;
}

static void remove_store(struct fixture *f)
{
    struct scratch all = {.dir = ""};

    assert_in_range(snprintf(all.dir, sizeof(all.dir), "%s", f->dir), 1, sizeof(all.dir) - 1);
    scratch_remove(&all);
}

/* Made on a disk with so little room, and again with enough: `*n_full` counts those that said so. */
static void make_with(struct fixture *f, uint64_t left, int *n_full)
{
    int code;

    small_disk_fill(&f->disk, left);
    code = in_child(f, open_on_what_is_left);
    if (code > 1)
        fail_msg("with %llu bytes left, opening ends with %d", (unsigned long long)left, code);
    *n_full += code == 1;
    small_disk_empty(&f->disk);
    assert_int_equal(in_child(f, open_on_what_is_left), 0);
}

static void test_disk__a_store_is_made_or_refused_whatever_room_is_left(void **state)
{
    struct fixture *f = *state;
    int n_full = 0, n = 0;

    use_disk(f, "tmpfs");
    for (uint64_t left = 0; left < 256u << 10; left += 4096, n++) {
        make_with(f, left, &n_full);
        remove_store(f);
    }
    print_message("%d sizes of a disk: %d refused, 0 ended by a signal\n", n, n_full);
    assert_in_range(n_full, 10, n - 10);
}

static void test_disk__a_store_is_opened_or_refused_whatever_room_is_left(void **state)
{
    struct fixture *f = *state;
    int n_full = 0, n = 0;

    use_disk(f, "tmpfs");
    open_store(f);
    assert_ok(set_number(f, 0));
    close_store(f);
    for (uint64_t left = 0; left < 128u << 10; left += 4096, n++)
        make_with(f, left, &n_full);
    print_message("%d sizes of a disk: %d refused, 0 ended by a signal\n", n, n_full);
}

#define SNAPSHOTS 250

/* Slots of readers lie in a mapped file: a page of it that is used for the first time needs room. */
static int hold_many_snapshots(struct fixture *f)
{
    struct hf_local_snap *snaps[SNAPSHOTS];
    struct hf_local_tier *tier;

    if (hf__lmdb_open(f->disk.dir, NULL, &tier) != 0)
        return 2;
    small_disk_fill(&f->disk, 0);
    for (int i = 0; i < SNAPSHOTS; i++) {
        if (tier->ops->snap_begin(tier, &snaps[i]) != 0)
            return 3;
    }
    for (int i = 0; i < SNAPSHOTS; i++)
        tier->ops->snap_end(snaps[i]);
    tier->ops->close(tier);
    return 0;
}

static void test_disk__many_readers_need_no_room(void **state)
{
    struct fixture *f = *state;

    use_disk(f, "tmpfs");
    assert_int_equal(in_child(f, hold_many_snapshots), 0);
}

/* ---- a sync that fails ---- */

/* Let the nth sync of the journal fail, and write until a call says so, or some more: then it was that of a segment made ahead,
 * which nobody waits for. Returns the number of the write that `*ret_rc` is the answer to. */
static int write_into_failing_sync(struct fixture *f, unsigned nth, int *ret_rc)
{
    int i = 0, left = 100;

    arm_fault(CALL_SYNC, "/journal/", nth, false, EIO);
    for (*ret_rc = 0; *ret_rc == 0 && left > 0; left -= atomic_load(&fault.failed) > 0)
        i += (*ret_rc = set_number(f, i)) == 0;
    return i;
}

/* Reads go on, but for what nobody knows; nothing is acknowledged, whatever it is. */
static void assert_stopped(struct fixture *f, int n)
{
    struct hf_status status;
    struct hf_buf found = {0};
    int64_t number;

    assert_numbers(f, 0, n);
    assert_code(HF_ESTOPPED, hf_get(f->store, key_of(n), &found, NULL));
    assert_code(HF_ESTOPPED, set_number(f, n + 1));
    assert_code(HF_ESTOPPED, hf_delete(f->store, key_of(0), NULL));
    assert_code(HF_ESTOPPED, hf_incr(f->store, s_("counter"), 1, &number, NULL));
    assert_true(hf_expire(f->store, key_of(0), 60000, NULL) < 0);
    assert_ok(hf_status(f->store, &status));
    assert_true(status.stopped);
}

/* Returns whether it stopped the journal. */
static bool fail_nth_sync(struct fixture *f, unsigned nth, int *n_acked)
{
    int rc, n;

    open_store(f);
    n = write_into_failing_sync(f, nth, &rc);
    assert_int_equal(atomic_load(&fault.failed), 1);
    if (rc == HF_EUNKNOWN)
        assert_stopped(f, n); /* the syncs after it would succeed */
    else
        assert_true(rc == 0 || rc == HF_EIO); /* a new segment could not be made */
    (void)hf_close(f->store);
    forget_faults();
    open_store(f);
    assert_numbers(f, 0, n);
    assert_ok(set_number(f, n));
    close_store(f);
    remove_store(f);
    *n_acked += n;
    return rc == HF_EUNKNOWN;
}

static void test_sync__after_a_failed_one_nothing_is_acknowledged_and_reopening_has_the_rest(void **state)
{
    struct fixture *f = *state;
    int acked = 0, stopped = 0;

    for (unsigned nth = 1; nth <= 16; nth++)
        stopped += fail_nth_sync(f, 1 + 9 * nth, &acked);
    assert_in_range(stopped, 10, 16);
    print_message(
        "16 failed syncs of the journal, %d of them of what was written: %d writes acknowledged before, 0 after, "
        "0 lost\n",
        stopped, acked);
}

/* LMDB's: the checkpoint fails, the journal has what was acknowledged. */
static void test_sync__a_failed_one_of_the_local_tier_loses_nothing_and_is_tried_again(void **state)
{
    struct fixture *f = *state;
    int n = 0;

    f->opts.checkpoint_interval_ms = 60000;
    for (unsigned nth = 1; nth <= 4; nth++) {
        open_store(f);
        arm_fault(CALL_SYNC, "data.mdb", nth % 2 + 1, nth > 2, EIO);
        for (int end = n + 50; n < end; n++) {
            assert_ok(set_number(f, n));
            if (n % 10 == 9)
                (void)hf_checkpoint(f->store); /* some fail */
        }
        assert_true(atomic_load(&fault.failed) > 0);
        assert_numbers(f, 0, n);
        forget_faults();
        assert_ok(hf_checkpoint(f->store));
        close_store(f);
        open_store(f);
        assert_numbers(f, 0, n);
        close_store(f);
    }
}

/* ---- calls that are interrupted ---- */

static void note_signal(int number)
{
    (void)number;
}

/* Each thread that may take it is interrupted a thousand times a second; nothing is restarted for us. */
static void begin_interruptions(void)
{
    struct sigaction action = {.sa_handler = note_signal};
    struct itimerval often = {.it_interval.tv_usec = 1000, .it_value.tv_usec = 1000};

    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
}

static void end_interruptions(void)
{
    struct itimerval never = {{0}, {0}};

    assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
    (void)signal(SIGALRM, SIG_DFL);
}

static void test_signals__interrupted_calls_are_made_again(void **state)
{
    struct fixture *f = *state;

    begin_interruptions();
    open_store(f);
    for (int i = 0; i < 500; i++)
        assert_ok(set_number(f, i));
    assert_ok(hf_checkpoint(f->store));
    close_store(f);
    open_store(f);
    assert_numbers(f, 0, 500);
    close_store(f);
    end_interruptions();
}

/* A network's file system, or one in user space, may interrupt what the kernel's own do not. */
static void test_signals__an_interrupted_sync_or_write_of_the_journal_is_none_that_failed(void **state)
{
    struct fixture *f = *state;

    for (unsigned nth = 1; nth <= 8; nth++) {
        arm_fault(nth % 2 ? CALL_SYNC : CALL_WRITE, "/journal", nth, false, EINTR);
        open_store(f);
        for (int i = 0; i < 100; i++)
            assert_ok(set_number(f, i));
        assert_int_equal(atomic_load(&fault.failed), 1);
        close_store(f);
        remove_store(f);
    }
}

/* ---- a bound on the size of files ---- */

static void limit_file_size(rlim_t bytes)
{
    struct rlimit limit = {.rlim_cur = bytes, .rlim_max = RLIM_INFINITY};

    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* Whether all that was acknowledged under the limit is there without it. */
static int write_under_size_limit(struct fixture *f)
{
    int rc, n = 0;

    (void)signal(SIGXFSZ, SIG_IGN);
    rc = hf_open(f->dir, &f->opts, &f->store);
    if (rc == 0) {
        n = write_until_refused(f, 0, &rc);
        (void)hf_close(f->store); /* it may be refused, too */
    }
    if (rc != HF_EFULL && rc != HF_EUNKNOWN && rc != HF_EIO) { /* LMDB calls a short write an I/O error */
        fprintf(stderr, "%d: %s\n", rc, hf_errmsg());
        return 1;
    }
    limit_file_size(RLIM_INFINITY);
    if (hf_open(f->dir, &f->opts, &f->store) != 0)
        return 2;
    assert_numbers(f, 0, n);
    return hf_close(f->store) == 0 ? 0 : 3;
}

static void test_limits__what_is_beyond_the_size_of_a_file_is_full(void **state)
{
    static const rlim_t limits[] = {0, 1, 4095, 4096, 65535, 65536, 262144};
    struct fixture *f = *state;
    int code;

    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        limit_file_size(limits[i]); /* of this process too: it writes nothing meanwhile */
        code = in_child(f, write_under_size_limit);
        limit_file_size(RLIM_INFINITY);
        if (code != 0)
            fail_msg("files of at most %llu bytes: ends with %d", (unsigned long long)limits[i], code);
        remove_store(f);
    }
}

/* ---- no file descriptors ---- */

static int open_files(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;

    assert_non_null(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n - 3; /* ".", "..", and the directory itself */
}

static rlim_t limit_files(rlim_t n)
{
    struct rlimit limit;
    rlim_t was;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    was = limit.rlim_cur;
    limit.rlim_cur = n;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return was;
}

static void test_descriptors__opening_without_enough_is_refused_and_keeps_none(void **state)
{
    struct fixture *f = *state;
    int before = open_files(), n_refused = 0, rc;
    rlim_t was = limit_files((rlim_t)before);

    for (rlim_t more = 0; more < 40; more++) {
        (void)limit_files((rlim_t)before + more);
        rc = hf_open(f->dir, &f->opts, &f->store);
        if (rc == 0)
            close_store(f);
        n_refused += rc != 0;
        (void)limit_files(was);
        if (rc != 0 && rc != HF_EIO)
            fail_msg("with %d more descriptors: %d, %s", (int)more, rc, hf_errmsg());
        assert_int_equal(open_files(), before);
    }
    assert_in_range(n_refused, 5, 30);
    open_store(f);
    close_store(f);
    print_message("up to %d descriptors are too few\n", n_refused - 1);
}

static void test_descriptors__without_any_a_store_goes_on_or_says_so_and_loses_nothing(void **state)
{
    struct fixture *f = *state;
    int rc, n;
    rlim_t was;

    open_store(f);
    assert_ok(set_number(f, 0));
    was = limit_files(3);
    n = write_until_refused(f, 1, &rc); /* a new segment needs one */
    assert_true(rc == HF_EIO || rc == 0);
    assert_numbers(f, 0, n);
    (void)limit_files(was);
    assert_ok(set_number(f, n));
    close_store(f);
    open_store(f);
    assert_numbers(f, 0, n + 1);
    close_store(f);
    print_message("%d writes without a descriptor to be had\n", n - 1);
}

static bool is_online(void *ctx)
{
    struct fixture *f = ctx;

    return hf_is_online(f->store);
}

static bool is_offline(void *ctx)
{
    return !is_online(ctx);
}

static long cpu_ms(void)
{
    struct rusage usage;

    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_utime.tv_sec * 1000 + usage.ru_utime.tv_usec / 1000 + usage.ru_stime.tv_sec * 1000 +
           usage.ru_stime.tv_usec / 1000;
}

static void test_descriptors__without_any_the_link_waits_and_comes_back(void **state)
{
    struct fixture *f = *state;
    struct redis_server redis;
    rlim_t was;
    long cpu;

    assert_int_equal(redis_server_start(&redis, NULL), 0);
    f->opts.redis = redis.address;
    f->opts.redis_backoff_max_ms = 50;
    open_store(f);
    assert_true(wait_until(is_online, f, 10000));
    redis_server_kill(&redis);
    assert_true(wait_until(is_offline, f, 10000));
    assert_int_equal(redis_server_restart(&redis), 0);
    was = limit_files(3);
    cpu = cpu_ms();
    poll(NULL, 0, 500); /* the time is what is measured */
    cpu = cpu_ms() - cpu;
    (void)limit_files(was);
    assert_true(wait_until(is_online, f, 10000));
    assert_in_range(cpu, 0, 250);
    close_store(f);
    redis_server_stop(&redis);
}

/* ---- a directory that cannot be written to, or goes ---- */

static void test_directory__on_a_read_only_disk_only_a_reader_is_let_in(void **state)
{
    struct fixture *f = *state;
    struct hf *owner = NULL;

    use_disk(f, "ext4");
    open_store(f);
    for (int i = 0; i < 20; i++)
        assert_ok(set_number(f, i));
    close_store(f);
    assert_int_equal(mount("none", f->disk.dir, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
    assert_code(HF_EIO, hf_open(f->dir, &f->opts, &owner));
    assert_sentence("Read-only file system");
    f->opts.read_only = true;
    open_store(f);
    assert_numbers(f, 0, 20);
    assert_code(HF_EREADONLY, set_number(f, 0));
    close_store(f);
}

static void test_directory__one_that_is_renamed_while_it_is_used_goes_on(void **state)
{
    struct fixture *f = *state;
    char other[sizeof(f->dir)];

    snprintf(other, sizeof(other), "%.70s/elsewhere", f->scratch.dir);
    open_store(f);
    assert_ok(set_number(f, 0));
    assert_int_equal(rename(f->dir, other), 0);
    for (int i = 1; i < 300; i++)
        assert_ok(set_number(f, i));
    close_store(f);
    memcpy(f->dir, other, sizeof(f->dir));
    open_store(f);
    assert_numbers(f, 0, 300);
    close_store(f);
}

/* ---- fork in a program that uses the library ---- */

/* Every call on an inherited handle, with what it needs. */
#define CALL_MAP(X)                                                                                                \
    X(hf_get(f->store, key, &value, NULL))                                                                         \
    X(hf_get_into(f->store, key, text, sizeof(text), &len, NULL))                                                  \
    X(hf_try_get_into(f->store, key, text, sizeof(text), &len, &result))                                           \
    X(hf_ask_into(f->store, key, text, sizeof(text), &len, NULL))                                                  \
    X(hf_exists(f->store, key, NULL))                                                                              \
    X(hf_ttl(f->store, key, &number, NULL))                                                                        \
    X(hf_set(f->store, key, key, NULL, NULL))                                                                      \
    X(hf_delete(f->store, key, NULL))                                                                              \
    X(hf_expire(f->store, key, 1000, NULL))                                                                        \
    X(hf_expire_at(f->store, key, 1000, NULL))                                                                     \
    X(hf_persist(f->store, key, NULL))                                                                             \
    X(hf_incr(f->store, key, 1, &number, NULL))                                                                    \
    X(hf_batch_commit(batch, NULL))                                                                                \
    X(hf_set_if_absent(f->store, key, key, NULL, NULL))                                                            \
    X(hf_compare_and_set(f->store, key, key, key, NULL, NULL))                                                     \
    X(hf_compare_and_delete(f->store, key, key, NULL))                                                             \
    X(hf_get_and_delete(f->store, key, &value, NULL))                                                              \
    X(hf_lock_acquire(f->store, key, 1000, 0, &lock))                                                              \
    X(hf_submit(f->store, &op, ignore_result, NULL))                                                               \
    X(hf_try_write(f->store, &op, &result))                                                                        \
    X(hf_when_durable(f->store, 1, ignore_result, NULL))                                                           \
    X(hf_wait_durable(f->store, 1))                                                                                \
    X(hf_hear(f->store, 10))                                                                                       \
    X(hf_scan_open(f->store, key, key, &scan))                                                                     \
    X(hf_status(f->store, &status))                                                                                \
    X(hf_pulse(f->store, &pulse))                                                                                  \
    X(hf_link_changes(f->store, 0, ignore_change, NULL))                                                           \
    X(hf_drain(f->store, 10))                                                                                      \
    X(hf_outcome(f->store, key, 1, &outcome))                                                                      \
    X(hf_wait_shared(f->store, 1, 10))                                                                             \
    X(hf_conflict_list(f->store, 0, ignore_conflict, NULL))                                                        \
    X(hf_conflict_resolve(f->store, 1))                                                                            \
    X(hf_conflict_restore(f->store, 1, NULL))                                                                      \
    X(hf_pause(f->store))                                                                                          \
    X(hf_resume(f->store))                                                                                         \
    X(hf_throttle(f->store, 1, 1))                                                                                 \
    X(hf_decide_loss(f->store, key, HF_LOSS_ADOPT))                                                                \
    X(hf_renew_node(f->store))                                                                                     \
    X(hf_preview(f->store, ignore_preview, NULL))                                                                  \
    X(hf_preview_losses(f->store, ignore_loss, NULL))                                                              \
    X(hf_explain(f->store, key, &explanation))                                                                     \
    X(hf_last_logged(f->store, key, &logged))                                                                      \
    X(hf_verify(f->store, 0, ignore_difference, NULL, &sums))                                                      \
    X(hf_doctor(f->store, ignore_finding, NULL))                                                                   \
    X(hf_checkpoint(f->store))                                                                                     \
    X(hf_parked_list(f->store, ignore_parked, NULL))                                                               \
    X(hf_parked_requeue(f->store, 1, NULL))                                                                        \
    X(hf_parked_drop(f->store, 1))                                                                                 \
    X(hf_audit_list(f->store, ignore_line, NULL))                                                                  \
    X(hf_close(f->store))

static struct hf_batch *batch;

static int call_everything(struct fixture *f)
{
    struct hf_slice key = s_("k");
    struct hf_op op = {.kind = HF_OP_SET, .key = key, .value = key};
    struct hf_buf value;
    struct hf_result result;
    struct hf_lock *lock;
    struct hf_scan *scan;
    struct hf_status status;
    struct hf_pulse pulse;
    struct hf_explanation explanation;
    struct hf_logged logged;
    struct hf_verification sums;
    enum hf_outcome outcome;
    int64_t number;
    char text[16];
    size_t len;
    int bad = 0, rc;

#define X(call)                                                                                                    \
    rc = call;                                                                                                     \
    if (rc != HF_EFORK) {                                                                                          \
        fprintf(stderr, "%s is %d in a child: %s\n", #call, rc, hf_errmsg());                                      \
        bad++;                                                                                                     \
    }
    CALL_MAP(X)
#undef X
    return bad;
}

static void test_fork__every_call_on_an_inherited_handle_is_refused(void **state)
{
    struct fixture *f = *state;

    open_store(f);
    assert_ok(set_number(f, 0));
    assert_ok(hf_batch_new(f->store, &batch));
    assert_ok(hf_batch_set(batch, key_of(1), value_of(1), NULL));
    assert_int_equal(in_child(f, call_everything), 0);
    assert_ok(hf_batch_commit(batch, NULL)); /* the parent goes on */
    hf_batch_free(batch);
    assert_numbers(f, 0, 2);
    close_store(f);
}

/* A child that waits until it is killed. */
static pid_t start_idle_child(void)
{
    pid_t pid = fork();

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            pause();
    }
    return pid;
}

static void end_child(pid_t pid)
{
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_fork__a_child_that_lives_on_keeps_no_store(void **state)
{
    struct fixture *f = *state;
    pid_t child;

    open_store(f);
    child = start_idle_child();
    close_store(f);
    open_store(f);
    close_store(f);
    end_child(child);
}

/* It opens the store and has a child, which tells its number, and both wait to be killed. */
static void own_and_have_child(struct fixture *f, int out)
{
    pid_t me;

    if (hf_open(f->dir, &f->opts, &f->store) != 0)
        _exit(1);
    if (fork() == 0) {
        alarm(CHILD_S);
        me = getpid();
        if (write(out, &me, sizeof(me)) != sizeof(me))
            _exit(1);
    }
    for (;;)
        pause();
}

static void test_fork__an_owner_that_is_killed_leaves_no_lock_to_its_child(void **state)
{
    struct fixture *f = *state;
    int fds[2], rc;
    pid_t parent, child;

    assert_int_equal(pipe(fds), 0);
    parent = fork();
    if (parent == 0)
        own_and_have_child(f, fds[1]);
    assert_int_equal(read(fds[0], &child, sizeof(child)), sizeof(child));
    end_child(parent);
    rc = hf_open(f->dir, &f->opts, &f->store);
    kill(child, SIGKILL);
    close(fds[0]);
    close(fds[1]);
    assert_ok(rc);
    close_store(f);
}

/* ---- processes that are stopped, or killed, and hold something ---- */

/* A process that does what it is told, says so with a byte, and goes on when it is told to. */
struct helper {
    pid_t pid;
    int to[2], from[2];
};

static void start_helper(struct helper *helper, struct fixture *f,
                         int (*body)(struct fixture *f, struct helper *me))
{
    assert_int_equal(pipe(helper->to), 0);
    assert_int_equal(pipe(helper->from), 0);
    helper->pid = fork();
    if (helper->pid != 0)
        return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(CHILD_S);
    _exit(body(f, helper));
}

static void say(int fd)
{
    if (write(fd, "x", 1) != 1)
        _exit(9);
}

static bool hear(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char byte;

    return poll(&p, 1, CHILD_S * 1000) == 1 && read(fd, &byte, 1) == 1;
}

static void end_helper(struct helper *helper)
{
    end_child(helper->pid);
    for (int i = 0; i < 2; i++) {
        close(helper->to[i]);
        close(helper->from[i]);
    }
}

static int own_a_store(struct fixture *f, struct helper *me)
{
    if (hf_open(f->dir, &f->opts, &f->store) != 0 || set_number(f, 0) != 0)
        return 1;
    say(me->from[1]);
    for (int i = 1;; i++)
        (void)set_number(f, i % 100);
}

static void test_stopped__an_owner_lets_readers_read_and_nobody_else_write(void **state)
{
    struct fixture *f = *state;
    struct helper owner;
    struct hf *second = NULL;
    int64_t began;

    start_helper(&owner, f, own_a_store);
    assert_true(hear(owner.from[0]));
    kill(owner.pid, SIGSTOP);
    began = wall_ms();
    assert_code(HF_ELOCKED, hf_open(f->dir, &f->opts, &second));
    f->opts.read_only = true;
    open_store(f);
    assert_numbers(f, 0, 1);
    close_store(f);
    assert_in_range(wall_ms() - began, 0, 2000);
    f->opts.read_only = false;
    end_helper(&owner);
    open_store(f);
    assert_numbers(f, 0, 1);
    close_store(f);
}

/* In the middle of a walk inside a snapshot of LMDB. */
static int hold_a_snapshot(struct fixture *f, struct helper *me)
{
    struct hf_local_tier *tier;
    struct hf_local_snap *snap;

    if (!hear(me->to[0]) || hf__lmdb_open(f->dir, &(struct hf_lmdb_options){.read_only = true}, &tier) != 0 ||
        tier->ops->snap_begin(tier, &snap) != 0)
        return 1;
    say(me->from[1]);
    for (;;)
        pause();
}

/* Fill a small map with ever new values of few keys, which takes it again and again, and leaves what was acknowledged. */
static int overwrite(struct fixture *f, int rounds)
{
    int rc = 0, n = 0;

    for (int i = 0; i < rounds && rc == 0; i++)
        for (int k = 0; k < 100 && rc == 0; k++, n++)
            rc = set_number(f, k);
    return rc;
}

static void test_stopped__a_reader_holds_nobody_up_and_a_killed_one_holds_no_pages(void **state)
{
    struct fixture *f = *state;
    struct helper reader;
    int64_t began;
    int rc;

    f->opts.max_disk_bytes = 4 << 20;
    f->opts.checkpoint_bytes = 64 << 10;
    start_helper(&reader, f, hold_a_snapshot);
    open_store(f);
    assert_ok(overwrite(f, 5));
    assert_ok(hf_checkpoint(f->store));
    say(reader.to[1]);
    assert_true(hear(reader.from[0]));
    kill(reader.pid, SIGSTOP);
    began = wall_ms();
    rc = overwrite(f, 60); /* its pages are kept: the store may be full, and does not wait */
    assert_true(rc == 0 || rc == HF_EFULL);
    assert_in_range(wall_ms() - began, 0, 30000);
    assert_numbers(f, 0, 100);
    end_helper(&reader);
    assert_true(hf_checkpoint(f->store) <= 0);
    assert_ok(hf_checkpoint(f->store));
    assert_ok(overwrite(f, 10));
    close_store(f);
    print_message("beside a stopped reader the store %s\n", rc == 0 ? "went on" : "was full");
}

/* ---- two owners ---- */

static int be_second_owner(struct fixture *f)
{
    char through[128];
    int rc;

    snprintf(through, sizeof(through), "%s/link", f->scratch.dir);
    if (symlink(f->dir, through) != 0)
        return 1;
    f->store = NULL;
    rc = hf_open(through, &f->opts, &f->store);
    unlink(through);
    return rc == HF_ELOCKED ? 0 : 2;
}

static void test_owners__a_second_one_is_refused_whatever_name_the_directory_has(void **state)
{
    struct fixture *f = *state;
    struct hf *owner;

    open_store(f);
    owner = f->store;
    assert_int_equal(be_second_owner(f), 0); /* in this process */
    f->store = owner;
    assert_int_equal(in_child(f, be_second_owner), 0);
    assert_ok(set_number(f, 0));
    close_store(f);
}

#define RACERS 8

static int race_for_it(struct fixture *f, struct helper *me)
{
    int rc;

    if (!hear(me->to[0]))
        return 9;
    rc = hf_open(f->dir, &f->opts, &f->store);
    if (rc == 0) {
        say(me->from[1]);
        for (;;)
            pause();
    }
    return rc == HF_ELOCKED ? 3 : 1;
}

static void test_owners__of_many_that_open_a_new_store_at_once_one_has_it(void **state)
{
    struct fixture *f = *state;
    struct helper racers[RACERS];

    for (int round = 0; round < 10; round++) {
        int refused = 0, status;
        for (int i = 0; i < RACERS; i++)
            start_helper(&racers[i], f, race_for_it);
        for (int i = 0; i < RACERS; i++)
            say(racers[i].to[1]);
        while (refused < RACERS - 1) {
            pid_t pid = waitpid(-1, &status, 0);
            assert_true(pid > 0);
            assert_int_equal(WEXITSTATUS(status), 3);
            for (int i = 0; i < RACERS; i++)
                racers[i].pid = racers[i].pid == pid ? 0 : racers[i].pid;
            refused++;
        }
        for (int i = 0; i < RACERS; i++) {
            if (racers[i].pid != 0) {
                assert_true(hear(racers[i].from[0]));
                end_child(racers[i].pid);
            }
            for (int k = 0; k < 2; k++) {
                close(racers[i].to[k]);
                close(racers[i].from[k]);
            }
        }
        remove_store(f);
    }
}

/* ---- a file that is cut while it is used ---- */

#define CUT_KEYS 200

static off_t cut_to; /* of data.mdb */

/* Whatever it reads must have been written; a page that is not there any more may end it. */
static int read_from_cut_file(struct fixture *f)
{
    char path[128];

    if (hf_open(f->dir, &f->opts, &f->store) != 0)
        return 1;
    snprintf(path, sizeof(path), "%s/lmdb/data.mdb", f->dir);
    if (truncate(path, cut_to) != 0)
        return 2;
    for (int i = 0; i < CUT_KEYS; i++) {
        struct hf_buf found = {0};
        struct hf_slice wanted = value_of(i);
        if (hf_get(f->store, key_of(i), &found, NULL) == 0 &&
            (found.len != wanted.len || memcmp(found.data, wanted.data, wanted.len) != 0))
            return 3;
        hf_buf_release(&found);
    }
    return 0;
}

static void test_cut__a_local_tier_that_is_cut_while_it_is_read_shows_nothing_wrong(void **state)
{
    struct fixture *f = *state;
    int ended = 0, went_on = 0;

    for (int i = 0; i < 6; i++) {
        struct hf *store = NULL;
        int code, rc;
        open_store(f);
        for (int k = 0; k < CUT_KEYS; k++)
            assert_ok(set_number(f, k));
        close_store(f);
        cut_to = i * 30000;
        code = in_child(f, read_from_cut_file);
        if (code != 0 && code != 1000 + SIGBUS)
            fail_msg("cut to %lld bytes, a reader ends with %d", (long long)cut_to, code);
        went_on += code == 0;
        ended += code != 0;
        rc = hf_open(f->dir, &f->opts, &store);
        assert_int_equal(rc, HF_ECORRUPT);
        remove_store(f);
    }
    print_message("cut 6 times: %d ended by SIGBUS, %d went on, 0 wrong values\n", ended, went_on);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(disk__a_full_one_refuses_writes_and_loses_none),
        T(disk__a_full_ext4_refuses_writes_and_loses_none),
        T(disk__writes_go_on_when_there_is_room_again),
        T(disk__a_store_is_made_or_refused_whatever_room_is_left),
        T(disk__a_store_is_opened_or_refused_whatever_room_is_left),
        T(disk__many_readers_need_no_room),
        T(sync__after_a_failed_one_nothing_is_acknowledged_and_reopening_has_the_rest),
        T(sync__a_failed_one_of_the_local_tier_loses_nothing_and_is_tried_again),
        T(signals__interrupted_calls_are_made_again),
        T(signals__an_interrupted_sync_or_write_of_the_journal_is_none_that_failed),
        T(limits__what_is_beyond_the_size_of_a_file_is_full),
        T(descriptors__opening_without_enough_is_refused_and_keeps_none),
        T(descriptors__without_any_a_store_goes_on_or_says_so_and_loses_nothing),
        T(descriptors__without_any_the_link_waits_and_comes_back),
        T(directory__on_a_read_only_disk_only_a_reader_is_let_in),
        T(directory__one_that_is_renamed_while_it_is_used_goes_on),
        T(fork__every_call_on_an_inherited_handle_is_refused),
        T(fork__a_child_that_lives_on_keeps_no_store),
        T(fork__an_owner_that_is_killed_leaves_no_lock_to_its_child),
        T(stopped__an_owner_lets_readers_read_and_nobody_else_write),
        T(stopped__a_reader_holds_nobody_up_and_a_killed_one_holds_no_pages),
        T(owners__a_second_one_is_refused_whatever_name_the_directory_has),
        T(owners__of_many_that_open_a_new_store_at_once_one_has_it),
        T(cut__a_local_tier_that_is_cut_while_it_is_read_shows_nothing_wrong),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
