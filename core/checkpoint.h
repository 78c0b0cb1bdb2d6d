/* Checkpoints: moving the overlay's frozen generation into the local tier in one durable commit. */
#ifndef HF_CHECKPOINT_H
#define HF_CHECKPOINT_H

#include "store.h"

/* Start and end the checkpoint thread ("hf-checkpoint"). The end takes a last checkpoint and returns its result. */
int hf__checkpoint_start(struct hf *store);
int hf__checkpoint_stop(struct hf *store);

/* A checkpoint soon; returns at once. */
void hf__checkpoint_request(struct hf *store);
/* The link looks at the operator's file no more (hf__link_looks). */
void hf__checkpoint_wake(struct hf *store);
/* A checkpoint that covers everything written so far; waits for it. Not on the link thread. */
int hf__checkpoint_wait(struct hf *store);
/* Count of the checkpoint that will cover everything written so far; see hf__checkpoint_ended. */
uint64_t hf__checkpoint_ticket(struct hf *store);
bool hf__checkpoint_ended(struct hf *store, uint64_t ticket);

/* Called by a writer before its write: waits while the overlay is far ahead of a checkpoint under way.
 * HF_EFULL (or the checkpoint's own error) when checkpoints fail and the overlay is full. */
int hf__checkpoint_throttle(struct hf *store);
/* Called by a writer after its write. */
void hf__checkpoint_note_write(struct hf *store);
/* The same for a settled change, with checkpoint.mutex. */
void hf__checkpoint_note_settled(struct hf *store);

/* Between freezing and commit; with checkpoint.mutex. */
bool hf__checkpoint_is_draining(const struct hf *store);

/* Read the counts of the local tier's last commit: what is owed, and the room that is left. */
int hf__checkpoint_count(struct hf *store);
/* Whether the overlay has room for `bytes` more that the local tier can take, too. HF_EFULL. */
int hf__checkpoint_check_room(struct hf *store, uint64_t bytes);

/* One checkpoint on this thread (opening, before the threads run). */
int hf__checkpoint_run(struct hf *store);

/* Names in the local tier's meta table. */
#define HF_META_NODE "node"
#define HF_META_RESERVED "reserved_lsn"
#define HF_META_TIME "time_ms"
#define HF_META_CLOCK "clock" /* what belongs to that time: clock_meta.h */
#define HF_META_SHARED "shared"
#define HF_META_RETAINED_FLOOR                                                                                     \
    "retained_floor:" /* and the prefix: the last lane entry that is no longer retained; u64 LSN, key */
#define HF_META_OPENINGS "openings" /* ids of openings with a shared tier, 16 digits each: owner.c */
#define HF_META_INHERITED                                                                                          \
    "inherited_lsn"               /* what was written up to here was written under another node's id: renew.c */
#define HF_META_SERVER "server"   /* the run id of the server that the cursors speak of */
#define HF_META_REPLAYS "replays" /* past ones: link_past.c */
#define HF_META_INTENTS "intents" /* each: u64 LSN, u16 length, key */
#define HF_META_CURSOR "cursor:"  /* and the prefix: epoch, log id, mark */

/* Such a name of a namespace's own, in `bytes`. */
#define HF_META_NAME_MAX 512
struct hf_slice hf__meta_name(const char *what, const struct hf_ns *ns, uint8_t bytes[HF_META_NAME_MAX]);

#endif
