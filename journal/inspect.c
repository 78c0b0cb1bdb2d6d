/* Looking at a journal from outside. */
#include "inspect.h"

#include "fail.h"

#include <inttypes.h>
#include <stdio.h>

/* What can be counted without judging. */
static int count_groups(struct hf_file_layer *fs, int dir, const struct hf_segment *segment,
                        struct hf_journal_segment *out)
{
    struct hf_segment_reader reader;
    struct hf_group_header header;
    const uint8_t *bytes;
    uint64_t offset = HF_SEGMENT_DATA_OFFSET;
    int rc = hf__segment_reader_open(fs, dir, segment, &reader);

    if (rc != 0)
        return rc;
    while ((rc = hf__segment_group_after(&reader, &offset, &header, &bytes)) == 0) {
        if (header.n_entries > 0 && out->first_lsn == 0)
            out->first_lsn = header.first_lsn;
        if (header.n_entries > 0)
            out->last_lsn = header.first_lsn + header.n_entries - 1;
        out->groups++;
        offset += header.bytes;
        out->used_bytes = offset;
    }
    hf__segment_reader_close(&reader);
    return rc < 0 ? rc : 0;
}

static const char *describe(const struct hf_recovery *r, const struct hf_segment *segment, uint64_t covered_lsn,
                            const struct hf_journal_segment *counted, char *problem, size_t size)
{
    problem[0] = '\0';
    if (segment->verdict == HF_SEGMENT_FREE)
        return "free";
    for (uint32_t i = 0; i < r->n_damage && i < HF_RECOVERY_DAMAGE_MAX; i++) {
        if (strcmp(r->damage[i].segment, segment->name) != 0)
            continue;
        snprintf(problem, size, "entries %" PRIu64 " to %" PRIu64 " were durable and cannot be read",
                 r->damage[i].from_lsn, r->damage[i].to_lsn);
        return "damaged";
    }
    if (segment->verdict == HF_SEGMENT_BAD) {
        snprintf(problem, size, "the header is not readable");
        return "damaged";
    }
    if (counted->last_lsn <= covered_lsn)
        return "free";
    if (counted->last_lsn > segment->last_lsn) {
        snprintf(problem, size, "what follows entry %" PRIu64 " was not durable and is cut", segment->last_lsn);
        return "torn tail";
    }
    return "live";
}

int hf__inspect(struct hf_file_layer *fs, int dir, uint64_t covered_lsn,
                int (*each)(void *ctx, const struct hf_journal_segment *segment), void *ctx)
{
    struct hf_recovery r;
    int rc = hf__recover(fs, dir, covered_lsn, UINT64_MAX, NULL, NULL, &r);

    if (rc != 0)
        return rc;
    for (size_t i = 0; i < r.list.n && rc == 0; i++) {
        const struct hf_segment *segment = &r.list.segments[i];
        struct hf_journal_segment out = {.bytes = segment->file_bytes, .file = segment->name};
        char problem[128];
        if (segment->verdict == HF_SEGMENT_VALID) {
            out.number = segment->header.number;
            rc = count_groups(fs, dir, segment, &out);
        }
        out.state = describe(&r, segment, covered_lsn, &out, problem, sizeof(problem));
        out.problem = problem;
        if (rc == 0)
            rc = each(ctx, &out);
    }
    if (rc == 0 && r.n_damage > 0)
        rc = hf__fail(HF_ECORRUPT, "the journal has lost entries %" PRIu64 " to %" PRIu64 "%s",
                      r.damage[0].from_lsn, r.damage[0].to_lsn, r.n_damage > 1 ? ", and others" : "");
    hf__recovery_release(&r);
    return rc;
}
