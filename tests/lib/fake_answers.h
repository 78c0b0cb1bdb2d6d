/* What the fake Redis answers: each function fills in a request as backends/redis does with a real server, doing what its
 * commands and scripts do there, in their order; a turn of the server for each wave of commands. With the lock held.
 *
 * A request comes from a connection's session; `tier` is NULL for one that comes late, when its connection has ended: then
 * only the first wave is there. */
#ifndef HF_FAKE_ANSWERS_H
#define HF_FAKE_ANSWERS_H

#include "fake_commands.h"

struct fake_asker {
    struct fake_tier *tier;
    struct fake_session *session;
};

struct hf_shared_error fake_error(enum hf_shared_class class, const char *reason);
/* Of Redis's words; NULL: none. */
struct hf_shared_error fake_classify(const char *why);
/* What a script answers to a token that is not ours. */
struct hf_shared_error fake_fenced(void);
/* How a request ends that a test has said it for, unless it is applied or lost. */
struct hf_shared_error fake_error_of(enum fake_outcome outcome);

/* The session key holds this connection's token. */
bool fake_is_ours(const struct fake_session *session);
/* A script that compares it first begins: what keeps it from going on. */
struct hf_shared_error fake_begin_script(const struct fake_session *session, struct fake_caller *ret_caller);
/* One of the guards holds. */
bool fake_fits(const struct hf_shared_guard *guards, size_t n, const struct fake_key *key);
bool fake_has_digest(const struct hf_shared_guard *guard, const struct fake_key *key);
/* A name of the log for this change; the key is borrowed. */
struct fake_name fake_name_of(enum hf_shared_op op, struct hf_slice key, uint64_t lsn);

/* Fill in the tier's hello, and write and watch its token; class HF_SHARED_OK, or why it is refused. */
struct hf_shared_error fake_greet(struct fake_tier *tier);
void fake_answer_group(struct fake_asker asker, struct hf_shared_group *group, enum fake_outcome outcome);
void fake_answer_lane(struct fake_asker asker, struct hf_shared_lane *lane, enum fake_outcome outcome);
/* What is handed out is copied into `ret_found`. */
void fake_answer_decide(struct fake_asker asker, struct hf_shared_decide *decide, enum fake_outcome outcome,
                        struct hf_buf *ret_found);
void fake_answer_epoch(struct fake_asker asker, struct hf_shared_epoch *epoch);
void fake_answer_facts(struct fake_asker asker, struct hf_shared_facts *facts, enum fake_outcome outcome);
/* The value is copied into `ret_value`. */
void fake_answer_fetch(struct hf_shared_fetch *fetch, enum fake_outcome outcome, struct hf_buf *ret_value);

/* A copy of what a page of the log names, to be told later. */
struct fake_page {
    struct hf_shared_log_page *page;
    struct fake_stream entries; /* in the order in which they are told */
};
struct fake_page fake_answer_page(struct hf_shared_log_page *page);
/* Call `each` for all of it, while `goes_on`, and release it. */
void fake_tell_page(struct fake_page *told, bool (*goes_on)(void *ctx), void *ctx);

/* `values` and `pages` have room for as many as there are keys and logs. */
void fake_answer_examine(struct fake_asker asker, struct hf_shared_examine *examine, enum fake_outcome outcome,
                         struct hf_buf *values, struct fake_page *pages);

#endif
