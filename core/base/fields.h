/* Documents in JSON, read by tables of fields: each value goes to its place, or one sentence names where it stands, what was found
 * and what was expected. A reader walks the document with the path of where it is, so that every function that meets a bad value
 * can name it. No sentence shows anything that may be a password. */
#ifndef HF_FIELDS_H
#define HF_FIELDS_H

#include <assert.h>
#include <cjson/cJSON.h>
#include <holdfast.h>

#define HF_DOCUMENT_BYTES_MAX (1u << 20) /* a thousand times a long one; keeps /dev/zero and its like out */

struct hf__reader {
    char file[200]; /* printable, and short enough for a sentence with everything else in it */
    char path[128]; /* of the value at hand: "namespaces[2].default_ttl"; "" at the top */
};

/* A member of an object. `read` stores it at `target` + offset, or says what is wrong with it: 0 or an error of the library. */
struct hf__field {
    const char *name;
    int (*read)(struct hf__reader *r, const cJSON *value, const struct hf__field *field, void *target);
    size_t offset;
    uint64_t min, max;        /* durations in milliseconds, sizes in bytes */
    const char *const *words; /* of an enum, in its order, with NULL behind the last one */
    bool hidden;              /* known, but not to be offered */
};

/* Words that name an enum's values in order, up to the last one. */
#define HF__WORDS(words, last)                                                                                     \
    static_assert(sizeof(words) / sizeof((words)[0]) == (last) + 2, "a word for each value");                      \
    static_assert(sizeof(last) == sizeof(unsigned), "an enum of another size")

/* Parse `len` bytes, which have a NUL behind them. Returns 0, HF_ENOMEM, or HF_EINVAL without a sentence: it is no JSON from
 * `*ret_end` on, which may be NULL. */
int hf__json_parse(const char *text, size_t len, const char **ret_end, cJSON **ret_json);

/* ---- where the reader is, and what is wrong there ---- */

/* HF_ECONFIG, with what was found and what was expected. */
int hf__bad(const struct hf__reader *r, const char *found, const char *expected);
int hf__bad_value(const struct hf__reader *r, const cJSON *value,
                  const char *expected); /* the value is what was found */

/* Go down to a member, or to an item of an array; the answer takes hf__leave() back up. After a failure the path stays. */
size_t hf__enter(struct hf__reader *r, const char *name);
size_t hf__enter_item(struct hf__reader *r, size_t i);
void hf__leave(struct hf__reader *r, size_t level);

/* Read all members of an object by the table of its fields, fewer than 32, which ends with a row without name. */
int hf__read_members(struct hf__reader *r, const cJSON *object, const struct hf__field *fields, void *target);

/* ---- how a field is read ---- */

void *hf__field_at(void *target, const struct hf__field *field);
bool hf__whole_number(const cJSON *value, uint64_t *ret_number);
/* A whole number between the field's bounds. */
int hf__bounded_number(const struct hf__reader *r, const cJSON *value, const struct hf__field *field,
                       uint64_t *ret_number);

typedef int hf__read_fn(struct hf__reader *r, const cJSON *value, const struct hf__field *field, void *target);
hf__read_fn hf__read_any_text; /* const char *, into the document */
hf__read_fn hf__read_text;     /* the same, and not empty */
hf__read_fn hf__read_bool;
hf__read_fn hf__read_not;      /* bool: the opposite of a setting whose default is true */
hf__read_fn hf__read_number;   /* uint64_t, a whole number between the bounds */
hf__read_fn hf__read_size;     /* uint64_t, bytes between the bounds: "64MiB" or a number */
hf__read_fn hf__read_int_ms;   /* int, a duration between the bounds: "10s" or a number */
hf__read_fn hf__read_int64_ms; /* int64_t, the same */
hf__read_fn hf__read_word;     /* an enum whose value is the index among `words` */

/* ---- files ---- */

/* Read a regular file of at most `max` bytes and put a NUL behind it; the text is the caller's. `what` names the file in
 * sentences. `is_secret`: others must have no permissions. HF_ECONFIG, HF_EIO or HF_ENOMEM. */
int hf__load_file(const char *what, const char *path, size_t max, bool is_secret, char **ret_text, size_t *ret_len);

/* The password that is the one line of the file that `value` names, or in the environment variable. */
int hf__password_of_file(const struct hf__reader *r, const cJSON *value, char **ret_password);
int hf__password_of_env(const struct hf__reader *r, const cJSON *value, char **ret_password);
void hf__password_free(char *password); /* wipes it; accepts NULL */

#endif
