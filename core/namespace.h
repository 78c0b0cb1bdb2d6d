/* Namespaces: key prefixes with their own rules, and what the link knows of each one's bookkeeping in Redis. */
#ifndef HF_NAMESPACE_H
#define HF_NAMESPACE_H

#include "bytes.h"

#include <stdatomic.h>

#define HF_STREAM_ID_MAX 48

struct hf_ns {
    struct hf_buf prefix;
    int64_t default_ttl_ms;
    enum hf_write_mode write_mode;
    enum hf_read_mode read_mode;
    bool with_log;
    uint32_t log_max;
    enum hf_conflict_policy conflict;
    enum hf_writers writers;
    enum hf_outage_policy outage;
    enum hf_loss_policy on_loss;
    enum hf_unknown_time_policy unknown_time;
    bool tentative;
    bool keep_replaced;
    struct hf_buf fence_key;

    /* Owned by the link thread. */
    char epoch[33];
    char log_id[HF_STREAM_ID_MAX]; /* the last change-log entry that we know */
    bool log_unread;               /* others may have written to the log since: our own ids do not move log_id on */
    int64_t log_due_ms;            /* not read before this, while online: timeline */
    struct hf_buf log_key, mark_key;
    uint64_t mark; /* the last LSN of our lane that Redis holds */
    char mark_id
        [HF_STREAM_ID_MAX];  /* an entry of the change log that stands there since the mark does; "": not known */
    uint64_t recovered_mark; /* ... or had acknowledged, as the journal says; 0 after the first catch-up */
    uint64_t
        acked_lsn; /* our last plain change that Redis has acknowledged: where it is behind log_id, the log names it */
    char acked_id[HF_STREAM_ID_MAX]; /* ... there; "": only the journal knows of it */
    uint64_t
        ended_mark; /* the last mark of an epoch before this: what it covers is in the values, and never sent again */
    bool losing;    /* what Redis has lost is not made good yet: a new connection finds the loss again */
    bool fresh;     /* this epoch began without us: no entry of ours from before was applied in it */
    bool sweep;     /* the copies are to be compared, because the log cannot tell what changed */
    unsigned n_distrusts;        /* times that this was found */
    _Atomic bool adopt;          /* ... and what Redis lacks is lost, by policy; read by any thread */
    enum hf_loss_policy decided; /* by the operator, for this loss; link.mutex */
    bool awaits_decision;        /* link.mutex */
    _Atomic bool verified;       /* every copy is what Redis holds, as far as it tells us; any thread */
};

/* Redis has acknowledged our change `lsn`, which its change log names at `id` ("": somewhere behind log_id). */
void hf__ns_note_acked(struct hf_ns *ns, uint64_t lsn, const char *id);

/* The log of before is gone, or what it no longer names is made good. */
void hf__ns_forget_acked(struct hf_ns *ns);

/* It was gone: the copies are to be compared, on this connection or the next, of this opening or the next. */
void hf__ns_forget_log(struct hf_ns *ns);

/* The last LSN of our lane that Redis has acknowledged, as far as is known. */
static inline uint64_t hf__ns_known_mark(const struct hf_ns *ns)
{
    return ns->mark > ns->recovered_mark ? ns->mark : ns->recovered_mark;
}

struct hf_ns_table {
    struct hf_ns *all; /* longest prefix first; the last one is "" */
    size_t n;
};

/* Copy and check the namespaces of the options, adding "" when it is not there. HF_EINVAL names the bad one. */
int hf__ns_table_init(struct hf_ns_table *table, const struct hf_namespace *namespaces, size_t n, const char *node);
void hf__ns_table_release(struct hf_ns_table *table);

/* The namespace that rules a key; never NULL. */
static inline struct hf_ns *hf__ns_of(const struct hf_ns_table *table, struct hf_slice key)
{
    struct hf_ns *ns = table->all, *last = ns + table->n - 1;

    while (ns < last && !hf__slice_starts_with(key, hf__slice(ns->prefix.data, ns->prefix.len)))
        ns++;
    return ns;
}

/* Take over an epoch: the names of its log and its cursor's start change with it. HF_ENOMEM. */
int hf__ns_set_epoch(struct hf_ns *ns, const char *epoch);

/* The name `_hf:<prefix><what><rest>` of a key of its bookkeeping: ":epoch", ":log:", ":mark:". HF_ENOMEM. */
int hf__ns_key(const struct hf_ns *ns, const char *what, const char *rest, struct hf_buf *ret_key);

#endif
