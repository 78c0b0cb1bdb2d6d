/* The audit log: a line for each verb that destroys or overrules something (docs/operator-files.md). */
#ifndef HF_AUDIT_H
#define HF_AUDIT_H

#include "store.h"

#define HF_AUDIT_BYTES_MAX (1u << 20) /* the file is rotated before it would be larger */

/* What is said besides when and who. Never a value, and nothing secret. */
struct hf_audit_entry {
    const char *verb;       /* "conflict-restore", "parked-drop", "pause", ... */
    const struct hf_ns *ns; /* NULL: left out */
    struct hf_slice key;    /* empty: left out */
    uint64_t conflict_id;   /* 0: left out */
    uint64_t lsn;           /* of a parked entry or a change; 0: left out */
    const char *detail;     /* NULL: left out */
};

/* Append a line, which is on the disk when this returns 0; the verb takes effect only then. Also on a read-only handle.
 * HF_EIO, HF_EFULL, HF_EBUSY, HF_ENOMEM: there is no line, and the verb must not be carried out. */
int hf__audit(struct hf *store, const struct hf_audit_entry *entry);

#endif
