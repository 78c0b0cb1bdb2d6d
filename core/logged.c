/* What the change log says of a key: which node changed it last, and when. The log is read from its newest entry on to older
 * ones, beside whatever the link sends. */
#include "evidence.h"
#include "fail.h"
#include "link_state.h"

#include <stdio.h>

#define ENTRIES_A_PAGE 100u

struct search {
    struct hf *store;
    struct hf_slice key;
    struct hf_ns *ns;
    char epoch[33]; /* that Redis holds: the link may not have seen it */
    struct hf_turn turn;
    struct hf_logged *logged;
    bool found;
};

/* ---- the epoch ---- */

static void take_epoch(void *ctx, const struct hf_shared_examine *examine)
{
    const struct hf_shared_seen *seen = &examine->keys[0];
    struct search *search = ctx;

    if (seen->error.class == HF_SHARED_OK && seen->kind == HF_SHARED_STRING &&
        seen->value.len < sizeof(search->epoch))
        memcpy(search->epoch, seen->value.data, seen->value.len);
}

static int ask_epoch(struct search *search)
{
    struct hf_buf key = {0};
    struct hf_shared_seen seen = {.want = HF_WANT_VALUE};
    struct hf_ask_examine ask = {.examine = {.keys = &seen, .n_keys = 1}, .ctx = search, .take = take_epoch};
    int rc = hf__ns_key(search->ns, ":epoch", "", &key);

    seen.key = hf__slice(key.data, key.len);
    if (rc == 0)
        rc = hf__ask_examine(search->store, &ask);
    hf_buf_release(&key);
    return rc;
}

/* ---- the log ---- */

static const char *op_text(enum hf_shared_op op)
{
    switch (op) {
    case HF_SHARED_DELETE: return "deleted";
    case HF_SHARED_EXPIRE: return "given a deadline";
    case HF_SHARED_PERSIST: return "made to stay";
    case HF_SHARED_INCR: return "incremented";
    default: return "set";
    }
}

/* Newest first; an entry may name a key more than once. */
static void on_change(void *ctx, const struct hf_shared_change *change)
{
    struct search *search = ctx;
    struct hf_logged *logged = search->logged;

    if (!hf__slice_eq(change->key, search->key) ||
        (search->found && (strcmp(change->id, logged->id) != 0 || change->lsn < logged->lsn)))
        return;
    search->found = true;
    *logged = (struct hf_logged){
        .what = op_text(change->op),
        .deleted = change->op == HF_SHARED_DELETE,
        .by_this_node = strcmp(change->node, search->store->node) == 0,
        .lsn = change->lsn,
        .since_ms = hf__turn_from_redis_ms(&search->turn, hf__stream_id_ms(change->id)),
        .made_ms = hf__turn_from_redis_ms(&search->turn, change->made_ms),
    };
    snprintf(logged->id, sizeof(logged->id), "%s", change->id);
    snprintf(logged->node, sizeof(logged->node), "%s", change->node);
}

static int read_log(struct search *search)
{
    struct hf_buf log_key = {0};
    struct hf_shared_log_page page = {
        .count = ENTRIES_A_PAGE, .n_entries = ENTRIES_A_PAGE, .backwards = true, .each = on_change, .ctx = search};
    struct hf_ask_examine ask = {.examine = {.logs = &page, .n_logs = 1}};
    int rc = hf__ns_key(search->ns, ":log:", search->epoch, &log_key);

    page.log_key = hf__slice(log_key.data, log_key.len);
    while (rc == 0 && !search->found && page.n_entries == ENTRIES_A_PAGE)
        rc = hf__ask_examine(search->store, &ask);
    hf_buf_release(&log_key);
    return rc;
}

int hf_last_logged(struct hf *store, struct hf_slice key, struct hf_logged *ret_logged)
{
    struct hf_logged logged = {0};
    struct search search = {.store = store, .key = key, .logged = &logged};
    char shown[80];
    int rc = hf__check_handle(store, false);

    if (rc == 0)
        rc = hf__check_key(key);
    if (rc != 0)
        return rc;
    search.ns = hf__ns_of(&store->namespaces, key);
    hf__turn_begin(store, &search.turn);
    if (search.ns->with_log && search.ns->write_mode != HF_WRITE_LOCAL)
        rc = ask_epoch(&search);
    if (rc == 0 && search.epoch[0])
        rc = read_log(&search);
    if (rc == 0 && !search.found)
        rc = hf__fail(HF_NOT_FOUND, "the change log does not name '%s'", hf__printable(key, shown, sizeof(shown)));
    if (rc == 0)
        *ret_logged = logged;
    return rc;
}
