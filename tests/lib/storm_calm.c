/* A store of the storm after it: drained, compared, and all that it holds recorded. */
#include "storm.h"

#include "scratch.h"

#define CALM_MS 30000 /* for a store to become online, drained and verified, at the most */

void storm_drain(struct storm_node *n)
{
    struct hf_status status;
    int rc;

    storm_locks_end(&n->locks);
    rc = wait_link(n->store, HF_LINK_ONLINE, CALM_MS) ? hf_drain(n->store, CALM_MS) : HF_ETIMEOUT;

    if (rc != 0 && hf_status(n->store, &status) == 0)
        fprintf(stderr, "storm: node %u.%u is %s (%s), %llu keys and %llu operations pending, parked %llu\n",
                n->number, n->life, hf_link_text(status.link), status.link_reason,
                (unsigned long long)status.pending_keys, (unsigned long long)status.pending_ops,
                (unsigned long long)status.parked);
    if (rc != 0)
        n->give_up(n, "hf_drain", rc);
}

/* By Redis's clock, which the store's timeline need not be near. */
static int64_t by_redis(struct storm_node *n, int64_t deadline_ms)
{
    struct hf_status status;

    if (deadline_ms == 0 || hf_status(n->store, &status) != 0 || !status.clock_known)
        return deadline_ms;
    return deadline_ms + status.clock_offset_ms;
}

#define ASKED_MAX 20 /* times, while nothing is held and Redis does not answer in time */

static bool is_unanswered(const struct storm_record *r, const struct hf_result *result)
{
    return r->rc == HF_NOT_FOUND && result->origin == HF_ORIGIN_NONE;
}

void storm_record_key(struct storm_node *n, enum storm_what what, const struct storm_key *key)
{
    struct storm_record r = storm_record_of(n, what);
    struct hf_result result = {0};
    struct hf_buf value = {0};

    snprintf(r.key, sizeof(r.key), "%s", key->name);
    for (unsigned i = 0; i < (what == STORM_FINAL ? ASKED_MAX : 1) && (i == 0 || is_unanswered(&r, &result)); i++)
        r.rc = hf_get(n->store, s_(key->name), &value, &result);
    if (r.rc == 0)
        storm_value_text(value.data, value.len, r.text);
    if (!storm_is_expected(r.rc))
        n->give_up(n, "hf_get", r.rc);
    hf_buf_release(&value);
    r.number = by_redis(n, result.deadline_ms);
    r.lsn = result.lsn;
    r.id = result.origin;
    r.flags = storm_flags_of(&result);
    storm_record_put(n->log, &r);
}

void storm_record_opened(struct storm_node *n)
{
    struct storm_record opened = storm_record_of(n, STORM_OPENED);
    struct hf_status status;
    int rc = hf_status(n->store, &status);

    if (rc != 0) {
        n->give_up(n, "hf_status", rc);
        return;
    }
    snprintf(opened.text, sizeof(opened.text), "%s", status.node);
    storm_record_put(n->log, &opened);
    for (unsigned i = 0; i < n->plan.n_keys; i++) {
        if (n->plan.keys[i].kind == STORM_PRIVATE && n->plan.keys[i].owner == n->number)
            storm_record_key(n, STORM_FOUND, &n->plan.keys[i]);
    }
}

static void record_scan(struct storm_node *n)
{
    struct hf_slice key, value;
    struct hf_result result;
    struct hf_scan *scan;
    int rc = hf_scan_open(n->store, s_(""), s_(""), &scan);

    if (rc != 0) {
        n->give_up(n, "hf_scan_open", rc);
        return;
    }
    while ((rc = hf_scan_next(scan, &key, &value, &result)) == 0) {
        struct storm_record r = storm_record_of(n, STORM_SCANNED);
        snprintf(r.key, sizeof(r.key), "%.*s", (int)key.len, (const char *)key.data);
        storm_value_text(value.data, value.len, r.text);
        r.number = by_redis(n, result.deadline_ms);
        r.lsn = result.lsn;
        r.id = result.origin;
        storm_record_put(n->log, &r);
    }
    hf_scan_close(scan);
    if (rc != HF_NOT_FOUND)
        n->give_up(n, "hf_scan_next", rc);
}

static int record_parked(void *ctx, const struct hf_parked *entry)
{
    struct storm_node *n = ctx;
    struct storm_record r = storm_record_of(n, STORM_PARKED);

    snprintf(r.key, sizeof(r.key), "%.*s", (int)entry->key.len, (const char *)entry->key.data);
    storm_value_text(entry->value.data, entry->value.len, r.text);
    r.lsn = entry->lsn;
    r.number = entry->delta;
    r.rc = entry->kind;
    r.flags = entry->in_doubt ? STORM_IN_DOUBT : 0;
    storm_record_put(n->log, &r);
    return 0;
}

static int record_conflict(void *ctx, const struct hf_conflict *conflict)
{
    struct storm_node *n = ctx;
    struct storm_record r = storm_record_of(n, STORM_CONFLICT);

    snprintf(r.key, sizeof(r.key), "%.*s", (int)conflict->key.len, (const char *)conflict->key.data);
    if (conflict->ours.present && !conflict->ours.too_long)
        storm_value_text(conflict->ours.value.data, conflict->ours.value.len, r.text);
    r.lsn = conflict->id;
    r.rc = conflict->winner;
    r.op = conflict->blind ? 'B' : 'c';
    storm_record_put(n->log, &r);
    return 0;
}

static void record_status(struct storm_node *n)
{
    struct storm_record r = storm_record_of(n, STORM_STATUS);
    struct hf_status status;
    int rc = hf_status(n->store, &status);

    if (rc != 0)
        n->give_up(n, "hf_status", rc);
    r.number = (int64_t)status.conflicts + (int64_t)status.blind_conflicts;
    r.id = (unsigned)status.parked;
    r.lsn = (uint64_t)status.clock_uncertainty_ms;
    r.lsn2 = status.quarantined + status.lost_conflicts + status.dropped;
    r.rc = (int)status.pending_keys;
    storm_record_put(n->log, &r);
}

/* What was parked stays here, unverified, until the operator has decided. */
static bool is_parked(struct storm_node *n, struct hf_slice key, uint64_t lsn)
{
    enum hf_outcome outcome;

    return hf_outcome(n->store, key, lsn, &outcome) == 0 &&
           (outcome == HF_OUTCOME_PARKED || outcome == HF_OUTCOME_IN_DOUBT);
}

static bool is_verified(struct storm_node *n, struct hf_slice key)
{
    struct hf_buf value = {0};
    struct hf_result result = {0};
    bool verified = hf_get(n->store, key, &value, &result) != 0 || result.origin == HF_ORIGIN_LOCAL_VERIFIED ||
                    is_parked(n, key, result.lsn);

    if (!verified)
        snprintf(n->unquiet, sizeof(n->unquiet), "'%.*s' has origin %d", (int)key.len, (const char *)key.data,
                 result.origin);
    hf_buf_release(&value);
    return verified;
}

static bool is_quiet(void *ctx)
{
    struct storm_node *n = ctx;
    struct hf_status status;
    struct hf_slice key, value;
    struct hf_scan *scan;
    bool quiet = hf_status(n->store, &status) == 0 && status.link == HF_LINK_ONLINE && status.gaps == 0;

    if (!quiet)
        snprintf(n->unquiet, sizeof(n->unquiet), "%s, %llu gaps", hf_link_text(status.link),
                 (unsigned long long)status.gaps);
    if (!quiet || hf_scan_open(n->store, s_(""), s_(""), &scan) != 0)
        return false;
    while (quiet && hf_scan_next(scan, &key, &value, NULL) == 0)
        quiet = is_verified(n, key);
    hf_scan_close(scan);
    return quiet;
}

void storm_verify(struct storm_node *n)
{
    if (!wait_until(is_quiet, n, CALM_MS)) {
        fprintf(stderr, "storm: node %u.%u: not quiet: %s\n", n->number, n->life, n->unquiet);
        n->give_up(n, "waiting for all copies to be verified", HF_ETIMEOUT);
    }
    record_scan(n);
    for (unsigned i = 0; i < n->plan.n_keys; i++)
        storm_record_key(n, STORM_FINAL, &n->plan.keys[i]);
    if (hf_parked_list(n->store, record_parked, n) != 0 || hf_conflict_list(n->store, 0, record_conflict, n) != 0)
        n->give_up(n, "listing", -1);
    record_status(n);
}
