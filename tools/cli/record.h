/* A record as a JSON line: what import reads and export writes. */
#ifndef CLI_RECORD_H
#define CLI_RECORD_H

#include <holdfast.h>

struct cJSON;

struct cli_record {
    struct hf_slice key, value;
    int64_t deadline_ms; /* expires_at_ms; 0: not given */
    int64_t ttl_ms;      /* 0: not given */
    struct cJSON *json;  /* owns text */
    void *key_bytes;     /* own what was base64 */
    void *value_bytes;
};

/* Parse a line, which has a NUL behind it. True; or false and a sentence without a full stop in `problem`. */
bool cli_record_parse(const char *line, size_t len, struct cli_record *ret_record, char *problem, size_t size);
void cli_record_release(struct cli_record *record);

#endif
