/* Keys, values and times for the eye. */
#ifndef CLI_SHOW_H
#define CLI_SHOW_H

#include "json.h"

/* UTF-8 as it is, control characters and other bytes as \xNN. */
void cli_put_visible(FILE *file, struct hf_slice bytes);
/* The same in at most `width` columns, with "..." where it was cut. Returns the columns used. */
size_t cli_put_cut(FILE *file, struct hf_slice bytes, size_t width);
/* Spaces for the columns that were not used. */
void cli_pad(FILE *file, size_t used, size_t width);
/* Both: for a column that is not the last. */
void cli_put_cell(FILE *file, struct hf_slice bytes, size_t width);

/* Room for what the next two write. */
#define CLI_TIME_ROOM 64

/* "2026-07-01T12:00:00.123Z"; a time that is 0 is "unknown". Returns `text`, which has CLI_TIME_ROOM bytes. */
const char *cli_time(char *text, int64_t ms);
/* The same with " +-3 ms" behind it. */
const char *cli_time_about(char *text, int64_t ms, int64_t uncertainty_ms);

/* One side of a conflict, cut: the value, or why there is none. Returns the columns used. */
size_t cli_put_side_cut(FILE *file, const struct hf_side *side, size_t width);
/* "120 bytes, made ..., expires ..."; only "absent, since ..." for a side without value. */
void cli_put_side(FILE *file, const struct hf_side *side);

/* The same as a member: present, bytes, too_long, made_at_ms, uncertainty_ms, expires_at_ms and, `with_value`, the value. */
void cli_json_side(struct cli_json *json, const char *name, const struct hf_side *side, bool with_value);
/* A time as a number, null for 0. */
void cli_json_time(struct cli_json *json, const char *name, int64_t ms);
/* The name of an outcome in JSON: its text with '_' for spaces. */
void cli_json_outcome(struct cli_json *json, const char *name, enum hf_outcome outcome);
/* Counts by outcome as a member, without those still pending. */
void cli_json_outcomes(struct cli_json *json, const char *name, const uint64_t counts[HF_N_OUTCOMES]);

/* "set", "delete", ... and "ours", "theirs", "merged". */
const char *cli_kind_text(enum hf_op_kind kind);
const char *cli_winner_text(enum hf_winner winner);

#endif
