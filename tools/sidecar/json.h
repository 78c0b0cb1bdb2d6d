/* JSON being written. Commas come by themselves. After a failed allocation it ignores what follows and keeps `failed`. */
#ifndef SIDECAR_JSON_H
#define SIDECAR_JSON_H

#include "bytes.h"

struct json {
    struct hf_bytes text;
    bool comes_next; /* a value stands before: a comma is due */
    bool failed;
};

void json_begin(struct json *json, char bracket); /* '{' or '[' */
void json_end(struct json *json, char bracket);   /* '}' or ']' */
void json_name(struct json *json, const char *name);

void json_integer(struct json *json, int64_t number);
void json_unsigned(struct json *json, uint64_t number);
void json_bool(struct json *json, bool yes);
void json_null(struct json *json);
void json_text(struct json *json, const char *text);
/* UTF-8 as a string, with escapes for control characters; anything else as {"hex": "00ff"}. */
void json_bytes(struct json *json, struct hf_slice bytes);

/* A member of an object. */
void json_add_integer(struct json *json, const char *name, int64_t number);
void json_add_unsigned(struct json *json, const char *name, uint64_t number);
void json_add_bool(struct json *json, const char *name, bool yes);
void json_add_text(struct json *json, const char *name, const char *text);
void json_add_bytes(struct json *json, const char *name, struct hf_slice bytes);

/* A RESP3 reply that was made here (reply.h), as JSON: maps are objects, an error is a string. Returns the bytes it takes. */
size_t json_reply(struct json *json, struct hf_slice reply);

void json_release(struct json *json);

#endif
