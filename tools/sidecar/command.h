/* The table of commands. What is not in it, or has no handler, is passed on to Redis. */
#ifndef SIDECAR_COMMAND_H
#define SIDECAR_COMMAND_H

#include "call.h"

enum command_flags {
    COMMAND_WRITE = 1 << 0,
    COMMAND_READ = 1 << 1,
    COMMAND_BEFORE_AUTH = 1 << 2,  /* AUTH, HELLO, QUIT, RESET */
    COMMAND_SUBSCRIBED = 1 << 3,   /* allowed to a RESP2 client that has subscriptions */
    COMMAND_NOT_QUEUED = 1 << 4,   /* runs at once inside MULTI: EXEC, DISCARD, MULTI, WATCH, QUIT, RESET */
    COMMAND_NOT_IN_MULTI = 1 << 5, /* refused inside MULTI: SUBSCRIBE of RESP2 is not, WATCH has its own error */
    COMMAND_ADMIN = 1 << 6, /* needs the right to operate: HOLDFAST verbs that change something, FLUSHDB, CONFIG */
    COMMAND_PASSED_ON = 1 << 7, /* known, and always passed on */
    COMMAND_ANY_KEYS =
        1 << 8, /* a script: it may touch keys that it does not name, so not for users with prefixes */
    COMMAND_BLOCKING = 1 << 9,      /* Redis may take as long for it as it likes */
    COMMAND_NEVER_PASSED = 1 << 10, /* Redis has it, and no client gets it */
};

/* The keys among the arguments, the first `capacity` of them into `keys`. Returns how many there are, or KEYS_UNKNOWN when that
 * cannot be told: the command is malformed, or names keys by a pattern. */
typedef size_t keys_fn(size_t argc, const struct hf_slice *argv, struct hf_slice *keys, size_t capacity);
#define KEYS_UNKNOWN SIZE_MAX

struct command {
    const char *name; /* lower case */
    void (*run)(struct call *call);
    int arity; /* as Redis counts: with the name; negative: at least so many */
    unsigned flags;
    int first_key, last_key, key_step; /* of the arguments; first_key 0: none; last_key negative: from the end */
    const char *group;                 /* as COMMAND DOCS has it: "string" */
    const char *since;
    keys_fn *keys; /* of one whose keys are not, or not only, at fixed places (movable.h); NULL: they are */
};

/* By name, in any case; NULL: not known. */
const struct command *command_find(struct hf_slice name);
/* Call `each` for every command of the table. */
void command_each(void (*each)(void *ctx, const struct command *command), void *ctx);

/* The keys of any command, in the same way. */
size_t command_keys(const struct command *command, size_t argc, const struct hf_slice *argv, struct hf_slice *keys,
                    size_t capacity);

/* The tables, one of each file that has handlers; ended by a row without name. */
extern const struct command connection_commands[];
extern const struct command string_commands[];
extern const struct command key_commands[];
extern const struct command scan_commands[];
extern const struct command transaction_commands[];
extern const struct command pubsub_commands[];
extern const struct command server_commands[];
extern const struct command holdfast_commands[];
extern const struct command tool_commands[];
extern const struct command
    passed_on_commands[]; /* keys and arity of those that Redis runs: rights and busy keys need them */

#endif
