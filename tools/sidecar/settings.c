/* The sidecar's own part of the configuration file, by tables of fields; and who may log in. The rest of the file is read by
 * hf_config_load(), which has looked at it as a whole before. */
#include "settings.h"

#include "fail.h"
#include "fields.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

static_assert(SHA256_DIGEST_LENGTH == sizeof(((struct user *)0)->digest), "the digest of a password");

/* ---- values ---- */

/* Strings into an array of `max`. */
static int read_texts(struct hf__reader *r, const cJSON *array, const char **texts, size_t max, size_t *ret_n)
{
    const cJSON *item;
    char expected[64];
    size_t n = 0, level;

    snprintf(expected, sizeof(expected), "an array of 1 to %zu strings", max);
    if (!cJSON_IsArray(array) || cJSON_GetArraySize(array) < 1 || (size_t)cJSON_GetArraySize(array) > max)
        return hf__bad_value(r, array, expected);
    cJSON_ArrayForEach(item, array)
    {
        level = hf__enter_item(r, n);
        if (!cJSON_IsString(item) || !*item->valuestring)
            return hf__bad_value(r, item, "a string that is not empty");
        hf__leave(r, level);
        texts[n++] = item->valuestring;
    }
    *ret_n = n;
    return 0;
}

static int read_port(struct hf__reader *r, const cJSON *value, const struct hf__field *field, void *target)
{
    uint64_t number = 0;
    int rc = hf__bounded_number(r, value, field, &number);

    if (rc == 0)
        *(int *)hf__field_at(target, field) = (int)number;
    return rc;
}

/* ---- passwords ---- */

static int take_password(const struct hf__reader *r, char *password, struct user *user)
{
    size_t len = strlen(password);

    if (user->has_password) {
        hf__password_free(password);
        return hf__bad(r, "a second source of the password", "only one of password_file and password_env");
    }
    SHA256((const unsigned char *)password, len, user->digest);
    user->has_password = true;
    hf__password_free(password);
    return 0;
}

static int read_password_file(struct hf__reader *r, const cJSON *value, const struct hf__field *field, void *target)
{
    char *password;
    int rc = hf__password_of_file(r, value, &password);

    (void)field;
    return rc == 0 ? take_password(r, password, target) : rc;
}

static int read_password_env(struct hf__reader *r, const cJSON *value, const struct hf__field *field, void *target)
{
    char *password;
    int rc = hf__password_of_env(r, value, &password);

    (void)field;
    return rc == 0 ? take_password(r, password, target) : rc;
}

/* ---- users ---- */

static int read_prefixes(struct hf__reader *r, const cJSON *value, const struct hf__field *field, void *target)
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

static int read_user(struct hf__reader *r, const cJSON *value, size_t i, struct settings *settings)
{
    static const struct hf__field fields[] = {
        {.name = "name", .read = hf__read_text, .offset = offsetof(struct user, name)},
        {.name = "password_file", .read = read_password_file},
        {.name = "password_env", .read = read_password_env},
        {.name = "prefixes", .read = read_prefixes},
        {.name = "operator", .read = hf__read_bool, .offset = offsetof(struct user, is_operator)},
        {0},
    };
    struct user *user = &settings->users[settings->n_users];
    size_t level = hf__enter_item(r, i);
    int rc = hf__read_members(r, value, fields, user);

    if (rc != 0)
        return rc;
    if (!user->name)
        return hf__bad(r, "no name", "one");
    if (!user->has_password)
        return hf__bad(r, "no password", "password_file or password_env");
    if (user_named(settings, hf__slice_str(user->name)))
        return hf__bad(r, "a name that another user has", "each name once");
    settings->n_users++;
    hf__leave(r, level);
    return 0;
}

static int read_users(struct hf__reader *r, const cJSON *value, const struct hf__field *field, void *target)
{
    const cJSON *item;
    size_t i = 0;
    int rc;

    (void)field;
    if (!cJSON_IsArray(value) || (size_t)cJSON_GetArraySize(value) >= SETTINGS_USERS_MAX)
        return hf__bad_value(r, value, "an array of at most 255 objects");
    cJSON_ArrayForEach(item, value)
    {
        rc = read_user(r, item, i++, target);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* ---- the object ---- */

static int read_binds(struct hf__reader *r, const cJSON *value, const struct hf__field *field, void *target)
{
    struct settings *settings = target;

    (void)field;
    return read_texts(r, value, settings->binds, SETTINGS_BINDS_MAX, &settings->n_binds);
}

#define SETTING(member) offsetof(struct settings, member)

static int read_http_names(struct hf__reader *r, const cJSON *value, const struct hf__field *field, void *target)
{
    struct settings *settings = target;

    (void)field;
    return read_texts(r, value, settings->http_names, SETTINGS_HTTP_NAMES_MAX, &settings->n_http_names);
}

static int read_http(struct hf__reader *r, const cJSON *value, const struct hf__field *field, void *target)
{
    static const struct hf__field fields[] = {
        {.name = "bind", .read = hf__read_text, .offset = SETTING(http_bind)},
        {.name = "port", .read = read_port, .offset = SETTING(http_port), .max = 65535},
        {.name = "names", .read = read_http_names},
        {0},
    };

    (void)field;
    return hf__read_members(r, value, fields, target);
}

static int read_tls_files(const struct hf__reader *r, struct settings *settings)
{
    char place[sizeof(r->file) + sizeof(r->path) + 16];

    snprintf(place, sizeof(place), "configuration %s: %s", r->file, r->path);
    return tls_files_load(place, &settings->tls_files, &settings->tls);
}

static int read_tls(struct hf__reader *r, const cJSON *value, const struct hf__field *field, void *target)
{
    static const struct hf__field fields[] = {
        {.name = "port", .read = read_port, .offset = SETTING(tls_port), .min = 1, .max = 65535},
        {.name = "cert_file", .read = hf__read_text, .offset = SETTING(tls_files.certificate)},
        {.name = "key_file", .read = hf__read_text, .offset = SETTING(tls_files.key)},
        {.name = "client_ca_file", .read = hf__read_text, .offset = SETTING(tls_files.client_ca)},
        {0},
    };
    struct settings *settings = target;
    int rc = hf__read_members(r, value, fields, target);

    (void)field;
    if (rc != 0)
        return rc;
    if (settings->tls_port == 0)
        return hf__bad(r, "no port", "one");
    if (!settings->tls_files.certificate || !settings->tls_files.key)
        return hf__bad(r, "no certificate or no key", "cert_file and key_file");
    return read_tls_files(r, settings);
}

static int read_log(struct hf__reader *r, const cJSON *value, const struct hf__field *field, void *target)
{
    const char *text = cJSON_IsString(value) ? value->valuestring : "";

    if (strcmp(text, "text") != 0 && strcmp(text, "json") != 0)
        return hf__bad_value(r, value, "\"text\" or \"json\"");
    *(bool *)hf__field_at(target, field) = strcmp(text, "json") == 0;
    return 0;
}

/* The password of who gives no name. */
static int read_default_file(struct hf__reader *r, const cJSON *value, const struct hf__field *field, void *target)
{
    return read_password_file(r, value, field, &((struct settings *)target)->users[0]);
}

static int read_default_env(struct hf__reader *r, const cJSON *value, const struct hf__field *field, void *target)
{
    return read_password_env(r, value, field, &((struct settings *)target)->users[0]);
}

static int read_sidecar(struct hf__reader *r, const cJSON *value, struct settings *settings)
{
    static const struct hf__field fields[] = {
        {.name = "bind", .read = read_binds},
        {.name = "port", .read = read_port, .offset = SETTING(port), .max = 65535},
        {.name = "tls", .read = read_tls},
        {.name = "unixsocket", .read = hf__read_any_text, .offset = SETTING(unixsocket)},
        {.name = "password_file", .read = read_default_file},
        {.name = "password_env", .read = read_default_env},
        {.name = "users", .read = read_users},
        {.name = "max_clients", .read = hf__read_number, .offset = SETTING(max_clients), .min = 1, .max = 1000000},
        {.name = "output_limit",
         .read = hf__read_size,
         .offset = SETTING(output_max),
         .min = 64 * 1024,
         .max = INT64_MAX},
        {.name = "output_soft_limit",
         .read = hf__read_size,
         .offset = SETTING(output_soft_max),
         .min = 64 * 1024,
         .max = INT64_MAX},
        {.name = "idle_timeout", .read = hf__read_int_ms, .offset = SETTING(idle_timeout_ms), .max = INT_MAX},
        {.name = "drain", .read = hf__read_int_ms, .offset = SETTING(drain_ms), .max = INT_MAX},
        {.name = "slow_after", .read = hf__read_int_ms, .offset = SETTING(slow_after_ms), .max = INT_MAX},
        {.name = "http", .read = read_http},
        {.name = "log", .read = read_log, .offset = SETTING(log_json)},
        {0},
    };

    return hf__read_members(r, value, fields, settings);
}

/* ---- the file ---- */

/* It was read a moment ago, by hf_config_load(). */
static int parse(struct settings *settings, const struct hf__reader *r, const char *path)
{
    char what[sizeof(r->file) + 16], *text = NULL;
    size_t len;
    int rc;

    snprintf(what, sizeof(what), "configuration %s", r->file);
    rc = hf__load_file(what, path, HF_DOCUMENT_BYTES_MAX, false, &text, &len);
    if (rc != 0)
        return rc;
    settings->json = cJSON_Parse(text);
    free(text);
    return settings->json ? 0 : hf__fail(HF_ECONFIG, "%s: it changed while it was read", what);
}

static int load_sidecar(struct settings *settings, const char *path)
{
    struct hf__reader r = {0};
    const cJSON *sidecar;
    int rc;

    hf__printable(hf__slice_str(path), r.file, sizeof(r.file));
    rc = parse(settings, &r, path);
    if (rc != 0)
        return rc;
    sidecar = cJSON_GetObjectItemCaseSensitive(settings->json, "sidecar");
    if (!sidecar)
        return 0;
    (void)hf__enter(&r, "sidecar");
    return read_sidecar(&r, sidecar, settings);
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
    settings->slow_after_ms = SETTINGS_SLOW_AFTER_DEFAULT_MS;
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
    char shown[80];

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
                hf__printable(hf__slice_str(settings->binds[i]), shown, sizeof(shown)));
    }
    return 0;
}

/* ---- logging in ---- */

/* Without any password everybody is the default user; with one, nobody is who has not told it. */
const struct user *settings_default_user(const struct settings *settings)
{
    return settings->n_users == 1 && !settings->users[0].has_password ? &settings->users[0] : NULL;
}

const struct user *settings_owner(const struct settings *settings)
{
    return &settings->users[0]; /* it may do everything; a password is for others */
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
