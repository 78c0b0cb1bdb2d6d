/* The metrics of the store, from its status. */
#include "metrics.h"

#include <math.h>
#include <stddef.h>

enum unit { COUNT, MS, YES };

/* One metric for each row: a member of struct hf_status as it is. */
static const struct {
    const char *name, *type, *help;
    enum unit unit;
    size_t at;
} fields[] = {
#define COUNTER(name, member, help)                                                                                \
    {                                                                                                              \
        name, "counter", help, COUNT, offsetof(struct hf_status, member)                                           \
    }
#define GAUGE(name, member, help)                                                                                  \
    {                                                                                                              \
        name, "gauge", help, COUNT, offsetof(struct hf_status, member)                                             \
    }
#define AGE(name, member, help)                                                                                    \
    {                                                                                                              \
        name, "gauge", help, MS, offsetof(struct hf_status, member)                                                \
    }
#define FLAG(name, member, help)                                                                                   \
    {                                                                                                              \
        name, "gauge", help, YES, offsetof(struct hf_status, member)                                               \
    }
    GAUGE("holdfast_keys", keys, "Live keys held here."),
    GAUGE("holdfast_pending_keys", pending_keys, "Keys with a change that Redis has not acknowledged."),
    GAUGE("holdfast_pending_bytes", pending_bytes, "Bytes of their keys and values."),
    GAUGE("holdfast_pending_operations", pending_ops, "Of what is pending: increments and batches."),
    AGE("holdfast_pending_oldest_seconds", oldest_pending_ms, "Age of the oldest pending change; 0: none."),
    GAUGE("holdfast_gaps", gaps, "Keys to be compared with Redis at the next reconcile."),
    GAUGE("holdfast_conflicts", conflicts, "Conflicts kept for the operator."),
    GAUGE("holdfast_blind_conflicts", blind_conflicts, "Replaced values kept for information."),
    COUNTER("holdfast_conflicts_lost_total", lost_conflicts, "Replaced values that a full log did not keep."),
    GAUGE("holdfast_parked", parked, "Changes refused by Redis or in doubt, kept for the operator."),
    GAUGE("holdfast_in_doubt", in_doubt, "Of them: in doubt."),
    COUNTER("holdfast_link_losses_total", link_losses, "Times that Redis was lost."),
    COUNTER("holdfast_data_losses_total", losses, "Times that Redis's data were found gone."),
    COUNTER("holdfast_rollbacks_total", rollbacks, "Times that Redis's data were found rolled back."),
    COUNTER("holdfast_resent_total", resent, "Copies and increments given back, or sent again, after that."),
    COUNTER("holdfast_shared_total", shared_ops, "Changes that Redis has acknowledged."),
    COUNTER("holdfast_replayed_total", replayed_ops, "Of them: replayed after an outage."),
    COUNTER("holdfast_settled_by_log_total", settled_by_log, "Changes found applied by Redis's own evidence."),
    COUNTER("holdfast_expired_in_queue_total", expired_in_queue,
            "Changes whose deadline passed while they waited."),
    COUNTER("holdfast_dropped_total", dropped, "Pending changes dropped at a bound."),
    COUNTER("holdfast_refreshed_total", refreshed, "Copies fetched again from Redis."),
    COUNTER("holdfast_revalidated_total", revalidated, "Copies compared with Redis."),
    FLAG("holdfast_paused", paused, "1: the operator has paused sending to Redis."),
    FLAG("holdfast_adopting", adopting, "1: copies are compared with what Redis holds after a loss."),
    FLAG("holdfast_stopped", stopped, "1: a sync failed, and the store takes no writes."),
    FLAG("holdfast_time_unknown", time_unknown, "1: the time is not known yet."),
    COUNTER("holdfast_clock_jumps_total", clock_jumps, "Times that Redis's clock was stepped."),
    GAUGE("holdfast_last_lsn", last_lsn, "Number of the newest change."),
    GAUGE("holdfast_durable_lsn", durable_lsn, "Everything up to here survives power loss."),
    GAUGE("holdfast_checkpoint_lsn", checkpoint_lsn, "The local tier holds everything up to here."),
    GAUGE("holdfast_journal_bytes", journal_bytes, "Size of the journal's files."),
    GAUGE("holdfast_journal_segments", journal_segments, "Number of the journal's files."),
    GAUGE("holdfast_journal_quarantined", quarantined, "Damaged journal files set aside at open."),
    GAUGE("holdfast_disk_used_bytes", disk_used_bytes, "Used bytes of the local tier."),
    GAUGE("holdfast_disk_limit_bytes", max_disk_bytes, "Their bound."),
    GAUGE("holdfast_replay_limit_operations", replay_ops_per_s,
          "Bound of the replay, in operations a second; 0: none."),
    GAUGE("holdfast_replay_limit_bytes", replay_bytes_per_s, "The same in bytes a second."),
#undef COUNTER
#undef GAUGE
#undef AGE
#undef FLAG
};

static void write_field(const struct hf_status *s, size_t i, struct exposition *e)
{
    const char *at = (const char *)s + fields[i].at;
    uint64_t number = 0;
    bool yes = false;

    exposition_family(e, fields[i].name, fields[i].type, fields[i].help);
    memcpy(fields[i].unit == YES ? (void *)&yes : (void *)&number, at,
           fields[i].unit == YES ? sizeof(yes) : sizeof(number));
    if (fields[i].unit == MS)
        exposition_ms(e, "", NULL, (int64_t)number);
    else
        exposition_unsigned(e, "", NULL, fields[i].unit == YES ? yes : number);
}

/* One sample for each state, of which exactly one is 1. */
static void write_link(const struct hf_status *s, struct exposition *e)
{
    static const enum hf_link_state states[] = {
#define X(name, text) name,
        HF_LINK_MAP(X)
#undef X
    };

    exposition_family(e, "holdfast_link_state", "gauge", "1 for the state that the link to Redis is in.");
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        const struct exposition_label labels[] = {{"state", hf__slice_str(hf_link_text(states[i]))}, {0}};

        exposition_unsigned(e, "", labels, s->link == states[i]);
    }
}

static void write_outcomes(const struct hf_status *s, struct exposition *e)
{
    exposition_family(e, "holdfast_settled_total", "counter", "Changes by how they ended on the shared tier.");
    for (int i = HF_OUTCOME_PENDING + 1; i < HF_N_OUTCOMES; i++) {
        const struct exposition_label labels[] = {{"outcome", hf__slice_str(hf_outcome_text(i))}, {0}};

        exposition_unsigned(e, "", labels, s->settled_by[i]);
    }
}

static void write_clock(const struct hf_status *s, struct exposition *e)
{
    const struct {
        const char *name, *help;
        int64_t ms;
    } clocks[] = {
        {"holdfast_clock_offset_seconds", "Redis's clock minus ours; NaN while it is not known.",
         s->clock_offset_ms},
        {"holdfast_clock_uncertainty_seconds", "Of the offset; NaN while it is not known.",
         s->clock_uncertainty_ms},
    };

    for (size_t i = 0; i < sizeof(clocks) / sizeof(clocks[0]); i++) {
        exposition_family(e, clocks[i].name, "gauge", clocks[i].help);
        if (s->clock_known)
            exposition_ms(e, "", NULL, clocks[i].ms);
        else
            exposition_double(e, "", NULL, (double)NAN);
    }
}

void metrics_write_store(const struct hf_status *status, struct exposition *e)
{
    write_link(status, e);
    write_outcomes(status, e);
    write_clock(status, e);
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        write_field(status, i, e);
}
