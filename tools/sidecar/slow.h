/* The last commands that took long. The loop thread notes them; others look. */
#ifndef SIDECAR_SLOW_H
#define SIDECAR_SLOW_H

#include "json.h"

struct client;
struct command;
struct slow;

#define SLOW_KEPT 128u
#define SLOW_KEY_MAX 64u /* bytes of a key that are kept */

int slow_new(struct slow **ret_slow);
void slow_free(struct slow *slow); /* accepts NULL */

/* ---- on the loop thread ---- */

/* What took longer than this is slow; 0: nothing is. */
void slow_set_after(struct slow *slow, int after_ms);
bool slow_is(const struct slow *slow, uint64_t ns);

/* What is noted of a command: never a value. */
struct slow_note {
    const struct command *command; /* NULL: one that is not known here */
    const struct client *client;
    struct hf_slice key; /* its first one, as far as it is kept; empty: none */
    uint64_t ns;         /* from reading it to its answer */
    bool failed;
};
void slow_add(struct slow *slow, const struct slow_note *note);

/* ---- on any thread ---- */

/* Members of an object: after_ms, and commands, the newest first. */
void slow_write(struct slow *slow, struct json *json);

#endif
