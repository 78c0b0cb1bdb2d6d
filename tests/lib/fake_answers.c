/* The answers, a section for each request. A request that may be lost is first answered, and then not heard. */
#include "fake_answers.h"

#include "digest.h"
#include "write.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- errors ---- */

struct hf_shared_error fake_error(enum hf_shared_class class, const char *reason)
{
    struct hf_shared_error error = {.class = class};

    snprintf(error.reason, sizeof(error.reason), "%s", reason);
    return error;
}

static struct hf_shared_error no_error(void)
{
    return fake_error(HF_SHARED_OK, "");
}

static struct hf_shared_error out_of_memory(void)
{
    struct hf_shared_error error = fake_error(HF_SHARED_STATE, "OOM command not allowed");

    error.oom = true;
    return error;
}

static struct hf_shared_error error_of(enum fake_outcome outcome)
{
    if (outcome == FAKE_OOM)
        return out_of_memory();
    if (outcome == FAKE_REFUSE)
        return fake_error(HF_SHARED_ENTRY, "WRONGTYPE");
    if (outcome == FAKE_RETRY)
        return fake_error(HF_SHARED_RETRY, "a racing writer");
    return no_error();
}

/* A wipe has taken our token: the answer says so, and then the connection is of no use. */
static bool is_fenced(struct fake_tier *tier)
{
    tier->cut |= tier->wipes != fake_server.wipes;
    return tier->wipes != fake_server.wipes;
}

static struct hf_shared_error fenced(void)
{
    return fake_error(HF_SHARED_FENCE, "our session token was gone from Redis: nothing was applied");
}

/* ---- changes ---- */

static void format_id(char *id, size_t size, uint64_t n)
{
    snprintf(id, size, "%" PRIu64 "-%d", n, n > 0);
}

/* A store has changed this key. */
static void applied(const struct fake_tier *tier, struct fake_key *key)
{
    struct hf_slice name = fake_slice(&key->key);

    key->applied++;
    fake_invalidate(tier, &name);
}

static void apply(const struct fake_tier *tier, enum hf_shared_op op, struct hf_slice name, struct hf_slice value,
                  int64_t deadline_ms)
{
    struct fake_key *key = fake_find_or_make(name);

    fake_change_key(key, op, value, deadline_ms);
    applied(tier, key);
}

/* Name a change in the log, if it is there; `change` but for node and key. */
static void name_change(const struct fake_tier *tier, struct hf_shared_log *log, struct fake_change change,
                        struct hf_slice key)
{
    log->missing = !fake_is_log(log->key);
    if (log->missing)
        return;
    memcpy(change.node, tier->node, sizeof(change.node));
    if (change.made_ms == 0)
        change.made_ms = fake_now_ms();
    change.key = fake_copy(key);
    fake_append_log(&change);
    hf_buf_release(&change.key);
    format_id(log->last_id, sizeof(log->last_id), fake_last_id());
}

/* ---- groups ---- */

static bool was_touched(const struct fake_tier *tier)
{
    for (size_t i = 0; i < tier->n_watches; i++) {
        const struct fake_key *key = fake_find(fake_slice(&tier->watches[i].key));
        if ((key ? key->touched : 0) != tier->watches[i].touched)
            return true;
    }
    return false;
}

static bool holds(const struct hf_shared_guard *guard, const struct fake_key *key)
{
    if (guard->absent || !fake_is_string(key))
        return guard->absent && !key;
    return guard->len == key->value.len &&
           memcmp(guard->digest, hf__version_id(fake_slice(&key->value), 0).digest, sizeof(guard->digest)) == 0;
}

/* One of the guards holds, or there is none. */
static bool guards_hold(const struct hf_shared_guard *guards, size_t n, struct hf_slice key)
{
    bool well = n == 0;

    for (size_t i = 0; i < n && !well; i++)
        well = holds(&guards[i], fake_find_live(key));
    return well;
}

static struct hf_shared_error item_error(const struct hf_shared_group *group, const struct hf_shared_item *item,
                                         enum fake_outcome outcome)
{
    const struct fake_key *key = fake_find_live(item->key);

    if ((group->guarded || (group->watched && outcome == FAKE_OOM)) &&
        !guards_hold(item->guards, item->n_guards, item->key))
        return fake_error(HF_SHARED_CHANGED, "the key holds something else");
    if (outcome == FAKE_OOM && item->op != HF_SHARED_SET)
        return no_error();
    if (group->guarded && item->n_guards == 0 && key && key->type[0])
        return fake_error(HF_SHARED_ENTRY, "WRONGTYPE");
    return error_of(outcome);
}

#define OWN_ENTRIES_MAX 100u /* behind the id that is known: more are not looked at */

/* Others have written to a log behind the id that the group knows, or too much stands there. */
static bool has_unread(const struct fake_tier *tier, const struct hf_shared_group *group)
{
    const struct fake_data *data = &fake_server.data;

    for (size_t i = 0; i < group->n_logs; i++) {
        const struct hf_shared_log *log = &group->logs[i];
        uint64_t after = log->after_id ? strtoull(log->after_id, NULL, 10) : UINT64_MAX;
        size_t behind = 0;
        for (size_t k = 0; fake_is_log(log->key) && k < data->n_log; k++) {
            behind += data->log[k].id > after;
            if (data->log[k].id > after &&
                (behind == OWN_ENTRIES_MAX || strcmp(data->log[k].node, tier->node) != 0))
                return true;
        }
    }
    return false;
}

static void refuse_items(struct hf_shared_group *group, struct hf_shared_error error)
{
    for (size_t i = 0; i < group->n_items; i++)
        group->items[i].error = error;
}

static void refuse_group(struct hf_shared_group *group, struct hf_shared_error error)
{
    group->error = error;
    refuse_items(group, error);
}

static void apply_items(const struct fake_tier *tier, struct hf_shared_group *group, enum fake_outcome outcome)
{
    for (size_t i = 0; i < group->n_items; i++) {
        struct hf_shared_item *item = &group->items[i];
        item->error = item_error(group, item, outcome);
        if (item->error.class == HF_SHARED_STATE)
            group->error = item->error;
        if (item->error.class == HF_SHARED_OK)
            apply(tier, item->op, item->key, item->value, item->deadline_ms);
    }
}

static void name_items(const struct fake_tier *tier, struct hf_shared_group *group, struct hf_shared_log *log)
{
    for (size_t i = log->first_item; log->key.len > 0 && i < log->first_item + log->n_items; i++) {
        const struct hf_shared_item *item = &group->items[i];
        struct fake_change change = {
            .op = item->op, .lsn = item->lsn, .made_ms = item->made_ms, .uncertainty_ms = item->uncertainty_ms};
        if (item->error.class == HF_SHARED_OK)
            name_change(tier, log, change, item->key);
    }
}

void fake_answer_group(struct fake_tier *tier, struct hf_shared_group *group, enum fake_outcome outcome)
{
    bool touched = group->watched && group->n_items > 0 && was_touched(tier); /* an UNWATCH alone tells nothing */

    fake_forget_watches(tier);
    group->error = no_error();
    for (size_t i = 0; i < group->n_logs; i++) {
        group->logs[i].missing = false;
        group->logs[i].last_id[0] = '\0';
    }
    if (is_fenced(tier)) {
        refuse_group(group, fenced());
    } else if (touched) {
        refuse_group(group, fake_error(HF_SHARED_RETRY, "a key of this group was changed by another meanwhile"));
    } else if (group->guarded && has_unread(tier, group)) {
        refuse_items(group, fake_error(HF_SHARED_CHANGED, "others have written to the change log"));
    } else {
        apply_items(tier, group, outcome);
        for (size_t i = 0; i < group->n_logs; i++)
            name_items(tier, group, &group->logs[i]);
    }
}

/* ---- lanes ---- */

/* Nothing is applied unless all can be. */
static bool is_dead_increment(const struct hf_shared_lane_op *op)
{
    return op->op == HF_SHARED_INCR && op->deadline_ms != 0 && op->deadline_ms <= fake_now_ms();
}

/* What the operation at `i` adds to is a number, or nothing: by what stands before it in the request, or is there. */
static bool adds_to_number(const struct hf_shared_lane *lane, size_t i)
{
    const struct fake_key *key = fake_find_live(lane->ops[i].key);
    int64_t number;

    for (size_t k = i; k > 0; k--) {
        const struct hf_shared_lane_op *earlier = &lane->ops[k - 1];
        bool same = hf__slice_eq(earlier->key, lane->ops[i].key);
        if (same && earlier->op == HF_SHARED_SET)
            return hf__parse_counter(earlier->value, &number);
        if (same &&
            (earlier->op == HF_SHARED_DELETE || (earlier->op == HF_SHARED_INCR && !is_dead_increment(earlier))))
            return true;
    }
    return !key || hf__parse_counter(fake_slice(&key->value), &number);
}

static enum hf_lane_outcome examine_ops(struct hf_shared_lane *lane)
{
    for (lane->bad = 0; lane->bad < lane->n_ops; lane->bad++) {
        const struct hf_shared_lane_op *op = &lane->ops[lane->bad];
        const struct fake_key *key = fake_find_live(op->key);
        if (!guards_hold(op->guards, op->n_guards, op->key))
            return HF_LANE_CHANGED;
        if (key && key->type[0]) {
            lane->error = error_of(FAKE_REFUSE);
            return HF_LANE_BAD;
        }
        if (op->op == HF_SHARED_INCR && !is_dead_increment(op) && !adds_to_number(lane, lane->bad)) {
            lane->error = fake_error(HF_SHARED_ENTRY, "ERR value is not an integer or out of range");
            return HF_LANE_BAD;
        }
    }
    return HF_LANE_APPLIED;
}

static void apply_op(const struct fake_tier *tier, struct hf_shared_lane *lane, struct hf_shared_lane_op *op)
{
    struct fake_key *key = fake_find_or_make(op->key);
    struct fake_change change;

    op->expired = is_dead_increment(op);
    op->has_number = op->op == HF_SHARED_INCR && !op->expired;
    if (op->expired)
        return;
    if (op->has_number)
        op->number = fake_add(key, op->delta, op->deadline_ms);
    else
        fake_change_key(key, op->op, op->value, op->deadline_ms);
    applied(tier, key);
    change = (struct fake_change){.op = op->op, .lsn = op->lsn, .last_lsn = lane->ops[lane->n_ops - 1].lsn};
    if (lane->log.key.len > 0)
        name_change(tier, &lane->log, change, op->key);
}

static void set_mark(struct hf_slice name, uint64_t mark)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRIu64, mark);
    fake_change_key(fake_find_or_make(name), HF_SHARED_SET, hf__slice_str(text), 0);
}

static void apply_lane(const struct fake_tier *tier, struct hf_shared_lane *lane)
{
    uint64_t last = lane->ops[lane->n_ops - 1].lsn;

    lane->mark = fake_number(lane->mark_key);
    lane->outcome = lane->mark == last ? HF_LANE_ALREADY : HF_LANE_MARK;
    if (lane->mark == lane->prev)
        lane->outcome = examine_ops(lane);
    if (lane->outcome != HF_LANE_APPLIED)
        return;
    fake_server.torn_units += lane->ops[lane->n_ops - 1].more;
    for (size_t i = 0; i < lane->n_ops; i++)
        apply_op(tier, lane, &lane->ops[i]);
    set_mark(lane->mark_key, last);
}

void fake_answer_lane(struct fake_tier *tier, struct hf_shared_lane *lane, enum fake_outcome outcome)
{
    lane->error = is_fenced(tier) ? fenced() : error_of(outcome);
    lane->log.missing = false;
    lane->log.last_id[0] = '\0';
    lane->bad = 0;
    if (lane->error.class == HF_SHARED_OK)
        apply_lane(tier, lane);
    else
        lane->outcome = lane->error.class == HF_SHARED_ENTRY ? HF_LANE_BAD : HF_LANE_FAILED;
}

/* ---- the epoch ---- */

static void make_epoch(const struct fake_tier *tier, struct hf_shared_epoch *epoch)
{
    struct fake_data *data = &fake_server.data;

    epoch->created = !data->epoch[0];
    epoch->log_missing = !epoch->created && epoch->with_log && !data->log_there;
    if (epoch->created)
        snprintf(data->epoch, sizeof(data->epoch), "%032x", ++fake_server.epochs);
    format_id(epoch->log_last_id, sizeof(epoch->log_last_id), fake_last_id());
    if (!epoch->with_log || data->log_there)
        return;
    fake_begin_log(tier->node);
    format_id(epoch->log_last_id, sizeof(epoch->log_last_id), fake_last_id());
}

static void look_at_epoch(struct hf_shared_epoch *epoch)
{
    const struct fake_data *data = &fake_server.data;

    epoch->created = false;
    epoch->log_missing = data->epoch[0] && epoch->with_log && !data->log_there;
    format_id(epoch->log_last_id, sizeof(epoch->log_last_id), fake_last_id());
}

void fake_answer_epoch(struct fake_tier *tier, struct hf_shared_epoch *epoch)
{
    char mark_key[HF_KEY_MAX + 64];
    int n = snprintf(mark_key, sizeof(mark_key), "_hf:%.*s:mark:%s", (int)epoch->prefix.len,
                     (const char *)epoch->prefix.data, tier->node);

    epoch->error = no_error();
    if (epoch->look_only)
        look_at_epoch(epoch);
    else
        make_epoch(tier, epoch);
    epoch->mark = fake_number(hf__slice(mark_key, (size_t)n));
    memcpy(epoch->epoch, fake_server.data.epoch, sizeof(epoch->epoch));
}

/* ---- log pages ---- */

/* What the place behind which a page begins says of the log's history. */
static void look_for_gap(struct hf_shared_log_page *page, uint64_t after)
{
    const struct fake_data *data = &fake_server.data;
    uint64_t first = fake_is_log(page->log_key) && data->n_log > 0 ? data->log[0].id : 0;
    bool found = false;

    for (size_t i = 0; i < data->n_log; i++)
        found |= data->log[i].id == after;
    page->gap = page->missing = false;
    if (page->backwards)
        return;
    page->gap = after != 0 && (first == 0 || after < first);
    page->missing = after != 0 && !page->gap && !found && after < fake_last_id();
}

struct fake_named fake_answer_page(struct hf_shared_log_page *page)
{
    const struct fake_data *data = &fake_server.data;
    uint64_t after = strtoull(page->after_id, NULL, 10);
    struct fake_named named = {0};

    page->error = no_error();
    look_for_gap(page, after);
    if (!fake_is_log(page->log_key))
        return named;
    for (size_t i = 0; i < data->n_log && named.n < page->count; i++) {
        const struct fake_change *change = &data->log[page->backwards ? data->n_log - 1 - i : i];
        if (page->backwards ? after != 0 && change->id >= after : change->id <= after)
            continue;
        named.changes = fake_need(realloc(named.changes, (named.n + 1) * sizeof(*named.changes)));
        named.changes[named.n] = *change;
        named.changes[named.n++].key = fake_copy(fake_slice(&change->key));
    }
    return named;
}

void fake_tell_page(struct hf_shared_log_page *page, struct fake_named *named)
{
    page->n_entries = (uint32_t)named->n;
    for (size_t i = 0; i < named->n; i++) {
        struct fake_change *logged = &named->changes[i];
        struct hf_shared_change change = {.node = logged->node,
                                          .id = page->after_id,
                                          .op = logged->op,
                                          .key = fake_slice(&logged->key),
                                          .lsn = logged->lsn,
                                          .last_lsn = logged->last_lsn ? logged->last_lsn : logged->lsn,
                                          .made_ms = logged->made_ms,
                                          .uncertainty_ms = logged->uncertainty_ms};
        format_id(page->after_id, sizeof(page->after_id), logged->id);
        if (change.key.len > 0)
            page->each(page->ctx, &change);
        hf_buf_release(&logged->key);
    }
    free(named->changes);
    *named = (struct fake_named){0};
}

/* ---- values ---- */

void fake_answer_fetch(struct fake_tier *tier, struct hf_shared_fetch *fetch)
{
    const struct fake_key *key = fake_find_live(fetch->key);

    (void)tier;
    fetch->error = key && key->type[0] ? error_of(FAKE_REFUSE) : no_error();
    fetch->found = fake_is_string(key);
    fetch->ttl_ms = fetch->found && key->deadline_ms != 0 ? key->deadline_ms - fake_now_ms() : -1;
    fetch->value = fetch->found ? fake_slice(&key->value) : hf__slice(NULL, 0);
}

/* ---- examining ---- */

/* What has to be hashed or handed out. */
static uint64_t cost_of(const struct hf_shared_seen *seen)
{
    bool hashes = (seen->want & HF_WANT_DIGEST) != 0 && seen->len > HF_EXAMINE_SMALL;

    return (hashes ? seen->len : 0) + ((seen->want & HF_WANT_VALUE) != 0 ? seen->len : 0);
}

static void look_at_value(struct hf_shared_seen *seen, const struct fake_key *key, uint64_t *budget)
{
    uint64_t cost;

    seen->len = key->value.len;
    cost = cost_of(seen);
    seen->left_out = cost > *budget && *budget < HF_EXAMINE_BUDGET; /* one is served in any case */
    if (!seen->left_out)
        *budget -= cost < *budget ? cost : *budget;
    seen->has_digest = seen->len <= HF_EXAMINE_SMALL || ((seen->want & HF_WANT_DIGEST) != 0 && !seen->left_out);
    if (seen->has_digest)
        memcpy(seen->digest, hf__version_id(fake_slice(&key->value), 0).digest, sizeof(seen->digest));
    if ((seen->want & HF_WANT_VALUE) != 0 && !seen->left_out)
        seen->value = fake_slice(&key->value);
}

/* The namespace's epoch is kept beside the keys, and is one for those who look. */
static bool is_epoch_name(struct hf_slice name)
{
    static const char suffix[] = ":epoch";
    size_t n = sizeof(suffix) - 1;

    return hf__slice_starts_with(name, hf__slice_str("_hf:")) && name.len > n &&
           memcmp((const char *)name.data + name.len - n, suffix, n) == 0;
}

static void look_at_epoch_key(struct hf_shared_seen *seen)
{
    const char *epoch = fake_server.data.epoch;

    *seen = (struct hf_shared_seen){.key = seen->key, .want = seen->want, .owner = seen->owner};
    seen->kind = epoch[0] ? HF_SHARED_STRING : HF_SHARED_ABSENT;
    seen->len = strlen(epoch);
    seen->value = hf__slice_str(epoch);
}

static void look_at_key(struct hf_shared_seen *seen, uint64_t *budget)
{
    const struct fake_key *key = fake_find_live(seen->key);

    *seen = (struct hf_shared_seen){.key = seen->key, .want = seen->want, .owner = seen->owner};
    if (key)
        seen->kind = key->type[0] ? HF_SHARED_OTHER : HF_SHARED_STRING;
    if (seen->kind == HF_SHARED_STRING)
        look_at_value(seen, key, budget);
    else if (seen->kind == HF_SHARED_OTHER)
        memcpy(seen->type, key->type, sizeof(seen->type));
    if (key && (seen->want & HF_WANT_DEADLINE) != 0 && !seen->left_out)
        seen->deadline_ms = key->deadline_ms;
}

static void watch(struct fake_tier *tier, struct hf_slice name)
{
    const struct fake_key *key = fake_find(name);
    struct fake_watch made = {.key = fake_copy(name), .touched = key ? key->touched : 0};

    tier->watches = fake_need(realloc(tier->watches, (tier->n_watches + 1) * sizeof(*tier->watches)));
    tier->watches[tier->n_watches++] = made;
}

void fake_answer_examine(struct fake_tier *tier, struct hf_shared_examine *examine, enum fake_outcome outcome)
{
    uint64_t budget = HF_EXAMINE_BUDGET;

    examine->error = outcome == FAKE_REFUSE ? no_error() : error_of(outcome);
    for (size_t i = 0; i < examine->n_keys; i++) {
        struct hf_shared_seen *seen = &examine->keys[i];
        if (is_epoch_name(seen->key))
            look_at_epoch_key(seen);
        else
            look_at_key(seen, &budget);
        if (outcome == FAKE_REFUSE)
            seen->error = fake_error(HF_SHARED_AUTH, "NOPERM this user may not look at this key");
        if (examine->watch)
            watch(tier, seen->key);
    }
}

/* ---- deciding ---- */

static bool may_decide(const struct hf_shared_decide *decide, const struct fake_key *key)
{
    struct hf_slice held = key ? fake_slice(&key->value) : hf__slice(NULL, 0);

    switch (decide->op) {
    case HF_DECIDE_SET_IF_ABSENT: return !key;
    case HF_DECIDE_GET_DELETE: return key;
    case HF_DECIDE_ACQUIRE: return !key || hf__slice_eq(held, decide->value);
    default: return key && hf__slice_eq(held, decide->expected);
    }
}

static enum hf_shared_op op_of(const struct hf_shared_decide *decide)
{
    switch (decide->op) {
    case HF_DECIDE_COMPARE_DELETE:
    case HF_DECIDE_GET_DELETE: return HF_SHARED_DELETE;
    case HF_DECIDE_COMPARE_EXPIRE: return decide->ttl_ms != 0 ? HF_SHARED_EXPIRE : HF_SHARED_PERSIST;
    default: return HF_SHARED_SET;
    }
}

/* What it held stays, also when it is ours, who already hold the lock. */
static void carry_out(const struct fake_tier *tier, struct hf_shared_decide *decide, bool held_before)
{
    int64_t deadline_ms = decide->ttl_ms != 0 ? fake_now_ms() + decide->ttl_ms : 0;
    struct fake_change change = {.op = op_of(decide), .lsn = decide->lsn};

    if (decide->op == HF_DECIDE_ACQUIRE && held_before)
        return;
    apply(tier, change.op, decide->key, decide->value, deadline_ms);
    if (decide->op == HF_DECIDE_ACQUIRE)
        fake_find(decide->key)->fence = ++fake_server.fence;
    if (decide->log.key.len > 0)
        name_change(tier, &decide->log, change, decide->key);
}

/* The caller has copied what is found before it is released. */
static void decide_it(const struct fake_tier *tier, struct hf_shared_decide *decide)
{
    const struct fake_key *key = fake_find_live(decide->key);

    decide->decided = may_decide(decide, key);
    if (decide->decided)
        carry_out(tier, decide, key != NULL);
    key = fake_find_live(decide->key);
    decide->ttl_left_ms = key && key->deadline_ms != 0 ? key->deadline_ms - fake_now_ms() : -1;
    decide->fence = decide->op == HF_DECIDE_ACQUIRE && decide->decided ? key->fence : 0;
}

void fake_answer_decide(struct fake_tier *tier, struct hf_shared_decide *decide, enum fake_outcome outcome)
{
    const struct fake_key *key = fake_find_live(decide->key);

    decide->error = key && key->type[0] ? error_of(FAKE_REFUSE) : error_of(outcome);
    if (is_fenced(tier))
        decide->error = fenced();
    decide->decided = false;
    decide->has_found = fake_is_string(key);
    decide->ttl_left_ms = -1;
    decide->fence = 0;
    decide->log.missing = false;
    decide->log.last_id[0] = '\0';
    if (decide->error.class == HF_SHARED_OK)
        decide_it(tier, decide);
}

/* ---- facts ---- */

static int64_t uptime_s(void)
{
    int64_t now = fake_now_ms();

    if (fake_server.uptime_from_ms == 0)
        fake_server.uptime_from_ms = now;
    return fake_server.uptime_base_s + (now - fake_server.uptime_from_ms) / 1000;
}

void fake_answer_facts(struct fake_tier *tier, struct hf_shared_facts *facts, enum fake_outcome outcome)
{
    (void)tier;
    if (facts->track != HF_TRACK_AS_IS)
        tier->untracked = facts->track == HF_TRACK_OFF;
    *facts = (struct hf_shared_facts){.track = facts->track,
                                      .tracking = tier->handler->invalidated && !fake_server.no_tracking &&
                                                  !tier->untracked,
                                      .done = facts->done,
                                      .ctx = facts->ctx,
                                      .may_run_scripts = true};
    facts->may_track = !fake_server.no_tracking;
    if (outcome == FAKE_REFUSE) {
        snprintf(facts->refusal, sizeof(facts->refusal), "NOPERM this user has no permissions to run 'info'");
        return;
    }
    facts->has_info = facts->may_read_info = true;
    snprintf(facts->run_id, sizeof(facts->run_id), "%040x", fake_server.runs);
    facts->uptime_s = uptime_s();
    strcpy(facts->rdb_status, "ok");
    strcpy(facts->aof_status, "ok");
    strcpy(facts->eviction_policy, "noeviction");
    strcpy(facts->role, "master");
}
