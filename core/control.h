/* The control page: what other processes may know of a running owner (docs/journal-format.md). */
#ifndef HF_CONTROL_H
#define HF_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

struct hf_control;

/* Map <dir>/control, made when `writable`. A reader of a store without one gets HF_NOT_FOUND. */
int hf__control_open(int dir_fd, bool writable, struct hf_control **ret_control);
void hf__control_close(struct hf_control *control); /* accepts NULL */

/* The owner. */
void hf__control_start(struct hf_control *control, uint64_t pid, uint64_t durable_lsn, uint64_t oldest_lsn);
void hf__control_note_durable(struct hf_control *control, uint64_t durable_lsn, uint64_t last_lsn);
void hf__control_note_oldest(struct hf_control *control, uint64_t oldest_lsn);
void hf__control_stop(struct hf_control *control); /* the owner leaves in order */

/* Readers. Meaningful only while an owner holds the lock. */
uint64_t hf__control_durable_lsn(const struct hf_control *control);
uint64_t hf__control_oldest_lsn(const struct hf_control *control);

#endif
