/* Between the files of the pair: how what two sides say and hold is written down and compared, and commands of the plain client. */
#ifndef TEST_MODEL_WORDS_H
#define TEST_MODEL_WORDS_H

#include "model_pair.h"

void pair_say(struct pair_words *words, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Printable; of a long one its length and ends. */
void pair_say_value(struct pair_words *words, struct hf_slice value);
void pair_say_error(struct pair_words *words, const struct hf_shared_error *error);
/* 0 and -1 must be the same, others may differ by some seconds. */
void pair_say_about(struct pair_words *words, int64_t ms);
void pair_say_id(struct pair_words *words, size_t space, const char *id);
void pair_say_seen(struct pair_words *words, const struct hf_shared_seen *seen);

/* "step 17, connection 0: ...", where it is asked for. */
void pair_tell_asked(const struct pair *pair);

/* This epoch is in force in a namespace. */
void pair_learn_epoch(struct pair_side *side, size_t space, const char *prefix, const char *epoch);
/* Which of all it is, from 1; 0: "". */
size_t pair_epoch_place(const struct pair_side *side, const char *epoch);

/* With the driver's lock. */
void pair_note_told(struct pair *pair, const struct link_driver *d, const struct hf_slice *keys, size_t n);

/* Read the logs on, on both sides; they must have grown by as many entries. */
void pair_read_logs(struct pair *pair);
/* What both sides have said. */
void pair_compare_words(struct pair *pair);
void pair_compare_told_to(struct pair *pair, size_t conn);

/* ---- the plain client ---- */

extern const char *const pair_prefixes[PAIR_SPACES];

/* `reply`, which must be no error; to be freed. */
redisReply *pair_must(struct pair *pair, redisReply *reply, const char *what);
void pair_run(struct pair *pair, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
