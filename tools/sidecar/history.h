/* How the link and what waits for it went over the last minutes, sampled by a thread of its own. */
#ifndef SIDECAR_HISTORY_H
#define SIDECAR_HISTORY_H

#include "json.h"

struct history;

#define HISTORY_EVERY_MS 1000
#define HISTORY_SAMPLES 900u /* a quarter of an hour of them */
#define HISTORY_CHANGES 512u /* of the link's state; when there are more, the oldest are not told */

/* `store` stays until history_stop(). `every_ms` 0: HISTORY_EVERY_MS. */
int history_start(struct hf *store, int every_ms, struct history **ret_history);
void history_stop(struct history *history); /* accepts NULL */

/* What came after the sample of `since_ms`, on the store's timeline, and after the change with this number, as members of an object:
 * every_ms, now_ms, samples and changes. From any thread. */
void history_write(struct history *history, int64_t since_ms, uint64_t after, struct json *json);

#endif
