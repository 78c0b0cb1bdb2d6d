/* Segment files: making, starting, listing and reading them. */
#include "segment.h"

#include "fail.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define READ_WINDOW_BYTES (256u * 1024u) /* large enough that a system call costs little beside the hashing */

int hf__file_fail(int negative_errno, const char *what, const char *name)
{
    int e = -negative_errno;

    return hf__fail_errno(hf__code_of_errno(e), e, "%s %s", what, name);
}

/* ---- listing ---- */

struct listing {
    struct hf_file_layer *fs;
    int dir;
    struct hf_segment_list list;
    size_t capacity;
    int rc; /* of the callback: the file layer's own errors are errno values */
};

static bool is_segment_name(const char *name)
{
    size_t n = strlen(name), suffix = strlen(HF_SEGMENT_SUFFIX);

    return n > suffix && n < HF_SEGMENT_NAME_MAX && strcmp(name + n - suffix, HF_SEGMENT_SUFFIX) == 0;
}

static int read_header(struct listing *l, struct hf_segment *segment)
{
    uint8_t bytes[HF_SEGMENT_HEADER_BYTES] = {0};
    uint32_t version = 0;
    ssize_t n = 0;
    int rc, fd = l->fs->open(l->fs, l->dir, segment->name, false, false);

    if (fd < 0)
        return hf__file_fail(fd, "cannot open journal segment", segment->name);
    rc = l->fs->size(l->fs, fd, &segment->file_bytes);
    if (rc == 0)
        n = l->fs->read(l->fs, fd, bytes, sizeof(bytes), 0);
    l->fs->close(l->fs, fd);
    if (rc != 0 || n < 0)
        return hf__file_fail(rc != 0 ? rc : (int)n, "cannot read journal segment", segment->name);
    segment->verdict = hf__segment_header_decode(bytes, &segment->header, &version);
    if (segment->verdict == HF_SEGMENT_VERSION)
        return hf__fail(HF_EVERSION,
                        "journal segment %s has format version %" PRIu32 ", this library reads version %d",
                        segment->name, version, HF_JOURNAL_VERSION);
    segment->last_lsn = segment->header.follows_lsn;
    return 0;
}

static int add_segment(struct listing *l, const char *name)
{
    struct hf_segment *segment;

    if (l->list.n == l->capacity) {
        size_t capacity = l->capacity ? 2 * l->capacity : 8;
        struct hf_segment *grown = realloc(l->list.segments, capacity * sizeof(*grown));
        if (!grown)
            return hf__fail(HF_ENOMEM, "out of memory: a list of %zu segments", capacity);
        l->list.segments = grown;
        l->capacity = capacity;
    }
    segment = &l->list.segments[l->list.n];
    *segment = (struct hf_segment){0};
    snprintf(segment->name, sizeof(segment->name), "%s", name);
    l->list.n++;
    return read_header(l, segment);
}

static int list_one(void *ctx, const char *name)
{
    struct listing *l = ctx;

    if (is_segment_name(name))
        l->rc = add_segment(l, name);
    return l->rc != 0;
}

static int by_number(const void *a, const void *b)
{
    const struct hf_segment *x = a, *y = b;
    bool xv = x->verdict == HF_SEGMENT_VALID, yv = y->verdict == HF_SEGMENT_VALID;

    if (xv != yv)
        return xv ? -1 : 1;
    if (!xv)
        return strcmp(x->name, y->name);
    return (x->header.number > y->header.number) - (x->header.number < y->header.number);
}

static int check_ids(const struct hf_segment_list *list)
{
    for (size_t i = 1; i < list->n && list->segments[i].verdict == HF_SEGMENT_VALID; i++) {
        const struct hf_segment *a = &list->segments[i - 1], *b = &list->segments[i];
        if (memcmp(a->header.id, b->header.id, HF_JOURNAL_ID_BYTES) != 0)
            return hf__fail(HF_ECORRUPT, "journal segments %s and %s belong to different stores", a->name, b->name);
        if (a->header.number == b->header.number)
            return hf__fail(HF_ECORRUPT, "journal segments %s and %s both have number %" PRIu64, a->name, b->name,
                            a->header.number);
    }
    return 0;
}

int hf__segment_list(struct hf_file_layer *fs, int dir, struct hf_segment_list *ret_list)
{
    struct listing l = {.fs = fs, .dir = dir};
    int rc = fs->list(fs, dir, list_one, &l);

    if (rc < 0)
        rc = hf__file_fail(rc, "cannot list", "the journal directory");
    else
        rc = l.rc;
    if (rc == 0 && l.list.n > 0)
        qsort(l.list.segments, l.list.n, sizeof(*l.list.segments), by_number);
    if (rc == 0)
        rc = check_ids(&l.list);
    if (rc != 0) {
        hf__segment_list_release(&l.list);
        return rc;
    }
    *ret_list = l.list;
    return 0;
}

void hf__segment_list_release(struct hf_segment_list *list)
{
    free(list->segments);
    *list = (struct hf_segment_list){0};
}

/* ---- making ---- */

/* The lowest free name, found by trying to create it. */
static int create_file(struct hf_file_layer *fs, int dir, char *ret_name)
{
    for (unsigned i = 1;; i++) {
        int fd;
        snprintf(ret_name, HF_SEGMENT_NAME_MAX, "%08u" HF_SEGMENT_SUFFIX, i);
        fd = fs->open(fs, dir, ret_name, true, true);
        if (fd != -EEXIST)
            return fd;
    }
}

int hf__segment_create(struct hf_file_layer *fs, int dir, uint64_t bytes, struct hf_segment *ret_segment)
{
    struct hf_segment segment = {.verdict = HF_SEGMENT_FREE, .file_bytes = bytes};
    int rc, fd = create_file(fs, dir, segment.name);

    if (fd < 0)
        return hf__file_fail(fd, "cannot create journal segment", segment.name);
    rc = fs->allocate(fs, fd, bytes);
    if (rc == 0)
        rc = fs->sync(fs, fd);
    fs->close(fs, fd);
    if (rc == 0)
        rc = fs->sync_dir(fs, dir);
    if (rc != 0) {
        rc = hf__file_fail(rc, "cannot make journal segment", segment.name);
        (void)fs->unlink(fs, dir, segment.name); /* the first error is the one to report */
        return rc;
    }
    *ret_segment = segment;
    return 0;
}

int hf__segment_start(struct hf_file_layer *fs, int dir, struct hf_segment *segment,
                      const struct hf_segment_header *header)
{
    uint8_t bytes[HF_SEGMENT_HEADER_BYTES];
    int rc, fd = fs->open(fs, dir, segment->name, true, false);

    if (fd < 0)
        return hf__file_fail(fd, "cannot open journal segment", segment->name);
    hf__segment_header_encode(header, bytes);
    segment->verdict = HF_SEGMENT_BAD; /* until it is written as a whole */
    rc = fs->write(fs, fd, bytes, sizeof(bytes), 0);
    if (rc != 0) {
        rc = hf__file_fail(rc, "cannot write the header of journal segment", segment->name);
        fs->close(fs, fd);
        return rc;
    }
    segment->verdict = HF_SEGMENT_VALID;
    segment->header = *header;
    segment->last_lsn = header->follows_lsn;
    return fd;
}

/* ---- reading ---- */

int hf__segment_reader_open(struct hf_file_layer *fs, int dir, const struct hf_segment *segment,
                            struct hf_segment_reader *ret_reader)
{
    int fd = fs->open(fs, dir, segment->name, false, false);

    if (fd < 0)
        return hf__file_fail(fd, "cannot open journal segment", segment->name);
    *ret_reader =
        (struct hf_segment_reader){.fs = fs, .fd = fd, .file_bytes = segment->file_bytes, .segment = segment};
    return 0;
}

void hf__segment_reader_close(struct hf_segment_reader *reader)
{
    if (reader->fs)
        reader->fs->close(reader->fs, reader->fd);
    hf__bytes_release(&reader->buffer);
    *reader = (struct hf_segment_reader){0};
}

/* Make [offset, offset + len) available, as far as the file reaches. `*ret_available` counts from `offset`. */
static int load(struct hf_segment_reader *r, uint64_t offset, size_t len, size_t *ret_available)
{
    size_t want = len > READ_WINDOW_BYTES ? len : READ_WINDOW_BYTES;
    ssize_t n;
    int rc;

    if (r->buffer.len == 0 || offset < r->start || offset + len > r->start + r->buffer.len) {
        hf__bytes_reset(&r->buffer);
        rc = hf__bytes_reserve(&r->buffer, want);
        if (rc != 0)
            return rc;
        n = r->fs->read(r->fs, r->fd, r->buffer.bytes, want, offset);
        if (n < 0)
            return hf__file_fail((int)n, "cannot read journal segment", r->segment->name);
        r->start = offset;
        r->buffer.len = (size_t)n;
    }
    *ret_available = offset < r->start + r->buffer.len ? (size_t)(r->start + r->buffer.len - offset) : 0;
    return 0;
}

int hf__segment_group_at(struct hf_segment_reader *r, uint64_t offset, struct hf_group_header *ret_header,
                         const uint8_t **ret_bytes)
{
    struct hf_group_header header;
    const uint8_t *bytes;
    size_t available = 0;
    uint64_t salt;
    int rc;

    if (offset + HF_GROUP_HEADER_BYTES > r->file_bytes)
        return 1;
    rc = load(r, offset, HF_GROUP_HEADER_BYTES, &available);
    if (rc != 0)
        return rc;
    bytes = r->buffer.bytes + (offset - r->start);
    if (available < HF_GROUP_HEADER_BYTES || !hf__group_begins(bytes))
        return 1;
    salt = hf__group_salt(r->segment->header.id, r->segment->header.number, offset);
    if (hf__group_header_decode(bytes, r->file_bytes - offset, salt, &header) != 0)
        return 1;
    rc = load(r, offset, header.bytes, &available);
    if (rc != 0)
        return rc;
    bytes = r->buffer.bytes + (offset - r->start);
    if (available < header.bytes || hf__group_check(bytes, &header, salt) != 0)
        return 1;
    *ret_header = header;
    *ret_bytes = bytes;
    return 0;
}

/* The next place in what is loaded where a group may begin; the end of it when there is none. */
static uint64_t skip_to_magic(const struct hf_segment_reader *r, uint64_t offset)
{
    uint64_t end = r->start + r->buffer.len;

    while (offset + 4 <= end && !hf__group_begins(r->buffer.bytes + (offset - r->start)))
        offset += 8;
    return offset;
}

int hf__segment_group_after(struct hf_segment_reader *r, uint64_t *offset, struct hf_group_header *ret_header,
                            const uint8_t **ret_bytes)
{
    while (*offset + HF_GROUP_HEADER_BYTES <= r->file_bytes) {
        size_t available;
        int rc = hf__segment_group_at(r, *offset, ret_header, ret_bytes);
        if (rc != 1)
            return rc;
        rc = load(r, *offset, HF_GROUP_HEADER_BYTES, &available);
        if (rc != 0)
            return rc;
        if (available == 0)
            return 1;
        *offset = skip_to_magic(r, *offset + 8);
    }
    return 1;
}
