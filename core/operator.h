/* What the operator has set for the link, in a file that outlives the process and that others may change: the tool sets
 * it beside a running owner (docs/operator-files.md). */
#ifndef HF_OPERATOR_H
#define HF_OPERATOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct hf;

struct hf_operator {
    bool paused;
    bool throttled;              /* the bounds below replace those of the options */
    uint64_t replay_ops_per_s;   /* 0: no bound */
    uint64_t replay_bytes_per_s; /* 0: no bound */
};

/* The file as hf__operator_changed has seen it; zeros: it was not there. */
struct hf_operator_seen {
    ino_t inode;
    off_t size;
    int64_t mtime_s, mtime_ns;
};

/* Read what is set. Zeros when nothing is. HF_ECORRUPT, HF_EVERSION, HF_EIO name the file. */
int hf__operator_load(struct hf *store, struct hf_operator *ret_settings);
/* Replace what is set, durably and as a whole; HF_EIO, HF_EFULL, HF_EBUSY: it is as it was (after HF_EIO it may be the new). */
int hf__operator_save(struct hf *store, const struct hf_operator *settings);
/* Whether the file is another one than when this was last asked (first: than none). Costs a look at its name; for one
 * thread at a time. Ask before loading: what changes in between is told by the next call. */
bool hf__operator_changed(struct hf *store);

#endif
