/* What Redis and the way to it do wrong, one row a fault: what the link makes of it and how soon, what each kind of call returns
 * meanwhile and how long it takes at the most, and that afterwards both tiers hold all of it, each increment once.
 *
 * Every fault is one of a real redis-server, or of the way to it. The table that is printed at the end is Markdown. */
#include "proxy.h"
#include "redis_server.h"
#include "scratch.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BOUND_MS 10000 /* for what is not measured */
#define TIMEOUT_MS 300
#define HEARTBEAT_MS 200
#define BACKOFF_MS 50
#define SLACK_MS 400 /* for a machine that does other things, too */

#define AT_ONCE_MS 0                        /* Redis says it, or its socket does */
#define ASKED_MS TIMEOUT_MS                 /* an answer does not come */
#define IDLE_MS (HEARTBEAT_MS + TIMEOUT_MS) /* nor one to a heartbeat */
#define DIAL_MS (TIMEOUT_MS + BACKOFF_MS)   /* it takes another connection to learn it */
#define REAPER_MS 2000                      /* Redis closes idle clients once a second */

#define KEYS 10
#define QUEUED 100 /* increments that are on their way when the fault comes */
#define LOAD_KEYS 2000

struct fixture;

enum outcome { SHARED, PENDING, REFUSED };
static const char *const outcome_texts[] = {"shared", "pending", "parked"};

struct row {
    const char *fault; /* and how it is made */
    void (*make)(struct fixture *f);
    void (*heal)(struct fixture *f);
    enum hf_link_state link; /* what it becomes */
    const char *reason;      /* what the status says of it, in part */
    int bound_ms;            /* to become so */
    enum outcome write;
    enum hf_origin read; /* of a key that is held */
    int decision;        /* of what only Redis can decide */
    bool idle;           /* nothing is under way when it comes */
    bool told;           /* the reason is Redis's answer to the first write that meets it */
    bool passes;         /* it is over by itself: the calls are made when the link is back */
    bool opens;          /* the store is opened with it */
    bool own_network;    /* it needs one */
    bool evicts;         /* Redis tells of each key that it drops, as of a delete: what it had may go here, too */
    void (*before)(struct fixture *f); /* before the store is opened; NULL: nothing */
    const char *const *args;           /* of the server; NULL: it keeps nothing */
};

/* What was found. */
struct found {
    const struct row *row;
    enum hf_link_state link;
    int64_t noticed_ms; /* -1: not */
    enum outcome write;
    enum hf_origin read;
    int decision;
    int64_t longest_ms; /* of all calls */
    bool right, skipped;
};

struct fixture {
    const struct row *row;
    struct found *found;
    struct scratch scratch;
    char here[96]; /* where the store looks for Redis: a link to a socket, or the proxy's */
    char address[128];
    struct redis_server redis, other;
    struct proxy *proxy;
    struct hf_options opts;
    struct hf_namespace behind;
    struct hf *store;
    redisContext *busy; /* a connection of the test's own that stays */
    pid_t impostor;
    int network, mounts;   /* what the test came from; -1: still there */
    int name_server;       /* a socket that nobody reads; -1: none */
    size_t threads;        /* before the fault */
    int64_t struck_ms;     /* the fault is there: how long it took to make it is not the link's time */
    uint64_t first_change; /* of the link, after the fault */
    int64_t counted, queued;
    bool value_is_long; /* of what is written meanwhile */
};

static const char *const keep_data[] = {"--appendonly", "yes", "--appendfsync", "always", NULL};

/* ---- the store ---- */

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static struct hf_status status_of(struct fixture *f)
{
    struct hf_status status;

    assert_ok(hf_status(f->store, &status));
    return status;
}

static int count_change(void *ctx, const struct hf_link_change *change)
{
    struct fixture *f = ctx;

    f->first_change = change->number + 1;
    return 0;
}

/* The fault comes now: what the link does from here on is because of it. */
static void strike(struct fixture *f)
{
    f->first_change = 1;
    assert_ok(hf_link_changes(f->store, 1, count_change, f));
}

static void open_store(struct fixture *f)
{
    assert_ok(hf_open(f->scratch.store, &f->opts, &f->store));
}

static void close_store(struct fixture *f)
{
    struct hf *store = f->store;

    f->store = NULL;
    assert_ok(hf_close(store));
}

static void count(struct fixture *f, const char *key, int64_t *sum)
{
    int64_t number;

    assert_ok(hf_incr(f->store, s_(key), 1, &number, NULL));
    ++*sum;
}

/* Increments that return before Redis has them. */
static void queue(struct fixture *f)
{
    for (int i = 0; i < QUEUED; i++)
        count(f, "behind:n", &f->queued);
}

/* ---- the server ---- */

static void tell(struct redis_server *redis, const char *command)
{
    char text[160];

    redis_server_text(redis, text, sizeof(text), command);
    if (strcmp(text, "OK") != 0 && strncmp(text, "Background", 10) != 0)
        fail_msg("%s: %s", command, text);
}

static void plain(struct fixture *f, const char *command)
{
    tell(&f->redis, command);
}

/* All connections of clients but the one that asks, so also the store's. */
static void kill_clients(struct fixture *f)
{
    (void)redis_server_number(&f->redis, "CLIENT KILL TYPE normal");
}

/* What is behind the store's address from now on. */
static void point_to(struct fixture *f, const char *socket)
{
    char next[112];

    snprintf(next, sizeof(next), "%s.next", f->here);
    assert_int_equal(symlink(socket, next), 0);
    assert_int_equal(rename(next, f->here), 0);
}

static void restart(struct fixture *f)
{
    assert_int_equal(redis_server_restart(&f->redis), 0);
}

/* A field of INFO is this. */
struct info_wait {
    struct redis_server *redis;
    const char *line;
};
static bool info_says(void *ctx)
{
    struct info_wait *w = ctx;
    redisReply *reply = redis_server_command(w->redis, "INFO");
    bool says = reply && reply->str && strstr(reply->str, w->line);

    freeReplyObject(reply);
    return says;
}
static void wait_info(struct redis_server *redis, const char *line)
{
    struct info_wait w = {.redis = redis, .line = line};

    assert_true(wait_until(info_says, &w, BOUND_MS));
}

static void nothing(struct fixture *f)
{
    (void)f;
}

/* ---- gone, frozen, cut off ---- */

static void kill_redis(struct fixture *f)
{
    strike(f);
    redis_server_kill(&f->redis);
}

static void open_without_redis(struct fixture *f)
{
    redis_server_kill(&f->redis);
}

static void freeze(struct fixture *f)
{
    strike(f);
    redis_server_pause(&f->redis);
}

static void thaw(struct fixture *f)
{
    redis_server_resume(&f->redis);
}

static void take_a_port(struct fixture *f)
{
    int port = redis_server_free_port();
    char text[64];

    redis_server_text(&f->redis, text, sizeof(text), "CONFIG SET port %d", port);
    assert_string_equal(text, "OK");
    snprintf(f->address, sizeof(f->address), "redis://127.0.0.1:%d", port);
}

static const char *const short_queue[] = {"--tcp-backlog", "1", NULL};

static void take_a_proxy(struct fixture *f)
{
    unlink(f->here);
    f->proxy = proxy_start(f->here, f->redis.socket);
    assert_non_null(f->proxy);
}

static void swallow_the_connection(struct fixture *f)
{
    strike(f);
    proxy_hold(f->proxy);
}

/* What was sent on the old connection reaches the server when all has been sent again, and before what it is asked next. */
static void deliver_late(struct fixture *f)
{
    assert_ok(hf_drain(f->store, BOUND_MS));
    proxy_release(f->proxy);
}

static bool set_loopback(bool up)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = (short)(up ? IFF_UP | IFF_RUNNING : 0)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool done = ioctl(fd, SIOCSIFFLAGS, &request) == 0;

    close(fd);
    return done;
}

/* The network of this thread, and of those that it makes, has only a loopback then, which can be taken down; and what is
 * mounted in its view of the files is mounted for them alone. */
static bool enter_own_network(struct fixture *f)
{
    f->network = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    f->mounts = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
    return f->network >= 0 && f->mounts >= 0 && unshare(CLONE_NEWNET | CLONE_NEWNS) == 0 &&
           mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 && set_loopback(true);
}

static void go_back(int *to, int kind)
{
    if (*to >= 0) {
        (void)setns(*to, kind); /* where it was refused, nothing was entered */
        close(*to);
    }
    *to = -1;
}

static void leave_own_network(struct fixture *f)
{
    go_back(&f->network, CLONE_NEWNET);
    go_back(&f->mounts, CLONE_NEWNS);
}

static void take_the_network_down(struct fixture *f)
{
    strike(f);
    assert_true(set_loopback(false));
}

/* The old connection is the server's until what was sent on it has arrived: then two are left, the store's and the one that asks. */
static void bring_the_network_up(struct fixture *f)
{
    assert_true(set_loopback(true));
    assert_true(wait_link(f->store, HF_LINK_ONLINE, BOUND_MS));
    wait_info(&f->redis, "connected_clients:2\r");
}

static void slow_down(struct fixture *f)
{
    strike(f);
    proxy_set_delay(f->proxy, TIMEOUT_MS / 15); /* a call may wait for some requests before its own */
}

static void slow_down_too_much(struct fixture *f)
{
    strike(f);
    proxy_set_delay(f->proxy, 5 * TIMEOUT_MS); /* longer than it takes to connect anew and to send all again */
}

static void speed_up(struct fixture *f)
{
    proxy_set_delay(f->proxy, 0);
}

static void speed_up_and_deliver(struct fixture *f)
{
    speed_up(f);
    assert_true(wait_link(f->store, HF_LINK_ONLINE, BOUND_MS));
    assert_true(proxy_wait_orphans(f->proxy, BOUND_MS));
}

/* ---- cut in the midst ---- */

#define CUT_STEP 5u /* bytes */
#define CUT_MAX 4000u
#define CUT_LAST 7u /* the one that is measured */

/* Whether Redis has acknowledged both. */
static bool add_and_set(struct fixture *f)
{
    struct hf_result added, set;
    int64_t number;

    assert_ok(hf_incr(f->store, s_("n"), 1, &number, &added));
    f->counted++;
    assert_ok(hf_set(f->store, s_("cut"), s_("v"), NULL, &set));
    return added.shared && set.shared;
}

/* An increment and a set for each fifth place in their requests, or answers, until they are no longer met. */
static void cut_everywhere(struct fixture *f, void (*cut_after)(struct proxy *, size_t))
{
    bool shared, met;
    size_t n = 0;

    do {
        assert_in_range(n, 0, CUT_MAX);
        assert_true(wait_link(f->store, HF_LINK_ONLINE, BOUND_MS));
        cut_after(f->proxy, n);
        shared = add_and_set(f);
        met = proxy_end_cut(f->proxy);
        n += met ? CUT_STEP : 0;
    } while (met || !shared); /* neither: the link had not yet noticed the cut before */
    print_message("cut at %zu places\n", n / CUT_STEP);
    cut_after(f->proxy, CUT_LAST); /* of what is written at once */
    strike(f);
}

static void cut_requests(struct fixture *f)
{
    cut_everywhere(f, proxy_cut_requests_after);
}

static void cut_answers(struct fixture *f)
{
    cut_everywhere(f, proxy_cut_answers_after);
}

static void disconnect_clients(struct fixture *f)
{
    strike(f);
    kill_clients(f);
}

static void be_quiet(struct fixture *f)
{
    f->opts.redis_heartbeat_ms = 60000;
}

static void close_idle_clients(struct fixture *f)
{
    strike(f);
    plain(f, "CONFIG SET timeout 1");
}

static void keep_idle_clients(struct fixture *f)
{
    plain(f, "CONFIG SET timeout 0");
}

/* ---- there, and refusing ---- */

static void pause_writes(struct fixture *f)
{
    strike(f);
    plain(f, "CLIENT PAUSE 60000 WRITE");
}

static void unpause_writes(struct fixture *f)
{
    plain(f, "CLIENT UNPAUSE");
}

static const char *const slow_to_load[] = {"--key-load-delay",
                                           "1000",
                                           "--loading-process-events-interval-bytes",
                                           "1024",
                                           "--enable-debug-command",
                                           "local",
                                           NULL};

static void load(struct fixture *f)
{
    char command[64];

    snprintf(command, sizeof(command), "DEBUG POPULATE %d filler 20", LOAD_KEYS);
    plain(f, command);
    assert_ok(hf_drain(f->store, BOUND_MS));
    plain(f, "SAVE");
    strike(f);
    assert_int_equal(redis_server_restart_loading(&f->redis), 0);
}

static void wait_for_the_load(struct fixture *f)
{
    wait_info(&f->redis, "loading:0");
}

static void run_out_of_memory(struct fixture *f)
{
    strike(f);
    plain(f, "CONFIG SET maxmemory 1");
}

static void get_more_memory(struct fixture *f)
{
    plain(f, "CONFIG SET maxmemory 0");
}

static void become_replica(struct fixture *f)
{
    strike(f);
    plain(f, "REPLICAOF 127.0.0.1 1");
}

static void become_master(struct fixture *f)
{
    plain(f, "REPLICAOF NO ONE");
}

static void miss_replicas(struct fixture *f)
{
    strike(f);
    plain(f, "CONFIG SET min-replicas-to-write 1");
}

static void need_no_replicas(struct fixture *f)
{
    plain(f, "CONFIG SET min-replicas-to-write 0");
}

static void occupy(struct fixture *f, char path[96])
{
    snprintf(path, 96, "%s/dump.rdb", f->redis.dir);
}

/* A directory stands where its dump goes. How long it takes Redis to fail is not counted. */
static void fail_to_save(struct fixture *f)
{
    char path[96], text[64];

    occupy(f, path);
    assert_int_equal(mkdir(path, 0700), 0);
    redis_server_text(&f->redis, text, sizeof(text), "CONFIG SET save %s", "3600 1");
    assert_ok(hf_drain(f->store, BOUND_MS));
    plain(f, "BGSAVE");
    wait_info(&f->redis, "rdb_last_bgsave_status:err");
    strike(f);
}

static void save_again(struct fixture *f)
{
    char path[96];

    occupy(f, path);
    assert_int_equal(rmdir(path), 0);
    plain(f, "BGSAVE");
    wait_info(&f->redis, "rdb_last_bgsave_status:ok");
}

static void open_own_connection(struct fixture *f)
{
    f->busy = redisConnectUnix(f->redis.socket);
    assert_non_null(f->busy);
    assert_int_equal(f->busy->err, 0);
}

static void run_long_script(struct fixture *f)
{
    int done = 0;

    plain(f, "CONFIG SET busy-reply-threshold 20");
    strike(f);
    assert_int_equal(redisAppendCommand(f->busy, "EVAL %s 0", "while true do end"), REDIS_OK);
    while (!done)
        assert_int_equal(redisBufferWrite(f->busy, &done), REDIS_OK);
}

static void end_script(struct fixture *f)
{
    plain(f, "SCRIPT KILL");
}

/* The connection of the test takes the only place. */
static void fill_with_clients(struct fixture *f)
{
    freeReplyObject(redisCommand(f->busy, "CONFIG SET maxclients 1"));
    strike(f);
    freeReplyObject(redisCommand(f->busy, "CLIENT KILL TYPE normal"));
}

static void take_more_clients(struct fixture *f)
{
    freeReplyObject(redisCommand(f->busy, "CONFIG SET maxclients 100"));
}

/* ---- credentials and rights ---- */

static void change_password(struct fixture *f)
{
    plain(f, "ACL SETUSER default >another-password resetpass >another-password");
    strike(f);
    freeReplyObject(redisCommand(f->busy, "CLIENT KILL TYPE normal"));
}

static void change_password_back(struct fixture *f)
{
    freeReplyObject(redisCommand(f->busy, "ACL SETUSER default nopass"));
}

static void forbid_command(struct fixture *f)
{
    strike(f);
    plain(f, "ACL SETUSER default -set");
}

static void allow_command(struct fixture *f)
{
    plain(f, "ACL SETUSER default +set");
}

static void forbid_key(struct fixture *f)
{
    strike(f);
    plain(f, "ACL SETUSER default resetkeys ~k* ~n ~behind:* ~w ~decided ~_hf:*");
}

static int requeue_one(void *ctx, const struct hf_parked *entry)
{
    struct fixture *f = ctx;

    assert_ok(hf_parked_requeue(f->store, entry->lsn, NULL));
    return 1;
}

/* The one that was refused alone, and what the operator does about it. */
static void requeue(struct fixture *f)
{
    assert_int_equal(status_of(f).parked, 1);
    assert_int_equal(hf_parked_list(f->store, requeue_one, f), 1);
}

static void allow_key(struct fixture *f)
{
    plain(f, "ACL SETUSER default ~*");
    requeue(f);
}

/* ---- limits ---- */

static void shorten_values(struct fixture *f)
{
    f->value_is_long = true;
    strike(f);
    plain(f, "CONFIG SET proto-max-bulk-len 1mb");
}

static void lengthen_values(struct fixture *f)
{
    plain(f, "CONFIG SET proto-max-bulk-len 512mb");
    requeue(f);
}

/* ---- loss of data ---- */

static void flush(struct fixture *f)
{
    strike(f);
    plain(f, "FLUSHALL");
}

/* All that the policy lets go is gone when this write is refused. */
static void evict(struct fixture *f)
{
    char text[64];

    strike(f);
    plain(f, "CONFIG SET maxmemory 1");
    assert_memory_equal(redis_server_text(&f->redis, text, sizeof(text), "SET other v"), "OOM", 3);
}

static void evict_all(struct fixture *f)
{
    plain(f, "CONFIG SET maxmemory-policy allkeys-lru");
    evict(f);
}

static void evict_all_once(struct fixture *f)
{
    evict_all(f);
    get_more_memory(f);
}

/* What has no deadline stays. */
static void evict_the_mortal(struct fixture *f)
{
    plain(f, "CONFIG SET maxmemory-policy volatile-lru");
    assert_ok(hf_expire(f->store, s_("mortal"), 3600000, NULL));
    evict(f);
    get_more_memory(f);
}

static bool gives_back(void *ctx)
{
    static const char *const prefixes[] = {"", "behind:"};
    struct fixture *f = ctx;

    for (size_t i = 0; i < 2; i++)
        (void)hf_decide_loss(f->store, s_(prefixes[i]), HF_LOSS_RESEED); /* what is not held yet is asked again */
    return status_of(f).link == HF_LINK_ONLINE;
}

static void give_back(struct fixture *f)
{
    assert_true(wait_until(gives_back, f, BOUND_MS));
}

static void get_memory_and_give_back(struct fixture *f)
{
    get_more_memory(f);
    give_back(f);
}

/* Acknowledged, and not in the dump. */
static void write_behind_the_dump(struct fixture *f)
{
    put(f->store, "k1", "after");
    put(f->store, "k1", "before");
    for (int i = 0; i < 5; i++)
        count(f, "n", &f->counted);
}

static void go_back_to_dump(struct fixture *f)
{
    assert_ok(hf_drain(f->store, BOUND_MS));
    plain(f, "SAVE");
    write_behind_the_dump(f);
    kill_redis(f);
}

static void start_replica(struct fixture *f)
{
    char command[64];
    int port = redis_server_free_port();

    assert_int_equal(redis_server_start(&f->other, NULL), 0);
    plain(f, "CONFIG SET repl-diskless-sync-delay 0");
    snprintf(command, sizeof(command), "CONFIG SET port %d", port);
    plain(f, command);
    snprintf(command, sizeof(command), "REPLICAOF 127.0.0.1 %d", port);
    tell(&f->other, command);
    wait_info(&f->other, "master_link_status:up");
}

/* It loses the master before the last writes, which nobody has when it takes over. */
static void lose_the_tail(struct fixture *f)
{
    start_replica(f);
    tell(&f->other, "REPLICAOF 127.0.0.1 1");
    write_behind_the_dump(f);
    kill_redis(f);
}

static void swap_servers(struct fixture *f)
{
    struct redis_server redis = f->redis;

    f->redis = f->other;
    f->other = redis;
}

static void promote(struct fixture *f)
{
    swap_servers(f);
    plain(f, "REPLICAOF NO ONE");
    point_to(f, f->redis.socket);
}

/* ---- somebody else at the address ---- */

static void answer_with(int listener, const char *text)
{
    char drop[4096];

    for (;;) {
        int fd = accept(listener, NULL, NULL);

        (void)!read(fd, drop, sizeof(drop));
        (void)!write(fd, text, strlen(text));
        close(fd);
    }
}

static void start_impostor(struct fixture *f, const char *text)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s/impostor", f->scratch.dir);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(listener, 16), 0);
    f->impostor = fork();
    if (f->impostor == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        answer_with(listener, text);
    }
    close(listener);
}

static void start_http(struct fixture *f)
{
    start_impostor(f, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
}

static void start_garbage(struct fixture *f)
{
    start_impostor(f, "\x16\x03\x01\x02\xfd\xfe garbage\xff\r\n\r\n$-9\r\n*99999999999\r\n");
}

static void meet_impostor(struct fixture *f)
{
    char path[112];

    snprintf(path, sizeof(path), "%s/impostor", f->scratch.dir);
    strike(f);
    point_to(f, path);
    kill_clients(f);
}

static void meet_redis(struct fixture *f)
{
    point_to(f, f->redis.socket);
}

#define STORE_THREADS 4 /* journal, checkpoint, completions, link */

static size_t count_threads(void)
{
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *entry;
    size_t n = 0;

    assert_non_null(tasks);
    while ((entry = readdir(tasks)))
        n += entry->d_name[0] != '.';
    closedir(tasks);
    return n;
}

static void name_nobody(struct fixture *f)
{
    snprintf(f->address, sizeof(f->address), "redis://no-such-host.invalid:6379");
}

static void open_with_its_address(struct fixture *f)
{
    close_store(f);
    snprintf(f->address, sizeof(f->address), "unix://%s", f->here);
    open_store(f);
}

static void bind_name_server(struct fixture *f)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    f->name_server = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(f->name_server, (struct sockaddr *)&address, sizeof(address)), 0);
}

static void ask_silent_name_server(struct fixture *f)
{
    char path[96];
    FILE *file;

    bind_name_server(f);
    snprintf(path, sizeof(path), "%s/resolv.conf", f->scratch.dir);
    file = fopen(path, "w");
    assert_non_null(file);
    fputs("nameserver 127.0.0.1\n", file);
    fclose(file);
    assert_int_equal(mount(path, "/etc/resolv.conf", NULL, MS_BIND, NULL), 0);
    f->threads = count_threads();
    snprintf(f->address, sizeof(f->address), "redis://redis.test:6379");
}

#define ATTEMPTS 8

static bool has_tried(void *ctx)
{
    struct fixture *f = ctx;
    uint64_t first = f->first_change;
    bool tried;

    (void)hf_link_changes(f->store, 1, count_change, f);
    tried = f->first_change > 2 * ATTEMPTS;
    f->first_change = first;
    return tried;
}

/* However often it tries: one thread asks. */
static void stop_asking(struct fixture *f)
{
    assert_true(wait_until(has_tried, f, BOUND_MS));
    assert_in_range(count_threads(), f->threads, f->threads + STORE_THREADS + 1);
    open_with_its_address(f);
}

/* ---- the table ---- */

#define AWAY .write = PENDING, .read = HF_ORIGIN_LOCAL_UNVERIFIED, .decision = HF_EOFFLINE
#define WORKS .write = SHARED, .read = HF_ORIGIN_LOCAL_VERIFIED, .decision = 0

static const struct row rows[] = {
    {"refused: nobody listens when the store is opened", open_without_redis, restart, HF_LINK_OFFLINE,
     "Connection refused", AT_ONCE_MS, AWAY, .idle = true, .opens = true, .args = keep_data},
    {"killed: `kill -9`, comes back with its data", kill_redis, restart, HF_LINK_OFFLINE, "Connection refused",
     AT_ONCE_MS, AWAY, .args = keep_data},
    {"killed: `kill -9`, comes back empty", kill_redis, restart, HF_LINK_OFFLINE, "Connection refused", AT_ONCE_MS,
     AWAY},
    {"frozen: SIGSTOP, writes under way", freeze, thaw, HF_LINK_OFFLINE, "waiting for an answer to HELLO", ASKED_MS,
     AWAY},
    {"frozen: SIGSTOP, idle", freeze, thaw, HF_LINK_OFFLINE, "waiting for an answer to HELLO", IDLE_MS, AWAY,
     .idle = true},
    {"frozen: SIGSTOP, its queue of connections full (TCP)", freeze, thaw, HF_LINK_OFFLINE, "Connection timed out",
     ASKED_MS, AWAY, .before = take_a_port, .args = short_queue},
    {"half-open: the connection swallows what is sent; a new one works", swallow_the_connection, deliver_late,
     HF_LINK_OFFLINE, "no answer within", ASKED_MS, WORKS, .passes = true, .before = take_a_proxy},
    {"network gone: packets vanish, then arrive late (TCP, `lo` taken down)", take_the_network_down,
     bring_the_network_up, HF_LINK_OFFLINE, "Connection timed out", ASKED_MS, AWAY, .before = take_a_port,
     .own_network = true},
    {"slow: each request 20 ms late", slow_down, speed_up, HF_LINK_ONLINE, "", 0, WORKS, .before = take_a_proxy},
    {"slow: each request later than the timeout, and executed", slow_down_too_much, speed_up_and_deliver,
     HF_LINK_OFFLINE, "waiting for an answer to HELLO", ASKED_MS, AWAY, .before = take_a_proxy},
    {"writes paused: `CLIENT PAUSE WRITE`", pause_writes, unpause_writes, HF_LINK_OFFLINE,
     "waiting for an answer to HELLO", ASKED_MS, AWAY},
    {"cut within a request, at every 5th byte", cut_requests, nothing, HF_LINK_OFFLINE, "closed the connection",
     AT_ONCE_MS, WORKS, .passes = true, .before = take_a_proxy},
    {"cut within an answer, at every 5th byte", cut_answers, nothing, HF_LINK_OFFLINE, "closed the connection",
     AT_ONCE_MS, WORKS, .passes = true, .before = take_a_proxy},
    {"`CLIENT KILL`", disconnect_clients, nothing, HF_LINK_OFFLINE, "closed the connection", AT_ONCE_MS, WORKS,
     .passes = true},
    {"idle clients closed: `timeout 1`", close_idle_clients, keep_idle_clients, HF_LINK_OFFLINE,
     "closed the connection", REAPER_MS, WORKS, .idle = true, .passes = true, .before = be_quiet},
    {"LOADING: restarted with 2,000 keys at 1 ms each", load, wait_for_the_load, HF_LINK_OFFLINE, "LOADING",
     AT_ONCE_MS, AWAY, .args = slow_to_load},
    {"OOM: `maxmemory` reached, `noeviction`", run_out_of_memory, get_more_memory, HF_LINK_REPLAYING, "OOM",
     ASKED_MS, .write = PENDING, .read = HF_ORIGIN_LOCAL_VERIFIED, .decision = HF_EOFFLINE},
    {"READONLY: made a replica", become_replica, become_master, HF_LINK_OFFLINE, "waiting for a master", AT_ONCE_MS,
     AWAY},
    {"NOREPLICAS: `min-replicas-to-write 1`", miss_replicas, need_no_replicas, HF_LINK_OFFLINE, "NOREPLICAS",
     AT_ONCE_MS, AWAY, .told = true},
    {"MISCONF: its dump fails", fail_to_save, save_again, HF_LINK_OFFLINE, "MISCONF", AT_ONCE_MS, AWAY,
     .told = true},
    {"BUSY: an endless script", run_long_script, end_script, HF_LINK_OFFLINE, "BUSY", ASKED_MS, AWAY, .told = true,
     .before = open_own_connection},
    {"`maxclients` reached", fill_with_clients, take_more_clients, HF_LINK_OFFLINE, "max number of clients",
     AT_ONCE_MS, AWAY, .before = open_own_connection},
    {"wrong password", change_password, change_password_back, HF_LINK_HELD, "NOAUTH", DIAL_MS, AWAY,
     .before = open_own_connection},
    {"ACL: `SET` denied", forbid_command, allow_command, HF_LINK_HELD, "NOPERM", DIAL_MS, AWAY, .told = true},
    {"ACL: a key denied", forbid_key, allow_key, HF_LINK_HELD, "NOPERM", AT_ONCE_MS, WORKS, .passes = true},
    {"a value longer than `proto-max-bulk-len`", shorten_values, lengthen_values, HF_LINK_OFFLINE,
     "invalid bulk length", AT_ONCE_MS, WORKS, .passes = true},
    {"FLUSHALL", flush, give_back, HF_LINK_HELD, "Redis was flushed", DIAL_MS, AWAY},
    {"evicted: all that has a deadline, once", evict_the_mortal, nothing, HF_LINK_ONLINE, "", 0, WORKS,
     .idle = true},
    {"evicted: all, with the bookkeeping, once", evict_all_once, give_back, HF_LINK_HELD, "Redis was flushed",
     DIAL_MS, AWAY, .evicts = true},
    {"evicted: all, whatever is stored", evict_all, get_memory_and_give_back, HF_LINK_OFFLINE,
     "does the server evict", DIAL_MS, AWAY, .evicts = true},
    {"rolled back: `kill -9`, comes back with an older dump", go_back_to_dump, restart, HF_LINK_OFFLINE,
     "Connection refused", AT_ONCE_MS, AWAY},
    {"failover by hand: a replica without the last writes takes over", lose_the_tail, promote, HF_LINK_OFFLINE,
     "Connection refused", AT_ONCE_MS, AWAY},
    {"a web server at the address", meet_impostor, meet_redis, HF_LINK_OFFLINE, "Protocol error", DIAL_MS, AWAY,
     .before = start_http},
    {"garbage at the address", meet_impostor, meet_redis, HF_LINK_OFFLINE, "Protocol error", DIAL_MS, AWAY,
     .before = start_garbage},
    {"a name server that does not answer", ask_silent_name_server, stop_asking, HF_LINK_OFFLINE,
     "looking up the name", ASKED_MS, AWAY, .idle = true, .opens = true, .own_network = true},
    {"a name that does not resolve", name_nobody, open_with_its_address, HF_LINK_OFFLINE, "no-such-host.invalid",
     DIAL_MS, AWAY, .idle = true, .opens = true},
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

static struct found all_found[ROWS];

static void make_fixture(struct fixture *f, const struct row *row)
{
    f->row = row;
    f->found = &all_found[row - rows];
    *f->found = (struct found){.row = row, .noticed_ms = -1};
    f->network = f->mounts = f->name_server = -1;
    scratch_make(&f->scratch);
    snprintf(f->here, sizeof(f->here), "%s/here", f->scratch.dir);
    snprintf(f->address, sizeof(f->address), "unix://%s", f->here);
    f->behind = (struct hf_namespace){.prefix = "behind:", .write_mode = HF_WRITE_BEHIND};
    f->opts = (struct hf_options){.redis = f->address,
                                  .segment_bytes = 1 << 20,
                                  .max_disk_bytes = 256 << 20,
                                  .redis_timeout_ms = TIMEOUT_MS,
                                  .redis_connect_timeout_ms = TIMEOUT_MS,
                                  .redis_heartbeat_ms = HEARTBEAT_MS,
                                  .redis_backoff_max_ms = BACKOFF_MS,
                                  .namespaces = &f->behind,
                                  .n_namespaces = 1};
}

/* ---- calls, and how long they take ---- */

static void note_time(struct fixture *f, int64_t since_ms)
{
    int64_t took_ms = now_ms() - since_ms;

    if (took_ms > f->found->longest_ms)
        f->found->longest_ms = took_ms;
}

static enum outcome write_one(struct fixture *f, const char *key, struct hf_slice value)
{
    struct hf_result r = {0};
    int64_t since_ms = now_ms();
    int rc = hf_set(f->store, s_(key), value, NULL, &r);

    note_time(f, since_ms);
    if (rc == HF_EREFUSED)
        return REFUSED;
    assert_ok(rc);
    assert_true(r.durable && r.shared != r.pending);
    return r.shared ? SHARED : PENDING;
}

#define LONG_BYTES ((1u << 20) + 1)

static void add_one(struct fixture *f)
{
    int64_t since_ms = now_ms();

    count(f, "n", &f->counted);
    note_time(f, since_ms);
}

/* The first that meets the fault is an increment, for which it matters whether what is not answered was done. */
static void write_at_once(struct fixture *f)
{
    char *bytes;

    add_one(f);
    if (!f->value_is_long) {
        (void)write_one(f, "at-once", s_("v"));
        return;
    }
    bytes = calloc(1, LONG_BYTES);
    assert_non_null(bytes);
    (void)write_one(f, "at-once", hf__slice(bytes, LONG_BYTES));
    free(bytes);
}

static enum hf_origin read_one(struct fixture *f)
{
    int64_t since_ms = now_ms();
    struct hf_buf value;
    struct hf_result r;
    int rc;

    rc = hf_get(f->store, s_("k2"), &value, &r);
    note_time(f, since_ms);
    if (rc == HF_NOT_FOUND && f->row->evicts)
        return r.origin;
    assert_ok(rc);
    assert_memory_equal(value.data, "before", 7);
    hf_buf_release(&value);
    return r.origin;
}

static void make_calls(struct fixture *f)
{
    struct found *found = f->found;
    int64_t since_ms;

    found->read = read_one(f);
    found->write = write_one(f, "w", s_("during"));
    add_one(f);
    count(f, "behind:n", &f->queued); /* so that no late one is the last that its lane has seen */
    since_ms = now_ms();
    found->decision = hf_set_if_absent(f->store, s_("decided"), s_("v"), NULL, NULL);
    note_time(f, since_ms);
}

/* ---- how the link went ---- */

static int note_change(void *ctx, const struct hf_link_change *change)
{
    struct fixture *f = ctx;

    if (f->found->noticed_ms >= 0 || change->link != f->row->link ||
        ((f->row->passes || f->row->told) && !strstr(change->reason, f->row->reason)))
        return 0;
    f->found->link = change->link;
    f->found->noticed_ms = change->at_ms > f->struck_ms ? change->at_ms - f->struck_ms : 0;
    f->first_change = change->number + 1;
    return 0;
}

static bool has_noticed(void *ctx)
{
    struct fixture *f = ctx;

    (void)hf_link_changes(f->store, f->first_change, note_change, f);
    return f->found->noticed_ms >= 0;
}

static int is_change_to_online(void *ctx, const struct hf_link_change *change)
{
    (void)ctx;
    return change->link == HF_LINK_ONLINE;
}

static bool says_why(void *ctx)
{
    struct fixture *f = ctx;

    return strstr(status_of(f).link_reason, f->row->reason) != NULL;
}

static bool is_back(void *ctx)
{
    struct fixture *f = ctx;

    return status_of(f).link == HF_LINK_ONLINE && read_one(f) == HF_ORIGIN_LOCAL_VERIFIED;
}

/* Nothing that is no better looks so meanwhile. */
static bool has_stayed(struct fixture *f)
{
    return hf_link_changes(f->store, f->first_change, is_change_to_online, NULL) == 0;
}

/* ---- one row ---- */

static void start_all(struct fixture *f)
{
    char key[16];

    assert_int_equal(redis_server_start(&f->redis, f->row->args), 0);
    point_to(f, f->redis.socket);
    if (f->row->before)
        f->row->before(f);
    open_store(f);
    assert_true(wait_link(f->store, HF_LINK_ONLINE, BOUND_MS));
    for (int i = 0; i < KEYS; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        put(f->store, key, "before");
    }
    put(f->store, "mortal", "before");
    count(f, "n", &f->counted);
    assert_true(wait_until(is_back, f, BOUND_MS));
    f->found->longest_ms = 0;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    make_fixture(f, *state);
    *state = f;
    if (f->row->own_network && !enter_own_network(f)) {
        print_message("a network of its own is not permitted here: %s\n", strerror(errno));
        f->found->skipped = true;
        return 0;
    }
    start_all(f);
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    (void)hf_close(f->store); /* what failed has been told */
    proxy_stop(f->proxy);
    redisFree(f->busy);
    redis_server_stop(&f->redis);
    redis_server_stop(&f->other);
    if (f->impostor > 0) {
        kill(f->impostor, SIGKILL);
        waitpid(f->impostor, NULL, 0);
    }
    if (f->name_server >= 0)
        close(f->name_server);
    leave_own_network(f);
    scratch_remove(&f->scratch);
    free(f);
    return 0;
}

static void meet_the_fault(struct fixture *f)
{
    if (f->row->opens)
        close_store(f);
    if (!f->row->idle)
        queue(f);
    f->row->make(f);
    if (f->row->opens) {
        open_store(f);
        f->first_change = 1;
    }
    f->struck_ms = hf_now_ms(f->store);
    if (!f->row->idle)
        write_at_once(f);
}

static int tell_change(void *ctx, const struct hf_link_change *change)
{
    (void)ctx;
    print_message("the link became %s: %s\n", hf_link_text(change->link), change->reason);
    return 0;
}

/* What was not to be seen in time. */
static void fail_to_see(struct fixture *f, const char *what)
{
    struct hf_status status = status_of(f);

    assert_ok(hf_link_changes(f->store, 1, tell_change, NULL));
    fail_msg("%s; the link is %s: %s", what, hf_link_text(status.link), status.link_reason);
}

static void see_it(struct fixture *f)
{
    if (f->row->link == HF_LINK_ONLINE) {
        assert_true(wait_until(is_back, f, BOUND_MS)); /* what is evicted is asked for, and verified again */
        assert_true(has_stayed(f));
        f->found->link = status_of(f).link;
        return;
    }
    if (!wait_until(has_noticed, f, BOUND_MS))
        fail_to_see(f, "it was not noticed, or not for this reason");
    if (!wait_until(f->row->passes ? is_back : says_why, f, BOUND_MS / 4))
        fail_to_see(f, f->row->passes ? "what is held is not verified again" : "the status does not say why");
}

/* ---- afterwards ---- */

static void assert_both(struct fixture *f, const char *key, const char *value)
{
    char text[64];

    assert_string_equal(redis_server_text(&f->redis, text, sizeof(text), "GET %s", key), value ? value : "(nil)");
    assert_value(f->store, key, value);
}

static void assert_counted(struct fixture *f, const char *key, int64_t sum)
{
    char text[24];

    if (sum == 0)
        return;
    snprintf(text, sizeof(text), "%" PRId64, sum);
    assert_both(f, key, text);
}

static int no_difference(void *ctx, const struct hf_difference *difference)
{
    (void)ctx;
    fail_msg("the tiers differ in '%.*s'", (int)difference->key.len, (const char *)difference->key.data);
    return 0;
}

/* What Redis had before the fault. */
static void check_older(struct fixture *f)
{
    char key[16];

    for (int i = 0; i < KEYS; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        assert_both(f, key, "before");
    }
    assert_counted(f, "n", f->counted);
    assert_counted(f, "behind:n", f->queued);
}

static void check_all(struct fixture *f)
{
    struct hf_verification sums;
    struct hf_status status;

    assert_true(wait_link(f->store, HF_LINK_ONLINE, BOUND_MS));
    assert_ok(hf_drain(f->store, BOUND_MS));
    if (!f->row->evicts)
        check_older(f);
    assert_both(f, "decided", f->found->decision == 0 ? "v" : NULL);
    assert_both(f, "w", "during");
    if (!f->row->idle && !f->value_is_long)
        assert_both(f, "at-once", "v");
    assert_ok(hf_verify(f->store, 0, no_difference, NULL, &sums));
    status = status_of(f);
    assert_int_equal(status.parked, 0);
    assert_int_equal(status.in_doubt, 0);
    assert_int_equal(status.pending_keys, 0);
    assert_int_equal(status.conflicts, 0);
}

static void compare(const struct row *row, const struct found *found)
{
    assert_int_equal(found->write, row->write);
    if (!row->evicts)
        assert_int_equal(found->read, row->read);
    assert_int_equal(found->decision, row->decision);
    assert_in_range(found->longest_ms, 0, TIMEOUT_MS + SLACK_MS);
    if (row->link != HF_LINK_ONLINE)
        assert_in_range(found->noticed_ms, 0, row->bound_ms + SLACK_MS);
}

static void test_redis_faults__a_fault_is_noticed_in_time_bridged_and_made_good(void **state)
{
    struct fixture *f = *state;

    if (f->found->skipped)
        skip();
    meet_the_fault(f);
    see_it(f);
    make_calls(f);
    if (!f->row->passes)
        assert_true(has_stayed(f));
    f->row->heal(f);
    check_all(f);
    compare(f->row, f->found);
    f->found->right = true;
}

/* ---- what is told of it ---- */

static const char *origin_text(enum hf_origin origin)
{
    switch (origin) {
    case HF_ORIGIN_SHARED: return "from Redis";
    case HF_ORIGIN_LOCAL_VERIFIED: return "copy, verified";
    case HF_ORIGIN_LOCAL_UNVERIFIED: return "copy, unverified";
    case HF_ORIGIN_PENDING: return "own change";
    case HF_ORIGIN_NONE: break;
    }
    return "nothing";
}

static void tell_found(const struct found *found)
{
    const struct row *row = found->row;
    char noticed[48] = "-";

    if (found->skipped) {
        printf("| %s | %s | - | - | - | - | - | - | skipped |\n", row->fault, hf_link_text(row->link));
        return;
    }
    if (row->link != HF_LINK_ONLINE)
        snprintf(noticed, sizeof(noticed), "%" PRId64 " ms (%d)", found->noticed_ms, row->bound_ms + SLACK_MS);
    printf("| %s | %s | %s | %s | %s | %s | %s | %" PRId64 " ms | %s |\n", row->fault, hf_link_text(row->link),
           found->noticed_ms < 0 && row->link != HF_LINK_ONLINE ? "?" : hf_link_text(found->link), noticed,
           outcome_texts[found->write], origin_text(found->read),
           found->decision == 0 ? "decided" : hf_code_text(found->decision), found->longest_ms,
           found->skipped ? "skipped"
           : found->right ? "ok"
                          : "FAILED");
}

static int tell_all(void **state)
{
    (void)state;
    printf("\n| fault | link expected | seen | after (bound) | a write | a read | a decision | longest call | "
           "result |\n"
           "|---|---|---|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < ROWS; i++) {
        if (all_found[i].row)
            tell_found(&all_found[i]);
    }
    fflush(stdout);
    return 0;
}

int main(void)
{
    struct CMUnitTest tests[ROWS];

    for (size_t i = 0; i < ROWS; i++)
        tests[i] = (struct CMUnitTest){
            .name = rows[i].fault,
            .test_func = test_redis_faults__a_fault_is_noticed_in_time_bridged_and_made_good,
            .setup_func = set_up,
            .teardown_func = tear_down,
            .initial_state = (void *)&rows[i],
        };
    return cmocka_run_group_tests_name("redis_faults", tests, NULL, tell_all);
}
