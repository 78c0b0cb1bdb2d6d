/* The sidecar without room on its disk, without descriptors, and without memory: it answers or says why not, its clients stay, and
 * what it acknowledged is there. */
#include "scratch.h"
#include "sidecar_process.h"
#include "small_disk.h"
#include "wire.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define DISK_BYTES (8u << 20)
#define MANY 20000
#define SMALL_SEGMENTS "{\"limits\": {\"segment\": \"64KiB\", \"checkpoint_bytes\": \"256KiB\"}}"

struct fixture {
    struct scratch scratch;
    struct small_disk disk;
    struct sidecar_process sidecar;
    struct talk talk, second;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    scratch_make(&f->scratch);
    f->talk.fd = f->second.fd = -1;
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    talk_close(&f->talk);
    talk_close(&f->second);
    sidecar_stop(&f->sidecar);
    small_disk_remove(&f->disk);
    scratch_remove(&f->scratch);
    free(f);
    return 0;
}

static void limit(struct fixture *f, enum __rlimit_resource what, rlim_t n)
{
    struct rlimit old, now;

    assert_int_equal(prlimit(f->sidecar.pid, what, NULL, &old), 0);
    now = (struct rlimit){.rlim_cur = n < old.rlim_max ? n : old.rlim_max, .rlim_max = old.rlim_max};
    assert_int_equal(prlimit(f->sidecar.pid, what, &now, NULL), 0);
}

/* ---- numbered keys ---- */

static const char *set_number(struct fixture *f, int i)
{
    static char value[1001];
    char command[1100];

    memset(value, 'a' + i % 26, sizeof(value) - 1);
    snprintf(command, sizeof(command), "SET k%06d %s", i, value);
    return talk_ask(&f->talk, command);
}

static bool is_ok(const char *reply)
{
    return strcmp(reply, "+OK|") == 0;
}

/* Returns the number of the first that was refused; `reply` is how. */
static int set_until_refused(struct fixture *f, int from, char reply[200])
{
    int i = from;

    for (reply[0] = '\0'; i < from + MANY; i++) {
        const char *said = set_number(f, i);
        if (is_ok(said))
            continue;
        snprintf(reply, 200, "%s", said);
        break;
    }
    return i;
}

static void expect_numbers(struct fixture *f, int n)
{
    char command[32];

    for (int i = 0; i < n; i++) {
        snprintf(command, sizeof(command), "STRLEN k%06d", i);
        talk_expect(&f->talk, command, ":1000|");
    }
}

/* ---- a full disk ---- */

static void test_sidecar__a_full_disk_refuses_writes_and_serves_reads(void **state)
{
    struct fixture *f = *state;
    char reply[200];
    int n;

    if (!small_disk_make(&f->disk, "tmpfs", DISK_BYTES))
        skip();
    small_disk_fill(&f->disk, 3u << 20);
    sidecar_start(&f->sidecar, f->disk.dir, NULL, SMALL_SEGMENTS);
    talk_open(&f->talk, f->sidecar.socket);
    n = set_until_refused(f, 0, reply);
    assert_in_range(n, 500, MANY - 1);
    print_message("%d writes, then %s\n", n, reply);
    assert_non_null(strstr(reply, "-JOURNALFULL"));
    expect_numbers(f, n);
    talk_expect(&f->talk, "PING", "+PONG|");
    small_disk_empty(&f->disk);
    assert_true(is_ok(set_number(f, n)));
    talk_close(&f->talk);
    sidecar_restart(&f->sidecar);
    talk_open(&f->talk, f->sidecar.socket);
    expect_numbers(f, n + 1);
}

static void test_sidecar__a_limit_on_the_size_of_files_does_not_end_it(void **state)
{
    struct fixture *f = *state;
    char reply[200];
    int n;

    sidecar_start(&f->sidecar, f->scratch.dir, NULL, SMALL_SEGMENTS);
    talk_open(&f->talk, f->sidecar.socket);
    limit(f, RLIMIT_FSIZE, 16384);
    n = set_until_refused(f, 0, reply);
    assert_in_range(n, 0, MANY - 1);
    talk_expect(&f->talk, "PING", "+PONG|");
    expect_numbers(f, n);
    limit(f, RLIMIT_FSIZE, RLIM_INFINITY);
    talk_close(&f->talk);
    kill(f->sidecar.pid, SIGTERM);
    assert_int_equal(waitpid(f->sidecar.pid, NULL, 0), f->sidecar.pid); /* a journal that has stopped is told */
    f->sidecar.pid = 0;
    sidecar_start(&f->sidecar, f->scratch.dir, NULL, SMALL_SEGMENTS);
    talk_open(&f->talk, f->sidecar.socket);
    expect_numbers(f, n);
}

/* ---- no descriptors ---- */

static int files_of(pid_t pid)
{
    char path[64];
    DIR *dir;
    int n = 0;

    snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    dir = opendir(path);
    assert_non_null(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n - 2;
}

/* Of the processor, in hundredths of a second. */
static long ticks_of(pid_t pid)
{
    char path[64], text[512];
    unsigned long user = 0, system = 0;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    file = fopen(path, "re");
    assert_non_null(file);
    assert_non_null(fgets(text, sizeof(text), file));
    fclose(file);
    assert_int_equal(
        sscanf(strrchr(text, ')'), ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system), 2);
    return (long)(user + system);
}

#define WAITING 20

static void knock(struct fixture *f, int fds[WAITING])
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    snprintf(address.sun_path, sizeof(address.sun_path), "%.100s", f->sidecar.socket);
    for (int i = 0; i < WAITING; i++) {
        fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_true(fds[i] >= 0);
        assert_int_equal(connect(fds[i], (struct sockaddr *)&address, sizeof(address)), 0);
    }
}

static bool answers(void *ctx)
{
    struct fixture *f = ctx;
    struct wire wire = {.fd = -1};
    char byte = 0;
    struct pollfd p;

    wire_open(&wire, f->sidecar.socket);
    (void)wire_push(&wire, "PING\r\n", 6);
    p = (struct pollfd){.fd = wire.fd, .events = POLLIN};
    if (poll(&p, 1, 1000) != 1 || read(wire.fd, &byte, 1) != 1)
        byte = 0;
    wire_close(&wire);
    return byte == '+';
}

static void test_sidecar__without_descriptors_its_clients_stay_and_nobody_is_busy(void **state)
{
    struct fixture *f = *state;
    int fds[WAITING];
    long ticks;

    sidecar_start(&f->sidecar, f->scratch.dir, NULL, NULL);
    talk_open(&f->talk, f->sidecar.socket);
    talk_expect(&f->talk, "SET k v", "+OK|");
    limit(f, RLIMIT_NOFILE, (rlim_t)files_of(f->sidecar.pid));
    knock(f, fds);
    ticks = ticks_of(f->sidecar.pid);
    for (int i = 0; i < 10; i++) {
        talk_expect(&f->talk, "GET k", "$1|v|");
        talk_expect(&f->talk, "SET k v", "+OK|");
        poll(NULL, 0, 100); /* the time is what is measured */
    }
    ticks = ticks_of(f->sidecar.pid) - ticks;
    print_message("%ld ticks of the processor in a second\n", ticks);
    assert_in_range(ticks, 0, 25);
    for (int i = 0; i < WAITING; i++)
        close(fds[i]);
    limit(f, RLIMIT_NOFILE, RLIM_INFINITY);
    assert_true(wait_until(answers, f, SIDECAR_WAIT_MS));
}

/* ---- no memory ---- */

#define POINTS 12 /* of a sweep one by nine, unless HOLDFAST_SWEEP is set; then fewer */
#define ANSWER_S 5

/* A program whose nth allocation fails, and a client that is patient with it. */
struct faulty {
    char store[96], socket[112], fault[32];
    pid_t pid;
    redisContext *redis; /* NULL: not connected */
    long set, counted;   /* acknowledged: the last value of k, increments */
    long begun;          /* the last value that was sent */
    bool maybe_counted;
    bool forever, is_new,
        deaf; /* is_new: nothing was answered on this connection; deaf: there is no memory for another one */
    unsigned answered, refused, broken;
};

static pid_t start_faulty(const struct faulty *f)
{
    pid_t pid = fork();
    int null;

    if (pid != 0)
        return pid;
    null = open("/dev/null", O_WRONLY);
    dup2(null, 2); /* it complains at each point */
    setenv("HOLDFAST_MEMORY_FAULT", f->fault, 1);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execl(getenv("HOLDFASTD_MEMORY"), "holdfastd", "--dir", f->store, "--port", "0", "--unixsocket", f->socket,
          NULL);
    _exit(127);
}

static void connect_to(struct faulty *f)
{
    struct timeval patience = {.tv_sec = ANSWER_S}, little = {.tv_usec = 300000};

    redisFree(f->redis);
    f->is_new = true;
    f->redis = redisConnectUnixWithTimeout(f->socket, patience);
    if (f->redis && f->redis->err == 0) {
        redisSetTimeout(f->redis, f->forever ? little : patience);
        return;
    }
    redisFree(f->redis);
    f->redis = NULL;
}

static bool has_started_or_ended(void *ctx)
{
    struct faulty *f = ctx;
    siginfo_t info = {0};

    connect_to(f);
    return f->redis || (waitid(P_PID, (id_t)f->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0);
}

static bool is_silent(const redisContext *redis)
{
    return redis->err == REDIS_ERR_TIMEOUT || (redis->err == REDIS_ERR_IO && errno == EAGAIN);
}

/* The reply, which is the caller's; NULL when the connection broke. A command that is never answered fails the test. */
static redisReply *ask(struct faulty *f, const char *command)
{
    redisReply *reply;

    if (!f->redis && !f->deaf)
        connect_to(f);
    reply = f->redis ? redisCommand(f->redis, command) : NULL;
    if (!reply && f->redis && is_silent(f->redis)) {
        f->deaf = f->forever && f->is_new;
        if (!f->deaf)
            fail_msg("HOLDFAST_MEMORY_FAULT=%s: '%s' is not answered", f->fault, command);
    }
    if (f->is_new && reply)
        redisSetTimeout(f->redis, (struct timeval){.tv_sec = ANSWER_S});
    f->is_new = f->is_new && !reply;
    f->answered += reply && reply->type != REDIS_REPLY_ERROR;
    f->refused += reply && reply->type == REDIS_REPLY_ERROR;
    f->broken += !reply;
    if (!reply) {
        redisFree(f->redis);
        f->redis = NULL;
    }
    return reply;
}

static bool done(struct faulty *f, const char *command)
{
    redisReply *reply = ask(f, command);
    bool good = reply && reply->type != REDIS_REPLY_ERROR;

    freeReplyObject(reply);
    return good;
}

static void set_next(struct faulty *f)
{
    char command[32];

    f->begun++;
    snprintf(command, sizeof(command), "SET k %ld", f->begun);
    if (done(f, command))
        f->set = f->begun;
}

static void count_one(struct faulty *f)
{
    redisReply *reply = ask(f, "INCR n");

    if (reply && reply->type != REDIS_REPLY_INTEGER && reply->type != REDIS_REPLY_ERROR)
        fail_msg("HOLDFAST_MEMORY_FAULT=%s: INCR is answered with type %d, %s", f->fault, reply->type, reply->str);
    f->counted += reply && reply->type == REDIS_REPLY_INTEGER;
    f->maybe_counted |= !reply || (reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "INDOUBT", 7) == 0);
    freeReplyObject(reply);
}

static void use_it(struct faulty *f)
{
    static const char *const others[] = {
        "HELLO 3",     "MSET a 1 b 2",    "MGET a b", "APPEND a x",   "SETRANGE b 3 y", "EXPIRE a 100",
        "TTL a",       "SCAN 0",          "KEYS *",   "MULTI",        "SET c 1",        "EXEC",
        "WATCH c",     "CLIENT LIST",     "INFO",     "CONFIG GET *", "DBSIZE",         "COMMAND COUNT",
        "PUBLISH x y", "HOLDFAST STATUS", "GETDEL b", "SETNX d 1",    "LPUSH l 1",      "DEL a b c d"};

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        (void)done(f, others[i]);
        if (strstr("MULTI SET c 1", others[i]))
            continue;
        set_next(f);
        count_one(f);
    }
}

/* Returns its exit status; fails the test when a signal ended it, but for one that it was sent. */
static int end_faulty(struct faulty *f)
{
    int status = 0;

    redisFree(f->redis);
    f->redis = NULL;
    kill(f->pid, SIGTERM);
    for (int i = 0; i < 100 * ANSWER_S && waitpid(f->pid, &status, WNOHANG) == 0; i++)
        poll(NULL, 0, 10);
    if (kill(f->pid, 0) == 0) {
        kill(f->pid, SIGKILL);
        (void)waitpid(f->pid, &status, 0);
        fail_msg("HOLDFAST_MEMORY_FAULT=%s: it does not end", f->fault);
    }
    if (!WIFEXITED(status) && WTERMSIG(status) != SIGTERM)
        fail_msg("HOLDFAST_MEMORY_FAULT=%s: ended by signal %d", f->fault, WTERMSIG(status));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 0;
}

static long number_in(struct hf *store, const char *key)
{
    struct hf_buf found = {0};
    long n = 0;

    if (hf_get(store, s_(key), &found, NULL) == 0)
        n = strtol(found.data, NULL, 10);
    hf_buf_release(&found);
    return n;
}

static void check_store(const struct faulty *f)
{
    struct hf *store;
    long k, n;

    assert_ok(hf_open(f->store, NULL, &store));
    k = number_in(store, "k");
    n = number_in(store, "n");
    assert_ok(hf_close(store));
    if (k < f->set || k > f->begun)
        fail_msg("HOLDFAST_MEMORY_FAULT=%s: k is %ld; %ld was acknowledged", f->fault, k, f->set);
    if (n < f->counted || (n > f->counted && !f->maybe_counted))
        fail_msg("HOLDFAST_MEMORY_FAULT=%s: n is %ld; %ld were acknowledged", f->fault, n, f->counted);
}

/* Whether the fault was met. */
static bool run_without_memory(struct fixture *fixture, unsigned long nth, bool forever, unsigned long *n_acked)
{
    struct faulty f = {.forever = forever};
    int status;

    snprintf(f.store, sizeof(f.store), "%.60s/%lu%s", fixture->scratch.dir, nth, forever ? "f" : "");
    snprintf(f.socket, sizeof(f.socket), "%.90s.sock", f.store);
    snprintf(f.fault, sizeof(f.fault), "%lu%s", nth, forever ? ",forever" : "");
    f.pid = start_faulty(&f);
    if (!wait_until(has_started_or_ended, &f, SIDECAR_WAIT_MS))
        fail_msg("HOLDFAST_MEMORY_FAULT=%s: it neither listens nor ends", f.fault);
    if (f.redis)
        use_it(&f);
    status = end_faulty(&f);
    check_store(&f);
    *n_acked += (unsigned long)(f.set + f.counted);
    return status != 77;
}

static void sweep(struct fixture *f, bool forever)
{
    unsigned long n = 0, acked = 0, step = getenv("HOLDFAST_SWEEP") ? 1 : 9;

    for (unsigned long nth = 1; run_without_memory(f, nth, forever, &acked); nth += step, n++) {
        if (n == POINTS && step > 1)
            step = 61;
    }
    print_message("holdfastd, %s: %lu points, %lu writes acknowledged, 0 lost\n", forever ? "forever" : "once", n,
                  acked);
}

static void test_sidecar__without_memory_it_refuses_or_ends_and_loses_nothing(void **state)
{
    (void)signal(SIGPIPE, SIG_IGN); /* a connection that broke is seen by its answer */
    if (!getenv("HOLDFASTD_MEMORY"))
        fail_msg("HOLDFASTD_MEMORY is not set: it names the program");
    sweep(*state, false);
    sweep(*state, true);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(test_sidecar__##name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(a_full_disk_refuses_writes_and_serves_reads),
        T(a_limit_on_the_size_of_files_does_not_end_it),
        T(without_descriptors_its_clients_stay_and_nobody_is_busy),
        T(without_memory_it_refuses_or_ends_and_loses_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
