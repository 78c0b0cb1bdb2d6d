/* The Lua scripts that run inside Redis, and how they are called.
 *
 * They are constants; everything that varies is an argument. LSNs stay decimal strings in them, for a Lua number is
 * a double. EVALSHA is tried first and EVAL follows upon NOSCRIPT; only EVAL ever stands inside MULTI, where a
 * NOSCRIPT would come at EXEC, with the neighbours applied. */
#ifndef HF_REDIS_SCRIPTS_H
#define HF_REDIS_SCRIPTS_H

#include "command.h"

enum hf__script {
    HF__SCRIPT_TOKEN, /* set our session token although Redis is out of memory */
    HF__SCRIPT_LANE,  /* examine all, then apply all, guarded by token and mark */
    HF__SCRIPT_GUARDED, /* changes of keys that hold what was expected, with their log entries; deletes also out of memory */
    HF__SCRIPT_ALLOW,   /* take the latch away unless others have written to the logs */
    HF__SCRIPT_NAME,    /* name in the logs what was made, if the latch says that it was */
    HF__SCRIPT_FETCH,   /* a value and what remains of its life, of the same instant */
    HF__SCRIPT_EPOCH,   /* make an epoch with its log, unless there is one */
    HF__SCRIPT_EXAMINE, /* what is under keys: type, length, digest, and what more is wanted */
    HF__SCRIPT_DECIDE,  /* compare, then act, guarded by token */
    HF__N_SCRIPTS
};

/* Zeroed is empty. */
struct hf__scripts {
    char *text[HF__N_SCRIPTS];
    char sha[HF__N_SCRIPTS][41];
};

/* Put the scripts together. Returns 0 or HF_ENOMEM. Released in both cases. */
int hf__scripts_init(struct hf__scripts *scripts);
void hf__scripts_release(struct hf__scripts *scripts);

/* Begin the command that calls a script: `n_keys` keys and then `n_args` other arguments must follow.
 * `whole`: with the script's text (EVAL) instead of its digest. */
void hf__script_begin(struct hf__command_writer *w, const struct hf__scripts *scripts, enum hf__script script,
                      bool whole, size_t n_keys, size_t n_args);

#endif
