/* The write path.
 *
 *   prepare   under the write lock: what the operation means for the key as it is now; one entry each, and before
 *             them, where a key joins its lane, an entry that carries its unshared state over
 *   stage     memory in the overlay, so that nothing can fail later
 *   append    the journal gives the LSNs: from here on it has happened
 *   insert    readers see it (all of a batch at once), the link gets it
 *   wait      without the lock: durable, then acknowledged by Redis or pending
 */
#include "write.h"

#include "checkpoint.h"
#include "deadline.h"
#include "digest.h"
#include "done.h"
#include "fail.h"
#include "judge.h"
#include "link.h"
#include "lookup.h"
#include "outage.h"
#include "pending_bounds.h"
#include "settle.h"
#include "turn.h"
#include "unlist.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define COUNTER_TEXT_MAX 24 /* of a 64-bit number in decimal */

/* A write under way. Single operations use the arrays inside: two entries at the most, and one that takes another off its
 * list. */
struct change {
    struct hf *store;
    const struct hf_op *ops;
    size_t n_ops;
    struct hf_condition *condition; /* of the only operation; NULL: none */
    struct hf_ns *ns;
    struct hf_look look;
    int64_t now_ms;
    bool shares; /* the namespace is owed to the shared tier */
    bool lane;   /* all of it goes through the lane */
    bool alone;  /* taken for this node alone: outage policy `local` */
    bool never_waits;
    struct hf_pending_claim claim;
    struct hf_entry *entries;
    struct hf_staged *staged;
    char (*numbers)[COUNTER_TEXT_MAX];
    size_t n, n_promoted;           /* entries; of them, in front: keys that join the lane */
    const struct hf_unlist *unlist; /* of a single operation: what it takes the place of; NULL: nothing */
    struct hf_entry few_entries[3];
    struct hf_staged few_staged[2];
    char few_numbers[1][COUNTER_TEXT_MAX];
    struct hf_result result;
};

/* ---- checks that need no lock ---- */

static int check_ttl(int64_t ttl_ms)
{
    if (ttl_ms < 0 || ttl_ms > HF_TTL_MAX_MS)
        return hf__fail(HF_EINVAL, "a TTL of %" PRId64 " ms; expected 1 to %lld", ttl_ms, HF_TTL_MAX_MS);
    return 0;
}

static int check_deadline(int64_t deadline_ms, int64_t now_ms)
{
    if (deadline_ms < 0 || deadline_ms > now_ms + HF_TTL_MAX_MS)
        return hf__fail(HF_EINVAL, "a deadline of %" PRId64 " ms; expected one within 100 years from now",
                        deadline_ms);
    return 0;
}

static int check_set(const struct hf *store, const struct hf_op *op, int64_t now_ms)
{
    const struct hf_set_options *set = &op->set;
    int n = (set->ttl_ms != 0) + (set->deadline_ms != 0) + set->keep_ttl + set->no_ttl;
    int rc;

    if (n > 1)
        return hf__fail(HF_EINVAL, "a set takes one of ttl_ms, deadline_ms, keep_ttl and no_ttl; %d were given", n);
    if (op->value.len > store->opts.max_value_bytes)
        return hf__fail(HF_EINVAL, "a value of %zu bytes; at most %" PRIu64 " are allowed (max_value)",
                        op->value.len, store->opts.max_value_bytes);
    rc = check_ttl(set->ttl_ms);
    return rc == 0 ? check_deadline(set->deadline_ms, now_ms) : rc;
}

static int check_op(const struct hf *store, const struct hf_op *op, int64_t now_ms)
{
    int rc = hf__check_key(op->key);

    if (rc == 0 && op->kind == HF_OP_SET)
        rc = check_set(store, op, now_ms);
    if (rc == 0 && op->kind == HF_OP_EXPIRE_AT)
        rc = check_deadline(op->deadline_ms, now_ms);
    return rc;
}

int hf__write_check(const struct hf *store, const struct hf_op *op)
{
    return check_op(store, op, hf__now_ms(store));
}

static int check_ops(struct change *c)
{
    int rc = hf__check_handle(c->store, true);

    for (size_t i = 0; i < c->n_ops && rc == 0; i++) {
        rc = check_op(c->store, &c->ops[i], c->now_ms);
        if (rc != 0)
            return rc;
        if (hf__ns_of(&c->store->namespaces, c->ops[i].key) != c->ns)
            return hf__fail(HF_EINVAL, "the keys of a batch lie in more than one namespace ('%.*s' and '%.*s')",
                            (int)c->ns->prefix.len, (const char *)c->ns->prefix.data,
                            (int)hf__ns_of(&c->store->namespaces, c->ops[i].key)->prefix.len,
                            (const char *)hf__ns_of(&c->store->namespaces, c->ops[i].key)->prefix.data);
    }
    return rc;
}

/* ---- memory ---- */

static int change_init(struct change *c, struct hf *store, const struct hf_op *ops, size_t n)
{
    *c = (struct change){.store = store, .ops = ops, .n_ops = n, .now_ms = hf__now_ms(store)};
    c->ns = hf__ns_of(&store->namespaces, ops[0].key);
    c->shares = store->sharing && c->ns->write_mode != HF_WRITE_LOCAL;
    c->lane = c->shares && n > 1;
    c->entries = c->few_entries;
    c->staged = c->few_staged;
    c->numbers = c->few_numbers;
    if (n == 1)
        return 0;
    c->entries = calloc(2 * n, sizeof(*c->entries));
    c->staged = calloc(2 * n, sizeof(*c->staged));
    c->numbers = calloc(n, sizeof(*c->numbers));
    if (!c->entries || !c->staged || !c->numbers)
        return hf__fail(HF_ENOMEM, "out of memory: a batch of %zu operations", n);
    return 0;
}

static void change_release(struct change *c)
{
    if (c->entries == c->few_entries)
        return;
    free(c->entries);
    free(c->staged);
    free(c->numbers);
}

/* ---- preparing ---- */

bool hf__parse_counter(struct hf_slice text, int64_t *ret_number)
{
    const char *p = text.data;
    bool negative = text.len > 0 && p[0] == '-';
    size_t i = negative;
    uint64_t number = 0, limit = (uint64_t)INT64_MAX + negative;

    if (i == text.len || text.len > 20 || (p[i] == '0' && text.len > 1))
        return false;
    for (; i < text.len; i++) {
        uint64_t digit = (uint64_t)(p[i] - '0');
        if (p[i] < '0' || p[i] > '9' || number > (limit - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    *ret_number = negative ? (int64_t)(0 - number) : (int64_t)number;
    return true;
}

static bool changes_only_ttl(const struct hf_entry *e)
{
    return e->op == HF_ENTRY_EXPIRE || e->op == HF_ENTRY_PERSIST;
}

/* The newest entry of the batch that says what the key holds, and the newest that says how long it lives. */
static const struct hf_entry *find_entry(const struct change *c, struct hf_slice key,
                                         const struct hf_entry **ret_ttl)
{
    for (size_t i = c->n; i-- > c->n_promoted;) {
        const struct hf_entry *e = &c->entries[i];
        if (!hf__slice_eq(e->key, key))
            continue;
        if (!*ret_ttl)
            *ret_ttl = e;
        if (!changes_only_ttl(e))
            return e;
    }
    return NULL;
}

/* The key as it is now, with what this batch has done to it so far. */
static int look_up(struct change *c, struct hf_slice key, struct hf_found *ret_found)
{
    const struct hf_entry *ttl = NULL, *e = find_entry(c, key, &ttl);
    int rc = 0;

    if (e)
        *ret_found = (struct hf_found){.held = true, .live = e->op != HF_ENTRY_DELETE, .value = e->value};
    else
        rc = hf__look_up(&c->look, key, ret_found);
    if (rc == 0 && ttl)
        ret_found->deadline_ms = ttl->deadline_ms;
    return rc;
}

static struct hf_entry new_entry(const struct change *c, enum hf_entry_op op, struct hf_slice key)
{
    bool tentative = c->condition && c->condition->tentative;

    return (struct hf_entry){.op = (uint8_t)op,
                             .type = HF_TYPE_STRING,
                             .made_ms = c->now_ms,
                             .key = key,
                             .flags = (c->shares ? 0u : HF_ENTRY_LOCAL) | (tentative ? HF_ENTRY_TENTATIVE : 0u)};
}

static int prepare_set(struct change *c, const struct hf_op *op, struct hf_entry *ret_entry)
{
    const struct hf_set_options *set = &op->set;
    struct hf_entry entry = new_entry(c, HF_ENTRY_SET, op->key);
    struct hf_found found;
    int rc;

    entry.value = op->value;
    if (set->keep_ttl) {
        rc = look_up(c, op->key, &found);
        if (rc != 0)
            return rc;
        entry.deadline_ms = found.live ? found.deadline_ms : 0;
    } else if (set->deadline_ms != 0) {
        entry.deadline_ms = set->deadline_ms;
    } else if (set->ttl_ms != 0) {
        entry.deadline_ms = c->now_ms + set->ttl_ms;
    } else if (!set->no_ttl && c->ns->default_ttl_ms != 0) {
        entry.deadline_ms = c->now_ms + c->ns->default_ttl_ms;
    }
    if (hf__is_expired(entry.deadline_ms, c->now_ms)) /* born dead: what was there is gone */
        entry = new_entry(c, HF_ENTRY_DELETE, op->key);
    *ret_entry = entry;
    return 0;
}

static int prepare_delete(struct change *c, const struct hf_op *op, struct hf_entry *ret_entry)
{
    struct hf_found found;
    int rc = look_up(c, op->key, &found);

    if (rc != 0)
        return rc;
    c->result.existed = found.live;
    *ret_entry = new_entry(c, HF_ENTRY_DELETE, op->key);
    return 0;
}

static int prepare_ttl(struct change *c, const struct hf_op *op, struct hf_entry *ret_entry)
{
    struct hf_found found;
    int rc = look_up(c, op->key, &found);

    if (rc != 0)
        return rc;
    c->result.existed = found.live;
    if (!found.live)
        return HF_NOT_FOUND;
    if (op->kind == HF_OP_PERSIST) {
        *ret_entry = new_entry(c, HF_ENTRY_PERSIST, op->key);
    } else if (hf__is_expired(op->deadline_ms, c->now_ms)) {
        *ret_entry = new_entry(c, HF_ENTRY_DELETE, op->key);
    } else {
        *ret_entry = new_entry(c, HF_ENTRY_EXPIRE, op->key);
        ret_entry->deadline_ms = op->deadline_ms;
    }
    return 0;
}

/* The value held counts a parked increment that is requeued, unless the key has been written since. */
static bool counts_already(const struct change *c, const struct hf_found *found)
{
    return c->unlist && c->unlist->what == HF_LEFT_UNPARK && found->live && found->lsn == c->unlist->listed;
}

static int prepare_incr(struct change *c, const struct hf_op *op, char *number, struct hf_entry *ret_entry)
{
    struct hf_entry entry = new_entry(c, HF_ENTRY_INCR, op->key);
    char shown[80];
    struct hf_found found;
    int64_t old = 0, sum;
    int rc = look_up(c, op->key, &found);

    if (rc != 0)
        return rc;
    if (found.live && !hf__parse_counter(found.value, &old))
        return hf__fail(HF_ENOTINT, "the value of '%s' is not an integer of 64 bits",
                        hf__printable(op->key, shown, sizeof(shown)));
    if (__builtin_add_overflow(old, counts_already(c, &found) ? 0 : op->delta, &sum))
        return hf__fail(HF_ENOTINT, "%" PRId64 " added to '%s' would not fit 64 bits", op->delta,
                        hf__printable(op->key, shown, sizeof(shown)));
    entry.delta = op->delta;
    entry.deadline_ms = found.live ? found.deadline_ms : 0;
    entry.value = hf__slice(number, (size_t)snprintf(number, COUNTER_TEXT_MAX, "%" PRId64, sum));
    c->result.existed = found.live;
    c->result.number = sum;
    c->result.tentative = c->shares || c->alone;
    c->lane |= c->shares;
    *ret_entry = entry;
    return 0;
}

static int prepare_op(struct change *c, size_t i, struct hf_entry *ret_entry)
{
    switch (c->ops[i].kind) {
    case HF_OP_SET: return prepare_set(c, &c->ops[i], ret_entry);
    case HF_OP_DELETE: return prepare_delete(c, &c->ops[i], ret_entry);
    case HF_OP_EXPIRE_AT:
    case HF_OP_PERSIST: return prepare_ttl(c, &c->ops[i], ret_entry);
    case HF_OP_INCR: return prepare_incr(c, &c->ops[i], c->numbers[i], ret_entry);
    }
    return hf__fail(HF_EINVAL, "an operation of kind %d; see enum hf_op_kind", (int)c->ops[i].kind);
}

/* A change of the life of a key that is not there is left out of its batch. HF_NOT_FOUND: nothing is left. */
static int prepare_ops(struct change *c)
{
    int rc = 0;

    for (size_t i = 0; i < c->n_ops && rc == 0; i++) {
        rc = prepare_op(c, i, &c->entries[c->n]);
        if (rc == 0)
            c->n++;
        else if (rc == HF_NOT_FOUND && c->n_ops > 1)
            rc = 0;
    }
    return rc == 0 && c->n == 0 ? HF_NOT_FOUND : rc;
}

/* Without the shared tier, and with nothing of these keys owed to it, the change is for this node alone. What is owed goes
 * on being owed: the change joins it. */
static int go_alone(struct change *c)
{
    int rc = 0;

    if (!c->shares || (c->condition && c->condition->tentative) || !hf__outage_is_local(c->store, c->ns))
        return 0;
    for (size_t i = 0; i < c->n_ops; i++) {
        enum hf_owed owed = HF_OWED_NOTHING;
        struct hf_found found;
        rc = hf__look_up(&c->look, c->ops[i].key, &found);
        if (rc == 0)
            rc = hf__look_owed(&c->look, c->ops[i].key, &found, &owed);
        if (rc != 0 || owed != HF_OWED_NOTHING)
            return rc;
    }
    c->alone = true;
    c->shares = c->lane = false;
    return 0;
}

/* Is there any lane entry that a plain write could meet? */
static bool lanes_in_use(const struct hf *store)
{
    return atomic_load(&store->lane_open) > 0 || atomic_load(&store->lane_entries) > 0;
}

/* A single plain write of a key whose earlier changes wait in the lane joins the lane. */
static int join_lane(struct change *c, struct hf_slice key)
{
    struct hf_found found;
    enum hf_owed owed = HF_OWED_NOTHING;
    int rc;

    if (!c->shares || c->lane || !lanes_in_use(c->store))
        return 0;
    rc = hf__look_up(&c->look, key, &found);
    if (rc == 0)
        rc = hf__look_owed(&c->look, key, &found, &owed);
    c->lane = rc == 0 && owed == HF_OWED_LANE;
    return rc;
}

static bool is_promoted(const struct change *c, struct hf_slice key)
{
    for (size_t i = 0; i < c->n_promoted; i++) {
        if (hf__slice_eq(c->entries[i].key, key))
            return true;
    }
    return false;
}

/* The row of the key that still waits; borrowed from the look's snapshot. */
static int find_row(struct change *c, struct hf_slice key, struct hf_pending_row *ret_row, bool *ret_waits)
{
    struct hf_local_snap *snap;
    int rc = hf__look_snap(&c->look, &snap);

    if (rc == 0)
        rc = c->store->local->ops->pending_get(snap, key, ret_row);
    *ret_waits = rc == 0 && hf__settle_acked_lsn(c->store, key) < ret_row->last_lsn;
    return rc == HF_NOT_FOUND || rc == HF_ECORRUPT ? 0 : rc;
}

/* In the lane, too, it is judged against what others have put there: what Redis has lost, ... */
static int flags_given_back(struct change *c, struct hf_slice key, const struct hf_found *found,
                            uint32_t *ret_flags)
{
    const struct hf_version *v = found->of_value;
    struct hf_pending_row row;
    bool waits;
    int rc;

    *ret_flags = v && !hf__version_is_settled(v) ? v->flags & (HF_ENTRY_RESEED | HF_ENTRY_RESEND) : 0;
    if (v)
        return 0;
    rc = find_row(c, key, &row, &waits);
    if (rc == 0 && waits && row.why == HF_PENDING_RESEED)
        *ret_flags = HF_ENTRY_RESEED;
    if (rc == 0 && waits && row.why == HF_PENDING_RESEND)
        *ret_flags = HF_ENTRY_RESEND;
    return rc;
}

/* ... and what has waited for the replay that is under way. */
static int flag_of_row(struct change *c, struct hf_slice key, uint32_t *ret_flags)
{
    uint64_t live_from = hf__link_replay_before(c->store);
    struct hf_owed_range owed = {0};
    int rc = live_from > 0 ? hf__look_owed_until(&c->look, key, UINT64_MAX, &owed) : 0;

    if (rc == 0 && owed.first_lsn > 0 && owed.first_lsn < live_from)
        *ret_flags |= HF_ENTRY_ROW;
    return rc;
}

/* A delete waits beside a lane that a rollback has brought back, or what has died since does: it has not joined it yet. */
static int waits_beside_lane(struct change *c, struct hf_slice key, const struct hf_found *found, bool *ret_waits)
{
    struct hf_pending_row row;
    struct hf_local_snap *snap;
    uint64_t lsn = 0;
    int rc;

    *ret_waits = false;
    if (found->top)
        return 0;
    rc = find_row(c, key, &row, ret_waits);
    if (rc == 0 && *ret_waits)
        rc = hf__look_snap(&c->look, &snap);
    if (rc == 0 && *ret_waits)
        rc = c->store->local->ops->lane_last(snap, key, &lsn);
    *ret_waits = *ret_waits && rc == 0 && row.last_lsn > lsn;
    return rc == HF_NOT_FOUND ? 0 : rc;
}

/* A key whose plain changes are still owed joins the lane with the state they left: all of a key's unshared changes
 * are either in its row or in the lane, so the two never overtake each other. */
static int promote(struct change *c, struct hf_slice key)
{
    struct hf_entry entry;
    struct hf_found found;
    enum hf_owed owed = HF_OWED_NOTHING;
    uint32_t flags = 0;
    bool beside = false;
    int rc = 0;

    if (is_promoted(c, key))
        return 0;
    rc = hf__look_up(&c->look, key, &found);
    if (rc == 0)
        rc = hf__look_owed(&c->look, key, &found, &owed);
    if (rc == 0 && owed == HF_OWED_LANE)
        rc = waits_beside_lane(c, key, &found, &beside);
    if (rc != 0 || (owed != HF_OWED_ROW && !beside))
        return rc;
    rc = flags_given_back(c, key, &found, &flags);
    if (rc == 0)
        rc = flag_of_row(c, key, &flags);
    if (rc != 0)
        return rc;
    entry = new_entry(c, found.live ? HF_ENTRY_SET : HF_ENTRY_DELETE, key);
    if (found.live) {
        entry.value = found.value;
        entry.deadline_ms = found.deadline_ms;
    }
    entry.made_ms = found.made_ms;
    entry.flags |= flags;
    memmove(&c->entries[c->n_promoted + 1], &c->entries[c->n_promoted],
            (c->n - c->n_promoted) * sizeof(*c->entries));
    c->entries[c->n_promoted++] = entry;
    c->n++;
    return 0;
}

/* What is decided in Redis's stead waits in a row, which says so; a lane has no place for that. */
static int check_tentative(struct change *c, const struct hf_found *found)
{
    enum hf_owed owed = HF_OWED_NOTHING;
    char shown[80];
    int rc;

    c->condition->came_back = hf__link_is_accepting(c->store);
    if (c->condition->came_back)
        return hf__fail(HF_EOFFLINE, "the shared tier has just come back");
    rc = hf__look_owed(&c->look, c->ops[0].key, found, &owed);
    if (rc == 0 && owed == HF_OWED_LANE)
        rc = hf__fail(HF_EOFFLINE,
                      "'%s' has increments or batches that the shared tier has not seen: nobody else "
                      "can decide on it",
                      hf__printable(c->ops[0].key, shown, sizeof(shown)));
    c->result.tentative = rc == 0;
    return rc;
}

static int check_condition(struct change *c)
{
    struct hf_found found;
    int rc = hf__look_up(&c->look, c->ops[0].key, &found);

    if (rc == 0 && c->condition->tentative)
        rc = check_tentative(c, &found);
    return rc == 0 ? c->condition->holds(c->condition->ctx, &found) : rc;
}

static int prepare(struct change *c)
{
    int rc = hf__look_begin(c->store, &c->look);

    if (rc == 0 && c->condition)
        rc = check_condition(c);
    if (rc == 0)
        rc = go_alone(c);

    if (rc == 0)
        rc = prepare_ops(c);
    if (rc == 0 && c->n_ops == 1)
        rc = join_lane(c, c->ops[0].key);
    for (size_t i = 0; i < c->n_ops && rc == 0 && c->lane; i++)
        rc = promote(c, c->ops[i].key);
    for (size_t i = 0; i < c->n && rc == 0; i++) {
        if (c->lane)
            c->entries[i].flags |= HF_ENTRY_LANE;
        if (i >= c->n_promoted && i + 1 < c->n)
            c->entries[i].flags |= HF_ENTRY_MORE;
    }
    return rc;
}

/* ---- applying ---- */

/* May it be left pending? */
static int admit(struct change *c)
{
    int rc = 0;

    c->claim =
        (struct hf_pending_claim){.entries = c->entries, .n = c->n, .n_void = c->n_promoted, .lane = c->lane};
    if (!c->shares)
        return 0;
    if (!c->lane)
        rc = hf__pending_is_counted(&c->look, c->entries[0].key, &c->claim.counted);
    return rc == 0 ? hf__pending_admit(&c->look, &c->claim) : rc;
}

static int stage(struct change *c)
{
    enum hf_version_state state = c->shares ? HF_VERSION_UNSETTLED : HF_VERSION_SETTLED;
    int rc = 0;

    for (size_t i = 0; i < c->n && rc == 0; i++)
        rc = hf__overlay_stage(&c->store->overlay, &c->entries[i], state, &c->staged[i]);
    return rc;
}

static void insert(struct change *c)
{
    uint64_t lsn = 0;

    for (size_t i = 0; i < c->n; i++) {
        lsn = c->entries[i].lsn;
        hf__overlay_insert(&c->store->overlay, &c->staged[i], lsn);
    }
    if (c->lane)
        atomic_fetch_add(&c->store->lane_open, (int64_t)c->n);
    for (size_t i = 0; i < c->n && c->shares; i++)
        hf__pending_inserted(c->store, &c->staged[i], c->claim.counted);
    c->result.lsn = lsn;
    atomic_store_explicit(&c->store->visible_lsn, lsn, memory_order_release);
}

/* The change and, behind it, the entry that takes another off its list. */
static int append_unlisting(struct change *c)
{
    const struct hf_unlist *unlist = c->unlist;
    int rc;

    c->entries[c->n] = hf__unlist_entry(c->store, unlist);
    if (!hf__settle_unlist(c->store, unlist->what, unlist->listed))
        return hf__fail(HF_ENOMEM, "out of memory: the list of what the next checkpoint stores");
    rc = hf__journal_append(c->store->journal, c->entries, c->n + 1);
    if (rc != 0)
        (void)hf__settle_keep_listed(c->store, unlist->what, unlist->listed, false);
    return rc;
}

/* What was refused once is not forced upon Redis. */
static bool goes_by_judge(const struct change *c)
{
    return c->unlist && c->unlist->what == HF_LEFT_UNPARK && !c->lane;
}

/* With the write lock. */
static int apply(struct change *c, struct hf_ticket *ticket)
{
    int rc = hf__outage_check(c->store, c->ns, c->ops[0].key, false);

    if (rc == 0 && c->unlist)
        rc = hf__unlist_check(c->store, c->unlist);
    if (rc == 0)
        rc = prepare(c);
    if (rc == 0)
        rc = admit(c);
    if (rc == 0)
        rc = stage(c);
    if (rc == 0)
        rc = c->unlist ? append_unlisting(c) : hf__journal_append(c->store->journal, c->entries, c->n);
    if (rc != 0)
        return rc;
    insert(c);
    if (c->shares && c->store->link)
        hf__link_enqueue(c->store, c->ns, c->staged, c->n, goes_by_judge(c), ticket);
    return 0;
}

/* Nothing to do and nothing to share. */
static bool is_no_op(struct change *c, int *ret_rc)
{
    struct hf_found found;

    if (c->n_ops != 1 || c->ops[0].kind != HF_OP_DELETE || c->shares || c->unlist)
        return false;
    *ret_rc = hf__look_begin(c->store, &c->look);
    if (*ret_rc == 0)
        *ret_rc = hf__look_up(&c->look, c->ops[0].key, &found);
    hf__look_end(&c->look);
    if (*ret_rc != 0)
        return true;
    *ret_rc = HF_NOT_FOUND;
    return !found.live;
}

/* What the change adds; deletes and TTLs are let through to the last. */
static uint64_t added_bytes(const struct change *c)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < c->n_ops; i++) {
        if (c->ops[i].kind == HF_OP_SET || c->ops[i].kind == HF_OP_INCR)
            bytes += c->ops[i].key.len + c->ops[i].value.len;
    }
    return bytes;
}

static int check_room(struct change *c)
{
    uint64_t bytes = added_bytes(c);
    int rc = bytes > 0 ? hf__checkpoint_check_room(c->store, bytes) : 0;

    return rc == 0 ? hf__checkpoint_throttle(c->store) : rc;
}

/* While Redis decides about a key nobody writes it here. Who submits is told so: nobody waits for Redis on his thread. */
static int await_decision(struct change *c)
{
    char shown[80];

    if (!c->never_waits)
        hf__intent_await(c->store, c->ops, c->n_ops);
    else if (hf__intent_is_out(c->store, c->ops, c->n_ops))
        return hf__fail(HF_EBUSY, "the shared tier is deciding about '%s'%s",
                        hf__printable(c->ops[0].key, shown, sizeof(shown)),
                        c->n_ops > 1 ? " or another key of its batch" : "");
    return 0;
}

/* Lock, apply, unlock. */
static int run_once(struct change *c, struct hf_ticket *ticket, struct hf_submission *submission)
{
    struct hf *store = c->store;
    int rc;

    pthread_mutex_lock(&store->write_mutex);
    rc = await_decision(c);
    if (rc == 0 && !is_no_op(c, &rc))
        rc = apply(c, ticket);
    hf__look_end(&c->look); /* nothing is pinned while the disk or Redis is waited for */
    if (rc == 0 && submission) {
        submission->result = c->result;
        submission->may_share = c->shares;
        submission->alone = c->alone;
        hf__done_submit(store, submission);
    }
    pthread_mutex_unlock(&store->write_mutex);
    return rc;
}

/* As it was before it was prepared. */
static void forget(struct change *c)
{
    c->n = c->n_promoted = 0;
    c->alone = false;
    c->shares = c->store->sharing && c->ns->write_mode != HF_WRITE_LOCAL;
    c->lane = c->shares && c->n_ops > 1;
    c->result = (struct hf_result){0};
    c->now_ms = hf__now_ms(c->store);
}

static void tell_alone(const struct change *c)
{
    for (size_t i = 0; i < c->n; i++)
        hf__done_settled(c->store, &(struct hf_settlement){.key = c->entries[i].key,
                                                           .first_lsn = c->entries[i].lsn,
                                                           .last_lsn = c->entries[i].lsn,
                                                           .outcome = HF_OUTCOME_LOCAL,
                                                           .reason = ""});
}

/* Check, and do it; under policy `block` again, when there may be room, but for submissions. */
static int run(struct change *c, struct hf_ticket *ticket, struct hf_submission *submission)
{
    struct hf *store = c->store;
    struct timespec deadline;
    int rc = check_ops(c);

    if (rc == 0)
        rc = hf__outage_check(store, c->ns, c->ops[0].key, !c->never_waits);
    if (rc == 0)
        rc = check_room(c);
    if (rc != 0)
        return rc;
    hf__deadline_in(&deadline, store->opts.redis_timeout_ms);
    rc = run_once(c, ticket, submission);
    while (rc == HF_EBUSY && !c->never_waits && c->claim.may_wait &&
           hf__pending_await(store, &c->claim, &deadline)) {
        forget(c);
        rc = run_once(c, ticket, submission);
    }
    if (rc == 0)
        hf__checkpoint_note_write(store);
    if (rc == 0 && c->alone)
        tell_alone(c);
    return rc;
}

/* ---- waiting ---- */

static bool waits_for_share(const struct change *c)
{
    return c->shares && c->store->link &&
           (c->ns->write_mode == HF_WRITE_THROUGH || hf__outage_refuses(c->store, c->ns));
}

/* Durable first (the link sends meanwhile), then shared. */
static int wait_for(struct change *c, struct hf_ticket *ticket, const struct timespec *deadline)
{
    struct hf_result *r = &c->result;
    enum hf_share share = HF_SHARE_PENDING;
    int rc = hf__journal_wait(c->store->journal, r->lsn);

    if (ticket && !c->alone)
        share = hf__ticket_wait(c->store, ticket, deadline); /* also after a failure: `cond` is on our stack */
    if (rc != 0)
        return rc;
    r->durable = hf__journal_durable_lsn(c->store->journal) >= r->lsn;
    r->shared = (!c->shares && !c->alone) || share == HF_SHARE_DONE;
    r->pending = c->shares && share == HF_SHARE_PENDING;
    if (share == HF_SHARE_DONE && ticket->has_number) { /* nobody writes to the ticket any more */
        r->number = ticket->number;
        r->tentative = false;
    }
    if (share == HF_SHARE_REFUSED) {
        char shown[80];
        return hf__fail(HF_EREFUSED, "Redis refused the change of '%s', which is kept here and parked: %s",
                        hf__printable(c->ops[0].key, shown, sizeof(shown)), ticket->reason);
    }
    if (r->pending && hf__outage_refuses(c->store, c->ns))
        return hf__fail(HF_EUNKNOWN, HF_UNANSWERED);
    return 0;
}

static int write_and_wait(struct hf *store, const struct hf_op *ops, size_t n, struct hf_condition *condition,
                          const struct hf_unlist *unlist, struct hf_result *ret_result)
{
    struct hf_ticket *ticket = NULL;
    struct timespec deadline;
    pthread_cond_t answered;
    struct change c;
    int rc = change_init(&c, store, ops, n);

    c.condition = condition;
    c.unlist = unlist;
    if (rc == 0 && waits_for_share(&c)) {
        hf__cond_init(&answered);
        hf__deadline_in(&deadline, store->opts.redis_timeout_ms);
        ticket = hf__ticket_new(&answered);
        rc = ticket ? 0 : HF_ENOMEM;
    }
    if (rc == 0)
        rc = run(&c, ticket, NULL);
    if (rc == 0)
        rc = wait_for(&c, ticket, &deadline);
    change_release(&c);
    if (ticket)
        pthread_cond_destroy(&answered);
    hf__ticket_release_ref(store, ticket);
    c.result.code = rc;
    if (ret_result &&
        (rc == 0 || rc == HF_EREFUSED || rc == HF_NOT_FOUND || (rc == HF_EUNKNOWN && c.result.pending)))
        *ret_result = c.result;
    return rc;
}

int hf__write(struct hf *store, const struct hf_op *ops, size_t n, struct hf_result *ret_result)
{
    return write_and_wait(store, ops, n, NULL, NULL, ret_result);
}

int hf__write_if(struct hf *store, const struct hf_op *op, struct hf_condition *condition,
                 struct hf_result *ret_result)
{
    return write_and_wait(store, op, 1, condition, NULL, ret_result);
}

int hf__write_unlisting(struct hf *store, const struct hf_op *op, const struct hf_unlist *unlist,
                        struct hf_result *ret_result)
{
    return write_and_wait(store, op, 1, NULL, unlist, ret_result);
}

static int submit(struct change *c, struct hf_submission *s)
{
    struct hf *store = c->store;

    c->never_waits = true;
    s->must_share = hf__outage_refuses(store, c->ns);
    hf__deadline_in(&s->deadline, store->opts.redis_timeout_ms);
    if (waits_for_share(c)) {
        s->ticket = hf__ticket_new(NULL);
        if (!s->ticket)
            return HF_ENOMEM;
    }
    return run(c, s->ticket, s);
}

int hf__write_try(struct hf *store, const struct hf_op *op, struct hf_result *ret_result)
{
    struct change c;
    int rc = change_init(&c, store, op, 1);

    c.never_waits = true;
    if (rc == 0 && (hf__outage_refuses(store, c.ns) || (waits_for_share(&c) && hf__link_is_accepting(store))))
        rc = HF_NOT_DONE;
    if (rc == 0)
        rc = run(&c, NULL, NULL);
    change_release(&c);
    if (rc != 0)
        return rc;
    c.result.durable = hf__journal_durable_lsn(store->journal) >= c.result.lsn;
    c.result.shared = !c.shares && !c.alone;
    c.result.pending = c.shares;
    *ret_result = c.result;
    return 0;
}

int hf__write_async(struct hf *store, const struct hf_op *ops, size_t n, hf_done_fn *done, void *ctx)
{
    struct hf_submission *s = calloc(1, sizeof(*s));
    struct change c;
    int rc;

    if (!s)
        return hf__fail(HF_ENOMEM, "out of memory: a submission");
    s->done = done;
    s->ctx = ctx;
    rc = change_init(&c, store, ops, n);
    if (rc == 0)
        rc = submit(&c, s);
    change_release(&c);
    if (rc == 0) {
        hf__journal_push(store->journal);
    } else {
        hf__ticket_release_ref(store, s->ticket);
        free(s);
    }
    return rc;
}

/* ---- what Redis tells us ---- */

bool hf__write_install(struct hf *store, struct hf_entry *entry, bool journaled)
{
    struct hf_staged staged;

    if (hf__overlay_stage(&store->overlay, entry, HF_VERSION_SETTLED, &staged) != 0)
        return false;
    if (journaled && hf__journal_append(store->journal, entry, 1) != 0)
        return false;
    hf__overlay_insert(&store->overlay, &staged, entry->lsn);
    if (journaled)
        atomic_store_explicit(&store->visible_lsn, entry->lsn, memory_order_release);
    hf__checkpoint_note_write(store);
    return true;
}

void hf__write_result(struct hf *store, struct hf_slice key, uint64_t lsn, int64_t number)
{
    char text[COUNTER_TEXT_MAX];
    struct hf_found found;
    struct hf_look look;
    struct hf_entry entry = {
        .op = HF_ENTRY_RESULT, .type = HF_TYPE_STRING, .key = key, .made_ms = hf__now_ms(store)};

    entry.value = hf__slice(text, (size_t)snprintf(text, sizeof(text), "%" PRId64, number));
    pthread_mutex_lock(&store->write_mutex);
    if (hf__look_begin(store, &look) == 0) {
        if (hf__look_up(&look, key, &found) == 0 && found.live && found.lsn == lsn &&
            !hf__slice_eq(found.value, entry.value)) {
            entry.deadline_ms = found.deadline_ms;
            (void)hf__write_install(store, &entry, true);
        }
        hf__look_end(&look);
    }
    pthread_mutex_unlock(&store->write_mutex);
}

/* A key that is not held may have been written and deleted since, and the checkpoint have forgotten it. */
static bool is_as_seen(const struct hf *store, const struct hf_found *found, const struct hf_seen *seen)
{
    if (found->held != seen->held || found->lsn != seen->lsn)
        return false;
    return found->held || atomic_load(&store->covered_lsn) <= seen->last_lsn;
}

/* The sweep of dead keys removes it, and remembers what a rollback could bring back. */
static bool has_died(const struct hf_found *found)
{
    return found->held && !found->live && found->deadline_ms != 0;
}

static bool has_same_deadline(struct hf *store, const struct hf_entry *fetched, const struct hf_found *found)
{
    struct hf_turn turn;

    hf__turn_begin(store, &turn);
    return hf__judge_same_deadline(fetched->deadline_ms, found->deadline_ms,
                                   hf__turn_uncertainty_ms(&turn, turn.now_ms));
}

/* Redis holds what it had acknowledged of what is held here: the copy keeps the LSN and the time that it was made, by which it is
 * sent again should Redis be rolled back, whoever has changed its life since. */
static bool install_fetched(struct hf *store, struct hf_entry *fetched, const struct hf_found *found)
{
    bool same = fetched->op == HF_ENTRY_SET && found->live && hf__look_is_acknowledged(found) &&
                hf__slice_eq(fetched->value, found->value);

    if (same && has_same_deadline(store, fetched, found))
        return true;
    if (same && found->own_value) {
        fetched->lsn = found->lsn;
        fetched->made_ms = found->made_ms;
    }
    return hf__write_install(store, fetched, false);
}

bool hf__write_fetched(struct hf *store, struct hf_slice key, const struct hf_slice *value, int64_t deadline_ms,
                       const struct hf_seen *seen)
{
    bool settled = false;
    struct hf_found found;
    struct hf_look look;
    enum hf_owed owed;
    struct hf_entry entry = {.op = value ? HF_ENTRY_SET : HF_ENTRY_DELETE,
                             .type = HF_TYPE_STRING,
                             .key = key,
                             .value = value ? *value : hf__slice(NULL, 0),
                             .deadline_ms = deadline_ms,
                             .made_ms = hf__now_ms(store)};

    pthread_mutex_lock(&store->write_mutex);
    if (hf__look_begin(store, &look) == 0) {
        if (hf__look_up(&look, key, &found) == 0 && hf__look_owed(&look, key, &found, &owed) == 0)
            settled = owed != HF_OWED_NOTHING || (!value && has_died(&found)) ||
                      (is_as_seen(store, &found, seen) && install_fetched(store, &entry, &found));
        hf__look_end(&look);
    }
    pthread_mutex_unlock(&store->write_mutex);
    return settled;
}

static uint8_t op_again(const struct hf_found *found, uint32_t flags)
{
    if (!found->live)
        return HF_ENTRY_DELETE;
    if (!(flags & HF_ENTRY_RESEND) || !found->only_life_ours)
        return HF_ENTRY_SET;
    return found->deadline_ms ? HF_ENTRY_EXPIRE : HF_ENTRY_PERSIST;
}

/* Unsettled, with the time it was made. With the write lock. */
static int append_again(struct hf *store, struct hf_slice key, const struct hf_found *found, uint32_t flags,
                        int64_t made_ms)
{
    uint8_t op = op_again(found, flags);
    struct hf_staged staged;
    struct hf_entry entry = {.op = op,
                             .type = HF_TYPE_STRING,
                             .flags = flags,
                             .key = key,
                             .value = op == HF_ENTRY_SET ? found->value : hf__slice(NULL, 0),
                             .deadline_ms = found->live ? found->deadline_ms : 0,
                             .made_ms = made_ms};
    int rc = hf__overlay_stage(&store->overlay, &entry, HF_VERSION_UNSETTLED, &staged);

    if (rc == 0)
        rc = hf__journal_append(store->journal, &entry, 1);
    if (rc != 0)
        return rc;
    if (flags & HF_ENTRY_LANE)
        atomic_fetch_add(&store->lane_open, 1);
    hf__overlay_insert(&store->overlay, &staged, entry.lsn);
    hf__pending_inserted(store, &staged, false); /* it was owed nothing, or its lane */
    atomic_store_explicit(&store->visible_lsn, entry.lsn, memory_order_release);
    hf__checkpoint_note_write(store);
    return 0;
}

/* It came behind what its key's lane brings back. What has joined has the LSN of its lane. */
static int joins_lane(struct hf_look *look, struct hf_slice key, const struct hf_found *found,
                      const struct hf_lane_entry *deleted, bool *ret_joins)
{
    struct hf_local_snap *snap = NULL;
    uint64_t last_lsn = 0;
    int rc = 0;

    *ret_joins = false;
    if (found->top)
        return 0;
    rc = hf__look_snap(look, &snap);
    if (rc == 0)
        rc = look->store->local->ops->lane_last(snap, key, &last_lsn);
    *ret_joins = rc == 0 && (deleted ? deleted->lsn : found->lsn) > last_lsn;
    return rc;
}

/* HF_NOT_FOUND: there is nothing to do. With the write lock. */
static int check_again(struct hf_look *look, struct hf_slice key, const struct hf_lane_entry *deleted,
                       uint32_t *flags, struct hf_found *ret_found)
{
    enum hf_owed owed = HF_OWED_NOTHING;
    bool joins = false;
    int rc = hf__look_up(look, key, ret_found);

    if (rc == 0)
        rc = hf__look_owed(look, key, ret_found, &owed);
    if (rc == 0 && owed == HF_OWED_LANE && (*flags & HF_ENTRY_RESEND))
        rc = joins_lane(look, key, ret_found, deleted, &joins);
    if (rc == 0 && ((owed != HF_OWED_NOTHING && !joins) || ret_found->live == (deleted != NULL)))
        rc = HF_NOT_FOUND;
    if (joins)
        *flags |= HF_ENTRY_LANE;
    return rc;
}

int hf__write_again(struct hf *store, struct hf_slice key, uint32_t why, const struct hf_lane_entry *deleted)
{
    uint32_t flags = why;
    struct hf_found found;
    struct hf_look look;
    int rc;

    pthread_mutex_lock(&store->write_mutex);
    rc = hf__look_begin(store, &look);
    if (rc == 0)
        rc = check_again(&look, key, deleted, &flags, &found);
    if (rc == 0)
        rc = append_again(store, key, &found, flags, deleted ? deleted->made_ms : found.made_ms);
    hf__look_end(&look);
    pthread_mutex_unlock(&store->write_mutex);
    return rc == HF_NOT_FOUND ? 0 : rc;
}

/* Nothing newer of ours stands over the key. With the write lock. */
static bool is_newest(struct hf *store, struct hf_slice key, uint64_t lsn)
{
    struct hf_found found;
    struct hf_look look;
    bool newest = false;

    if (hf__look_begin(store, &look) == 0) {
        newest = hf__look_up(&look, key, &found) == 0 && found.lsn <= lsn;
        hf__look_end(&look);
    }
    return newest;
}

bool hf__write_stored(struct hf *store, struct hf_slice key, uint64_t lsn)
{
    bool newest;

    pthread_mutex_lock(&store->write_mutex);
    newest = is_newest(store, key, lsn);
    hf__settle_key(store, key, lsn);
    pthread_mutex_unlock(&store->write_mutex);
    return newest;
}

/* Settled first: a checkpoint under way then has the conflict, the row's end and the copy together. */
bool hf__write_verdict(struct hf *store, struct hf_slice key, uint64_t lsn, const struct hf_verdict *verdict)
{
    struct hf_entry entry = {.op = verdict->theirs ? HF_ENTRY_SET : HF_ENTRY_DELETE,
                             .type = HF_TYPE_STRING,
                             .key = key,
                             .value = verdict->theirs ? *verdict->theirs : hf__slice(NULL, 0),
                             .deadline_ms = verdict->theirs ? verdict->theirs_deadline_ms : 0,
                             .made_ms = verdict->ours_made_ms ? verdict->ours_made_ms : hf__now_ms(store)};
    struct hf_staged staged;
    bool done;

    pthread_mutex_lock(&store->write_mutex);
    done = !verdict->take_theirs || hf__overlay_stage(&store->overlay, &entry, HF_VERSION_SETTLED, &staged) == 0;
    done = done && is_newest(store, key, lsn) && hf__settle_verdict(store, key, lsn, verdict);
    if (done && verdict->take_theirs)
        hf__overlay_insert(&store->overlay, &staged, verdict->ours_made_ms ? lsn : 0);
    pthread_mutex_unlock(&store->write_mutex);
    return done;
}

/* A local delete in the journal: its LSN numbers the conflict. With the write lock. */
static bool give_up(struct hf *store, struct hf_slice key, const struct hf_found *found,
                    struct hf_conflict_row *row)
{
    struct hf_verdict verdict = {.conflict = row};
    bool too_long = found->value.len > HF_CONFLICT_VALUE_MAX;
    struct hf_version_id id = hf__version_id(found->value, 0);
    struct hf_staged staged;
    struct hf_entry entry = {.op = HF_ENTRY_DELETE,
                             .type = HF_TYPE_STRING,
                             .flags = HF_ENTRY_LOCAL,
                             .key = key,
                             .made_ms = hf__now_ms(store)};

    if (hf__overlay_stage(&store->overlay, &entry, HF_VERSION_SETTLED, &staged) != 0 ||
        hf__journal_append(store->journal, &entry, 1) != 0)
        return false;
    row->id = entry.lsn;
    row->key = key;
    row->ours =
        (struct hf_conflict_side){.present = true,
                                  .too_long = too_long,
                                  .value = too_long ? hf__slice(id.digest, sizeof(id.digest)) : found->value,
                                  .len = found->value.len,
                                  .deadline_ms = found->deadline_ms,
                                  .made_ms = found->made_ms};
    hf__overlay_insert(&store->overlay, &staged, entry.lsn);
    atomic_store_explicit(&store->visible_lsn, entry.lsn, memory_order_release);
    hf__checkpoint_note_write(store);
    return hf__settle_verdict(store, key, entry.lsn, &verdict);
}

bool hf__write_adopted(struct hf *store, struct hf_slice key, uint64_t lsn, struct hf_conflict_row *row)
{
    enum hf_owed owed = HF_OWED_NOTHING;
    struct hf_found found;
    struct hf_look look;
    bool done = true;

    pthread_mutex_lock(&store->write_mutex);
    if (hf__look_begin(store, &look) == 0) {
        if (hf__look_up(&look, key, &found) == 0 && hf__look_owed(&look, key, &found, &owed) == 0 && found.live &&
            owed == HF_OWED_NOTHING && found.lsn == lsn)
            done = give_up(store, key, &found, row);
        hf__look_end(&look);
    }
    pthread_mutex_unlock(&store->write_mutex);
    return done;
}
