/* Configuration files: JSON in, options out, and one sentence that names the place when something is wrong. The document is
 * described by tables of fields. */
#include "bytes.h"
#include "fail.h"
#include "fields.h"

#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#define NAMESPACES_MAX 1024u           /* every key is compared with every prefix */
#define EXACT_INTEGER_MAX (1ull << 53) /* JSON numbers are doubles, whole ones are exact up to here */

struct hf_config {
    cJSON *json;     /* the document; the strings of the options lie in here */
    const char *dir; /* NULL: none */
    struct hf_options options;
    struct hf_namespace *namespaces; /* what options.namespaces points to */
    char *password;                  /* what options.redis_password points to */
};

/* ---- Redis ---- */

static int take_password(const struct hf__reader *r, char *password, struct hf_config *config)
{
    if (config->password) {
        hf__password_free(password);
        return hf__bad(r, "a second source of the password", "only one of password_file and password_env");
    }
    config->password = password;
    config->options.redis_password = password;
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

static int refuse_password(struct hf__reader *r, const cJSON *value, const struct hf__field *field, void *target)
{
    (void)value;
    (void)field;
    (void)target;
    return hf__bad(r, "a password", "it in a file or in the environment: use password_file or password_env");
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

static int read_address(struct hf__reader *r, const cJSON *value, const struct hf__field *field, void *target)
{
    if (cJSON_IsString(value) && holds_password(value->valuestring))
        return hf__bad(r, "a password in the address", "it elsewhere: use password_file or password_env");
    return hf__read_text(r, value, field, target);
}

#define OPTION(member) offsetof(struct hf_config, options.member)

static int read_redis(struct hf__reader *r, const cJSON *value, const struct hf__field *field, void *target)
{
    static const struct hf__field fields[] = {
        {.name = "address", .read = read_address, .offset = OPTION(redis)},
        {.name = "user", .read = hf__read_text, .offset = OPTION(redis_user)},
        {.name = "password_file", .read = read_password_file},
        {.name = "password_env", .read = read_password_env},
        {.name = "ca_file", .read = hf__read_text, .offset = OPTION(redis_ca_file)},
        {.name = "timeout", .read = hf__read_int_ms, .offset = OPTION(redis_timeout_ms), .min = 1, .max = INT_MAX},
        {.name = "connect_timeout",
         .read = hf__read_int_ms,
         .offset = OPTION(redis_connect_timeout_ms),
         .min = 1,
         .max = INT_MAX},
        {.name = "heartbeat",
         .read = hf__read_int_ms,
         .offset = OPTION(redis_heartbeat_ms),
         .min = 1,
         .max = INT_MAX},
        {.name = "backoff_max",
         .read = hf__read_int_ms,
         .offset = OPTION(redis_backoff_max_ms),
         .min = 1,
         .max = INT_MAX},
        {.name = "password", .read = refuse_password, .hidden = true},
        {0},
    };

    (void)field;
    return hf__read_members(r, value, fields, target);
}

/* ---- durability and limits ---- */

static int read_durability(struct hf__reader *r, const cJSON *value, const struct hf__field *field, void *target)
{
    static const char interval[] = "interval:";
    struct hf_options *options = hf__field_at(target, field);
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
        return hf__bad_value(r, value, "\"always\", \"none\" or \"interval:<ms>\"");
    }
    return 0;
}

static int read_limits(struct hf__reader *r, const cJSON *value, const struct hf__field *field, void *target)
{
    static const struct hf__field fields[] = {
        {.name = "max_disk", .read = hf__read_size, .offset = OPTION(max_disk_bytes), .min = 1, .max = INT64_MAX},
        {.name = "max_value",
         .read = hf__read_size,
         .offset = OPTION(max_value_bytes),
         .min = 1,
         .max = HF_VALUE_MAX},
        {.name = "segment", .read = hf__read_size, .offset = OPTION(segment_bytes), .min = 1, .max = INT64_MAX},
        {.name = "checkpoint_bytes",
         .read = hf__read_size,
         .offset = OPTION(checkpoint_bytes),
         .min = 1,
         .max = INT64_MAX},
        {.name = "checkpoint_interval",
         .read = hf__read_int_ms,
         .offset = OPTION(checkpoint_interval_ms),
         .min = 1,
         .max = INT_MAX},
        {0},
    };

    (void)field;
    return hf__read_members(r, value, fields, target);
}

/* ---- what waits for Redis, and what is kept ---- */

static const char *const pending_policies[] = {"reject", "block", "drop-oldest", NULL};
HF__WORDS(pending_policies, HF_PENDING_DROP_OLDEST);

static int read_pending(struct hf__reader *r, const cJSON *value, const struct hf__field *field, void *target)
{
    static const struct hf__field fields[] = {
        {.name = "max", .read = hf__read_number, .offset = OPTION(pending_max), .min = 1, .max = EXACT_INTEGER_MAX},
        {.name = "max_bytes",
         .read = hf__read_size,
         .offset = OPTION(pending_max_bytes),
         .min = 1,
         .max = INT64_MAX},
        {.name = "max_age", .read = hf__read_int64_ms, .offset = OPTION(pending_max_age_ms), .max = HF_TTL_MAX_MS},
        {.name = "policy", .read = hf__read_word, .offset = OPTION(pending_policy), .words = pending_policies},
        {0},
    };

    (void)field;
    return hf__read_members(r, value, fields, target);
}

static int read_conflict_log(struct hf__reader *r, const cJSON *value, const struct hf__field *field, void *target)
{
    static const struct hf__field fields[] = {
        {.name = "max",
         .read = hf__read_number,
         .offset = OPTION(conflict_log_max),
         .min = 1,
         .max = EXACT_INTEGER_MAX},
        {.name = "max_bytes",
         .read = hf__read_size,
         .offset = OPTION(conflict_log_max_bytes),
         .min = 1,
         .max = INT64_MAX},
        {0},
    };

    (void)field;
    return hf__read_members(r, value, fields, target);
}

static int read_parked(struct hf__reader *r, const cJSON *value, const struct hf__field *field, void *target)
{
    static const struct hf__field fields[] = {
        {.name = "max", .read = hf__read_number, .offset = OPTION(parked_max), .min = 1, .max = EXACT_INTEGER_MAX},
        {0},
    };

    (void)field;
    return hf__read_members(r, value, fields, target);
}

static int read_replay(struct hf__reader *r, const cJSON *value, const struct hf__field *field, void *target)
{
    static const struct hf__field fields[] = {
        {.name = "ops_per_s",
         .read = hf__read_number,
         .offset = OPTION(replay_ops_per_s),
         .max = EXACT_INTEGER_MAX},
        {.name = "bytes_per_s", .read = hf__read_size, .offset = OPTION(replay_bytes_per_s), .max = INT64_MAX},
        {.name = "delay_max", .read = hf__read_int_ms, .offset = OPTION(replay_delay_max_ms), .max = INT_MAX},
        {0},
    };

    (void)field;
    return hf__read_members(r, value, fields, target);
}

/* ---- namespaces ---- */

static const char *const write_modes[] = {"through", "behind", "local", NULL};
static const char *const read_modes[] = {"local", "shared", NULL};
static const char *const conflicts[] = {"newest", "remote", "local", "park", "merge-json", "callback", NULL};
static const char *const writers[] = {"any", "holdfast", "this-node", NULL};
static const char *const outages[] = {"journal", "refuse", "local", NULL};
static const char *const losses[] = {"evidence", "reseed", "adopt", "hold", NULL};
static const char *const unknown_times[] = {"serve", "hide", NULL};

HF__WORDS(write_modes, HF_WRITE_LOCAL);
HF__WORDS(read_modes, HF_READ_SHARED);
HF__WORDS(conflicts, HF_CONFLICT_CALLBACK);
HF__WORDS(writers, HF_WRITERS_THIS_NODE);
HF__WORDS(outages, HF_OUTAGE_LOCAL);
HF__WORDS(losses, HF_LOSS_HOLD);
HF__WORDS(unknown_times, HF_UNKNOWN_TIME_HIDE);

static int read_change_log_max(struct hf__reader *r, const cJSON *value, const struct hf__field *field,
                               void *target)
{
    uint64_t max;

    if (!hf__whole_number(value, &max) || max < field->min || max > field->max)
        return hf__bad_value(r, value, "a number of entries from 1 to 4294967295");
    *(uint32_t *)hf__field_at(target, field) = (uint32_t)max;
    return 0;
}

static int read_change_log(struct hf__reader *r, const cJSON *value, const struct hf__field *field, void *target)
{
    static const struct hf__field fields[] = {
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
        return hf__read_members(r, value, fields, target);
    if (!cJSON_IsBool(value))
        return hf__bad_value(r, value, "true, false or {\"max\": N}");
    ns->change_log_off = cJSON_IsFalse(value);
    return 0;
}

/* Two namespaces of one prefix would leave it open which of them rules. */
static int check_prefix(struct hf__reader *r, const struct hf_namespace *all, size_t i)
{
    char expected[64];

    if (!all[i].prefix)
        return hf__bad(r, "no prefix", "one (\"\" stands for all other keys)");
    for (size_t k = 0; k < i; k++) {
        if (strcmp(all[k].prefix, all[i].prefix) == 0) {
            snprintf(expected, sizeof(expected), "another one than that of namespaces[%zu]", k);
            hf__enter(r, "prefix");
            return hf__bad(r, "the same prefix again", expected);
        }
    }
    return 0;
}

#define NAMESPACE(member) offsetof(struct hf_namespace, member)

static int read_namespace(struct hf__reader *r, const cJSON *value, struct hf_namespace *all, size_t i)
{
    static const struct hf__field fields[] = {
        {.name = "prefix", .read = hf__read_any_text, .offset = NAMESPACE(prefix)},
        {.name = "default_ttl",
         .read = hf__read_int64_ms,
         .offset = NAMESPACE(default_ttl_ms),
         .min = 1,
         .max = HF_TTL_MAX_MS},
        {.name = "write_mode", .read = hf__read_word, .offset = NAMESPACE(write_mode), .words = write_modes},
        {.name = "read_mode", .read = hf__read_word, .offset = NAMESPACE(read_mode), .words = read_modes},
        {.name = "change_log", .read = read_change_log},
        {.name = "conflict", .read = hf__read_word, .offset = NAMESPACE(conflict), .words = conflicts},
        {.name = "writers", .read = hf__read_word, .offset = NAMESPACE(writers), .words = writers},
        {.name = "outage", .read = hf__read_word, .offset = NAMESPACE(outage), .words = outages},
        {.name = "on_loss", .read = hf__read_word, .offset = NAMESPACE(on_loss), .words = losses},
        {.name = "unknown_time", .read = hf__read_word, .offset = NAMESPACE(unknown_time), .words = unknown_times},
        {.name = "tentative", .read = hf__read_bool, .offset = NAMESPACE(tentative)},
        {.name = "keep_replaced", .read = hf__read_not, .offset = NAMESPACE(keep_no_replaced)},
        {0},
    };
    size_t level = hf__enter_item(r, i);
    int rc = hf__read_members(r, value, fields, &all[i]);

    if (rc == 0)
        rc = check_prefix(r, all, i);
    if (rc == 0)
        hf__leave(r, level);
    return rc;
}

static int read_namespaces(struct hf__reader *r, const cJSON *value, const struct hf__field *field, void *target)
{
    struct hf_config *config = target;
    size_t n = (size_t)cJSON_GetArraySize(value), i = 0;
    const cJSON *item;
    int rc;

    (void)field;
    if (!cJSON_IsArray(value))
        return hf__bad_value(r, value, "an array of objects");
    if (n > NAMESPACES_MAX)
        return hf__bad(r, "too many of them", "at most 1024 namespaces");
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
static int read_sidecar(struct hf__reader *r, const cJSON *value, const struct hf__field *field, void *target)
{
    (void)field;
    (void)target;
    return cJSON_IsObject(value) ? 0 : hf__bad_value(r, value, "an object");
}

static int read_document(struct hf__reader *r, struct hf_config *config)
{
    static const struct hf__field fields[] = {
        {.name = "dir", .read = hf__read_text, .offset = offsetof(struct hf_config, dir)},
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

    return hf__read_members(r, config->json, fields, config);
}

/* A syntax error, named by line and column as editors count them. */
static int bad_syntax(const struct hf__reader *r, const char *text, const char *where, const char *problem)
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

static int parse(const struct hf__reader *r, const char *text, size_t len, struct hf_config *config)
{
    const char *nul = memchr(text, '\0', len), *end = text;
    int rc;

    if (!nul) /* cJSON would end the string there */
        nul = strstr(text, "\\u0000");
    if (nul)
        return bad_syntax(r, text, nul, "found a NUL, which no setting may contain");
    rc = hf__json_parse(text, len, &end, &config->json);
    if (rc == HF_EINVAL)
        return bad_syntax(r, text, end,
                          end < text + len ? "not valid JSON from here on" : "the JSON text ends too early");
    return rc == 0 ? 0 : hf__fail_prefix(rc, "configuration %s", r->file);
}

int hf_config_load(const char *path, struct hf_config **ret_config)
{
    struct hf_config *config = calloc(1, sizeof(*config));
    struct hf__reader r = {0};
    char what[sizeof(r.file) + 16], *text = NULL;
    size_t len = 0;
    int rc;

    if (!path || !config) {
        free(config);
        return path ? hf__fail(HF_ENOMEM, "out of memory: a configuration")
                    : hf__fail(HF_EINVAL, "a configuration file has no name");
    }
    hf__printable(hf__slice_str(path), r.file, sizeof(r.file));
    snprintf(what, sizeof(what), "configuration %s", r.file);
    rc = hf__load_file(what, path, HF_DOCUMENT_BYTES_MAX, false, &text, &len);
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
    hf__password_free(config->password);
    free(config->namespaces);
    cJSON_Delete(config->json);
    free(config);
}
