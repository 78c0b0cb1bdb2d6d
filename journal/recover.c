/* Recovery in two passes: first find every valid group and what was claimed durable, then judge and apply in order.
 * The rules are in docs/journal-format.md, "What a crash may leave". */
#include "recover.h"

#include "fail.h"

#include <stdlib.h>

/* More LSNs than the entries of a segment and its reservation can have used. */
#define BAD_HEADER_LSNS (1ull << 32)

/* A valid group, found in the first pass. */
struct found {
    uint64_t offset;
    uint64_t first_lsn;
    uint64_t durable_lsn;
    uint32_t n_entries;
    uint32_t bytes;
    size_t segment;
};

struct pass {
    struct hf_file_layer *fs;
    int dir;
    uint64_t covered_lsn, limit_lsn;
    hf_entry_fn *each;
    void *ctx;
    struct hf_recovery *r;
    struct found *groups;
    size_t n, capacity;
};

static uint64_t max64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static int remember(struct pass *p, size_t segment, uint64_t offset, const struct hf_group_header *header)
{
    if (p->n == p->capacity) {
        size_t capacity = p->capacity ? 2 * p->capacity : 1024;
        struct found *grown = realloc(p->groups, capacity * sizeof(*grown));
        if (!grown)
            return hf__fail(HF_ENOMEM, "out of memory: a list of %zu journal groups", capacity);
        p->groups = grown;
        p->capacity = capacity;
    }
    p->groups[p->n++] = (struct found){
        .offset = offset,
        .first_lsn = header->first_lsn,
        .durable_lsn = header->durable_lsn,
        .n_entries = header->n_entries,
        .bytes = header->bytes,
        .segment = segment,
    };
    return 0;
}

static void note_claims(struct hf_recovery *r, uint64_t durable, uint64_t reserved, int64_t written_ms)
{
    r->durable_lsn = max64(r->durable_lsn, durable);
    r->reserved_lsn = max64(r->reserved_lsn, reserved);
    if (written_ms > r->written_ms)
        r->written_ms = written_ms;
}

static int find_in_segment(struct pass *p, size_t i)
{
    const struct hf_segment *segment = &p->r->list.segments[i];
    struct hf_segment_reader reader;
    struct hf_group_header header;
    const uint8_t *bytes;
    uint64_t offset = HF_SEGMENT_DATA_OFFSET;
    int rc = hf__segment_reader_open(p->fs, p->dir, segment, &reader);

    if (rc != 0)
        return rc;
    while ((rc = hf__segment_group_after(&reader, &offset, &header, &bytes)) == 0) {
        note_claims(p->r, header.durable_lsn, header.reserved_lsn, header.written_ms);
        rc = remember(p, i, offset, &header);
        if (rc != 0)
            break;
        offset += header.bytes;
    }
    hf__segment_reader_close(&reader);
    return rc < 0 ? rc : 0;
}

/* Everything in segment i is in the local tier: what follows it says so, and its claims speak of nothing else. */
static bool is_behind(const struct pass *p, size_t i)
{
    const struct hf_segment_list *list = &p->r->list;

    return i + 1 < list->n && list->segments[i + 1].verdict == HF_SEGMENT_VALID &&
           list->segments[i + 1].header.follows_lsn <= p->covered_lsn;
}

static int find_groups(struct pass *p)
{
    struct hf_recovery *r = p->r;

    for (size_t i = 0; i < r->list.n && r->list.segments[i].verdict == HF_SEGMENT_VALID; i++) {
        const struct hf_segment_header *h = &r->list.segments[i].header;
        int rc;
        r->max_number = max64(r->max_number, h->number);
        note_claims(r, h->durable_lsn, h->reserved_lsn, h->written_ms);
        rc = is_behind(p, i) ? 0 : find_in_segment(p, i);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* Entries [from, to] were durable and are not there. Nothing is lost where the local tier covers them. */
static void note_damage(struct pass *p, uint64_t from, uint64_t to, size_t segment)
{
    struct hf_recovery *r = p->r;

    from = max64(from, p->covered_lsn + 1);
    if (from > to)
        return;
    if (r->n_damage < HF_RECOVERY_DAMAGE_MAX) {
        r->damage[r->n_damage] = (struct hf_recovery_range){.from_lsn = from, .to_lsn = to};
        memcpy(r->damage[r->n_damage].segment, r->list.segments[segment].name, HF_SEGMENT_NAME_MAX);
    }
    r->n_damage++;
}

static void take_shared(struct hf_recovery *r, const uint8_t *bytes, const struct hf_group_header *header)
{
    r->shared_lsn = header->shared_lsn;
    r->n_exceptions = header->n_exceptions;
    for (uint32_t i = 0; i < header->n_exceptions; i++)
        r->exceptions[i] = hf__group_exception(bytes, header, i);
}

static int apply_group(struct pass *p, struct hf_segment_reader *reader, const struct found *g)
{
    struct hf_group_header header;
    struct hf_entry entry;
    const uint8_t *bytes;
    size_t at = 0;
    uint32_t index = 0;
    int rc = hf__segment_group_at(reader, g->offset, &header, &bytes);

    if (rc != 0)
        return rc < 0
                   ? rc
                   : hf__fail(HF_ECORRUPT, "journal segment %s changed while it was read", reader->segment->name);
    take_shared(p->r, bytes, &header);
    while (rc == 0 && hf__group_next(bytes, &header, &at, &index, &entry) == 0) {
        if (entry.lsn <= p->covered_lsn || entry.lsn > p->limit_lsn)
            continue;
        p->r->n_entries++;
        if (p->each)
            rc = p->each(p->ctx, &entry);
    }
    return rc;
}

/* What the local tier covers is not read again: an owner may be using that segment anew while a reader looks. */
static bool is_covered(const struct pass *p, const struct found *group)
{
    return group->first_lsn + (group->n_entries > 0 ? group->n_entries - 1 : 0) <= p->covered_lsn;
}

/* The groups [from, to) of segment i, judged and applied; `*last` is the last LSN of the history so far. */
static int walk_segment(struct pass *p, size_t i, size_t from, size_t to, uint64_t *last)
{
    struct hf_segment *segment = &p->r->list.segments[i];
    bool is_last = i + 1 == p->r->list.n || p->r->list.segments[i + 1].verdict != HF_SEGMENT_VALID;
    uint64_t limit = is_last ? UINT64_MAX : p->r->list.segments[i + 1].header.follows_lsn;
    uint64_t claim = is_last ? p->r->durable_lsn : max64(p->r->durable_lsn, limit);
    uint64_t expected = max64(*last + 1, segment->header.first_lsn);
    struct hf_segment_reader reader;
    int rc = hf__segment_reader_open(p->fs, p->dir, segment, &reader);

    if (rc != 0)
        return rc;
    for (size_t g = from; g < to && rc == 0; g++) {
        const struct found *group = &p->groups[g];
        /* A group without entries stands behind the last LSN before it. */
        if (group->first_lsn < expected || group->first_lsn - (group->n_entries == 0) > limit)
            continue;
        if (group->first_lsn > expected) {
            if (claim < group->first_lsn - 1) { /* what follows a torn group was never promised */
                for (; g < to; g++)
                    p->r->torn_bytes += p->groups[g].bytes;
                break; /* walk() reports what is missing up to the claim */
            }
            note_damage(p, expected, group->first_lsn - 1, i);
        }
        if (!is_covered(p, group))
            rc = apply_group(p, &reader, group);
        if (group->n_entries == 0)
            continue;
        if (p->r->first_lsn == 0)
            p->r->first_lsn = group->first_lsn;
        expected = group->first_lsn + group->n_entries;
        *last = expected - 1;
        segment->last_lsn = *last;
    }
    hf__segment_reader_close(&reader);
    return rc;
}

/* A header is written as a whole: a bad one is damage, of the last segments if no gap in the history shows it. What
 * it said of numbers is gone; the next ones keep clear of any that it can have meant. */
static void note_bad_headers(struct pass *p, uint64_t last)
{
    struct hf_recovery *r = p->r;
    uint32_t n_bad = 0;

    for (size_t i = 0; i < r->list.n; i++) {
        if (r->list.segments[i].verdict != HF_SEGMENT_BAD)
            continue;
        n_bad++;
        r->max_number++;
        if (n_bad > r->n_damage)
            note_damage(p, last + 1, max64(last + 1, r->reserved_lsn), i);
    }
    r->reserved_lsn = max64(r->reserved_lsn, last) + n_bad * BAD_HEADER_LSNS;
}

/* A file is allocated and synced before its header is written: no crash makes it shorter. */
static bool is_short(const struct hf_segment *segment)
{
    return segment->file_bytes < segment->header.file_bytes;
}

static int walk(struct pass *p)
{
    struct hf_recovery *r = p->r;
    uint64_t last = r->list.n > 0 && r->list.segments[0].verdict == HF_SEGMENT_VALID
                        ? r->list.segments[0].header.follows_lsn
                        : p->covered_lsn;
    size_t g = 0, i;

    if (last > p->covered_lsn)
        note_damage(p, 1, last, 0);
    for (i = 0; i < r->list.n && r->list.segments[i].verdict == HF_SEGMENT_VALID; i++) {
        size_t from = g;
        int rc;
        if (r->list.segments[i].header.follows_lsn > last) {
            note_damage(p, last + 1, r->list.segments[i].header.follows_lsn, i ? i - 1 : 0);
            last = r->list.segments[i].header.follows_lsn;
        }
        while (g < p->n && p->groups[g].segment == i)
            g++;
        rc = walk_segment(p, i, from, g, &last);
        if (rc != 0)
            return rc;
    }
    if (i > 0 && r->durable_lsn > last && r->durable_lsn >= r->list.segments[i - 1].header.first_lsn) {
        note_damage(p, max64(last + 1, r->list.segments[i - 1].header.first_lsn), r->durable_lsn, i - 1);
        last = r->durable_lsn;
    }
    last = max64(last, p->covered_lsn);
    if (i > 0 && is_short(&r->list.segments[i - 1]))
        note_damage(p, last + 1, last + 1, i - 1); /* how many is not known */
    note_bad_headers(p, last);
    r->last_lsn = last;
    return 0;
}

int hf__recover(struct hf_file_layer *fs, int dir, uint64_t covered_lsn, uint64_t limit_lsn, hf_entry_fn *each,
                void *ctx, struct hf_recovery *ret_recovery)
{
    struct hf_recovery r = {.durable_lsn = covered_lsn};
    struct pass p = {.fs = fs,
                     .dir = dir,
                     .covered_lsn = covered_lsn,
                     .limit_lsn = limit_lsn,
                     .each = each,
                     .ctx = ctx,
                     .r = &r};
    int rc = hf__segment_list(fs, dir, &r.list);

    if (rc == 0)
        rc = find_groups(&p);
    if (rc == 0)
        rc = walk(&p);
    free(p.groups);
    if (rc != 0) {
        hf__recovery_release(&r);
        return rc;
    }
    *ret_recovery = r;
    return 0;
}

void hf__recovery_release(struct hf_recovery *recovery)
{
    hf__segment_list_release(&recovery->list);
}

bool hf__recovery_is_shared(const struct hf_recovery *recovery, uint64_t lsn)
{
    if (lsn > recovery->shared_lsn)
        return false;
    for (uint32_t i = 0; i < recovery->n_exceptions; i++) {
        if (recovery->exceptions[i] == lsn)
            return false;
    }
    return true;
}
