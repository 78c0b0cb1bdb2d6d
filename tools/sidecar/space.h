/* The keys of the store, as commands see them: reads and writes of one call, inside EXEC or not.
 *
 * A handler is written once. It asks for what it must know, and writes:
 *
 *     static void get(struct call *call)
 *     {
 *         struct value value;
 *
 *         if (space_read(call, call->argv[1], &value))
 *             reply_value(call->reply, &value);
 *     }
 *
 * Where it runs, the functions behave as the place demands:
 *
 *  - On the loop they never wait. What cannot be told without waiting makes the call a worker's, where the handler
 *    runs again from its beginning; so it reads before it writes, and replies last. A write is submitted, and its
 *    answer leaves when the store has told how it ended.
 *  - In a worker they wait.
 *  - Inside EXEC reads see what the transaction has written so far, and writes are kept for its end. A read that cannot be
 *    told without waiting makes the transaction Redis's; what a write has to know is asked for by a worker first.
 *
 * A function that returns false has seen to the call: it is answered, a worker's, or passed on. */
#ifndef SIDECAR_SPACE_H
#define SIDECAR_SPACE_H

#include "call.h"

struct cursors;

/* What commands must know of a namespace. */
struct space_rules {
    struct hf_buf prefix;
    bool ours; /* never shared */
    int64_t default_ttl_ms;
};

/* Plugged into the server. */
struct space {
    bool has_redis;
    struct space_rules *rules;
    size_t n_rules;
    struct cursors *cursors;
    struct hf_bytes scratch; /* of the loop thread: the value that was read last */
};

/* `options` are the store's. `seed` differs with every start. Returns 0 or HF_ENOMEM. */
int space_open(const struct hf_options *options, uint64_t seed, struct space **ret_space);
void space_close(struct space *space); /* accepts NULL */

/* The rules of a key; NULL where no namespace was configured for it. */
const struct space_rules *space_rules_of(const struct space *space, struct hf_slice key);

struct value {
    bool live;
    bool
        other_type; /* Redis holds something else than a string; space_look() and space_read_any() show it, in a worker */
    struct hf_slice bytes; /* borrowed until the next read (a look is none); not filled in by space_look() */
    size_t len;
    int64_t deadline_ms; /* the store's timeline; 0: none */
    struct hf_result result;
};

/* ---- reading ---- */

bool space_read(struct call *call, struct hf_slice key, struct value *ret_value);
/* The same for MGET, to which another type is a key without value. */
bool space_read_each(struct call *call, struct hf_slice key, struct value *ret_value);
/* The same for SET: another type is shown, without bytes. */
bool space_read_any(struct call *call, struct hf_slice key, struct value *ret_value);
/* Length, deadline and whether it lives, without the bytes. */
bool space_look(struct call *call, struct hf_slice key, struct value *ret_value);
/* The same for a command that fits every type: where Redis has to be asked, the whole command is passed on to it. */
bool space_look_or_pass(struct call *call, struct hf_slice key, struct value *ret_value);

int64_t space_now_ms(const struct call *call); /* the store's timeline */

/* ---- who decides ---- */

/* Nobody but this store writes the key: its namespace is not shared, or the store has no shared tier. */
bool space_is_ours(const struct call *call, struct hf_slice key);
/* Some keys are, and others are not. */
bool space_has_ours(const struct call *call);
/* What is asked for is Redis's to tell, as it is online. */
bool space_asks_redis(const struct call *call);
/* What depends on the key's value may be decided here and now: the key is ours, or a worker compares, or, inside EXEC, Redis is
 * away. Otherwise false. */
bool space_may_decide(struct call *call, struct hf_slice key);
/* The command is one for Redis as a whole, if it can be asked, and was passed on. */
bool space_passes(struct call *call, struct hf_slice key);
/* Make the call a worker's; inside EXEC, the transaction one that waits, or Redis's. */
void space_wait(struct call *call);

/* ---- writing ---- */

/* Do it, then reply with `answer`, whose bytes are taken over (NULL: "OK"); or with the error. A change of the life of a key
 * that is gone by then counts as done. */
void space_write(struct call *call, const struct hf_op *op, struct reply *answer);
/* Several: each by itself, or all of one namespace at once. */
enum space_unity { SPACE_EACH, SPACE_TOGETHER };
void space_write_all(struct call *call, const struct hf_op *ops, size_t n, enum space_unity unity,
                     struct reply *answer);
/* Add to a counter, and reply with the sum as it turns out; `sum` is what is expected by the value that was read. */
void space_add(struct call *call, struct hf_slice key, int64_t delta, int64_t sum);
/* All at once, for EXEC: the keys are of one namespace, and the sum of the one increment whose sum is Redis's to tell, which is
 * the last one, is put into `answer` at `sum_at`. */
void space_write_sum(struct call *call, const struct hf_op *ops, size_t n, struct reply *answer, size_t sum_at);

/* What the store has told of a read or write of this call. */
void space_told(struct call *call, const struct hf_result *result);

/* An empty reply in the protocol of this call. */
struct reply space_answer(const struct call *call);

#endif
