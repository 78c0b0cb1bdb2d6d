/* What an operator is told about a machine, a store and a server: decided from gathered facts, without asking anybody. */
#ifndef HF_FINDINGS_H
#define HF_FINDINGS_H

#include "shared_tier.h"

struct hf_doctor_facts {
    struct hf_status status;
    /* settings of the store */
    enum hf_durability durability;
    int sync_interval_ms;
    uint64_t max_value_bytes, segment_bytes;
    /* the server */
    bool has_shared_tier;
    bool asked;                         /* `shared` holds */
    char why_not[HF_SHARED_REASON_MAX]; /* when it could not be asked */
    struct hf_shared_facts shared;
    /* the machine */
    int64_t wall_ahead_ms;   /* its clock minus the store's timeline */
    bool disk_known;         /* free_bytes holds */
    uint64_t free_bytes;     /* of the store's file system, for this user */
    unsigned dir_mode;       /* permission bits; 0: not known */
    uint64_t n_open_files;   /* files and directories in it that others may read or write, */
    char open_file[128];     /* one of them */
    unsigned open_file_mode; /* and its permission bits */
};

/* Call `each` for every finding until it returns non-zero, which is then returned. Borrowed during the call. */
int hf__findings(const struct hf_doctor_facts *facts, int (*each)(void *ctx, const struct hf_finding *finding),
                 void *ctx);

#endif
