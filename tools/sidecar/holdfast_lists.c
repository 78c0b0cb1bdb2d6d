/* HOLDFAST CONFLICTS and PARKED: what is kept for the operator. */
#include "cmd_holdfast.h"

#include "server.h"
#include "words.h"

#include <inttypes.h>

#define LIMIT_DEFAULT 100
#define LIMIT_MAX 10000
#define UTF8_TAIL_MAX 3 /* bytes of a character behind its first */
#define VALUE_SHOWN 128 /* bytes of a value in a list; `show` has all of it */

const char *holdfast_kind_text(enum hf_op_kind kind)
{
    switch (kind) {
    case HF_OP_SET: return "set";
    case HF_OP_DELETE: return "delete";
    case HF_OP_EXPIRE_AT: return "expire";
    case HF_OP_PERSIST: return "persist";
    case HF_OP_INCR: return "incr";
    }
    return "unknown";
}

/* A list being made: its rows come before their number is known. */
struct list {
    struct reply rows;
    uint64_t from, limit, n;
    bool whole;   /* one entry, with all of its value */
    bool decided; /* no conflicts that are kept for information only */
};

/* The beginning of a text ends with a character. */
static size_t cut(struct hf_slice value)
{
    const uint8_t *bytes = value.data;
    size_t len = VALUE_SHOWN;

    while (len > VALUE_SHOWN - UTF8_TAIL_MAX && (bytes[len] & 0xc0) == 0x80)
        len--;
    return len;
}

static struct hf_slice shown(const struct list *list, struct hf_slice value)
{
    return hf__slice(value.data, list->whole || value.len <= VALUE_SHOWN ? value.len : cut(value));
}

static bool take_decided(struct call *call, size_t *at, struct list *list)
{
    if (*at >= call->argc || !word_is(call->argv[*at], "decided"))
        return false;
    list->decided = true;
    ++*at;
    return true;
}

static void finish(struct call *call, struct list *list, int rc)
{
    if (rc < 0) {
        call_fail(call, rc);
    } else {
        if (!list->whole)
            reply_array(call->reply, list->n);
        reply_add(call->reply, &list->rows);
    }
    reply_release(&list->rows);
}

/* [LIST [FROM n] [LIMIT n] [DECIDED]] or SHOW n; false: an error was replied. */
static bool begin(struct call *call, struct list *list)
{
    size_t at = 3;

    *list = (struct list){.rows = {.proto = call->reply->proto}, .limit = LIMIT_DEFAULT};
    if (call->argc == 2)
        return true;
    if (call->argc == 4 && word_is(call->argv[2], "show")) {
        list->whole = true;
        list->limit = 1;
        return holdfast_number(call, "number", call->argv[3], UINT64_MAX, &list->from);
    }
    if (word_is(call->argv[2], "list")) {
        while (at < call->argc &&
               (holdfast_option(call, &at, "from", UINT64_MAX, &list->from) ||
                holdfast_option(call, &at, "limit", LIMIT_MAX, &list->limit) || take_decided(call, &at, list)))
            ;
        if (at >= call->argc)
            return at == call->argc;
    }
    holdfast_syntax(call);
    return false;
}

/* ---- conflicts ---- */

static void add_side(struct reply *reply, const char *name, const struct hf_side *side, struct hf_slice value)
{
    reply_text(reply, name);
    reply_map(reply, 7);
    holdfast_add_bool(reply, "present", side->present);
    holdfast_add_bool(reply, "too_long", side->too_long);
    holdfast_add_unsigned(reply, "bytes", side->value.len);
    holdfast_add_bytes(reply, "value", value);
    holdfast_add_integer(reply, "expires_at_ms", side->deadline_ms);
    holdfast_add_integer(reply, "made_at_ms", side->made_ms);
    holdfast_add_integer(reply, "uncertainty_ms", side->uncertainty_ms);
}

static const char *winner_text(enum hf_winner winner)
{
    switch (winner) {
    case HF_WINNER_OURS: return "ours";
    case HF_WINNER_THEIRS: return "theirs";
    case HF_WINNER_MERGED: return "merged";
    }
    return "nobody";
}

static int conflict_one(void *ctx, const struct hf_conflict *c)
{
    struct list *list = ctx;

    if (list->n == list->limit || (list->whole && c->id != list->from))
        return 1;
    if (list->decided && c->blind)
        return 0;
    list->n++;
    reply_map(&list->rows, 10);
    holdfast_add_unsigned(&list->rows, "id", c->id);
    holdfast_add_bytes(&list->rows, "key", c->key);
    holdfast_add_text(&list->rows, "kind", holdfast_kind_text(c->kind));
    holdfast_add_text(&list->rows, "winner", winner_text(c->winner));
    holdfast_add_text(&list->rows, "rule", c->rule);
    holdfast_add_bool(&list->rows, "ambiguous", c->ambiguous);
    holdfast_add_bool(&list->rows, "blind", c->blind);
    holdfast_add_integer(&list->rows, "decided_at_ms", c->decided_ms);
    add_side(&list->rows, "ours", &c->ours, shown(list, c->ours.value));
    add_side(&list->rows, "theirs", &c->theirs, shown(list, c->theirs.value));
    return list->rows.failed ? HF_ENOMEM : 0;
}

static void list_conflicts(struct call *call)
{
    struct list list;
    int rc;

    if (!begin(call, &list))
        return;
    rc = hf_conflict_list(call->server->store, list.from, conflict_one, &list);
    if (rc >= 0 && list.whole && list.n == 0) {
        reply_error(call->reply, "ERR there is no conflict %" PRIu64, list.from);
        return;
    }
    finish(call, &list, rc);
}

/* ---- parked entries ---- */

static int parked_one(void *ctx, const struct hf_parked *entry)
{
    struct list *list = ctx;

    if (entry->lsn < list->from)
        return 0;
    if (list->n == list->limit || (list->whole && entry->lsn != list->from))
        return 1;
    list->n++;
    reply_map(&list->rows, 10);
    holdfast_add_unsigned(&list->rows, "lsn", entry->lsn);
    holdfast_add_bytes(&list->rows, "key", entry->key);
    holdfast_add_text(&list->rows, "kind", holdfast_kind_text(entry->kind));
    holdfast_add_bool(&list->rows, "in_doubt", entry->in_doubt);
    holdfast_add_text(&list->rows, "reason", entry->reason);
    holdfast_add_unsigned(&list->rows, "bytes", entry->value.len);
    holdfast_add_bytes(&list->rows, "value", shown(list, entry->value));
    holdfast_add_integer(&list->rows, "delta", entry->delta);
    holdfast_add_integer(&list->rows, "made_at_ms", entry->made_ms);
    holdfast_add_integer(&list->rows, "expires_at_ms", entry->deadline_ms);
    return list->rows.failed ? HF_ENOMEM : 0;
}

static void list_parked(struct call *call)
{
    struct list list;
    int rc;

    if (!begin(call, &list))
        return;
    rc = hf_parked_list(call->server->store, parked_one, &list);
    if (rc >= 0 && list.whole && list.n == 0) {
        reply_error(call->reply, "ERR there is no parked entry %" PRIu64, list.from);
        return;
    }
    finish(call, &list, rc);
}

/* ---- taking entries off ---- */

/* How many of the numbers were on the list and are off it now. The first one that cannot be taken off ends it with an error; one
 * that is not on the list does not. */
static void take_off(struct call *call, int (*take)(struct hf *store, uint64_t number))
{
    uint64_t number;
    int64_t n = 0;
    int rc;

    for (size_t i = 3; i < call->argc; i++) {
        if (!holdfast_number(call, "number", call->argv[i], UINT64_MAX, &number))
            return;
    }
    for (size_t i = 3; i < call->argc; i++) {
        (void)holdfast_number(call, "number", call->argv[i], UINT64_MAX, &number); /* as above */
        rc = take(call->server->store, number);
        if (rc < 0) {
            call_fail(call, rc);
            return;
        }
        n += rc == 0;
    }
    reply_integer(call->reply, n);
}

static int requeue(struct hf *store, uint64_t lsn)
{
    return hf_parked_requeue(store, lsn, NULL);
}

static void restore(struct call *call)
{
    struct hf_result result = {0};
    uint64_t id;
    int rc;

    if (!holdfast_number(call, "number", call->argv[3], UINT64_MAX, &id))
        return;
    rc = hf_conflict_restore(call->server->store, id, &result);
    if (rc == HF_NOT_FOUND) {
        reply_error(call->reply, "ERR there is no conflict %" PRIu64, id);
    } else if (rc != 0) {
        call_fail(call, rc);
    } else {
        reply_map(call->reply, HOLDFAST_WRITTEN_MEMBERS);
        holdfast_add_written(call->reply, &result);
    }
}

void holdfast_conflicts(struct call *call)
{
    if (call->argc > 3 && word_is(call->argv[2], "resolve"))
        take_off(call, hf_conflict_resolve);
    else if (call->argc == 4 && word_is(call->argv[2], "restore"))
        restore(call);
    else
        list_conflicts(call);
}

void holdfast_parked(struct call *call)
{
    if (call->argc > 3 && word_is(call->argv[2], "requeue"))
        take_off(call, requeue);
    else if (call->argc > 3 && word_is(call->argv[2], "drop"))
        take_off(call, hf_parked_drop);
    else
        list_parked(call);
}
