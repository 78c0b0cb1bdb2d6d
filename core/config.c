/* Configuration files: JSON in, options out, and one sentence that names the place when something is wrong.
 *
 * The document is described by tables of fields. A reader walks it with the path of where it is
 * ("namespaces[2].default_ttl"), so that every function that meets a bad value can name it. No sentence shows
 * anything that may be a password, and neither do the ones about password_file and password_env. */
#include "bytes.h"
#include "fail.h"

#include <assert.h>
#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONFIG_BYTES_MAX (1u << 20) /* a thousand times a long configuration; keeps /dev/zero and its like out */
#define PASSWORD_BYTES_MAX 4096u    /* far beyond any generated password */
#define NAMESPACES_MAX 1024u        /* every key is compared with every prefix */
#define NAME_TEXT_MAX 200           /* of the file in a sentence, which has HF_ERRMSG_MAX for everything */
#define EXACT_DOUBLE_MAX 9007199254740992.0 /* 2^53: JSON numbers are doubles, whole ones are exact up to here */
#define EXACT_INTEGER_MAX (1ull << 53)      /* the same */

struct hf_config {
    cJSON *json;     /* the document; the strings of the options lie in here */
    const char *dir; /* NULL: none */
    struct hf_options options;
    struct hf_namespace *namespaces; /* what options.namespaces points to */
    char *password;                  /* what options.redis_password points to */
};

struct reader {
    char file[NAME_TEXT_MAX]; /* printable */
    char path[128];           /* of the value at hand: "namespaces[2].default_ttl"; "" at the top */
    struct hf_config *config;
};

/* A member of an object. `read` stores it at `target` + offset, or says what is wrong with it. */
struct field {
    const char *name;
    int (*read)(struct reader *r, const cJSON *value, const struct field *field, void *target);
    size_t offset;
    uint64_t min, max;        /* durations in milliseconds, sizes in bytes */
    const char *const *words; /* of an enum, in its order, with NULL behind the last one */
    bool hidden;              /* known, but not to be offered */
};

/* ---- saying what is wrong ---- */

static const char *describe(const cJSON *value, char *text, size_t size)
{
    char inner[48];

    if (cJSON_IsString(value)) {
        snprintf(text, size, "\"%s\"", hf__printable(hf__slice_str(value->valuestring), inner, sizeof(inner)));
        return text;
    }
    if (cJSON_IsNumber(value)) {
        snprintf(text, size, "%.17g", value->valuedouble);
        return text;
    }
    return cJSON_IsBool(value)    ? (cJSON_IsTrue(value) ? "true" : "false")
           : cJSON_IsNull(value)  ? "null"
           : cJSON_IsArray(value) ? "an array"
                                  : "an object";
}

static int bad(const struct reader *r, const char *found, const char *expected)
{
    return hf__fail(HF_ECONFIG, "configuration %s: %s%sfound %s, expected %s", r->file, r->path,
                    *r->path ? ": " : "", found, expected);
}

static int bad_value(const struct reader *r, const cJSON *value, const char *expected)
{
    char text[64];

    return bad(r, describe(value, text, sizeof(text)), expected);
}

/* Go down to a member; the answer takes `leave` back up. */
static size_t enter(struct reader *r, const char *name)
{
    size_t len = strlen(r->path);
    char text[64];

    snprintf(r->path + len, sizeof(r->path) - len, "%s%s", len > 0 ? "." : "",
             hf__printable(hf__slice_str(name), text, sizeof(text)));
    return len;
}

static size_t enter_item(struct reader *r, size_t i)
{
    size_t len = strlen(r->path);

    snprintf(r->path + len, sizeof(r->path) - len, "[%zu]", i);
    return len;
}

static void leave(struct reader *r, size_t len)
{
    r->path[len] = '\0';
}

/* ---- objects ---- */

static int bad_name(const struct reader *r, const struct field *fields)
{
    char expected[256] = "one of: ";
    size_t len = strlen(expected);

    for (const struct field *f = fields; f->name; f++) {
        if (!f->hidden)
            len +=
                (size_t)snprintf(expected + len, sizeof(expected) - len, "%s%s", f == fields ? "" : ", ", f->name);
    }
    return bad(r, "an unknown key", expected);
}

static int read_member(struct reader *r, const cJSON *value, const struct field *fields, uint32_t *seen,
                       void *target)
{
    const struct field *f = fields;
    size_t level = enter(r, value->string);
    int rc;

    while (f->name && strcmp(f->name, value->string) != 0)
        f++;
    if (!f->name)
        rc = bad_name(r, fields);
    else if (*seen & 1u << (f - fields))
        rc = bad(r, "the key twice", "it once");
    else
        rc = f->read(r, value, f, target);
    if (rc != 0)
        return rc; /* the path stays where it went wrong */
    *seen |= 1u << (f - fields);
    leave(r, level);
    return 0;
}

/* Read all members of an object by the table of its fields, which ends with a row without name. */
static int read_members(struct reader *r, const cJSON *object, const struct field *fields, void *target)
{
    uint32_t seen = 0; /* no object here has 32 fields */
    const cJSON *value;
    int rc = 0;

    if (!cJSON_IsObject(object))
        return bad_value(r, object, "an object");
    cJSON_ArrayForEach(value, object)
    {
        rc = read_member(r, value, fields, &seen, target);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* ---- values ---- */

static void *at(void *target, const struct field *field)
{
    return (char *)target + field->offset;
}

static int read_any_text(struct reader *r, const cJSON *value, const struct field *field, void *target)
{
    if (!cJSON_IsString(value))
        return bad_value(r, value, "a string");
    *(const char **)at(target, field) = value->valuestring;
    return 0;
}

static int read_text(struct reader *r, const cJSON *value, const struct field *field, void *target)
{
    if (!cJSON_IsString(value) || !*value->valuestring)
        return bad_value(r, value, "a string that is not empty");
    return read_any_text(r, value, field, target);
}

static bool whole_number(const cJSON *value, uint64_t *ret_number)
{
    double d = cJSON_IsNumber(value) ? value->valuedouble : -1;

    if (!(d >= 0 && d <= EXACT_DOUBLE_MAX) || d != (double)(uint64_t)d)
        return false;
    *ret_number = (uint64_t)d;
    return true;
}

/* A duration between the field's bounds. */
static int duration(struct reader *r, const cJSON *value, const struct field *field, int64_t *ret_ms)
{
    uint64_t number;
    int64_t ms = -1;
    char expected[128];

    if (whole_number(value, &number))
        ms = (int64_t)number;
    else if (cJSON_IsString(value) && hf_parse_duration(value->valuestring, &ms) != 0)
        ms = -1;
    if (ms < 0 || (uint64_t)ms < field->min || (uint64_t)ms > field->max) {
        snprintf(expected, sizeof(expected), "a duration from %llu to %llu ms, such as \"10s\" or 250",
                 (unsigned long long)field->min, (unsigned long long)field->max);
        return bad_value(r, value, expected);
    }
    *ret_ms = ms;
    return 0;
}

static int read_int_ms(struct reader *r, const cJSON *value, const struct field *field, void *target)
{
    int64_t ms;
    int rc = duration(r, value, field, &ms);

    if (rc == 0)
        *(int *)at(target, field) = (int)ms;
    return rc;
}

static int read_int64_ms(struct reader *r, const cJSON *value, const struct field *field, void *target)
{
    return duration(r, value, field, at(target, field));
}

static int read_size(struct reader *r, const cJSON *value, const struct field *field, void *target)
{
    uint64_t size = 0;
    bool ok = cJSON_IsString(value) ? hf_parse_size(value->valuestring, &size) == 0 : whole_number(value, &size);
    char expected[128];

    if (!ok || size < field->min || size > field->max) {
        snprintf(expected, sizeof(expected), "a size from %llu to %llu bytes, such as \"64MiB\"",
                 (unsigned long long)field->min, (unsigned long long)field->max);
        return bad_value(r, value, expected);
    }
    *(uint64_t *)at(target, field) = size;
    return 0;
}

static int read_number(struct reader *r, const cJSON *value, const struct field *field, void *target)
{
    char expected[64];
    uint64_t number;

    if (!whole_number(value, &number) || number < field->min || number > field->max) {
        snprintf(expected, sizeof(expected), "a whole number from %llu to %llu", (unsigned long long)field->min,
                 (unsigned long long)field->max);
        return bad_value(r, value, expected);
    }
    *(uint64_t *)at(target, field) = number;
    return 0;
}

static int read_bool(struct reader *r, const cJSON *value, const struct field *field, void *target)
{
    if (!cJSON_IsBool(value))
        return bad_value(r, value, "true or false");
    *(bool *)at(target, field) = cJSON_IsTrue(value);
    return 0;
}

/* A setting whose default is true; the options keep its opposite. */
static int read_not(struct reader *r, const cJSON *value, const struct field *field, void *target)
{
    int rc = read_bool(r, value, field, target);
    bool *member = at(target, field);

    if (rc == 0)
        *member = !*member;
    return rc;
}

static int bad_word(const struct reader *r, const cJSON *value, const char *const *words)
{
    char expected[128] = "";
    size_t len = 0;

    for (const char *const *word = words; *word; word++)
        len += (size_t)snprintf(expected + len, sizeof(expected) - len, "%s\"%s\"",
                                word == words ? ""
                                : word[1]     ? ", "
                                              : " or ",
                                *word);
    return bad_value(r, value, expected);
}

/* One of the field's words: the enum's value is its index. */
static int read_word(struct reader *r, const cJSON *value, const struct field *field, void *target)
{
    const char *text = cJSON_IsString(value) ? value->valuestring : "";
    unsigned i = 0;

    while (field->words[i] && strcmp(field->words[i], text) != 0)
        i++;
    if (!field->words[i])
        return bad_word(r, value, field->words);
    memcpy(at(target, field), &i, sizeof(i)); /* an enum is as large as `i`, as WORDS asserts */
    return 0;
}

/* Words that name an enum's values in order, up to the last one. */
#define WORDS(words, last)                                                                                         \
    static_assert(sizeof(words) / sizeof((words)[0]) == (last) + 2, "a word for each value");                      \
    static_assert(sizeof(last) == sizeof(unsigned), "an enum of another size")

/* ---- whole files ---- */

static int refuse_kind(const char *what, const struct stat *st)
{
    const char *kind = S_ISDIR(st->st_mode)    ? "a directory"
                       : S_ISFIFO(st->st_mode) ? "a FIFO"
                       : S_ISSOCK(st->st_mode) ? "a socket"
                                               : "a device";

    return hf__fail(HF_ECONFIG, "%s: found %s, expected a regular file", what, kind);
}

static int read_all(const char *what, int fd, char *text, size_t max, size_t *ret_len)
{
    size_t len = 0;
    ssize_t n;

    for (;;) {
        n = read(fd, text + len, max + 1 - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return hf__fail_errno(HF_EIO, errno, "cannot read %s", what);
        len += (size_t)n;
        if (len > max)
            return hf__fail(HF_ECONFIG, "%s: found more than %zu bytes, which is the limit", what, max);
        if (n == 0)
            break;
    }
    text[len] = '\0';
    *ret_len = len;
    return 0;
}

/* Read a regular file of at most `max` bytes and put a NUL behind it; the text is the caller's. `what` names the
 * file in sentences. O_NONBLOCK: opening a FIFO must not wait for its writer. */
static int load_file(const char *what, const char *path, size_t max, bool is_secret, char **ret_text,
                     size_t *ret_len)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    char *text = NULL;
    struct stat st;
    int rc;

    if (fd < 0)
        return hf__fail_errno(HF_EIO, errno, "cannot read %s", what);
    if (fstat(fd, &st) != 0)
        rc = hf__fail_errno(HF_EIO, errno, "cannot read %s", what);
    else if (!S_ISREG(st.st_mode))
        rc = refuse_kind(what, &st);
    else if (is_secret && (st.st_mode & S_IRWXO))
        rc = hf__fail(HF_ECONFIG, "%s: found permissions %04o, expected none for others (chmod o= FILE)", what,
                      (unsigned)st.st_mode & 07777);
    else if (!(text = malloc(max + 2)))
        rc = hf__fail(HF_ENOMEM, "out of memory: %zu bytes for %s", max, what);
    else
        rc = read_all(what, fd, text, max, ret_len);
    close(fd);
    if (rc != 0) {
        free(text);
        return rc;
    }
    *ret_text = text;
    return 0;
}

/* ---- Redis ---- */

static int take_password(struct reader *r, char *password, size_t len)
{
    if (r->config->password) {
        explicit_bzero(password, len);
        free(password);
        return bad(r, "a second source of the password", "only one of password_file and password_env");
    }
    r->config->password = password;
    r->config->options.redis_password = password;
    return 0;
}

static size_t without_line_end(const char *text, size_t len)
{
    if (len > 0 && text[len - 1] == '\n')
        len--;
    if (len > 0 && text[len - 1] == '\r')
        len--;
    return len;
}

/* The sentences do not show the name: who mixes the keys up has a password here. */
static int read_password_file(struct reader *r, const cJSON *value, const struct field *field, void *target)
{
    char what[sizeof(r->file) + sizeof(r->path) + 64], *password = NULL;
    size_t bytes, len;
    int rc;

    (void)field;
    (void)target;
    if (!cJSON_IsString(value) || !*value->valuestring)
        return bad(r, "no name", "the name of a file that holds the password");
    snprintf(what, sizeof(what), "configuration %s: the file that %s names", r->file, r->path);
    rc = load_file(what, value->valuestring, PASSWORD_BYTES_MAX, true, &password, &bytes);
    if (rc != 0)
        return rc;
    len = without_line_end(password, bytes);
    password[len] = '\0';
    if (len > 0 && strcspn(password, "\r\n") == len)
        return take_password(r, password, bytes);
    explicit_bzero(password, bytes);
    free(password);
    return bad(r, len > 0 ? "a file with several lines or a NUL" : "an empty file",
               "a file with the password as its one line");
}

static int read_password_env(struct reader *r, const cJSON *value, const struct field *field, void *target)
{
    const char *password = NULL;
    char *copy;

    (void)field;
    (void)target;
    if (cJSON_IsString(value))
        password = getenv(value->valuestring);
    if (!password || !*password)
        return bad(r, "no variable of this name that is set",
                   "the name of an environment variable with the password");
    copy = strdup(password);
    if (!copy)
        return hf__fail(HF_ENOMEM, "out of memory: a password");
    return take_password(r, copy, strlen(copy));
}

static int refuse_password(struct reader *r, const cJSON *value, const struct field *field, void *target)
{
    (void)value;
    (void)field;
    (void)target;
    return bad(r, "a password", "it in a file or in the environment: use password_file or password_env");
}

/* redis://user:password@host: the user may stand in the file, the password may not. */
static bool holds_password(const char *address)
{
    const char *authority = strstr(address, "://");
    const char *userinfo_end, *colon;

    if (strncmp(address, "unix:", 5) == 0) /* a path, in which both characters mean nothing */
        return false;
    authority = authority ? authority + 3 : address;
    userinfo_end = strrchr(authority, '@');
    colon = strchr(authority, ':');
    return userinfo_end && colon && colon < userinfo_end;
}

static int read_address(struct reader *r, const cJSON *value, const struct field *field, void *target)
{
    if (cJSON_IsString(value) && holds_password(value->valuestring))
        return bad(r, "a password in the address", "it elsewhere: use password_file or password_env");
    return read_text(r, value, field, target);
}

#define OPTION(member) offsetof(struct hf_config, options.member)

static int read_redis(struct reader *r, const cJSON *value, const struct field *field, void *target)
{
    static const struct field fields[] = {
        {.name = "address", .read = read_address, .offset = OPTION(redis)},
        {.name = "user", .read = read_text, .offset = OPTION(redis_user)},
        {.name = "password_file", .read = read_password_file},
        {.name = "password_env", .read = read_password_env},
        {.name = "ca_file", .read = read_text, .offset = OPTION(redis_ca_file)},
        {.name = "timeout", .read = read_int_ms, .offset = OPTION(redis_timeout_ms), .min = 1, .max = INT_MAX},
        {.name = "connect_timeout",
         .read = read_int_ms,
         .offset = OPTION(redis_connect_timeout_ms),
         .min = 1,
         .max = INT_MAX},
        {.name = "heartbeat", .read = read_int_ms, .offset = OPTION(redis_heartbeat_ms), .min = 1, .max = INT_MAX},
        {.name = "backoff_max",
         .read = read_int_ms,
         .offset = OPTION(redis_backoff_max_ms),
         .min = 1,
         .max = INT_MAX},
        {.name = "password", .read = refuse_password, .hidden = true},
        {0},
    };

    (void)field;
    return read_members(r, value, fields, target);
}

/* ---- durability and limits ---- */

static int read_durability(struct reader *r, const cJSON *value, const struct field *field, void *target)
{
    static const char interval[] = "interval:";
    struct hf_options *options = at(target, field);
    const char *text = cJSON_IsString(value) ? value->valuestring : "";
    int64_t ms = 0;

    if (strcmp(text, "always") == 0) {
        options->durability = HF_DURABILITY_ALWAYS;
    } else if (strcmp(text, "none") == 0) {
        options->durability = HF_DURABILITY_NONE;
    } else if (strncmp(text, interval, strlen(interval)) == 0 &&
               hf_parse_duration(text + strlen(interval), &ms) == 0 && ms >= 1 && ms <= INT_MAX) {
        options->durability = HF_DURABILITY_INTERVAL;
        options->sync_interval_ms = (int)ms;
    } else {
        return bad_value(r, value, "\"always\", \"none\" or \"interval:<ms>\"");
    }
    return 0;
}

static int read_limits(struct reader *r, const cJSON *value, const struct field *field, void *target)
{
    static const struct field fields[] = {
        {.name = "max_disk", .read = read_size, .offset = OPTION(max_disk_bytes), .min = 1, .max = INT64_MAX},
        {.name = "max_value", .read = read_size, .offset = OPTION(max_value_bytes), .min = 1, .max = HF_VALUE_MAX},
        {.name = "segment", .read = read_size, .offset = OPTION(segment_bytes), .min = 1, .max = INT64_MAX},
        {.name = "checkpoint_bytes",
         .read = read_size,
         .offset = OPTION(checkpoint_bytes),
         .min = 1,
         .max = INT64_MAX},
        {.name = "checkpoint_interval",
         .read = read_int_ms,
         .offset = OPTION(checkpoint_interval_ms),
         .min = 1,
         .max = INT_MAX},
        {0},
    };

    (void)field;
    return read_members(r, value, fields, target);
}

/* ---- what waits for Redis, and what is kept ---- */

static const char *const pending_policies[] = {"reject", "block", "drop-oldest", NULL};
WORDS(pending_policies, HF_PENDING_DROP_OLDEST);

static int read_pending(struct reader *r, const cJSON *value, const struct field *field, void *target)
{
    static const struct field fields[] = {
        {.name = "max", .read = read_number, .offset = OPTION(pending_max), .min = 1, .max = EXACT_INTEGER_MAX},
        {.name = "max_bytes", .read = read_size, .offset = OPTION(pending_max_bytes), .min = 1, .max = INT64_MAX},
        {.name = "max_age", .read = read_int64_ms, .offset = OPTION(pending_max_age_ms), .max = HF_TTL_MAX_MS},
        {.name = "policy", .read = read_word, .offset = OPTION(pending_policy), .words = pending_policies},
        {0},
    };

    (void)field;
    return read_members(r, value, fields, target);
}

static int read_conflict_log(struct reader *r, const cJSON *value, const struct field *field, void *target)
{
    static const struct field fields[] = {
        {.name = "max",
         .read = read_number,
         .offset = OPTION(conflict_log_max),
         .min = 1,
         .max = EXACT_INTEGER_MAX},
        {.name = "max_bytes",
         .read = read_size,
         .offset = OPTION(conflict_log_max_bytes),
         .min = 1,
         .max = INT64_MAX},
        {0},
    };

    (void)field;
    return read_members(r, value, fields, target);
}

static int read_parked(struct reader *r, const cJSON *value, const struct field *field, void *target)
{
    static const struct field fields[] = {
        {.name = "max", .read = read_number, .offset = OPTION(parked_max), .min = 1, .max = EXACT_INTEGER_MAX},
        {0},
    };

    (void)field;
    return read_members(r, value, fields, target);
}

static int read_replay(struct reader *r, const cJSON *value, const struct field *field, void *target)
{
    static const struct field fields[] = {
        {.name = "ops_per_s", .read = read_number, .offset = OPTION(replay_ops_per_s), .max = EXACT_INTEGER_MAX},
        {.name = "bytes_per_s", .read = read_size, .offset = OPTION(replay_bytes_per_s), .max = INT64_MAX},
        {.name = "delay_max", .read = read_int_ms, .offset = OPTION(replay_delay_max_ms), .max = INT_MAX},
        {0},
    };

    (void)field;
    return read_members(r, value, fields, target);
}

/* ---- namespaces ---- */

static const char *const write_modes[] = {"through", "behind", "local", NULL};
static const char *const read_modes[] = {"local", "shared", NULL};
static const char *const conflicts[] = {"newest", "remote", "local", "park", "merge-json", "callback", NULL};
static const char *const writers[] = {"any", "holdfast", "this-node", NULL};
static const char *const outages[] = {"journal", "refuse", "local", NULL};
static const char *const losses[] = {"evidence", "reseed", "adopt", "hold", NULL};
static const char *const unknown_times[] = {"serve", "hide", NULL};

WORDS(write_modes, HF_WRITE_LOCAL);
WORDS(read_modes, HF_READ_SHARED);
WORDS(conflicts, HF_CONFLICT_CALLBACK);
WORDS(writers, HF_WRITERS_THIS_NODE);
WORDS(outages, HF_OUTAGE_LOCAL);
WORDS(losses, HF_LOSS_HOLD);
WORDS(unknown_times, HF_UNKNOWN_TIME_HIDE);

static int read_change_log_max(struct reader *r, const cJSON *value, const struct field *field, void *target)
{
    uint64_t max;

    if (!whole_number(value, &max) || max < field->min || max > field->max)
        return bad_value(r, value, "a number of entries from 1 to 4294967295");
    *(uint32_t *)at(target, field) = (uint32_t)max;
    return 0;
}

static int read_change_log(struct reader *r, const cJSON *value, const struct field *field, void *target)
{
    static const struct field fields[] = {
        {.name = "max",
         .read = read_change_log_max,
         .offset = offsetof(struct hf_namespace, change_log_max),
         .min = 1,
         .max = UINT32_MAX},
        {0},
    };
    struct hf_namespace *ns = target;

    (void)field;
    if (cJSON_IsObject(value))
        return read_members(r, value, fields, target);
    if (!cJSON_IsBool(value))
        return bad_value(r, value, "true, false or {\"max\": N}");
    ns->change_log_off = cJSON_IsFalse(value);
    return 0;
}

/* Two namespaces of one prefix would leave it open which of them rules. */
static int check_prefix(struct reader *r, const struct hf_namespace *all, size_t i)
{
    char expected[64];

    if (!all[i].prefix)
        return bad(r, "no prefix", "one (\"\" stands for all other keys)");
    for (size_t k = 0; k < i; k++) {
        if (strcmp(all[k].prefix, all[i].prefix) == 0) {
            snprintf(expected, sizeof(expected), "another one than that of namespaces[%zu]", k);
            enter(r, "prefix");
            return bad(r, "the same prefix again", expected);
        }
    }
    return 0;
}

#define NAMESPACE(member) offsetof(struct hf_namespace, member)

static int read_namespace(struct reader *r, const cJSON *value, struct hf_namespace *all, size_t i)
{
    static const struct field fields[] = {
        {.name = "prefix", .read = read_any_text, .offset = NAMESPACE(prefix)},
        {.name = "default_ttl",
         .read = read_int64_ms,
         .offset = NAMESPACE(default_ttl_ms),
         .min = 1,
         .max = HF_TTL_MAX_MS},
        {.name = "write_mode", .read = read_word, .offset = NAMESPACE(write_mode), .words = write_modes},
        {.name = "read_mode", .read = read_word, .offset = NAMESPACE(read_mode), .words = read_modes},
        {.name = "change_log", .read = read_change_log},
        {.name = "conflict", .read = read_word, .offset = NAMESPACE(conflict), .words = conflicts},
        {.name = "writers", .read = read_word, .offset = NAMESPACE(writers), .words = writers},
        {.name = "outage", .read = read_word, .offset = NAMESPACE(outage), .words = outages},
        {.name = "on_loss", .read = read_word, .offset = NAMESPACE(on_loss), .words = losses},
        {.name = "unknown_time", .read = read_word, .offset = NAMESPACE(unknown_time), .words = unknown_times},
        {.name = "tentative", .read = read_bool, .offset = NAMESPACE(tentative)},
        {.name = "keep_replaced", .read = read_not, .offset = NAMESPACE(keep_no_replaced)},
        {0},
    };
    size_t level = enter_item(r, i);
    int rc = read_members(r, value, fields, &all[i]);

    if (rc == 0)
        rc = check_prefix(r, all, i);
    if (rc == 0)
        leave(r, level);
    return rc;
}

static int read_namespaces(struct reader *r, const cJSON *value, const struct field *field, void *target)
{
    struct hf_config *config = target;
    size_t n = (size_t)cJSON_GetArraySize(value), i = 0;
    const cJSON *item;
    int rc;

    (void)field;
    if (!cJSON_IsArray(value))
        return bad_value(r, value, "an array of objects");
    if (n > NAMESPACES_MAX)
        return bad(r, "too many of them", "at most 1024 namespaces");
    config->namespaces = calloc(n ? n : 1, sizeof(*config->namespaces));
    if (!config->namespaces)
        return hf__fail(HF_ENOMEM, "out of memory: %zu namespaces", n);
    cJSON_ArrayForEach(item, value)
    {
        rc = read_namespace(r, item, config->namespaces, i++);
        if (rc != 0)
            return rc;
    }
    config->options.namespaces = config->namespaces;
    config->options.n_namespaces = n;
    return 0;
}

/* ---- the document ---- */

/* What is in it is for the program `holdfastd`, which reads it itself. */
static int read_sidecar(struct reader *r, const cJSON *value, const struct field *field, void *target)
{
    (void)field;
    (void)target;
    return cJSON_IsObject(value) ? 0 : bad_value(r, value, "an object");
}

static int read_document(struct reader *r, struct hf_config *config)
{
    static const struct field fields[] = {
        {.name = "dir", .read = read_text, .offset = offsetof(struct hf_config, dir)},
        {.name = "redis", .read = read_redis},
        {.name = "durability", .read = read_durability, .offset = offsetof(struct hf_config, options)},
        {.name = "limits", .read = read_limits},
        {.name = "pending", .read = read_pending},
        {.name = "conflict_log", .read = read_conflict_log},
        {.name = "parked", .read = read_parked},
        {.name = "replay", .read = read_replay},
        {.name = "namespaces", .read = read_namespaces},
        {.name = "sidecar", .read = read_sidecar},
        {0},
    };

    return read_members(r, config->json, fields, config);
}

/* A syntax error, named by line and column as editors count them. */
static int bad_syntax(const struct reader *r, const char *text, const char *where, const char *problem)
{
    const char *line = text;
    unsigned number = 1;

    for (const char *p = text; p < where; p++) {
        if (*p == '\n') {
            number++;
            line = p + 1;
        }
    }
    return hf__fail(HF_ECONFIG, "configuration %s: line %u, column %u: %s", r->file, number,
                    (unsigned)(where - line) + 1, problem);
}

static int parse(const struct reader *r, const char *text, size_t len, struct hf_config *config)
{
    const char *nul = memchr(text, '\0', len), *end = text;

    if (!nul) /* cJSON would end the string there */
        nul = strstr(text, "\\u0000");
    if (nul)
        return bad_syntax(r, text, nul, "found a NUL, which no setting may contain");
    config->json = cJSON_ParseWithLengthOpts(text, len + 1, &end, true);
    if (!config->json)
        return bad_syntax(r, text, end,
                          end < text + len ? "not valid JSON from here on" : "the JSON text ends too early");
    return 0;
}

int hf_config_load(const char *path, struct hf_config **ret_config)
{
    struct hf_config *config = calloc(1, sizeof(*config));
    struct reader r = {.config = config};
    char what[NAME_TEXT_MAX + 16], *text = NULL;
    size_t len = 0;
    int rc;

    if (!path || !config) {
        free(config);
        return path ? hf__fail(HF_ENOMEM, "out of memory: a configuration")
                    : hf__fail(HF_EINVAL, "a configuration file has no name");
    }
    hf__printable(hf__slice_str(path), r.file, sizeof(r.file));
    snprintf(what, sizeof(what), "configuration %s", r.file);
    rc = load_file(what, path, CONFIG_BYTES_MAX, false, &text, &len);
    if (rc != 0)
        goto done;
    rc = parse(&r, text, len, config);
    if (rc != 0)
        goto done;
    rc = read_document(&r, config);
    if (rc != 0)
        goto done;
    *ret_config = config;
    config = NULL;
done:
    hf_config_free(config);
    free(text);
    return rc;
}

const struct hf_options *hf_config_options(const struct hf_config *config)
{
    return &config->options;
}

const char *hf_config_dir(const struct hf_config *config)
{
    return config->dir;
}

void hf_config_free(struct hf_config *config)
{
    if (!config)
        return;
    if (config->password)
        explicit_bzero(config->password, strlen(config->password));
    free(config->password);
    free(config->namespaces);
    cJSON_Delete(config->json);
    free(config);
}
