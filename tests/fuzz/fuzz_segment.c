/* Fuzz target: a journal directory with one or two segments of these bytes: recovery and inspection. The headers and the groups' checksums
 * are made right first, so that what is behind them is reached. Recovery never reads outside the file, hands out rising LSNs behind what is
 * covered, says the same twice, and inspection tells the same damage. */
#include "format.h"
#include "fuzz.h"
#include "inspect.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#define N_FILES 2
#define GROUPS_MAX 8u /* of a segment */

/* ---- two files in memory ---- */

struct file {
    char name[32];
    struct hf_bytes data;
};

struct disk {
    struct hf_file_layer layer; /* first */
    struct file files[N_FILES];
    int n;
};

static int disk_list(struct hf_file_layer *fs, int dir, hf_file_name_fn *each, void *ctx)
{
    struct disk *disk = (struct disk *)fs;
    int rc = 0;

    (void)dir;
    for (int i = 0; i < disk->n && rc == 0; i++)
        rc = each(ctx, disk->files[i].name);
    return rc;
}

static int disk_open(struct hf_file_layer *fs, int dir, const char *name, bool write, bool create)
{
    struct disk *disk = (struct disk *)fs;

    (void)dir;
    FUZZ_REQUIRE(!write && !create); /* looking changes nothing */
    for (int i = 0; i < disk->n; i++) {
        if (strcmp(disk->files[i].name, name) == 0)
            return i;
    }
    return -ENOENT;
}

static int disk_close(struct hf_file_layer *fs, int fd)
{
    (void)fs, (void)fd;
    return 0;
}

static int disk_size(struct hf_file_layer *fs, int fd, uint64_t *ret_bytes)
{
    *ret_bytes = ((struct disk *)fs)->files[fd].data.len;
    return 0;
}

static ssize_t disk_read(struct hf_file_layer *fs, int fd, void *buffer, size_t len, uint64_t offset)
{
    const struct hf_bytes *data = &((struct disk *)fs)->files[fd].data;
    size_t n = offset < data->len ? data->len - (size_t)offset : 0;

    n = n < len ? n : len;
    if (n > 0)
        memcpy(buffer, data->bytes + offset, n);
    return (ssize_t)n;
}

/* ---- what is on it ---- */

static struct hf_segment_header header_of(struct fuzz_input *in, uint64_t number, uint64_t first_lsn)
{
    struct hf_segment_header header = {.id = "0123456789abcde", .number = number, .first_lsn = first_lsn};

    header.follows_lsn = first_lsn - 1 + fuzz_number(in, 1) / 128;
    header.reserved_lsn = header.follows_lsn + fuzz_number(in, 1);
    header.durable_lsn = fuzz_number(in, 1) % (header.follows_lsn + 1);
    return header;
}

/* A group of small entries, with claims near the truth. */
static void add_group(struct fuzz_input *in, const struct hf_segment_header *segment, struct hf_bytes *data,
                      uint64_t *lsn)
{
    uint8_t room[1024];
    struct hf_bytes group = {.bytes = room, .len = HF_GROUP_HEADER_BYTES, .capacity = sizeof(room)};
    struct hf_group_header header = {.first_lsn = *lsn + fuzz_number(in, 1) / 64,
                                     .n_entries = fuzz_number(in, 1) % 4};
    uint64_t exception = header.first_lsn - 1;

    header.durable_lsn = fuzz_number(in, 1) % header.first_lsn;
    header.shared_lsn = header.durable_lsn;
    header.reserved_lsn = header.first_lsn + 100;
    for (uint32_t i = 0; i < header.n_entries; i++) {
        struct hf_entry entry = {.op = HF_ENTRY_SET, .type = 1, .key = {"key", 3}};

        entry.value = fuzz_piece(in, fuzz_number(in, 1) % 64);
        hf__entry_encode(&entry, &group);
    }
    hf__group_seal(&header, &exception, fuzz_number(in, 1) % 2, &group,
                   hf__group_salt(segment->id, segment->number, data->len));
    if (hf__bytes_append(data, room, group.len) != 0)
        abort();
    *lsn = header.first_lsn + header.n_entries;
}

/* Bits flipped, the end cut, a byte of rubbish: what a disk and a crash may do. */
static void damage(struct fuzz_input *in, struct hf_bytes *data)
{
    for (unsigned n = (unsigned)fuzz_number(in, 1) % 4; n > 0; n--) {
        uint64_t where = fuzz_number(in, 2) % data->len;

        data->bytes[where] ^= (uint8_t)fuzz_number(in, 1);
    }
    if (fuzz_number(in, 1) % 4 == 1)
        data->len -= fuzz_number(in, 2) % data->len;
}

static void make_file(struct fuzz_input *in, struct file *file, uint64_t number, uint64_t *lsn)
{
    uint8_t begin[HF_SEGMENT_DATA_OFFSET] = {0};
    struct hf_segment_header header = header_of(in, number, *lsn);

    snprintf(file->name, sizeof(file->name), "%08" PRIu64 ".seg", number);
    hf__bytes_reset(&file->data);
    hf__segment_header_encode(&header, begin);
    if (hf__bytes_append(&file->data, begin, sizeof(begin)) != 0)
        abort();
    for (unsigned n = (unsigned)fuzz_number(in, 1) % GROUPS_MAX; n > 0; n--)
        add_group(in, &header, &file->data, lsn);
    damage(in, &file->data);
}

/* ---- what must hold ---- */

struct heard {
    uint64_t covered_lsn, last_lsn, n;
};

static int hear_entry(void *ctx, const struct hf_entry *entry)
{
    struct heard *heard = ctx;

    FUZZ_REQUIRE(entry->lsn > heard->covered_lsn && entry->lsn > heard->last_lsn);
    FUZZ_REQUIRE(entry->key.len >= 1 && entry->key.len <= HF_KEY_MAX);
    heard->last_lsn = entry->lsn;
    heard->n++;
    return 0;
}

static int count_behind(void *ctx, const struct hf_entry *entry)
{
    struct heard *heard = ctx;

    heard->n += entry->lsn > heard->covered_lsn;
    return 0;
}

/* What the whole history holds behind an LSN is not missed by who begins there. */
static void require_no_less(struct disk *disk, const struct heard *heard)
{
    struct heard whole = {.covered_lsn = heard->covered_lsn};
    struct hf_recovery recovery;

    if (hf__recover(&disk->layer, 0, 0, UINT64_MAX, count_behind, &whole, &recovery) != 0)
        return;
    FUZZ_REQUIRE(heard->n >= whole.n);
    hf__recovery_release(&recovery);
}

static int hear_segment(void *ctx, const struct hf_journal_segment *segment)
{
    unsigned *n = ctx;

    FUZZ_REQUIRE(segment->used_bytes <= segment->bytes);
    FUZZ_REQUIRE(strlen(segment->state) > 0);
    ++*n;
    return 0;
}

static void recover(struct disk *disk, uint64_t covered_lsn)
{
    struct hf_recovery recovery, again;
    struct heard heard = {.covered_lsn = covered_lsn};
    unsigned n_segments = 0;
    int rc = hf__recover(&disk->layer, 0, covered_lsn, UINT64_MAX, hear_entry, &heard, &recovery);

    if (rc != 0) {
        fuzz_require_sentence(hf_errmsg());
        return;
    }
    FUZZ_REQUIRE(recovery.n_entries == heard.n && recovery.last_lsn >= heard.last_lsn);
    FUZZ_REQUIRE(recovery.last_lsn >= covered_lsn && recovery.reserved_lsn >= recovery.last_lsn);
    FUZZ_REQUIRE(hf__recover(&disk->layer, 0, covered_lsn, UINT64_MAX, NULL, NULL, &again) == 0);
    FUZZ_REQUIRE(again.n_entries == heard.n && again.last_lsn == recovery.last_lsn &&
                 again.n_damage == recovery.n_damage);
    require_no_less(disk, &heard);
    rc = hf__inspect(&disk->layer, 0, covered_lsn, hear_segment, &n_segments);
    FUZZ_REQUIRE(n_segments == recovery.list.n && rc == (recovery.n_damage > 0 ? HF_ECORRUPT : 0));
    hf__recovery_release(&again);
    hf__recovery_release(&recovery);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct disk disk = {
        .layer = {.list = disk_list, .open = disk_open, .close = disk_close, .size = disk_size, .read = disk_read}};
    struct fuzz_input in = {data, size};
    uint64_t lsn = 1 + fuzz_number(&in, 1) % 8, covered_lsn = fuzz_number(&in, 1) % 8;

    disk.n = 1 + (int)fuzz_number(&in, 1) % N_FILES;
    for (int i = 0; i < disk.n; i++)
        make_file(&in, &disk.files[i], (uint64_t)i + 1, &lsn);
    recover(&disk, covered_lsn);
    return 0;
}
