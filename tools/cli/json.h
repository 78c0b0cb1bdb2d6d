/* Writing JSON: one object a line, straight to a file. */
#ifndef CLI_JSON_H
#define CLI_JSON_H

#include <holdfast.h>

#include <stdio.h>

/* An object being written. Members come in any number and order; names are plain ASCII. */
struct cli_json {
    FILE *file;
    bool has_member; /* in the innermost object or array */
};

/* Begin an object, as a member when it has a name. */
void cli_json_begin(struct cli_json *json, const char *name);
void cli_json_end(struct cli_json *json);
/* The same for an array; its items are nameless objects. */
void cli_json_begin_array(struct cli_json *json, const char *name);
void cli_json_end_array(struct cli_json *json);
/* End the outermost object and its line. */
void cli_json_end_line(struct cli_json *json);

void cli_json_null(struct cli_json *json, const char *name);
void cli_json_bool(struct cli_json *json, const char *name, bool value);
void cli_json_int(struct cli_json *json, const char *name, int64_t value);
void cli_json_uint(struct cli_json *json, const char *name, uint64_t value);
void cli_json_text(struct cli_json *json, const char *name, const char *value);
/* "name": "..." when the bytes are text, else "name_b64": "...". */
void cli_json_bytes(struct cli_json *json, const char *name, struct hf_slice value);

/* A record as import reads it: key, value and expires_at_ms. `value` NULL: left out; deadline 0: left out. */
void cli_json_record(struct cli_json *json, struct hf_slice key, const struct hf_slice *value, int64_t deadline_ms);
/* What is known about a write. */
void cli_json_written(struct cli_json *json, const struct hf_result *result);
/* What is known about a read. */
void cli_json_origin(struct cli_json *json, const struct hf_result *result);

const char *cli_origin_text(enum hf_origin origin);

/* Only a string in quotes. */
void cli_json_string(FILE *file, struct hf_slice text);

#endif
