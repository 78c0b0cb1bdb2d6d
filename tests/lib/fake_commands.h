/* Redis's commands, as far as the tier and its scripts use them: each returns NULL, or Redis's words of refusal, and then it
 * has done nothing. Keys whose life is over are taken away by whoever looks at them. */
#ifndef HF_FAKE_COMMANDS_H
#define HF_FAKE_COMMANDS_H

#include "fake_server.h"

/* Who runs them. */
struct fake_caller {
    struct fake_tier *by; /* the connection that its changes are not told to; NULL: they are told to all */
    bool foreign;         /* no store */
    bool in_script;
    bool in_multi; /* for want of memory, nothing at all is queued */
    bool let;      /* nothing is refused any more: of a transaction, and of a script that has written */
    bool full;     /* out of memory when the script began */
};

enum {
    FAKE_READS = 0,
    FAKE_WRITES = 1,
    FAKE_GROWS = 2,
    FAKE_KEYLESS = 4,
    FAKE_ALWAYS = 8 /* also while LOADING or BUSY */
};
/* What keeps the server from running such a command now. */
const char *fake_refuses(struct fake_caller *caller, unsigned does);
/* As it begins to run; a refusal of the script itself is `*ret_why`. */
struct fake_caller fake_script_caller(const char **ret_why);
uint64_t fake_used_bytes(void);
/* More is held than may be. Where it evicts, it does so until less is, or nothing is left. */
bool fake_is_full(void);

#define FAKE_WRONGTYPE "WRONGTYPE Operation against a key holding the wrong kind of value"

/* What clients see. */
struct fake_key *fake_look(struct hf_slice name);

/* deadline_ms 0: none. */
const char *fake_set(struct fake_caller *caller, struct hf_slice name, struct hf_slice value, int64_t deadline_ms);
const char *fake_set_keeping_ttl(struct fake_caller *caller, struct hf_slice name, struct hf_slice value);
const char *fake_set_if_absent(struct fake_caller *caller, struct hf_slice name, struct hf_slice value,
                               int64_t deadline_ms, bool *ret_set);
const char *fake_delete(struct fake_caller *caller, struct hf_slice name);
const char *fake_expire(struct fake_caller *caller, struct hf_slice name, int64_t deadline_ms);
const char *fake_persist(struct fake_caller *caller, struct hf_slice name);
const char *fake_increment(struct fake_caller *caller, struct hf_slice name, int64_t delta);
/* `*ret_key` is NULL when there is none. */
const char *fake_get(struct fake_caller *caller, struct hf_slice name, const struct fake_key **ret_key);
/* max 0: it is made where it is not. `*ret_there` is false when it was not, and was not made. */
const char *fake_add(struct fake_caller *caller, struct hf_slice name, const struct fake_entry *entry, uint64_t max,
                     bool *ret_there, struct fake_id *ret_id);
/* Of reading a stream; `*ret_key` as for fake_get. */
const char *fake_read(struct fake_caller *caller, struct hf_slice name, const struct fake_key **ret_key);

/* -1: none, -2: no such key */
int64_t fake_pttl(struct hf_slice name);
bool fake_holds_text(const struct fake_key *key, const char *text);

/* The function `log` of the scripts: name changes in an entry, or several of a thousand. */
void fake_log_names(struct fake_caller *caller, struct hf_shared_log *log, const char *node, uint64_t last_lsn,
                    struct fake_name *names, size_t n_names);
uint64_t fake_log_max(const struct hf_shared_log *log);

#endif
