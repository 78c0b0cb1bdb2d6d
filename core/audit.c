/* The audit log: lines of JSON in a file that several processes append to, one at a time.
 *
 *  - Whoever appends holds the file's lock, so a line is whole, and a file is rotated once.
 *  - A line without its end was cut short by a crash: its verb never took effect, and the next writer cuts it off.
 *  - A file that would grow beyond its bound becomes audit.log.1 and replaces the one before. */
#include "audit.h"

#include "fail.h"
#include "lock.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define AUDIT_NAME "audit.log"
#define AUDIT_OLDER_NAME "audit.log.1"
#define READ_TRIES 10 /* a rotation each would be needed to fail */

/* ---- text and bytes ---- */

/* Length of the UTF-8 sequence that begins with this byte, and the range of its second byte, which keeps out overlong
 * forms, surrogates and what lies beyond U+10FFFF (RFC 3629). 0: none begins so. */
static size_t sequence(uint8_t first, uint8_t *ret_low, uint8_t *ret_high)
{
    *ret_low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    *ret_high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (first < 0x80)
        return first != 0; /* a JSON string of ours holds no NUL */
    if (first < 0xc2 || first > 0xf4)
        return 0;
    return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

static bool is_text(struct hf_slice bytes)
{
    const uint8_t *p = bytes.data, *end = p + bytes.len;
    uint8_t low, high;
    size_t n;

    for (; p < end; p += n) {
        n = sequence(*p, &low, &high);
        if (n == 0 || n > (size_t)(end - p) || (n > 1 && (p[1] < low || p[1] > high)))
            return false;
        for (size_t i = 2; i < n; i++) {
            if (p[i] < 0x80 || p[i] > 0xbf)
                return false;
        }
    }
    return true;
}

/* ---- the line ---- */

static bool add_base64(cJSON *object, const char *name, struct hf_slice bytes)
{
    char member[32], *text = malloc(4 * ((bytes.len + 2) / 3) + 1);
    bool ok = false;

    if (!text)
        return false;
    EVP_EncodeBlock((unsigned char *)text, bytes.data, (int)bytes.len);
    snprintf(member, sizeof(member), "%s_b64", name);
    ok = cJSON_AddStringToObject(object, member, text) != NULL;
    free(text);
    return ok;
}

/* As "name" when it is text, else as "name_b64". */
static bool add_bytes(cJSON *object, const char *name, struct hf_slice bytes)
{
    struct hf_buf text = {0};
    bool ok;

    if (!is_text(bytes))
        return add_base64(object, name, bytes);
    ok = hf__buf_copy(bytes, &text) == 0 && cJSON_AddStringToObject(object, name, text.data);
    hf_buf_release(&text);
    return ok;
}

/* Exactly, which a double could not. */
static bool add_number(cJSON *object, const char *name, uint64_t number)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRIu64, number);
    return cJSON_AddRawToObject(object, name, text) != NULL;
}

static bool add_time(cJSON *object, int64_t now_ms)
{
    time_t seconds = now_ms / 1000;
    char date[40], text[64];
    struct tm tm;

    if (!gmtime_r(&seconds, &tm) || strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm) == 0)
        snprintf(date, sizeof(date), "unknown"); /* a year beyond what struct tm holds */
    snprintf(text, sizeof(text), "%s.%03uZ", date, (unsigned)(now_ms % 1000));
    return cJSON_AddStringToObject(object, "time", text) && add_number(object, "time_ms", (uint64_t)now_ms);
}

/* Whom this thread acts for; a pid of 0: its process. */
static _Thread_local struct {
    uint32_t uid;
    int64_t pid;
} asker;

void hf_audit_as(uint32_t uid, int64_t pid)
{
    asker.uid = uid;
    asker.pid = pid;
}

/* The real user: who asked, not what the program may do. */
static bool add_user(cJSON *object)
{
    uid_t uid = asker.pid != 0 ? asker.uid : getuid();
    struct passwd entry, *found = NULL;
    char text[1024];

    if (!add_number(object, "uid", uid))
        return false;
    if (getpwuid_r(uid, &entry, text, sizeof(text), &found) != 0 || !found)
        return true; /* the name is not known here */
    return add_bytes(object, "user", hf__slice_str(found->pw_name));
}

static bool add_process(cJSON *object)
{
    return add_number(object, "pid", (uint64_t)(asker.pid != 0 ? asker.pid : getpid()));
}

static bool add_entry(cJSON *object, const struct hf_audit_entry *entry)
{
    return cJSON_AddStringToObject(object, "verb", entry->verb) &&
           (!entry->ns ||
            add_bytes(object, "namespace", hf__slice(entry->ns->prefix.data, entry->ns->prefix.len))) &&
           (entry->key.len == 0 || add_bytes(object, "key", entry->key)) &&
           (entry->conflict_id == 0 || add_number(object, "conflict", entry->conflict_id)) &&
           (entry->lsn == 0 || add_number(object, "lsn", entry->lsn)) &&
           (!entry->detail || add_bytes(object, "detail", hf__slice_str(entry->detail)));
}

static int make_line(struct hf *store, const struct hf_audit_entry *entry, struct hf_bytes *line)
{
    cJSON *object = cJSON_CreateObject();
    char *text = NULL;
    int rc = HF_ENOMEM;

    if (object && add_time(object, hf__now_ms(store)) && add_user(object) && add_process(object) &&
        add_entry(object, entry))
        text = cJSON_PrintUnformatted(object);
    if (text)
        rc = hf__bytes_append(line, text, strlen(text));
    if (rc == 0)
        rc = hf__bytes_append(line, "\n", 1);
    cJSON_free(text);
    cJSON_Delete(object);
    return rc == 0 ? 0 : hf__fail(rc, "out of memory: a line of the audit log");
}

/* ---- the file ---- */

static int fail_io(const char *what)
{
    return hf__fail_errno(hf__code_of_errno(errno), errno, "cannot %s the audit log", what);
}

/* The end of the last whole line. */
static int find_end(int fd, off_t size, off_t *ret_end)
{
    char c = '\n';

    for (; size > 0; size--) {
        if (pread(fd, &c, 1, size - 1) != 1)
            return fail_io("read");
        if (c == '\n')
            break;
    }
    *ret_end = size;
    return 0;
}

static int cut_torn_line(int fd, off_t *ret_size)
{
    struct stat st;
    off_t end = 0;
    int rc;

    if (fstat(fd, &st) != 0)
        return fail_io("examine");
    rc = find_end(fd, st.st_size, &end);
    if (rc == 0 && end < st.st_size && ftruncate(fd, end) != 0)
        rc = fail_io("repair");
    if (rc == 0)
        *ret_size = end;
    return rc;
}

/* The log, locked, with room for `len` bytes. */
static int open_log(int dir_fd, size_t len, int *ret_fd, off_t *ret_size)
{
    off_t size = 0;
    int fd, rc;

    for (;;) {
        rc = hf__lock_file(dir_fd, AUDIT_NAME, &fd);
        if (rc != 0)
            return rc;
        rc = cut_torn_line(fd, &size);
        if (rc == 0 && (size == 0 || (uint64_t)size + len <= HF_AUDIT_BYTES_MAX)) {
            *ret_fd = fd;
            *ret_size = size;
            return 0;
        }
        if (rc == 0 && renameat(dir_fd, AUDIT_NAME, dir_fd, AUDIT_OLDER_NAME) != 0)
            rc = fail_io("rotate");
        close(fd);
        if (rc != 0)
            return rc;
    }
}

static int write_all(int fd, struct hf_slice bytes)
{
    const uint8_t *p = bytes.data;
    ssize_t n;

    for (size_t left = bytes.len; left > 0; left -= (size_t)n, p += n) {
        n = write(fd, p, left);
        if (n < 0 && errno != EINTR)
            return fail_io("write");
        n = n < 0 ? 0 : n;
    }
    return 0;
}

/* The first line of a file makes its name durable, too, and with it the rotation before. */
static int append(int dir_fd, int fd, off_t size, struct hf_slice line)
{
    int rc = write_all(fd, line);

    if (rc == 0 && fsync(fd) != 0)
        rc = fail_io("sync");
    if (rc == 0 && size == 0 && fsync(dir_fd) != 0)
        rc = fail_io("sync the directory of");
    if (rc != 0)
        (void)!ftruncate(fd, size); /* the verb is not carried out: better no line, if that can be had */
    return rc;
}

int hf__audit(struct hf *store, const struct hf_audit_entry *entry)
{
    struct hf_bytes line = {0};
    off_t size = 0;
    int fd = -1, rc = make_line(store, entry, &line);

    if (rc == 0)
        rc = open_log(store->dir_fd, line.len, &fd, &size);
    if (rc == 0) {
        rc = append(store->dir_fd, fd, size, hf__slice(line.bytes, line.len));
        close(fd);
    }
    hf__bytes_release(&line);
    return rc;
}

/* ---- listing ---- */

/* A file that is not there has the inode 0 and no text. */
struct file {
    int fd;
    ino_t inode;
    struct hf_bytes text;
};

static int open_file(int dir_fd, const char *name, struct file *file)
{
    struct stat st;

    file->fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (file->fd < 0)
        return errno == ENOENT ? 0 : fail_io("open");
    if (fstat(file->fd, &st) != 0 || !S_ISREG(st.st_mode))
        return hf__fail(HF_EIO, "the store's '%s' is no regular file", name);
    file->inode = st.st_ino;
    return 0;
}

static int read_text(struct file *file)
{
    ssize_t n = file->fd < 0 ? 0 : 1;
    int rc = 0;

    while (n != 0) {
        rc = hf__bytes_reserve(&file->text, 65536);
        if (rc != 0)
            return rc;
        n = read(file->fd, file->text.bytes + file->text.len, 65536);
        if (n < 0 && errno != EINTR)
            return fail_io("read");
        file->text.len += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static void close_file(struct file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    hf__bytes_release(&file->text);
    *file = (struct file){.fd = -1};
}

/* The newer file is opened first; if it has its name still when the older one is open, none was missed. */
static int open_both(int dir_fd, struct file *newer, struct file *older)
{
    struct stat st;
    int rc;

    for (unsigned i = 0; i < READ_TRIES; i++) {
        rc = open_file(dir_fd, AUDIT_NAME, newer);
        if (rc == 0)
            rc = open_file(dir_fd, AUDIT_OLDER_NAME, older);
        if (rc != 0)
            return rc;
        if (newer->inode == (fstatat(dir_fd, AUDIT_NAME, &st, AT_SYMLINK_NOFOLLOW) == 0 ? st.st_ino : 0))
            return 0;
        close_file(newer);
        close_file(older);
    }
    return hf__fail(HF_EBUSY, "the audit log was rotated %d times while it was opened", READ_TRIES);
}

/* What stands behind the last line end is being written, or was cut short by a crash. */
static int tell(struct file *file, int (*each)(void *ctx, const char *line), void *ctx)
{
    char *line = (char *)file->text.bytes, *end = line + file->text.len, *newline;
    int rc = 0;

    while (rc == 0 && line < end && (newline = memchr(line, '\n', (size_t)(end - line))) != NULL) {
        *newline = '\0';
        rc = each(ctx, line);
        line = newline + 1;
    }
    return rc;
}

int hf_audit_list(struct hf *store, int (*each)(void *ctx, const char *line), void *ctx)
{
    struct file newer = {.fd = -1}, older = {.fd = -1};
    int rc = hf__check_handle(store, false);

    if (rc == 0)
        rc = open_both(store->dir_fd, &newer, &older);
    if (rc == 0)
        rc = read_text(&older);
    if (rc == 0)
        rc = read_text(&newer);
    if (rc == 0)
        rc = tell(&older, each, ctx);
    if (rc == 0)
        rc = tell(&newer, each, ctx);
    close_file(&newer);
    close_file(&older);
    return rc;
}
