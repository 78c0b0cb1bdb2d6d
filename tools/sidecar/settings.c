/* The sidecar's own part of the configuration file, by tables of fields; and who may log in.
 *
 * The rest of the file is read by hf_config_load(), which has looked at it as a whole before: it is a regular file, of bounded size,
 * and JSON. No sentence shows anything that may be a password. */
#include "settings.h"

#include "fail.h"

#include <assert.h>
#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES_MAX (1u << 20) /* as of hf_config_load() */
#define PASSWORD_BYTES_MAX 4096u
#define EXACT_DOUBLE_MAX 9007199254740992.0 /* 2^53: whole numbers of JSON are exact up to here */

static_assert(SHA256_DIGEST_LENGTH == sizeof(((struct user *)0)->digest), "the digest of a password");

struct reader {
    char file[200]; /* printable */
    char path[128]; /* of the value at hand: "sidecar.users[2].name" */
    struct settings *settings;
};

/* A member of an object. `read` stores it at `target` + offset, or says what is wrong with it. */
struct field {
    const char *name;
    int (*read)(struct reader *r, const cJSON *value, const struct field *field, void *target);
    size_t offset;
    uint64_t min, max;
};

/* ---- saying what is wrong ---- */

static int bad(const struct reader *r, const char *found, const char *expected)
{
    return hf__fail(HF_ECONFIG, "configuration %s: %s: found %s, expected %s", r->file, r->path, found, expected);
}

static int bad_value(const struct reader *r, const cJSON *value, const char *expected)
{
    char text[64], inner[48];

    if (cJSON_IsString(value))
        snprintf(text, sizeof(text), "\"%s\"",
                 hf__printable(hf__slice_str(value->valuestring), inner, sizeof(inner)));
    else if (cJSON_IsNumber(value))
        snprintf(text, sizeof(text), "%.17g", value->valuedouble);
    else
        snprintf(text, sizeof(text), "%s",
                 cJSON_IsBool(value)    ? (cJSON_IsTrue(value) ? "true" : "false")
                 : cJSON_IsNull(value)  ? "null"
                 : cJSON_IsArray(value) ? "an array"
                                        : "an object");
    return bad(r, text, expected);
}

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

/* ---- objects and arrays ---- */

static int bad_name(const struct reader *r, const struct field *fields)
{
    char expected[256] = "one of: ";
    size_t len = strlen(expected);

    for (const struct field *f = fields; f->name && len < sizeof(expected); f++)
        len += (size_t)snprintf(expected + len, sizeof(expected) - len, "%s%s", f == fields ? "" : ", ", f->name);
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

/* Strings into an array of `max`. */
static int read_texts(struct reader *r, const cJSON *array, const char **texts, size_t max, size_t *ret_n)
{
    const cJSON *item;
    char expected[64];
    size_t n = 0, level;

    snprintf(expected, sizeof(expected), "an array of 1 to %zu strings", max);
    if (!cJSON_IsArray(array) || cJSON_GetArraySize(array) < 1 || (size_t)cJSON_GetArraySize(array) > max)
        return bad_value(r, array, expected);
    cJSON_ArrayForEach(item, array)
    {
        level = enter_item(r, n);
        if (!cJSON_IsString(item) || !*item->valuestring)
            return bad_value(r, item, "a string that is not empty");
        leave(r, level);
        texts[n++] = item->valuestring;
    }
    *ret_n = n;
    return 0;
}

/* ---- values ---- */

static void *at(void *target, const struct field *field)
{
    return (char *)target + field->offset;
}

static int read_text(struct reader *r, const cJSON *value, const struct field *field, void *target)
{
    if (!cJSON_IsString(value) || (field->min > 0 && !*value->valuestring))
        return bad_value(r, value, field->min > 0 ? "a string that is not empty" : "a string");
    *(const char **)at(target, field) = value->valuestring;
    return 0;
}

static int read_bool(struct reader *r, const cJSON *value, const struct field *field, void *target)
{
    if (!cJSON_IsBool(value))
        return bad_value(r, value, "true or false");
    *(bool *)at(target, field) = cJSON_IsTrue(value);
    return 0;
}

static bool whole_number(const cJSON *value, uint64_t *ret_number)
{
    double d = cJSON_IsNumber(value) ? value->valuedouble : -1;

    if (!(d >= 0 && d <= EXACT_DOUBLE_MAX) || d != (double)(uint64_t)d)
        return false;
    *ret_number = (uint64_t)d;
    return true;
}

static int bounded_number(struct reader *r, const cJSON *value, const struct field *field, uint64_t *ret_number)
{
    char expected[64];

    if (whole_number(value, ret_number) && *ret_number >= field->min && *ret_number <= field->max)
        return 0;
    snprintf(expected, sizeof(expected), "a whole number from %llu to %llu", (unsigned long long)field->min,
             (unsigned long long)field->max);
    return bad_value(r, value, expected);
}

static int read_number(struct reader *r, const cJSON *value, const struct field *field, void *target)
{
    return bounded_number(r, value, field, at(target, field));
}

static int read_port(struct reader *r, const cJSON *value, const struct field *field, void *target)
{
    uint64_t number = 0;
    int rc = bounded_number(r, value, field, &number);

    if (rc == 0)
        *(int *)at(target, field) = (int)number;
    return rc;
}

static int read_duration(struct reader *r, const cJSON *value, const struct field *field, void *target)
{
    uint64_t number = 0;
    int64_t ms = -1;

    if (whole_number(value, &number))
        ms = number <= INT_MAX ? (int64_t)number : -1;
    else if (cJSON_IsString(value) && hf_parse_duration(value->valuestring, &ms) != 0)
        ms = -1;
    if (ms < 0 || ms > INT_MAX)
        return bad_value(r, value, "a duration up to 24 days, such as \"10s\" or 250");
    *(int *)at(target, field) = (int)ms;
    return 0;
}

static int read_size(struct reader *r, const cJSON *value, const struct field *field, void *target)
{
    uint64_t size = 0;
    bool ok = cJSON_IsString(value) ? hf_parse_size(value->valuestring, &size) == 0 : whole_number(value, &size);

    if (!ok || size < field->min)
        return bad_value(r, value, "a size of at least 64 KiB, such as \"64MiB\"");
    *(uint64_t *)at(target, field) = size;
    return 0;
}

/* ---- passwords ---- */

static void set_password(struct user *user, const char *password, size_t len)
{
    SHA256((const unsigned char *)password, len, user->digest);
    user->has_password = true;
}

static int password_of_fd(const struct reader *r, int fd, struct user *user)
{
    char text[PASSWORD_BYTES_MAX + 1];
    struct stat st;
    ssize_t n;
    size_t len;
    int rc = 0;

    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return bad(r, "the name of something else", "the name of a regular file");
    if (st.st_mode & S_IRWXO)
        return bad(r, "a file that others may use", "no permissions for others (chmod o= FILE)");
    n = read(fd, text, sizeof(text));
    len = n > 0 ? (size_t)n : 0;
    len -= len > 0 && text[len - 1] == '\n';
    len -= len > 0 && text[len - 1] == '\r';
    if (n < 0 || len == 0 || len >= PASSWORD_BYTES_MAX || memchr(text, '\n', len) || memchr(text, '\0', len))
        rc = bad(r, "a file that holds something else", "a file with the password as its one line");
    else
        set_password(user, text, len);
    OPENSSL_cleanse(text, sizeof(text));
    return rc;
}

/* O_NONBLOCK: opening a FIFO must not wait for its writer. */
static int read_password_file(struct reader *r, const cJSON *value, const struct field *field, void *target)
{
    struct user *user = target;
    int fd, rc;

    (void)field;
    if (user->has_password)
        return bad(r, "a second source of the password", "only one of password_file and password_env");
    if (!cJSON_IsString(value) || !*value->valuestring)
        return bad(r, "no name", "the name of a file that holds the password");
    fd = open(value->valuestring, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return hf__fail_errno(HF_EIO, errno, "configuration %s: cannot read the file that %s names", r->file,
                              r->path);
    rc = password_of_fd(r, fd, user);
    close(fd);
    return rc;
}

static int read_password_env(struct reader *r, const cJSON *value, const struct field *field, void *target)
{
    struct user *user = target;
    const char *password = cJSON_IsString(value) ? getenv(value->valuestring) : NULL;

    (void)field;
    if (user->has_password)
        return bad(r, "a second source of the password", "only one of password_file and password_env");
    if (!password || !*password)
        return bad(r, "no variable of this name that is set",
                   "the name of an environment variable with the password");
    set_password(user, password, strlen(password));
    return 0;
}

/* ---- users ---- */

static int read_prefixes(struct reader *r, const cJSON *value, const struct field *field, void *target)
{
    struct user *user = target;

    (void)field;
    return read_texts(r, value, user->prefixes, SETTINGS_PREFIXES_MAX, &user->n_prefixes);
}

static const struct user *user_named(const struct settings *settings, struct hf_slice name)
{
    for (size_t i = 0; i < settings->n_users; i++) {
        if (hf__slice_eq(hf__slice_str(settings->users[i].name), name))
            return &settings->users[i];
    }
    return NULL;
}

static int read_user(struct reader *r, const cJSON *value, size_t i)
{
    static const struct field fields[] = {
        {.name = "name", .read = read_text, .offset = offsetof(struct user, name), .min = 1},
        {.name = "password_file", .read = read_password_file},
        {.name = "password_env", .read = read_password_env},
        {.name = "prefixes", .read = read_prefixes},
        {.name = "operator", .read = read_bool, .offset = offsetof(struct user, is_operator)},
        {0},
    };
    struct settings *settings = r->settings;
    struct user *user = &settings->users[settings->n_users];
    size_t level = enter_item(r, i);
    int rc = read_members(r, value, fields, user);

    if (rc != 0)
        return rc;
    if (!user->name)
        return bad(r, "no name", "one");
    if (!user->has_password)
        return bad(r, "no password", "password_file or password_env");
    if (user_named(settings, hf__slice_str(user->name)))
        return bad(r, "a name that another user has", "each name once");
    settings->n_users++;
    leave(r, level);
    return 0;
}

static int read_users(struct reader *r, const cJSON *value, const struct field *field, void *target)
{
    const cJSON *item;
    size_t i = 0;
    int rc;

    (void)field;
    (void)target;
    if (!cJSON_IsArray(value) || (size_t)cJSON_GetArraySize(value) >= SETTINGS_USERS_MAX)
        return bad_value(r, value, "an array of at most 255 objects");
    cJSON_ArrayForEach(item, value)
    {
        rc = read_user(r, item, i++);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* ---- the object ---- */

static int read_binds(struct reader *r, const cJSON *value, const struct field *field, void *target)
{
    struct settings *settings = target;

    (void)field;
    return read_texts(r, value, settings->binds, SETTINGS_BINDS_MAX, &settings->n_binds);
}

#define SETTING(member) offsetof(struct settings, member)

static int read_http(struct reader *r, const cJSON *value, const struct field *field, void *target)
{
    static const struct field fields[] = {
        {.name = "bind", .read = read_text, .offset = SETTING(http_bind), .min = 1},
        {.name = "port", .read = read_port, .offset = SETTING(http_port), .max = 65535},
        {0},
    };

    (void)field;
    return read_members(r, value, fields, target);
}

static int read_tls_files(const struct reader *r, struct settings *settings)
{
    char place[sizeof(r->file) + sizeof(r->path) + 16];

    snprintf(place, sizeof(place), "configuration %s: %s", r->file, r->path);
    return tls_files_load(place, &settings->tls_files, &settings->tls);
}

static int read_tls(struct reader *r, const cJSON *value, const struct field *field, void *target)
{
    static const struct field fields[] = {
        {.name = "port", .read = read_port, .offset = SETTING(tls_port), .min = 1, .max = 65535},
        {.name = "cert_file", .read = read_text, .offset = SETTING(tls_files.certificate), .min = 1},
        {.name = "key_file", .read = read_text, .offset = SETTING(tls_files.key), .min = 1},
        {.name = "client_ca_file", .read = read_text, .offset = SETTING(tls_files.client_ca), .min = 1},
        {0},
    };
    struct settings *settings = target;
    int rc = read_members(r, value, fields, target);

    (void)field;
    if (rc != 0)
        return rc;
    if (settings->tls_port == 0)
        return bad(r, "no port", "one");
    if (!settings->tls_files.certificate || !settings->tls_files.key)
        return bad(r, "no certificate or no key", "cert_file and key_file");
    return read_tls_files(r, settings);
}

static int read_log(struct reader *r, const cJSON *value, const struct field *field, void *target)
{
    const char *text = cJSON_IsString(value) ? value->valuestring : "";

    if (strcmp(text, "text") != 0 && strcmp(text, "json") != 0)
        return bad_value(r, value, "\"text\" or \"json\"");
    *(bool *)at(target, field) = strcmp(text, "json") == 0;
    return 0;
}

/* The password of who gives no name. */
static int read_default_file(struct reader *r, const cJSON *value, const struct field *field, void *target)
{
    return read_password_file(r, value, field, &((struct settings *)target)->users[0]);
}

static int read_default_env(struct reader *r, const cJSON *value, const struct field *field, void *target)
{
    return read_password_env(r, value, field, &((struct settings *)target)->users[0]);
}

static int read_sidecar(struct reader *r, const cJSON *value)
{
    static const struct field fields[] = {
        {.name = "bind", .read = read_binds},
        {.name = "port", .read = read_port, .offset = SETTING(port), .max = 65535},
        {.name = "tls", .read = read_tls},
        {.name = "unixsocket", .read = read_text, .offset = SETTING(unixsocket)},
        {.name = "password_file", .read = read_default_file},
        {.name = "password_env", .read = read_default_env},
        {.name = "users", .read = read_users},
        {.name = "max_clients", .read = read_number, .offset = SETTING(max_clients), .min = 1, .max = 1000000},
        {.name = "output_limit", .read = read_size, .offset = SETTING(output_max), .min = 64 * 1024},
        {.name = "output_soft_limit", .read = read_size, .offset = SETTING(output_soft_max), .min = 64 * 1024},
        {.name = "idle_timeout", .read = read_duration, .offset = SETTING(idle_timeout_ms)},
        {.name = "drain", .read = read_duration, .offset = SETTING(drain_ms)},
        {.name = "http", .read = read_http},
        {.name = "log", .read = read_log, .offset = SETTING(log_json)},
        {0},
    };

    return read_members(r, value, fields, r->settings);
}

/* ---- the file ---- */

/* It was read a moment ago, by hf_config_load(). */
static char *read_file(const char *path)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    char *text = calloc(1, FILE_BYTES_MAX + 1);
    size_t len = 0;
    ssize_t n = 0;

    while (fd >= 0 && text && len < FILE_BYTES_MAX && (n = read(fd, text + len, FILE_BYTES_MAX - len)) > 0)
        len += (size_t)n;
    if (fd >= 0)
        close(fd);
    if (fd < 0 || n < 0) {
        free(text);
        return NULL;
    }
    return text;
}

static int load_sidecar(struct settings *settings, const char *path)
{
    struct reader r = {.settings = settings};
    char *text = read_file(path);
    const cJSON *sidecar;

    hf__printable(hf__slice_str(path), r.file, sizeof(r.file));
    if (!text)
        return hf__fail(HF_EIO, "cannot read configuration %s", r.file);
    settings->json = cJSON_Parse(text);
    free(text);
    if (!settings->json)
        return hf__fail(HF_ECONFIG, "configuration %s: it changed while it was read", r.file);
    sidecar = cJSON_GetObjectItemCaseSensitive(settings->json, "sidecar");
    if (!sidecar)
        return 0;
    (void)enter(&r, "sidecar");
    return read_sidecar(&r, sidecar);
}

static struct settings *defaults(void)
{
    struct settings *settings = calloc(1, sizeof(*settings));

    if (!settings)
        return NULL;
    settings->refs = 1;
    settings->binds[0] = "127.0.0.1";
    settings->n_binds = 1;
    settings->port = SETTINGS_PORT_DEFAULT;
    settings->users[0] = (struct user){.name = "default", .is_operator = true};
    settings->n_users = 1;
    settings->max_clients = SETTINGS_CLIENTS_DEFAULT;
    settings->output_max = SETTINGS_OUTPUT_DEFAULT;
    settings->output_soft_max = SETTINGS_OUTPUT_SOFT_DEFAULT;
    settings->drain_ms = SETTINGS_DRAIN_DEFAULT_MS;
    settings->http_bind = "127.0.0.1";
    settings->http_port = SETTINGS_HTTP_PORT_DEFAULT;
    return settings;
}

int settings_load(const char *path, struct settings **ret_settings)
{
    struct settings *settings = defaults();
    int rc = 0;

    if (!settings)
        return hf__fail(HF_ENOMEM, "out of memory: the settings");
    if (path)
        rc = hf_config_load(path, &settings->config);
    if (rc == 0 && path)
        rc = load_sidecar(settings, path);
    if (rc != 0) {
        settings_release_ref(settings);
        return rc;
    }
    *ret_settings = settings;
    return 0;
}

struct settings *settings_retain(struct settings *settings)
{
    settings->refs++;
    return settings;
}

void settings_release_ref(struct settings *settings)
{
    if (!settings || --settings->refs > 0)
        return;
    cJSON_Delete(settings->json);
    hf_config_free(settings->config);
    SSL_CTX_free(settings->tls);
    OPENSSL_cleanse(settings->users, sizeof(settings->users));
    free(settings);
}

void settings_keep(struct settings *settings, struct settings *old)
{
    struct hf_config *config = settings->config;

    settings->config = old->config;
    old->config = config;
    if (settings->tls)
        return;
    settings->tls = old->tls;
    old->tls = NULL;
}

uint64_t settings_value_max(const struct settings *settings)
{
    uint64_t max = settings->config ? hf_config_options(settings->config)->max_value_bytes : 0;

    return max ? max : HF_MAX_VALUE_DEFAULT;
}

/* ---- protected mode ---- */

bool settings_is_loopback(const char *address)
{
    return strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0;
}

int settings_check(const struct settings *settings)
{
    if (settings->tls_port > 0 && settings->tls_port == settings->port)
        return hf__fail(HF_ECONFIG,
                        "sidecar.tls.port: found %d, which is the port without TLS, expected another one",
                        settings->port);
    if (settings->users[0].has_password || settings->n_users > 1)
        return 0;
    for (size_t i = 0; (settings->port > 0 || settings->tls_port > 0) && i < settings->n_binds; i++) {
        if (!settings_is_loopback(settings->binds[i]))
            return hf__fail(
                HF_ECONFIG,
                "sidecar.bind: found %s, which others can reach, and no password; expected a loopback address, "
                "or sidecar.password_file, password_env or users",
                settings->binds[i]);
    }
    return 0;
}

/* ---- logging in ---- */

/* Without any password everybody is the default user; with one, nobody is who has not told it. */
const struct user *settings_default_user(const struct settings *settings)
{
    return settings->n_users == 1 && !settings->users[0].has_password ? &settings->users[0] : NULL;
}

const struct user *settings_successor(const struct settings *settings, const struct user *user)
{
    const struct user *successor = user_named(settings, hf__slice_str(user->name));

    return successor && (successor->has_password || successor == settings_default_user(settings)) ? successor
                                                                                                  : NULL;
}

const struct user *settings_login(const struct settings *settings, struct hf_slice name, struct hf_slice password)
{
    static const struct user nobody;
    const struct user *user = user_named(settings, name);
    unsigned char digest[SHA256_DIGEST_LENGTH];
    bool same;

    user = user && user->has_password ? user : NULL;
    SHA256(password.data, password.len, digest);
    same = CRYPTO_memcmp(digest, user ? user->digest : nobody.digest, sizeof(digest)) == 0;
    if (!user && settings_default_user(settings) && hf__slice_eq(name, hf__slice_str("default")))
        return settings_default_user(settings);
    return user && same ? user : NULL;
}

bool user_may_touch(const struct user *user, struct hf_slice key)
{
    for (size_t i = 0; i < user->n_prefixes; i++) {
        if (hf__slice_starts_with(key, hf__slice_str(user->prefixes[i])))
            return true;
    }
    return user->n_prefixes == 0;
}
