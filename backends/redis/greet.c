/* The handshake on a connected socket: who we are, which database, what time it is there, and our fence.
 *
 *   wave 1:  HELLO 3 [AUTH user password], [SELECT db], GET session, [CLIENT TRACKING ...]
 *   wave 2:  TIME, SET session token, WATCH session, GET session      (on a replica: TIME only)
 *   wave 3:  only when SET was refused with OOM: UNWATCH, EVAL (DEL, SET), WATCH session, GET session
 *
 * Two waves, because nothing may be written before the right user and the right database are known to be set. The
 * token of an earlier connection is overwritten here, and that is what makes its late EXEC return nil. One that no
 * opening of this store has made is left alone: a copy of its directory has connected, and goes on under its name. */
#include "tracking.h"

#include "fail.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>

#define VERSION_NEEDED "Redis 6.2 or newer is needed"

enum step {
    STEP_HELLO,         /* wave 1 is out */
    STEP_TOKEN,         /* wave 2 is out */
    STEP_TOKEN_REFUSED, /* wave 2 is out, its SET was refused with OOM */
    STEP_TOKEN_OOM,     /* wave 3 is out */
};

/* The answers of waves 2 and 3. */
enum { TOKEN_TIME /* or UNWATCH */, TOKEN_SET, TOKEN_WATCH, TOKEN_GET };

static void refuse(struct hf__conn *conn, enum hf_shared_class class, const char *sentence)
{
    struct hf_shared_error error;

    hf__redis_error(&error, class, "%s", sentence);
    hf__conn_fail(conn, &error);
}

static void send_step(struct hf__conn *conn, struct hf__command_writer *w, enum step step)
{
    conn->greeting_step = step;
    if (hf__conn_send(conn, w, &conn->greeting) != 0)
        refuse(conn, HF_SHARED_LINK, hf_errmsg());
}

static void ready(struct hf__conn *conn)
{
    hf__conn_move(conn, HF__CONN_READY);
    conn->idle_due_ms = uv_now(conn->loop) + (uint64_t)conn->settings->heartbeat_ms;
    conn->no_time = false;
    conn->time_due_ms = uv_now(conn->loop); /* what the first answer said is believed when a second one agrees */
    hf__conn_arm(conn);
    conn->events->ready(conn->ctx, &conn->hello);
}

/* ---- wave 1 ---- */

static void send_hello(struct hf__conn *conn)
{
    const struct hf__redis_address *address = &conn->settings->address;
    struct hf__command_writer w = hf__conn_begin(conn);

    if (address->password) {
        hf__command(&w, 5, "HELLO");
        hf__arg_str(&w, "3");
        hf__arg_str(&w, "AUTH");
        hf__arg_str(&w, address->user ? address->user : "default");
        hf__arg_str(&w, address->password);
        conn->out_secret = true;
    } else {
        hf__command(&w, 2, "HELLO");
        hf__arg_str(&w, "3");
    }
    if (address->db != 0) {
        hf__command(&w, 2, "SELECT");
        hf__arg_i64(&w, address->db);
    }
    hf__command(&w, 2, "GET");
    hf__arg_str(&w, conn->session_key);
    if (hf__tracking_wanted(conn))
        hf__tracking_ask(conn, &w);
    send_step(conn, &w, STEP_HELLO);
}

/* Redis quotes arguments of what it does not understand, so only classes that do not are passed on as they are. */
static void hello_refused(struct hf__conn *conn, const redisReply *reply)
{
    struct hf_shared_error error;
    struct hf_slice text = hf__slice(reply->str, reply->len);

    hf__reply_error(reply, &error);
    if (hf__redis_is_unknown_command(text) || hf__slice_starts_with(text, hf__slice_str("NOPROTO")))
        refuse(conn, HF_SHARED_STATE, VERSION_NEEDED ": this server refuses HELLO 3");
    else if (error.class == HF_SHARED_ENTRY)
        refuse(conn, HF_SHARED_STATE, "the server refuses HELLO 3");
    else
        hf__conn_fail(conn, &error);
}

static const redisReply *field(const redisReply *map, const char *name)
{
    for (size_t i = 0; i + 1 < map->elements; i += 2) {
        if (hf__reply_is_text(map->element[i], name))
            return map->element[i + 1];
    }
    return NULL;
}

/* A version that does not read like one (a fork's) is believed. */
static bool too_old(const char *version)
{
    unsigned major, minor;

    return sscanf(version, "%u.%u", &major, &minor) == 2 && (major < 6 || (major == 6 && minor < 2));
}

/* Returns false when the connection has been ended. */
static bool learn_hello(struct hf__conn *conn, const redisReply *reply)
{
    struct hf_shared_hello *hello = &conn->hello;

    if (hf__reply_is_error(reply)) {
        hello_refused(conn, reply);
        return false;
    }
    if (!hf__reply_is_array(reply, 2)) {
        refuse(conn, HF_SHARED_LINK, "the server does not answer HELLO as Redis does");
        return false;
    }
    *hello = (struct hf_shared_hello){.master = hf__reply_is_text(field(reply, "role"), "master")};
    hf__reply_copy(field(reply, "version"), hello->version, sizeof(hello->version));
    if (hf__reply_is_text(field(reply, "mode"), "sentinel")) {
        refuse(conn, HF_SHARED_STATE, "this is a Sentinel, not a Redis server");
        return false;
    }
    if (too_old(hello->version)) {
        char sentence[96];

        snprintf(sentence, sizeof(sentence), VERSION_NEEDED ": this server is %s", hello->version);
        refuse(conn, HF_SHARED_STATE, sentence);
        return false;
    }
    return true;
}

/* ---- waves 2 and 3 ---- */

static bool make_token(struct hf__conn *conn)
{
    uint8_t bytes[16];

    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        return false;
    for (size_t i = 0; i < sizeof(bytes); i++)
        snprintf(conn->token + 2 * i, 3, "%02x", bytes[i]);
    if (conn->settings->owner)
        memcpy(conn->token, conn->settings->owner->id, HF_OWNER_ID);
    return true;
}

static void watch_and_get(struct hf__conn *conn, struct hf__command_writer *w)
{
    hf__command(w, 2, "WATCH");
    hf__arg_str(w, conn->session_key);
    hf__command(w, 2, "GET");
    hf__arg_str(w, conn->session_key);
}

static void send_token(struct hf__conn *conn)
{
    struct hf__command_writer w;

    if (!make_token(conn)) {
        refuse(conn, HF_SHARED_LINK, "the system gives no random numbers");
        return;
    }
    w = hf__conn_begin(conn);
    hf__command(&w, 1, "TIME");
    if (conn->hello.master) {
        hf__command(&w, 3, "SET");
        hf__arg_str(&w, conn->session_key);
        hf__arg_str(&w, conn->token);
        watch_and_get(conn, &w);
    }
    conn->hello.asked_ms = conn->clock->boot_ms(conn->clock);
    send_step(conn, &w, STEP_TOKEN);
}

static void send_token_oom(struct hf__conn *conn)
{
    struct hf__command_writer w = hf__conn_begin(conn);

    hf__command(&w, 1, "UNWATCH"); /* our own write would count as a change */
    hf__script_begin(&w, &conn->settings->scripts, HF__SCRIPT_TOKEN, true, 1, 1);
    hf__arg_str(&w, conn->session_key);
    hf__arg_str(&w, conn->token);
    watch_and_get(conn, &w);
    send_step(conn, &w, STEP_TOKEN_OOM);
}

static void learn_time(struct hf__conn *conn, const redisReply *reply)
{
    struct hf_shared_error error;

    conn->hello.answered_ms = conn->clock->boot_ms(conn->clock);
    if (hf__reply_error(reply, &error))
        hf__conn_fail(conn, &error);
    else if (!hf__reply_time_ms(reply, &conn->hello.redis_ms))
        refuse(conn, HF_SHARED_LINK, "the server's answer to TIME is not a time");
    else if (!conn->hello.master)
        ready(conn); /* without a fence: nothing can be written here */
}

static void token_set(struct hf__conn *conn, const redisReply *reply)
{
    struct hf_shared_error error;

    if (!hf__reply_error(reply, &error))
        return;
    if (error.oom && conn->greeting_step == STEP_TOKEN)
        conn->greeting_step = STEP_TOKEN_REFUSED;
    else
        hf__conn_fail(conn, &error);
}

static void token_watched(struct hf__conn *conn, const redisReply *reply)
{
    struct hf_shared_error error;

    if (hf__reply_error(reply, &error))
        hf__conn_fail(conn, &error);
}

static void token_got(struct hf__conn *conn, const redisReply *reply)
{
    struct hf_shared_error error;

    if (hf__reply_error(reply, &error))
        hf__conn_fail(conn, &error);
    else if (conn->greeting_step == STEP_TOKEN_REFUSED)
        send_token_oom(conn);
    else if (reply->type == REDIS_REPLY_NIL)
        refuse(conn, HF_SHARED_FENCE, "our session key was gone at once: does the server evict keys?");
    else if (!hf__reply_is_text(reply, conn->token))
        refuse(conn, HF_SHARED_FENCE, "our session key was changed by another: does a copy of this store run?");
    else
        ready(conn);
}

/* ---- copies ---- */

static bool is_known(const struct hf_shared_owner *owner, struct hf_slice token)
{
    for (size_t i = 0; i < owner->n_known; i++) {
        if (hf__slice_starts_with(token, hf__slice(owner->known[i], HF_OWNER_ID)))
            return true;
    }
    return false;
}

/* Returns false when the connection has been ended. What is no text is told by the next wave. */
static bool is_ours_to_take(struct hf__conn *conn, const redisReply *reply)
{
    const struct hf_shared_owner *owner = conn->settings->owner;

    if (!owner || reply->type != REDIS_REPLY_STRING || is_known(owner, hf__reply_text(reply)))
        return true;
    refuse(conn, HF_SHARED_AUTH,
           "another copy of this store's directory has connected to Redis: decide with `holdfast reconcile "
           "--new-node`");
    return false;
}

/* ---- the steps ---- */

static void hello_answer(struct hf__conn *conn, const redisReply *reply, size_t index)
{
    bool last = index + 1 == conn->greeting.n_replies;
    struct hf_shared_error error;

    if (index == 0 && !learn_hello(conn, reply))
        return;
    if (index == 1 && conn->settings->address.db != 0 && hf__reply_error(reply, &error)) {
        if (error.class == HF_SHARED_ENTRY)
            error.class = HF_SHARED_STATE; /* no such database */
        hf__conn_fail(conn, &error);
        return;
    }
    if (index == 1u + (conn->settings->address.db != 0) && !is_ours_to_take(conn, reply))
        return;
    if (last && hf__tracking_wanted(conn))
        conn->hello.tracking = hf__tracking_accepted(reply);
    if (last)
        send_token(conn);
}

static void token_answer(struct hf__conn *conn, const redisReply *reply, size_t index)
{
    switch (index) {
    case TOKEN_TIME:
        if (conn->greeting_step == STEP_TOKEN)
            learn_time(conn, reply);
        break;
    case TOKEN_SET: token_set(conn, reply); break;
    case TOKEN_WATCH: token_watched(conn, reply); break;
    default: token_got(conn, reply); break;
    }
}

static void greeting_reply(struct hf__wave *wave, const redisReply *reply, size_t index)
{
    struct hf__conn *conn = wave->ctx;

    if (conn->greeting_step == STEP_HELLO)
        hello_answer(conn, reply, index);
    else
        token_answer(conn, reply, index);
}

static void greeting_lost(struct hf__wave *wave, const struct hf_shared_error *error)
{
    (void)wave;
    (void)error; /* `down` tells */
}

void hf__greet(struct hf__conn *conn)
{
    conn->greeting = (struct hf__wave){.reply = greeting_reply, .lost = greeting_lost, .ctx = conn};
    hf__conn_move(conn, HF__CONN_GREETING);
    hf__conn_arm(conn);
    send_hello(conn);
}
