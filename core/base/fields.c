/* Tables of fields: objects, values, and the files behind them. */
#include "fields.h"

#include "bytes.h"
#include "fail.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PASSWORD_BYTES_MAX 4096u            /* far beyond any generated password */
#define EXACT_DOUBLE_MAX 9007199254740992.0 /* 2^53: JSON numbers are doubles, whole ones are exact up to here */

/* cJSON does not tell want of memory from bad text: it is bad if it is so again while there is memory. */
int hf__json_parse(const char *text, size_t len, const char **ret_end, cJSON **ret_json)
{
    cJSON *json = cJSON_ParseWithLengthOpts(text, len + 1, ret_end, true);
    void *probe = NULL;

    if (!json)
        json = cJSON_ParseWithLengthOpts(text, len + 1, ret_end, true);
    if (!json && !(probe = malloc(len + 1)))
        return hf__fail(HF_ENOMEM, "out of memory: a JSON text of %zu bytes", len);
    free(probe);
    if (!json)
        return HF_EINVAL;
    *ret_json = json;
    return 0;
}

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

int hf__bad(const struct hf__reader *r, const char *found, const char *expected)
{
    return hf__fail(HF_ECONFIG, "configuration %s: %s%sfound %s, expected %s", r->file, r->path,
                    *r->path ? ": " : "", found, expected);
}

int hf__bad_value(const struct hf__reader *r, const cJSON *value, const char *expected)
{
    char text[64];

    return hf__bad(r, describe(value, text, sizeof(text)), expected);
}

size_t hf__enter(struct hf__reader *r, const char *name)
{
    size_t len = strlen(r->path);
    char text[64];

    snprintf(r->path + len, sizeof(r->path) - len, "%s%s", len > 0 ? "." : "",
             hf__printable(hf__slice_str(name), text, sizeof(text)));
    return len;
}

size_t hf__enter_item(struct hf__reader *r, size_t i)
{
    size_t len = strlen(r->path);

    snprintf(r->path + len, sizeof(r->path) - len, "[%zu]", i);
    return len;
}

void hf__leave(struct hf__reader *r, size_t len)
{
    r->path[len] = '\0';
}

/* ---- objects ---- */

static int bad_name(const struct hf__reader *r, const struct hf__field *fields)
{
    char expected[256] = "one of: ";
    size_t len = strlen(expected);

    for (const struct hf__field *f = fields; f->name; f++) {
        if (!f->hidden)
            len +=
                (size_t)snprintf(expected + len, sizeof(expected) - len, "%s%s", f == fields ? "" : ", ", f->name);
    }
    return hf__bad(r, "an unknown key", expected);
}

static int read_member(struct hf__reader *r, const cJSON *value, const struct hf__field *fields, uint32_t *seen,
                       void *target)
{
    const struct hf__field *f = fields;
    size_t level = hf__enter(r, value->string);
    int rc;

    while (f->name && strcmp(f->name, value->string) != 0)
        f++;
    if (!f->name)
        rc = bad_name(r, fields);
    else if (*seen & 1u << (f - fields))
        rc = hf__bad(r, "the key twice", "it once");
    else
        rc = f->read(r, value, f, target);
    if (rc != 0)
        return rc; /* the path stays where it went wrong */
    *seen |= 1u << (f - fields);
    hf__leave(r, level);
    return 0;
}

int hf__read_members(struct hf__reader *r, const cJSON *object, const struct hf__field *fields, void *target)
{
    uint32_t seen = 0; /* no object here has 32 fields */
    const cJSON *value;
    int rc = 0;

    if (!cJSON_IsObject(object))
        return hf__bad_value(r, object, "an object");
    cJSON_ArrayForEach(value, object)
    {
        rc = read_member(r, value, fields, &seen, target);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* ---- values ---- */

void *hf__field_at(void *target, const struct hf__field *field)
{
    return (char *)target + field->offset;
}

int hf__read_any_text(struct hf__reader *r, const cJSON *value, const struct hf__field *field, void *target)
{
    if (!cJSON_IsString(value))
        return hf__bad_value(r, value, "a string");
    *(const char **)hf__field_at(target, field) = value->valuestring;
    return 0;
}

int hf__read_text(struct hf__reader *r, const cJSON *value, const struct hf__field *field, void *target)
{
    if (!cJSON_IsString(value) || !*value->valuestring)
        return hf__bad_value(r, value, "a string that is not empty");
    return hf__read_any_text(r, value, field, target);
}

bool hf__whole_number(const cJSON *value, uint64_t *ret_number)
{
    double d = cJSON_IsNumber(value) ? value->valuedouble : -1;

    if (!(d >= 0 && d <= EXACT_DOUBLE_MAX) || d != (double)(uint64_t)d)
        return false;
    *ret_number = (uint64_t)d;
    return true;
}

/* A duration between the field's bounds. */
static int duration(struct hf__reader *r, const cJSON *value, const struct hf__field *field, int64_t *ret_ms)
{
    uint64_t number;
    int64_t ms = -1;
    char expected[128];

    if (hf__whole_number(value, &number))
        ms = (int64_t)number;
    else if (cJSON_IsString(value) && hf_parse_duration(value->valuestring, &ms) != 0)
        ms = -1;
    if (ms < 0 || (uint64_t)ms < field->min || (uint64_t)ms > field->max) {
        snprintf(expected, sizeof(expected), "a duration from %llu to %llu ms, such as \"10s\" or 250",
                 (unsigned long long)field->min, (unsigned long long)field->max);
        return hf__bad_value(r, value, expected);
    }
    *ret_ms = ms;
    return 0;
}

int hf__read_int_ms(struct hf__reader *r, const cJSON *value, const struct hf__field *field, void *target)
{
    int64_t ms;
    int rc = duration(r, value, field, &ms);

    if (rc == 0)
        *(int *)hf__field_at(target, field) = (int)ms;
    return rc;
}

int hf__read_int64_ms(struct hf__reader *r, const cJSON *value, const struct hf__field *field, void *target)
{
    return duration(r, value, field, hf__field_at(target, field));
}

int hf__read_size(struct hf__reader *r, const cJSON *value, const struct hf__field *field, void *target)
{
    uint64_t size = 0;
    bool ok =
        cJSON_IsString(value) ? hf_parse_size(value->valuestring, &size) == 0 : hf__whole_number(value, &size);
    char expected[128];

    if (!ok || size < field->min || size > field->max) {
        snprintf(expected, sizeof(expected), "a size from %llu to %llu bytes, such as \"64MiB\"",
                 (unsigned long long)field->min, (unsigned long long)field->max);
        return hf__bad_value(r, value, expected);
    }
    *(uint64_t *)hf__field_at(target, field) = size;
    return 0;
}

int hf__bounded_number(const struct hf__reader *r, const cJSON *value, const struct hf__field *field,
                       uint64_t *ret_number)
{
    char expected[64];
    uint64_t number;

    if (hf__whole_number(value, &number) && number >= field->min && number <= field->max) {
        *ret_number = number;
        return 0;
    }
    snprintf(expected, sizeof(expected), "a whole number from %llu to %llu", (unsigned long long)field->min,
             (unsigned long long)field->max);
    return hf__bad_value(r, value, expected);
}

int hf__read_number(struct hf__reader *r, const cJSON *value, const struct hf__field *field, void *target)
{
    return hf__bounded_number(r, value, field, hf__field_at(target, field));
}

int hf__read_bool(struct hf__reader *r, const cJSON *value, const struct hf__field *field, void *target)
{
    if (!cJSON_IsBool(value))
        return hf__bad_value(r, value, "true or false");
    *(bool *)hf__field_at(target, field) = cJSON_IsTrue(value);
    return 0;
}

int hf__read_not(struct hf__reader *r, const cJSON *value, const struct hf__field *field, void *target)
{
    int rc = hf__read_bool(r, value, field, target);
    bool *member = hf__field_at(target, field);

    if (rc == 0)
        *member = !*member;
    return rc;
}

static int bad_word(const struct hf__reader *r, const cJSON *value, const char *const *words)
{
    char expected[128] = "";
    size_t len = 0;

    for (const char *const *word = words; *word; word++)
        len += (size_t)snprintf(expected + len, sizeof(expected) - len, "%s\"%s\"",
                                word == words ? ""
                                : word[1]     ? ", "
                                              : " or ",
                                *word);
    return hf__bad_value(r, value, expected);
}

int hf__read_word(struct hf__reader *r, const cJSON *value, const struct hf__field *field, void *target)
{
    const char *text = cJSON_IsString(value) ? value->valuestring : "";
    unsigned i = 0;

    while (field->words[i] && strcmp(field->words[i], text) != 0)
        i++;
    if (!field->words[i])
        return bad_word(r, value, field->words);
    memcpy(hf__field_at(target, field), &i, sizeof(i)); /* an enum is as large as `i`, as HF__WORDS asserts */
    return 0;
}

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

/* O_NONBLOCK: opening a FIFO must not wait for its writer. */
int hf__load_file(const char *what, const char *path, size_t max, bool is_secret, char **ret_text, size_t *ret_len)
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

/* ---- passwords ---- */

static size_t without_line_end(const char *text, size_t len)
{
    if (len > 0 && text[len - 1] == '\n')
        len--;
    if (len > 0 && text[len - 1] == '\r')
        len--;
    return len;
}

/* The sentences do not show the name: who mixes the keys up has a password here. */
int hf__password_of_file(const struct hf__reader *r, const cJSON *value, char **ret_password)
{
    char what[sizeof(r->file) + sizeof(r->path) + 64], *password = NULL;
    size_t bytes, len;
    int rc;

    if (!cJSON_IsString(value) || !*value->valuestring)
        return hf__bad(r, "no name", "the name of a file that holds the password");
    snprintf(what, sizeof(what), "configuration %s: the file that %s names", r->file, r->path);
    rc = hf__load_file(what, value->valuestring, PASSWORD_BYTES_MAX, true, &password, &bytes);
    if (rc != 0)
        return rc;
    len = without_line_end(password, bytes);
    password[len] = '\0';
    if (len > 0 && strcspn(password, "\r\n") == len) {
        *ret_password = password;
        return 0;
    }
    explicit_bzero(password, bytes);
    free(password);
    return hf__bad(r, len > 0 ? "a file with several lines or a NUL" : "an empty file",
                   "a file with the password as its one line");
}

int hf__password_of_env(const struct hf__reader *r, const cJSON *value, char **ret_password)
{
    const char *password = cJSON_IsString(value) ? getenv(value->valuestring) : NULL;
    char *copy;

    if (!password || !*password)
        return hf__bad(r, "no variable of this name that is set",
                       "the name of an environment variable with the password");
    copy = strdup(password);
    if (!copy)
        return hf__fail(HF_ENOMEM, "out of memory: a password");
    *ret_password = copy;
    return 0;
}

void hf__password_free(char *password)
{
    if (password)
        explicit_bzero(password, strlen(password));
    free(password);
}
