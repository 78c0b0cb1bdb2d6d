#include "transaction.h"

#include "client.h"
#include "command.h"
#include "number.h"
#include "server.h"
#include "transaction_state.h"

#include <stdio.h>
#include <stdlib.h>

#define COUNTER_TEXT_MAX 24 /* of a 64-bit number in decimal */

/* ---- the client's ---- */

void transaction_free(struct transaction *t)
{
    transaction_forget_queue(t);
    transaction_forget_watches(t);
    view_release(&t->view);
    view_release(&t->told);
    free(t->queued);
    free(t->watched);
    free(t);
}

static void release(struct client *client, void *state)
{
    (void)client;
    transaction_free(state);
}

void transaction_detach(struct client *client)
{
    client->parts[CLIENT_TRANSACTION] = (struct client_state){0};
}

struct transaction *transaction_of(struct client *client)
{
    struct client_state *part = &client->parts[CLIENT_TRANSACTION];

    if (!part->state) {
        part->state = calloc(1, sizeof(struct transaction));
        part->release = release;
    }
    return part->state;
}

/* ---- the queue ---- */

void transaction_forget_queue(struct transaction *t)
{
    for (size_t i = 0; i < t->n_queued; i++)
        free(t->queued[i].words);
    t->n_queued = t->queued_bytes = 0;
}

static int reserve_queued(struct transaction *t)
{
    size_t capacity = t->queue_capacity ? 2 * t->queue_capacity : 16;
    struct queued *queued;

    if (t->n_queued < t->queue_capacity)
        return 0;
    queued = realloc(t->queued, capacity * sizeof(*queued));
    if (!queued)
        return HF_ENOMEM;
    t->queued = queued;
    t->queue_capacity = capacity;
    return 0;
}

/* The words in one piece: the slices, and their bytes behind them. */
static struct hf_slice *copy_words(const struct call *call, size_t bytes)
{
    struct hf_slice *words = malloc(call->argc * sizeof(*words) + bytes);
    uint8_t *at = (uint8_t *)(words + call->argc);

    if (!words)
        return NULL;
    for (size_t i = 0; i < call->argc; i++) {
        words[i] = hf__slice(at, call->argv[i].len);
        if (call->argv[i].len > 0)
            memcpy(at, call->argv[i].data, call->argv[i].len);
        at += call->argv[i].len;
    }
    return words;
}

int transaction_queue(struct transaction *t, const struct call *call)
{
    struct hf_slice *words;
    size_t bytes = 0;

    for (size_t i = 0; i < call->argc; i++)
        bytes += call->argv[i].len + sizeof(*words);
    if (t->n_queued == TRANSACTION_COMMANDS_MAX || t->queued_bytes + bytes > TRANSACTION_BYTES_MAX)
        return HF_EBUSY;
    words = reserve_queued(t) == 0 ? copy_words(call, bytes) : NULL;
    if (!words)
        return HF_ENOMEM;
    t->queued[t->n_queued++] = (struct queued){.command = call->command, .argc = call->argc, .words = words};
    t->queued_bytes += bytes;
    return 0;
}

/* ---- watches ---- */

void transaction_forget_watches(struct transaction *t)
{
    for (size_t i = 0; i < t->n_watched; i++)
        hf_buf_release(&t->watched[i].key);
    t->n_watched = 0;
}

static int reserve_watched(struct transaction *t)
{
    size_t capacity = t->watch_capacity ? 2 * t->watch_capacity : 16;
    struct watched *watched;

    if (t->n_watched < t->watch_capacity)
        return 0;
    watched = realloc(t->watched, capacity * sizeof(*watched));
    if (!watched)
        return HF_ENOMEM;
    t->watched = watched;
    t->watch_capacity = capacity;
    return 0;
}

int transaction_watch(struct transaction *t, struct hf_slice key, const struct value *value)
{
    struct watched watched = {.live = value->live, .lsn = value->result.lsn};

    for (size_t i = 0; i < t->n_watched; i++) {
        if (hf__slice_eq(hf__slice(t->watched[i].key.data, t->watched[i].key.len), key))
            return 0; /* the first look counts */
    }
    if (t->n_watched == TRANSACTION_WATCHED_MAX)
        return HF_EBUSY;
    if (reserve_watched(t) != 0 || hf__buf_copy(key, &watched.key) != 0)
        return HF_ENOMEM;
    t->watched[t->n_watched++] = watched;
    return 0;
}

/* The number of a key that is not there fades when its delete is forgotten: only a newer one tells of a change. */
bool transaction_has_changed(const struct watched *watched, const struct value *value)
{
    if (watched->live || value->live)
        return watched->live != value->live || watched->lsn != value->result.lsn;
    return value->result.lsn > watched->lsn;
}

/* ---- the view ---- */

void transaction_begin(struct transaction *t)
{
    view_release(&t->view);
    t->place = TRANSACTION_HERE;
    t->reads = t->writes = t->owes_sum = false;
}

void transaction_leave_to_redis(struct transaction *t)
{
    t->place = TRANSACTION_REDIS;
}

/* Who was told and does not know yet lacks an answer, or memory. */
void transaction_wait(struct transaction *t)
{
    t->place = t->was_told ? TRANSACTION_REDIS : TRANSACTION_WAITS;
}

bool transaction_shows(const struct transaction *t, struct hf_slice key, struct value *ret_value)
{
    const struct view_key *known = view_find(&t->view, key);

    if (!known || (known->live && !known->has_value))
        return false;
    *ret_value = (struct value){.live = known->live};
    if (known->live) {
        ret_value->bytes = known->value;
        ret_value->len = known->value.len;
        ret_value->deadline_ms = known->deadline_ms;
    }
    return true;
}

void transaction_adjusts(const struct transaction *t, struct hf_slice key, struct value *value)
{
    const struct view_key *known = view_find(&t->view, key);

    if (known)
        value->deadline_ms = known->deadline_ms;
}

/* What the key is, or becomes by a change of what it is, is Redis's to tell. */
static bool is_redis_to_tell(const struct call *call, struct hf_slice key)
{
    const struct view_key *known = view_find(&call->inside->view, key);

    return !(known && known->made_here) && !space_is_ours(call, key) && hf_is_online(call->server->store);
}

void transaction_reads(struct call *call, struct hf_slice key)
{
    if (call->command->flags & COMMAND_READ && is_redis_to_tell(call, key))
        call->inside->reads = true;
}

/* ---- what has to be asked for ---- */

int transaction_was_told(const struct transaction *t, struct hf_slice key, struct value *ret_value)
{
    const struct view_key *told = view_find(&t->told, key);

    if (!told)
        return HF_NOT_DONE;
    if (told->other_type)
        return HF_EWRONGTYPE;
    *ret_value = (struct value){
        .live = told->live, .bytes = told->value, .len = told->value.len, .deadline_ms = told->deadline_ms};
    return 0;
}

/* What cannot be asked is left out. Of the value as much is kept as tells whether it is a number. */
static void ask(struct transaction *t, struct hf *store, struct hf_slice key)
{
    char text[COUNTER_TEXT_MAX];
    struct hf_result result;
    struct view_key now = {.has_value = true};
    size_t len = 0;
    int rc = hf_ask_into(store, key, text, sizeof(text), &len, &result);

    if (rc < 0 && rc != HF_EWRONGTYPE)
        return;
    now.live = rc == 0;
    now.other_type = rc == HF_EWRONGTYPE;
    now.deadline_ms = rc == 0 ? result.deadline_ms : 0;
    now.value = hf__slice(text, len < sizeof(text) ? len : sizeof(text));
    (void)view_note(&t->told, key, &now); /* without memory it is not known, and the transaction is Redis's */
}

static void ask_each(struct transaction *t, struct hf *store, const struct queued *queued)
{
    size_t n = command_keys(queued->command, queued->argc, queued->words, NULL, 0);
    struct hf_slice *keys = n != KEYS_UNKNOWN && n > 0 ? calloc(n, sizeof(*keys)) : NULL;

    if (!keys)
        return;
    (void)command_keys(queued->command, queued->argc, queued->words, keys, n);
    for (size_t i = 0; i < n; i++) {
        if (!view_find(&t->told, keys[i]))
            ask(t, store, keys[i]);
    }
    free(keys);
}

void transaction_ask(struct transaction *t, struct hf *store)
{
    for (size_t i = 0; i < t->n_queued; i++) {
        if (t->queued[i].asks)
            ask_each(t, store, &t->queued[i]);
    }
    t->was_told = true;
}

/* ---- writing ---- */

/* When a value that is set will die, as the store will reckon it. */
static int64_t deadline_of(const struct call *call, const struct hf_op *op, const struct value *old)
{
    const struct space_rules *rules = space_rules_of(call->server->space, op->key);

    if (op->set.keep_ttl)
        return old->live ? old->deadline_ms : 0;
    if (op->set.deadline_ms != 0)
        return op->set.deadline_ms;
    return op->set.no_ttl || !rules || rules->default_ttl_ms == 0 ? 0 : space_now_ms(call) + rules->default_ttl_ms;
}

/* What the key is after the operation. `text` holds a counter's sum. */
static struct view_key after(const struct call *call, const struct hf_op *op, const struct value *old, char *text)
{
    const struct view_key *known = view_find(&call->inside->view, op->key);
    struct view_key now = {.live = true, .deadline_ms = old->deadline_ms, .made_here = known && known->made_here};
    int64_t number = 0;

    switch (op->kind) {
    case HF_OP_SET:
        now.has_value = true;
        now.value = op->value;
        now.deadline_ms = deadline_of(call, op, old);
        now.made_here |= !op->set.keep_ttl;
        break;
    case HF_OP_INCR:
        (void)number_parse(old->bytes, &number); /* it was looked at: it is a number, or nothing */
        now.has_value = true;
        now.value =
            hf__slice(text, (size_t)snprintf(text, COUNTER_TEXT_MAX, "%lld", (long long)(number + op->delta)));
        break;
    case HF_OP_EXPIRE_AT: now.deadline_ms = op->deadline_ms; break;
    case HF_OP_PERSIST: now.deadline_ms = 0; break;
    case HF_OP_DELETE:
        now.live = false;
        now.made_here = true;
        break;
    }
    now.live = now.live && (now.deadline_ms == 0 || now.deadline_ms > space_now_ms(call));
    return now;
}

/* What was there is looked at only where the operation keeps some of it: what is not held here would be Redis's to tell. */
static bool look_at_old(struct call *call, const struct hf_op *op, struct value *ret_old)
{
    *ret_old = (struct value){0};
    switch (op->kind) {
    case HF_OP_SET: return !op->set.keep_ttl || space_look(call, op->key, ret_old);
    case HF_OP_INCR: return space_read(call, op->key, ret_old);
    case HF_OP_EXPIRE_AT:
    case HF_OP_PERSIST: return space_look(call, op->key, ret_old);
    case HF_OP_DELETE: break;
    }
    return true;
}

/* False: the call is answered with an error, or is Redis's. */
static bool add(struct call *call, const struct hf_op *op)
{
    char text[COUNTER_TEXT_MAX];
    struct view_key now;
    struct value old;
    int rc;

    if (!look_at_old(call, op, &old))
        return false;
    call->inside->writes |= !space_is_ours(call, op->key) && hf_is_online(call->server->store);
    now = after(call, op, &old, text);
    rc = view_add(&call->inside->view, op, &now);
    if (rc != 0)
        call_fail(call, rc);
    return rc == 0;
}

void transaction_write(struct call *call, const struct hf_op *ops, size_t n, struct reply *answer)
{
    bool added = true;

    for (size_t i = 0; i < n && added; i++)
        added = add(call, &ops[i]);
    if (added)
        reply_add(call->reply, answer);
    reply_release(answer);
}

void transaction_add(struct call *call, const struct hf_op *op, int64_t sum)
{
    struct transaction *t = call->inside;
    bool owes = is_redis_to_tell(call, op->key);
    struct reply answer = space_answer(call);

    if (t->owes_sum) { /* a batch tells the last one */
        transaction_leave_to_redis(t);
        return;
    }
    if (owes) {
        t->owes_sum = true;
        t->sum_at = call->reply->bytes.len;
    } else {
        reply_integer(&answer, sum);
    }
    transaction_write(call, op, 1, &answer);
}
