/* The operator's settings: one small JSON file, replaced as a whole.
 *
 * The file that the next settings are written to is also the lock of those who change them: each reads, changes and
 * replaces while it holds it, so that no change of another process is lost. A crash leaves at most that file, which the
 * next one writes over. */
#include "operator.h"

#include "audit.h"
#include "fail.h"
#include "fields.h"
#include "link.h"
#include "lock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define OPERATOR_NAME "operator.json"
#define OPERATOR_NEXT_NAME "operator.json.next"
#define OPERATOR_VERSION 1
#define OPERATOR_BYTES_MAX 4096       /* ours has about a hundred */
#define NUMBER_MAX 9007199254740992.0 /* 2^53: JSON numbers are doubles, whole ones are exact up to here */

static int fail_io(const char *what)
{
    return hf__fail_errno(hf__code_of_errno(errno), errno, "cannot %s '%s'", what, OPERATOR_NAME);
}

/* ---- reading ---- */

static int bad(const char *found, const char *expected)
{
    return hf__fail(HF_ECORRUPT,
                    "the operator's settings in '%s': found %s, expected %s; remove the file to set none",
                    OPERATOR_NAME, found, expected);
}

static int take_bool(const cJSON *object, const char *name, bool *ret)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(object, name);
    char found[64];

    if (!cJSON_IsBool(value)) {
        snprintf(found, sizeof(found), "%s \"%s\"", value ? "a wrong" : "no", name);
        return bad(found, "true or false");
    }
    *ret = cJSON_IsTrue(value);
    return 0;
}

static int take_number(const cJSON *object, const char *name, uint64_t *ret)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(object, name);
    double d = cJSON_IsNumber(value) ? value->valuedouble : -1;
    char found[64];

    if (!(d >= 0 && d <= NUMBER_MAX) || d != (double)(uint64_t)d) {
        snprintf(found, sizeof(found), "%s \"%s\"", value ? "a wrong" : "no", name);
        return bad(found, "a whole number from 0 to 9007199254740992");
    }
    *ret = (uint64_t)d;
    return 0;
}

static int take_version(const cJSON *object)
{
    uint64_t version = 0;
    int rc = take_number(object, "version", &version);

    if (rc == 0 && version != OPERATOR_VERSION)
        return hf__fail(HF_EVERSION, "the operator's settings in '%s' have version %" PRIu64 "; expected %d",
                        OPERATOR_NAME, version, OPERATOR_VERSION);
    return rc;
}

static int take_settings(const cJSON *object, struct hf_operator *ret_settings)
{
    struct hf_operator settings = {0};
    int rc;

    if (!cJSON_IsObject(object))
        return bad("no JSON object", "one");
    rc = take_version(object);
    if (rc == 0)
        rc = take_bool(object, "paused", &settings.paused);
    if (rc == 0)
        rc = take_bool(object, "throttled", &settings.throttled);
    if (rc == 0)
        rc = take_number(object, "replay_ops_per_s", &settings.replay_ops_per_s);
    if (rc == 0)
        rc = take_number(object, "replay_bytes_per_s", &settings.replay_bytes_per_s);
    if (rc == 0)
        *ret_settings = settings;
    return rc;
}

static int read_text(int fd, char *text, size_t *ret_len)
{
    struct stat st;
    ssize_t n;

    if (fstat(fd, &st) != 0)
        return fail_io("examine");
    if (!S_ISREG(st.st_mode))
        return hf__fail(HF_EIO, "the store's '%s' is no regular file", OPERATOR_NAME);
    if (st.st_size > OPERATOR_BYTES_MAX)
        return bad("a long file", "at most 4096 bytes");
    n = pread(fd, text, OPERATOR_BYTES_MAX, 0); /* a regular file of this size is read at once */
    if (n < 0)
        return fail_io("read");
    text[n] = '\0';
    *ret_len = (size_t)n;
    return 0;
}

static int parse(const char *text, size_t len, struct hf_operator *ret_settings)
{
    cJSON *object = NULL;
    int rc = hf__json_parse(text, len, NULL, &object);

    if (rc == HF_ENOMEM)
        return hf__fail_prefix(rc, "the store's '%s'", OPERATOR_NAME);
    rc = take_settings(object, ret_settings);
    cJSON_Delete(object);
    return rc;
}

int hf__operator_load(struct hf *store, struct hf_operator *ret_settings)
{
    int fd = openat(store->dir_fd, OPERATOR_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), rc;
    char text[OPERATOR_BYTES_MAX + 1];
    size_t len = 0;

    if (fd < 0 && errno == ENOENT) {
        *ret_settings = (struct hf_operator){0};
        return 0;
    }
    if (fd < 0)
        return fail_io("open");
    rc = read_text(fd, text, &len);
    close(fd);
    return rc == 0 ? parse(text, len, ret_settings) : rc;
}

bool hf__operator_changed(struct hf *store)
{
    struct hf_operator_seen *seen = &store->operator_seen, now = {0};
    struct stat st;
    bool changed;

    if (fstatat(store->dir_fd, OPERATOR_NAME, &st, AT_SYMLINK_NOFOLLOW) == 0)
        now = (struct hf_operator_seen){st.st_ino, st.st_size, st.st_mtim.tv_sec, st.st_mtim.tv_nsec};
    changed = now.inode != seen->inode || now.size != seen->size || now.mtime_s != seen->mtime_s ||
              now.mtime_ns != seen->mtime_ns;
    *seen = now;
    return changed;
}

/* ---- replacing ---- */

static int write_settings(int fd, const struct hf_operator *settings)
{
    char text[256];
    int n = snprintf(text, sizeof(text),
                     "{\"version\":%d,\"paused\":%s,\"throttled\":%s,\"replay_ops_per_s\":%" PRIu64
                     ",\"replay_bytes_per_s\":%" PRIu64 "}\n",
                     OPERATOR_VERSION, settings->paused ? "true" : "false", settings->throttled ? "true" : "false",
                     settings->replay_ops_per_s, settings->replay_bytes_per_s);
    ssize_t written;

    if (ftruncate(fd, 0) != 0) /* what a crash has left */
        return fail_io("write");
    written = write(fd, text, (size_t)n);
    if (written >= 0 && written < n)
        errno = ENOSPC; /* nothing else stops a short write to a regular file in the middle */
    return written == n ? 0 : fail_io("write");
}

/* Its own time, to the nanosecond: the system's moves in steps, and two files within one step would look alike. */
static int stamp(int fd)
{
    struct timespec now[2];

    clock_gettime(CLOCK_REALTIME, &now[0]);
    now[1] = now[0];
    return futimens(fd, now) == 0 ? 0 : fail_io("stamp");
}

/* Put the next settings, whose file is locked, in the place of the present ones. */
static int replace(struct hf *store, int fd, const struct hf_operator *settings)
{
    int rc = write_settings(fd, settings);

    if (rc == 0)
        rc = stamp(fd);
    if (rc == 0 && fsync(fd) != 0)
        rc = fail_io("sync");
    if (rc == 0 && renameat(store->dir_fd, OPERATOR_NEXT_NAME, store->dir_fd, OPERATOR_NAME) != 0)
        rc = fail_io("replace");
    if (rc == 0 && fsync(store->dir_fd) != 0)
        rc = fail_io("sync the directory of");
    return rc;
}

int hf__operator_save(struct hf *store, const struct hf_operator *settings)
{
    int fd, rc = hf__lock_file(store->dir_fd, OPERATOR_NEXT_NAME, &fd);

    if (rc != 0)
        return rc;
    rc = replace(store, fd, settings);
    close(fd);
    return rc;
}

/* ---- the operator's verbs ---- */

/* What a verb sets; the other settings stay. */
struct change {
    const char *verb, *detail;
    const bool *paused;                      /* NULL: as it is */
    const uint64_t *ops_per_s, *bytes_per_s; /* both or none */
};

static void apply(const struct change *change, struct hf_operator *settings)
{
    if (change->paused)
        settings->paused = *change->paused;
    if (change->ops_per_s) {
        settings->throttled = true;
        settings->replay_ops_per_s = *change->ops_per_s;
        settings->replay_bytes_per_s = *change->bytes_per_s;
    }
}

/* With the lock: read, tell the audit log, replace, tell the link. */
static int change_locked(struct hf *store, int fd, const struct change *change)
{
    const struct hf_audit_entry entry = {.verb = change->verb, .detail = change->detail};
    struct hf_operator settings;
    int rc = hf__operator_load(store, &settings);

    if (rc != 0)
        return rc;
    apply(change, &settings);
    rc = hf__audit(store, &entry);
    if (rc == 0)
        rc = replace(store, fd, &settings);
    if (rc == 0)
        hf__link_operator(store, &settings);
    return rc;
}

static int change_settings(struct hf *store, const struct change *change)
{
    int fd, rc = hf__check_handle(store, false);

    if (rc == 0)
        rc = hf__lock_file(store->dir_fd, OPERATOR_NEXT_NAME, &fd);
    if (rc != 0)
        return rc;
    rc = change_locked(store, fd, change);
    close(fd);
    return rc;
}

int hf_pause(struct hf *store)
{
    const bool paused = true;

    return change_settings(store, &(struct change){.verb = "pause", .paused = &paused});
}

int hf_resume(struct hf *store)
{
    const bool paused = false;

    return change_settings(store, &(struct change){.verb = "resume", .paused = &paused});
}

int hf_throttle(struct hf *store, uint64_t ops_per_s, uint64_t bytes_per_s)
{
    uint64_t larger = ops_per_s > bytes_per_s ? ops_per_s : bytes_per_s;
    char detail[80];
    const struct change change = {
        .verb = "throttle", .detail = detail, .ops_per_s = &ops_per_s, .bytes_per_s = &bytes_per_s};

    if (larger > (uint64_t)NUMBER_MAX)
        return hf__fail(HF_EINVAL, "a bound of the replay is %" PRIu64 " a second; expected at most %.0f", larger,
                        NUMBER_MAX);
    snprintf(detail, sizeof(detail), "%" PRIu64 " operations and %" PRIu64 " bytes a second", ops_per_s,
             bytes_per_s);
    return change_settings(store, &change);
}
