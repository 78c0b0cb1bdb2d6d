/* Looking a key up: the overlay first, then the local tier, with the one rule for what is there and what is dead. */
#ifndef HF_LOOKUP_H
#define HF_LOOKUP_H

#include "store.h"

/* One consistent look at a store; for one thread, for a short time. */
struct hf_look {
    struct hf *store;
    struct hf_view view;
    struct hf_local_snap *snap; /* taken when first needed, always after the view was pinned */
    uint64_t visible_lsn;
    uint64_t
        trusted; /* store->trusted before: copies that count as verified only since may be newer than what is found */
    bool time_unknown; /* a deadline that has not passed at now_ms may have passed all the same */
    int64_t now_ms;
};

struct hf_found {
    bool held;             /* there is an entry for the key, live, dead or deleted */
    bool live;             /* it has a value, and its deadline has not passed */
    struct hf_slice value; /* borrowed until the look ends */
    int64_t deadline_ms, made_ms;
    uint64_t lsn; /* of the newest change, a TTL's included */
    uint8_t type;
    struct hf_version *top;      /* the newest version in the overlay; NULL: none */
    struct hf_version *of_value; /* the one that holds the value, or is its delete; NULL: the local tier's */
    bool only_ttl;               /* the overlay changes only the deadline of what the local tier holds */
    bool time_unknown;           /* it is live as far as is known: it has a TTL, and the time is not known */
    bool record_shared;          /* the value comes from the local tier, and Redis had acknowledged it ... */
    bool life_shared;            /* ... or not, but a change of its life alone since */
    bool only_life_ours;         /* of what the local tier holds (HF_RECORD_LIFE) */
    bool own_value;              /* a plain change of ours made it: neither a lane, nor another who writes */
};

int hf__look_begin(struct hf *store, struct hf_look *ret_look);
void hf__look_end(struct hf_look *look);
/* The snapshot of this look. */
int hf__look_snap(struct hf_look *look, struct hf_local_snap **ret_snap);
/* 0 also when nothing is held. */
int hf__look_up(struct hf_look *look, struct hf_slice key, struct hf_found *ret_found);
/* The same for a node and a record already at hand (scans); any of the three may be NULL. */
void hf__look_resolve(const struct hf_look *look, const struct hf_node *active, const struct hf_node *frozen,
                      const struct hf_record *record, struct hf_found *ret_found);

/* The key's namespace does not show what may be dead. */
bool hf__look_hides(const struct hf_look *look, struct hf_slice key, const struct hf_found *found);

/* What a key still owes the shared tier. */
enum hf_owed { HF_OWED_NOTHING = 0, HF_OWED_ROW, HF_OWED_LANE };
int hf__look_owed(struct hf_look *look, struct hf_slice key, const struct hf_found *found, enum hf_owed *ret_owed);

/* The plain changes of a key up to `lsn` that still owe a row, or are one; what is to end with a later change is none of them. */
struct hf_owed_range {
    uint64_t first_lsn, last_lsn; /* 0: there are none */
};
int hf__look_owed_until(struct hf_look *look, struct hf_slice key, uint64_t lsn, struct hf_owed_range *ret_range);

/* Whether what is held here, owing nothing, is a change that was parked: Redis holds something else, and that stays so until the
 * operator decides. */
int hf__look_parked(struct hf_look *look, struct hf_slice key, const struct hf_found *found, bool *ret_parked);

/* Redis had what is held here, if it owes nothing. What was parked owes nothing, and Redis has it not. */
bool hf__look_is_acknowledged(const struct hf_found *found);

/* Where a read of it says that it comes from. */
enum hf_origin hf__look_origin(const struct hf_look *look, struct hf_slice key, const struct hf_found *found,
                               enum hf_owed owed);
/* All that a read or a scan reports of it, but whether it is durable: that may change while it is waited for. */
int hf__look_describe(struct hf_look *look, struct hf_slice key, const struct hf_found *found,
                      struct hf_result *ret_result);

/* Wait until the entry may be shown to a reader (promise 1). HF_ESTOPPED when its sync has failed. */
int hf__wait_readable(struct hf *store, uint64_t lsn);
bool hf__is_durable(struct hf *store, uint64_t lsn);

#endif
