/* The weather: one process without threads that forks the stores and the gates, breaks things by the seed, calls the calm,
 * and hands everything to the sceptic. */
#include "storm.h"

#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CALM_MS 120000 /* for all stores to answer a call, at the most */
#define EARLY_MS 200   /* an answer's way back on a busy machine: a fetched copy dies so much earlier */
#define GONE_MS 20000  /* for what lives shortly to be gone from Redis */

struct station {
    pid_t pid; /* 0: killed */
    unsigned life;
    int calls;
    int log;
    char dir[96], gate_path[96], address[112], log_path[96]; /* below the scratch directory */
    struct gate gate;
    bool bad_line;
    int64_t line_until, dead_until;
};

struct storm {
    const struct storm_options *options;
    struct scratch scratch;
    struct redis_server redis;
    struct station stations[STORM_NODES_MAX];
    struct storm_plan plan;
    uint64_t random;
    int log; /* of the weather and the plain client */
    char log_path[96];
    unsigned next_id;
    int64_t redis_until; /* dead or frozen until then; 0: well */
    bool redis_frozen;
    unsigned n_saved, saved_from; /* copies of Redis's data; those before saved_from are of another history */
    unsigned n_lost;
    redisContext *client;
    struct storm_sums sums;
    unsigned failures;
};

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static uint64_t below(struct storm *s, uint64_t limit)
{
    return storm_random(&s->random, limit);
}

static void say(struct storm *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct storm *s, const char *format, ...)
{
    struct storm_record r = {.writer = STORM_CLIENT, .what = STORM_WEATHER};
    va_list args;

    va_start(args, format);
    vsnprintf(r.text, sizeof(r.text), format, args);
    va_end(args);
    storm_record_put(s->log, &r);
    if (s->options->tell)
        fprintf(stderr, "%lld %s\n", (long long)now_ms(), r.text);
}

/* ---- stores ---- */

static void launch(struct storm *s, unsigned i)
{
    struct station *st = &s->stations[i];
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        abort();
    st->life++;
    s->sums.lives++;
    st->pid = fork();
    if (st->pid == 0) {
        close(ends[0]);
        for (unsigned k = 0; k < s->options->nodes; k++)
            if (k != i && s->stations[k].pid > 0)
                close(s->stations[k].calls);
        storm_node_main(s->options, i, st->life, st->dir, st->address, st->log, ends[1]);
    }
    if (st->pid < 0)
        abort();
    close(ends[1]);
    st->calls = ends[0];
}

static void reap(struct storm *s, unsigned i, bool killed)
{
    struct station *st = &s->stations[i];
    int status = 0;

    if (st->pid <= 0)
        return;
    waitpid(st->pid, &status, 0);
    close(st->calls);
    st->pid = 0;
    if (killed ? !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL : status != 0) {
        fprintf(stderr, "storm: node %u.%u ended with status %#x\n", i, st->life, (unsigned)status);
        s->failures++;
    }
}

static void kill_store(struct storm *s, unsigned i)
{
    struct station *st = &s->stations[i];

    if (st->pid <= 0)
        return;
    say(s, "kill.node.%u", i);
    kill(st->pid, SIGKILL);
    reap(s, i, true);
    st->dead_until = now_ms() + (int64_t)below(s, 600);
}

/* A store that ended by itself has told why. */
static void look_for_dead(struct storm *s)
{
    for (unsigned i = 0; i < s->options->nodes; i++) {
        siginfo_t info = {0};

        if (s->stations[i].pid <= 0 ||
            waitid(P_PID, (id_t)s->stations[i].pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0)
            continue;
        fprintf(stderr, "storm: node %u.%u has ended in the storm\n", i, s->stations[i].life);
        s->failures++;
        reap(s, i, false);
        s->stations[i].dead_until = INT64_MAX;
    }
}

/* ---- the plain client ---- */

static bool redis_is_well(const struct storm *s)
{
    return s->redis_until == 0;
}

static redisContext *client_of(struct storm *s)
{
    if (s->client && s->client->err) {
        redisFree(s->client);
        s->client = NULL;
    }
    if (!s->client)
        s->client = redisConnectUnixWithTimeout(s->redis.socket, (struct timeval){.tv_sec = 10});
    if (s->client)
        redisSetTimeout(s->client, (struct timeval){.tv_sec = 10});
    return s->client;
}

static int client_command(struct storm *s, const struct storm_record *r, const struct storm_value *value)
{
    redisContext *redis = client_of(s);
    redisReply *reply = NULL;
    int rc = -1;

    if (!redis || redis->err)
        return -1;
    if (r->op == 's' && r->number)
        reply = redisCommand(redis, "SET %s %b PX %lld", r->key, value->bytes, value->len, (long long)r->number);
    else if (r->op == 's')
        reply = redisCommand(redis, "SET %s %b", r->key, value->bytes, value->len);
    else if (r->op == 'd')
        reply = redisCommand(redis, "DEL %s", r->key);
    else if (r->op == 'e')
        reply = redisCommand(redis, "PEXPIRE %s %lld", r->key, (long long)r->number);
    else if (r->op == 'i')
        reply = redisCommand(redis, "INCRBY %s %lld", r->key, (long long)r->number);
    if (reply && reply->type != REDIS_REPLY_ERROR)
        rc = 0;
    else if (reply)
        fprintf(stderr, "storm: the plain client: %s\n", reply->str);
    freeReplyObject(reply);
    return rc;
}

/* Where others may write: any key that is not private, and not of batches. */
static const struct storm_key *some_foreign_key(struct storm *s)
{
    for (;;) {
        const struct storm_key *key = &s->plan.keys[below(s, s->plan.n_keys)];
        if (key->kind == STORM_COUNTER && s->options->losses)
            continue; /* nobody would send it again */
        if (key->writers == HF_WRITERS_ANY && key->kind != STORM_BATCH)
            return key;
    }
}

static char some_foreign_op(struct storm *s, const struct storm_key *key)
{
    unsigned dice = (unsigned)below(s, 10);

    if (key->kind == STORM_COUNTER)
        return 'i';
    if (dice < 2)
        return 'd';
    return key->with_ttl && dice < 4 ? 'e' : 's';
}

static void write_as_client(struct storm *s)
{
    const struct storm_key *key = some_foreign_key(s);
    struct storm_record r = {.writer = STORM_CLIENT, .what = STORM_BEGIN, .id = ++s->next_id};
    struct storm_value value;

    r.op = some_foreign_op(s, key);
    snprintf(r.key, sizeof(r.key), "%s", key->name);
    storm_value_make(key, STORM_CLIENT, 0, r.id, below(s, 8) ? 0 : below(s, 6000), &value);
    if (r.op == 's')
        snprintf(r.text, sizeof(r.text), "%s", value.text);
    if (r.op == 'i')
        r.number = 1 + (int64_t)below(s, 1000000);
    else if (r.op == 'e' || (r.op == 's' && key->with_ttl && below(s, 3) == 0))
        r.number = below(s, 2) ? STORM_TTL_LONG_MS : STORM_TTL_SHORT_MIN_MS + (int64_t)below(s, 2000);
    storm_record_put(s->log, &r);
    r.rc = client_command(s, &r, &value);
    r.what = STORM_ACK;
    storm_record_put(s->log, &r);
    free(value.bytes);
}

/* A look at any moment must find a batch whole. */
static void look_at_batch(struct storm *s)
{
    redisContext *redis = client_of(s);
    unsigned group = (unsigned)below(s, 3);
    redisReply *reply = NULL;

    if (redis && !redis->err)
        reply = redisCommand(redis, "MGET bat:%u:a bat:%u:b bat:%u:c", group, group, group);
    for (size_t i = 1; reply && reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++) {
        const char *a = reply->element[0]->str, *b = reply->element[i]->str;
        if ((a || b) && (!a || !b || strcmp(a, b) != 0)) {
            fprintf(stderr, "storm: batch group %u is torn: '%s' and '%s'\n", group, a ? a : "(nil)",
                    b ? b : "(nil)");
            s->failures++;
        }
    }
    freeReplyObject(reply);
}

/* ---- weather ---- */

static void spoil_line(struct storm *s)
{
    unsigned i = (unsigned)below(s, s->options->nodes);
    struct station *st = &s->stations[i];
    enum gate_mode mode = (enum gate_mode)(1 + below(s, GATE_MODES - 1));

    if (st->bad_line)
        return;
    say(s, "line.%u.%s", i, gate_text(mode));
    gate_set(&st->gate, mode);
    st->bad_line = true;
    st->line_until = now_ms() + 20 + (int64_t)below(s, below(s, 4) ? 300 : 1500);
    s->sums.outages++;
}

static void hit_redis(struct storm *s)
{
    if (!redis_is_well(s))
        return;
    s->redis_until = now_ms() + 20 + (int64_t)below(s, 800);
    s->redis_frozen = !s->options->redis_kills || below(s, 3) == 0;
    say(s, "redis.%s", s->redis_frozen ? "freeze" : "kill");
    s->sums.redis_kills += !s->redis_frozen;
    if (s->redis_frozen)
        redis_server_pause(&s->redis);
    else
        redis_server_kill(&s->redis);
}

/* Without its epoch a namespace's copy is no older one, but none. */
static bool has_all_epochs(struct storm *s)
{
    for (unsigned i = 0; i < s->plan.n_namespaces; i++) {
        if (redis_server_number(&s->redis, "EXISTS _hf:%s:epoch", s->plan.namespaces[i].prefix) != 1)
            return false;
    }
    return true;
}

static void save_data(struct storm *s)
{
    if (!has_all_epochs(s))
        return;
    if (storm_loss_save(&s->redis, s->n_saved + 1) != 0) {
        fprintf(stderr, "storm: Redis's data cannot be copied\n");
        exit(2);
    }
    s->n_saved++;
}

/* It does not run meanwhile. `saved_as`: 0 for an empty one. */
static void lose_with_restart(struct storm *s, unsigned saved_as)
{
    redis_server_kill(&s->redis);
    if (storm_loss_take(&s->redis, ++s->n_lost, saved_as) != 0) {
        fprintf(stderr, "storm: Redis's data cannot be taken away\n");
        exit(2);
    }
    s->redis_frozen = false;
    s->redis_until = now_ms() + 20 + (int64_t)below(s, 800);
}

static void lose_all(struct storm *s)
{
    bool flush = below(s, 2);

    say(s, flush ? "lose.all.flush" : "lose.all.restart");
    if (flush)
        freeReplyObject(redis_server_command(&s->redis, "FLUSHALL"));
    else
        lose_with_restart(s, 0);
    s->saved_from = s->n_saved;
}

static void lose_the_newest(struct storm *s)
{
    unsigned n = s->n_saved - s->saved_from, saved_as;

    if (n == 0)
        return;
    saved_as = s->n_saved - (unsigned)below(s, n < 3 ? n : 3);
    say(s, "lose.newest.%u.of.%u", saved_as, s->n_saved);
    lose_with_restart(s, saved_as);
}

#define SAVE_EVERY 15 /* turns of some 10 ms */
#define LOSE_EVERY 30

static void lose_data(struct storm *s)
{
    bool all = s->options->losses & STORM_LOSS_ALL && (s->options->losses == STORM_LOSS_ALL || below(s, 2));

    if (s->options->losses == 0 || !redis_is_well(s))
        return;
    if (s->options->losses & STORM_LOSS_ROLLBACK && below(s, SAVE_EVERY) == 0)
        save_data(s);
    if (below(s, LOSE_EVERY) > 0)
        return;
    s->sums.losses++;
    all ? lose_all(s) : lose_the_newest(s);
}

static void heal_redis(struct storm *s)
{
    if (redis_is_well(s))
        return;
    if (s->redis_frozen) {
        redis_server_resume(&s->redis);
    } else if (redis_server_restart(&s->redis) != 0) {
        fprintf(stderr, "storm: redis-server does not come back\n");
        exit(2);
    }
    s->redis_until = 0;
    say(s, "redis.well");
}

static void heal(struct storm *s, int64_t now)
{
    if (!redis_is_well(s) && now >= s->redis_until)
        heal_redis(s);
    for (unsigned i = 0; i < s->options->nodes; i++) {
        struct station *st = &s->stations[i];

        if (st->bad_line && now >= st->line_until) {
            gate_set(&st->gate, GATE_PASS);
            st->bad_line = false;
            say(s, "line.%u.pass", i);
        }
        if (st->pid == 0 && now >= st->dead_until && st->dead_until != INT64_MAX)
            launch(s, i);
    }
}

static void something_happens(struct storm *s)
{
    unsigned dice = (unsigned)below(s, 100);

    if (dice < 8)
        spoil_line(s);
    else if (dice < 10)
        hit_redis(s);
    else if (dice < 13 && s->options->kills)
        kill_store(s, (unsigned)below(s, s->options->nodes));
    else if (dice < 30 && redis_is_well(s) && !(s->options->losses & STORM_LOSS_ALL))
        look_at_batch(s);
    else if (s->options->plain_client && redis_is_well(s))
        write_as_client(s);
}

static void blow(struct storm *s)
{
    int64_t end = now_ms() + s->options->weather_ms;

    while (now_ms() < end && s->failures == 0) {
        heal(s, now_ms());
        something_happens(s);
        lose_data(s);
        look_for_dead(s);
        poll(NULL, 0, (int)below(s, 20));
    }
}

/* ---- calm ---- */

/* All stores are called, then all have answered. */
static void call_all(struct storm *s, char call)
{
    int64_t end = now_ms() + CALM_MS;

    for (unsigned i = 0; i < s->options->nodes; i++)
        if (write(s->stations[i].calls, &call, 1) != 1)
            s->failures++;
    for (unsigned i = 0; i < s->options->nodes; i++) {
        struct pollfd p = {.fd = s->stations[i].calls, .events = POLLIN};
        int64_t left = end - now_ms();
        char answer = 0;

        if (poll(&p, 1, left > 0 ? (int)left : 0) > 0 && read(p.fd, &answer, 1) == 1 && answer == call)
            continue;
        fprintf(stderr, "storm: node %u.%u did not come to '%c'\n", i, s->stations[i].life, call);
        s->failures++;
    }
}

/* What has a short life is gone. */
static bool only_long_lives(void *ctx)
{
    struct storm *s = ctx;
    bool only = true;

    for (unsigned i = 0; i < s->plan.n_keys && only; i++) {
        long long ttl = redis_server_number(&s->redis, "PTTL %s", s->plan.keys[i].name);
        only = ttl < 0 || ttl > STORM_TTL_LONG_MS / 2;
    }
    return only;
}

static void calm(struct storm *s)
{
    say(s, "calm");
    for (unsigned i = 0; i < s->options->nodes; i++)
        s->stations[i].line_until = s->stations[i].dead_until = 0;
    s->redis_until = s->redis_until ? 1 : 0;
    heal(s, now_ms());
    call_all(s, 'd');
    if (s->failures == 0 && !wait_until(only_long_lives, s, GONE_MS)) {
        fprintf(stderr, "storm: keys with short lives are still in Redis\n");
        s->failures++;
    }
    if (s->failures == 0)
        call_all(s, 'd'); /* what one store sent may have made work for another */
    if (s->failures == 0)
        call_all(s, 'v');
    if (s->failures == 0)
        call_all(s, 'q');
    for (unsigned i = 0; i < s->options->nodes && s->failures == 0; i++)
        reap(s, i, false);
}

/* ---- a run ---- */

static int open_log(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    if (fd < 0)
        abort();
    return fd;
}

static int set_up(struct storm *s)
{
    static const char *const keep[] = {
        "--appendonly", "yes", "--appendfsync", "always", "--auto-aof-rewrite-percentage", "0", NULL};

    scratch_make(&s->scratch);
    snprintf(s->log_path, sizeof(s->log_path), "%s/weather", s->scratch.dir);
    s->log = open_log(s->log_path);
    storm_plan_make(s->options, STORM_CLIENT, &s->plan);
    if (redis_server_start(&s->redis, keep) != 0)
        return -1;
    for (unsigned i = 0; i < s->options->nodes; i++) {
        struct station *st = &s->stations[i];

        snprintf(st->dir, sizeof(st->dir), "%s/store%u", s->scratch.dir, i);
        snprintf(st->gate_path, sizeof(st->gate_path), "%s/gate%u", s->scratch.dir, i);
        snprintf(st->address, sizeof(st->address), "unix://%s/gate%u", s->scratch.dir, i);
        snprintf(st->log_path, sizeof(st->log_path), "%s/log%u", s->scratch.dir, i);
        st->log = open_log(st->log_path);
        if (gate_start(&st->gate, st->gate_path, s->redis.socket) != 0)
            return -1;
    }
    for (unsigned i = 0; i < s->options->nodes; i++)
        launch(s, i);
    return 0;
}

static void tear_down(struct storm *s)
{
    for (unsigned i = 0; i < s->options->nodes; i++) {
        struct station *st = &s->stations[i];

        if (st->pid > 0) {
            kill(st->pid, SIGKILL);
            waitpid(st->pid, NULL, 0);
            close(st->calls);
        }
        gate_stop(&st->gate);
        if (st->log > 0)
            close(st->log);
    }
    if (s->client)
        redisFree(s->client);
    close(s->log);
    if (s->options->keep) {
        fprintf(stderr, "storm: kept %s and %s\n", s->scratch.dir, s->redis.dir);
        redis_server_resume(&s->redis);
        redis_server_kill(&s->redis);
        return;
    }
    redis_server_stop(&s->redis);
    scratch_remove(&s->scratch);
}

static struct storm_there look(const void *ctx, const char *key)
{
    const struct redis_server *redis = ctx;
    redisReply *reply = redis_server_command(redis, "GET %s", key);
    struct storm_there there = {.present = reply && reply->type == REDIS_REPLY_STRING};

    if (there.present)
        storm_value_text(reply->str, reply->len, there.text);
    freeReplyObject(reply);
    there.deadline_ms = redis_server_number(redis, "PEXPIRETIME %s", key);
    if (there.deadline_ms < 0)
        there.deadline_ms = 0;
    return there;
}

static void judge(struct storm *s)
{
    static struct storm_sceptic sceptic;

    sceptic = (struct storm_sceptic){.early_ms = EARLY_MS,
                                     .options = s->options,
                                     .look = look,
                                     .redis = &s->redis,
                                     .sums = s->sums,
                                     .failures = s->failures};
    storm_plan_make(s->options, STORM_CLIENT, &sceptic.plan);
    (void)storm_book_read_log(&sceptic.book, s->log_path);
    for (unsigned i = 0; i < s->options->nodes; i++)
        (void)storm_book_read_log(&sceptic.book, s->stations[i].log_path);
    (void)storm_book_read_appended(&sceptic.book, s->redis.dir);
    storm_book_sort(&sceptic.book);
    storm_check(&sceptic);
    s->sums = sceptic.sums;
    s->failures = sceptic.failures;
    storm_book_release(&sceptic.book);
}

unsigned storm_run(const struct storm_options *options, struct storm_sums *ret_sums)
{
    static struct storm storm;
    struct storm *s = &storm;

    *s = (struct storm){.options = options, .random = options->seed};
    signal(SIGPIPE, SIG_IGN);
    if (set_up(s) != 0) {
        s->failures++;
    } else {
        blow(s);
        if (s->failures == 0)
            calm(s);
        if (s->failures == 0)
            judge(s);
    }
    tear_down(s);
    *ret_sums = s->sums;
    return s->failures;
}
