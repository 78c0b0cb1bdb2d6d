/* Recovery: reading the history that the journal holds, telling a torn tail from damage. Changes nothing on disk. */
#ifndef HF_RECOVER_H
#define HF_RECOVER_H

#include "segment.h"

/* Called for each entry in order of LSN; slices are borrowed. Non-zero ends the recovery and is returned. */
typedef int hf_entry_fn(void *ctx, const struct hf_entry *entry);

struct hf_recovery_range {
    uint64_t from_lsn, to_lsn; /* both lost */
    char segment[HF_SEGMENT_NAME_MAX];
};
#define HF_RECOVERY_DAMAGE_MAX 16 /* more ranges are counted, not listed */

struct hf_recovery {
    struct hf_segment_list list; /* with last_lsn filled in */
    uint64_t last_lsn;           /* of the history; at least what the local tier covers */
    uint64_t first_lsn;          /* of the first entry that is still in the journal; 0: none */
    uint64_t durable_lsn;        /* the durable claim */
    uint64_t reserved_lsn;       /* numbering goes on behind this */
    uint64_t max_number;         /* highest segment number */
    uint64_t shared_lsn;         /* from the last group of the history */
    uint64_t exceptions[HF_GROUP_EXCEPTIONS_MAX];
    uint32_t n_exceptions;
    int64_t written_ms;  /* latest time in a header or group */
    uint64_t n_entries;  /* handed to `each` */
    uint64_t torn_bytes; /* lengths of groups that were cut, as far as they can be told */
    uint32_t n_damage;
    struct hf_recovery_range damage[HF_RECOVERY_DAMAGE_MAX];
};

/* Read the journal in `dir`: every entry with covered_lsn < LSN <= limit_lsn goes to `each` (may be NULL).
 * Returns 0 also when damage was found (n_damage); HF_EVERSION, HF_ECORRUPT (mixed stores), HF_EIO, HF_ENOMEM. */
int hf__recover(struct hf_file_layer *fs, int dir, uint64_t covered_lsn, uint64_t limit_lsn, hf_entry_fn *each,
                void *ctx, struct hf_recovery *ret_recovery);
void hf__recovery_release(struct hf_recovery *recovery);

/* Whether the group headers say that Redis has acknowledged this LSN. */
bool hf__recovery_is_shared(const struct hf_recovery *recovery, uint64_t lsn);

#endif
