/* Facts for an operator: what the server says of itself, and what this user may do there.
 *
 * One wave of questions, each with its own answer; what is refused leaves its fields unknown. INFO and CONFIG GET are asked
 * once for each section and setting, because Redis 6.2 takes one argument. The right to run scripts is tried with a
 * script that does nothing and with the digest of none, the right to track keys with CLIENT TRACKING and a word that is
 * neither ON nor OFF: rights are checked first, so NOSCRIPT and a syntax error say yes, and nothing is changed. None of it
 * touches a WATCH. Tracking is begun or ended behind them, if the asker wants that. */
#include "tier.h"

#include "fail.h"
#include "tracking.h"

#include <stdio.h>
#include <stdlib.h>

struct facts_run {
    struct hf__wave wave;
    struct hf__redis *tier;
    struct hf_shared_facts *facts;
    unsigned n_infos; /* sections answered */
    unsigned n_settings;
};

/* ---- fields ---- */

static void set_text(char *text, size_t size, struct hf_slice value)
{
    snprintf(text, size, "%.*s", value.len < size ? (int)value.len : (int)size - 1, (const char *)value.data);
}

static void set_u64(uint64_t *number, struct hf_slice value)
{
    uint64_t parsed;

    if (hf__parse_u64(value, &parsed))
        *number = parsed;
}

static void set_i64(int64_t *number, struct hf_slice value)
{
    int64_t parsed;

    if (hf__parse_i64(value, &parsed))
        *number = parsed;
}

static bool is_one(struct hf_slice value)
{
    return hf__slice_eq(value, hf__slice_str("1"));
}

/* A field of INFO or a setting of CONFIG; others are not wanted. */
static void learn(struct hf_shared_facts *facts, struct hf_slice name, struct hf_slice value)
{
#define IS(text) hf__slice_eq(name, hf__slice_str(text))
    if (IS("run_id"))
        set_text(facts->run_id, sizeof(facts->run_id), value);
    else if (IS("uptime_in_seconds"))
        set_i64(&facts->uptime_s, value);
    else if (IS("loading"))
        facts->loading = is_one(value);
    else if (IS("aof_enabled"))
        facts->aof_enabled = is_one(value);
    else if (IS("rdb_last_bgsave_status"))
        set_text(facts->rdb_status, sizeof(facts->rdb_status), value);
    else if (IS("aof_last_write_status"))
        set_text(facts->aof_status, sizeof(facts->aof_status), value);
    else if (IS("rdb_changes_since_last_save"))
        set_i64(&facts->rdb_changes_since_save, value);
    else if (IS("used_memory"))
        set_u64(&facts->used_memory_bytes, value);
    else if (IS("maxmemory"))
        set_u64(&facts->max_memory_bytes, value);
    else if (IS("maxmemory_policy"))
        set_text(facts->eviction_policy, sizeof(facts->eviction_policy), value);
    else if (IS("evicted_keys"))
        set_u64(&facts->evicted_keys, value);
    else if (IS("role"))
        set_text(facts->role, sizeof(facts->role), value);
    else if (IS("connected_slaves"))
        set_u64(&facts->connected_replicas, value);
    else if (IS("appendfsync"))
        set_text(facts->append_fsync, sizeof(facts->append_fsync), value);
    else if (IS("save"))
        set_text(facts->save_points, sizeof(facts->save_points), value);
    else if (IS("proto-max-bulk-len"))
        set_u64(&facts->max_value_bytes, value);
#undef IS
}

/* ---- answers ---- */

/* The first refusal is kept in the server's words. Returns true for an error of any kind. */
static bool is_refused(struct hf_shared_facts *facts, const redisReply *reply)
{
    struct hf_shared_error error;

    if (!hf__reply_error(reply, &error))
        return false;
    if (error.class == HF_SHARED_AUTH && !facts->refusal[0])
        memcpy(facts->refusal, error.reason, sizeof(facts->refusal));
    return true;
}

/* Whether a command may be run: also when it failed for another reason than rights, or than not being there. */
static bool may_run(struct hf_shared_facts *facts, const redisReply *reply)
{
    struct hf_shared_error error;

    if (!is_refused(facts, reply))
        return true;
    hf__reply_error(reply, &error);
    return error.class != HF_SHARED_AUTH && !hf__redis_is_unknown_command(hf__slice(reply->str, reply->len));
}

/* "name:value\r\n" each; "# Section" and empty lines between. */
static void learn_lines(struct hf_shared_facts *facts, struct hf_slice text)
{
    const char *p = text.data, *end = p + text.len;

    while (p < end) {
        const char *line_end = memchr(p, '\n', (size_t)(end - p));
        const char *next = line_end ? line_end + 1 : end;
        const char *colon = memchr(p, ':', (size_t)(next - p));

        line_end = line_end ? line_end : end;
        if (line_end > p && line_end[-1] == '\r')
            line_end--;
        if (colon && colon < line_end)
            learn(facts, hf__slice(p, (size_t)(colon - p)), hf__slice(colon + 1, (size_t)(line_end - colon - 1)));
        p = next;
    }
}

static void info_answer(struct facts_run *run, const redisReply *reply)
{
    struct hf_slice text = hf__reply_text(reply);

    run->facts->may_read_info &= may_run(run->facts, reply);
    if (!text.data)
        return;
    learn_lines(run->facts, text);
    run->n_infos++;
}

static void config_answer(struct facts_run *run, const redisReply *reply)
{
    struct hf_slice name, value;

    run->facts->may_read_config &= may_run(run->facts, reply);
    if (!hf__reply_is_array(reply, 2))
        return;
    name = hf__reply_text(reply->element[0]);
    value = hf__reply_text(reply->element[1]);
    if (!name.data || !value.data)
        return;
    learn(run->facts, name, value);
    run->n_settings++;
}

static void user_answer(struct facts_run *run, const redisReply *reply)
{
    if (!is_refused(run->facts, reply))
        (void)hf__reply_copy(reply, run->facts->user, sizeof(run->facts->user)); /* too long: unknown */
}

static void scripts_answer(struct facts_run *run, const redisReply *reply)
{
    run->facts->may_run_scripts &= may_run(run->facts, reply);
}

static void tracking_answer(struct facts_run *run, const redisReply *reply)
{
    run->facts->may_track = may_run(run->facts, reply);
}

/* ---- questions ---- */

#define N_WORDS_MAX 3
static const struct {
    const char *words[N_WORDS_MAX + 1];
    void (*answer)(struct facts_run *run, const redisReply *reply);
} questions[] = {
    {{"INFO", "server"}, info_answer},
    {{"INFO", "persistence"}, info_answer},
    {{"INFO", "memory"}, info_answer},
    {{"INFO", "stats"}, info_answer},
    {{"INFO", "replication"}, info_answer},
    {{"CONFIG", "GET", "appendfsync"}, config_answer},
    {{"CONFIG", "GET", "save"}, config_answer},
    {{"CONFIG", "GET", "proto-max-bulk-len"}, config_answer},
    {{"ACL", "WHOAMI"}, user_answer},
    {{"EVAL", "return 1", "0"}, scripts_answer},
    {{"EVALSHA", "0000000000000000000000000000000000000000", "0"}, scripts_answer},
    {{"CLIENT", "TRACKING", "?"}, tracking_answer},
};
#define N_QUESTIONS (sizeof(questions) / sizeof(questions[0]))
#define N_INFOS 5
#define N_SETTINGS 3

static void finish(struct facts_run *run)
{
    struct hf_shared_facts *facts = run->facts;
    struct hf__redis *tier = run->tier;
    struct hf_shared_error error = facts->error;
    uint64_t attempt = tier->conn.attempt;

    facts->has_info = run->n_infos == N_INFOS;
    facts->has_config = run->n_settings == N_SETTINGS;
    free(run);
    facts->done(facts->ctx, facts);
    hf__redis_settle(tier, attempt, &error);
}

static void tracked(struct facts_run *run, const redisReply *reply)
{
    struct hf__conn *conn = &run->tier->conn;

    conn->hello.tracking = run->facts->track == HF_TRACK_ON && hf__tracking_accepted(reply);
    run->facts->tracking = conn->hello.tracking;
}

static void facts_reply(struct hf__wave *wave, const redisReply *reply, size_t index)
{
    struct facts_run *run = wave->ctx;

    if (index < N_QUESTIONS)
        questions[index].answer(run, reply);
    else
        tracked(run, reply);
    if (index + 1 == wave->n_replies)
        finish(run);
}

static void facts_lost(struct hf__wave *wave, const struct hf_shared_error *error)
{
    struct facts_run *run = wave->ctx;

    run->facts->error = *error;
    finish(run);
}

static int send_questions(struct facts_run *run)
{
    struct hf__conn *conn = &run->tier->conn;
    struct hf__command_writer w = hf__conn_begin(conn);

    for (size_t i = 0; i < N_QUESTIONS; i++) {
        size_t n = 1;

        while (questions[i].words[n])
            n++;
        hf__command(&w, n, questions[i].words[0]);
        for (size_t j = 1; j < n; j++)
            hf__arg_str(&w, questions[i].words[j]);
    }
    if (run->facts->track == HF_TRACK_ON && hf__tracking_wanted(conn))
        hf__tracking_ask(conn, &w);
    else if (run->facts->track == HF_TRACK_OFF && hf__tracking_wanted(conn))
        hf__tracking_end(&w);
    return hf__conn_send(conn, &w, &run->wave);
}

/* Everything but what the asker has set. */
static void reset(struct hf_shared_facts *facts, const struct hf_shared_hello *hello)
{
    *facts = (struct hf_shared_facts){
        .may_run_scripts = true,
        .may_read_info = true,
        .may_read_config = true,
        .may_track = true,
        .track = facts->track,
        .done = facts->done,
        .ctx = facts->ctx,
    };
    memcpy(facts->version, hello->version, sizeof(facts->version));
}

int hf__redis_send_facts(struct hf_shared_tier *base, struct hf_shared_facts *facts)
{
    struct hf__redis *tier = hf__redis_of(base);
    struct facts_run *run;
    int rc;

    if (tier->conn.state != HF__CONN_READY)
        return hf__fail(HF_EOFFLINE, "the shared tier is not connected");
    run = calloc(1, sizeof(*run));
    if (!run)
        return hf__fail(HF_ENOMEM, "out of memory: asking the shared tier for facts");
    reset(facts, &tier->conn.hello);
    *run = (struct facts_run){
        .tier = tier, .facts = facts, .wave = {.reply = facts_reply, .lost = facts_lost, .ctx = run}};
    rc = send_questions(run);
    if (rc != 0)
        free(run);
    return rc;
}
