/* Comparing what is there, in each tier, with what must be there. Every difference is told by story_wrong(). */
#ifndef MAINJOB_CHECK_H
#define MAINJOB_CHECK_H

#include "model.h"
#include "server.h"

/* How far a deadline in Redis may be from ours: the two clocks of one machine, measured over a socket under load.
 */
#define CHECK_TOLERANCE_MS 50

/* What a key was found to hold. Zeroed: nothing. */
struct check_found {
    bool live;
    const char *value; /* borrowed */
    size_t len;
    int64_t deadline_ms; /* 0: none */
};

/* What was found is a value with a deadline (0: none), or nothing where that deadline has passed or value is NULL.
 */
bool check_fits(const struct check_found *found, const char *value, int64_t deadline_ms, int64_t tolerance_ms);

/* Read a key; the value is `ret_value`'s. 0, or -1 with the reason told. */
int check_read(struct hf *store, const char *key, struct hf_buf *ret_value, struct check_found *ret_found);

/* Every key of the model, and by a walk that nothing else is there. */
void check_store(struct hf *store, const struct model *model);
/* The same in Redis, over a connection of our own. Bookkeeping keys ("_hf:...") are not looked at. */
void check_redis(const struct server *server, const struct model *model);

#endif
