/* Copies of damaged segments, kept for the operator. */
#include "quarantine.h"

#include "fail.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Keep a damaged segment for the operator. Failing to is reported: nothing may overwrite the evidence then. */
static int quarantine(struct hf_file_layer *fs, int dir, int quarantine_dir, const struct hf_segment *segment)
{
    char name[80], part[96];
    uint8_t *chunk = malloc(1u << 20);
    int rc = 0, from, to = -1;
    ssize_t n;

    if (!chunk)
        return hf__fail(HF_ENOMEM, "out of memory: a buffer of 1 MiB");
    snprintf(name, sizeof(name), "%020" PRIu64 "-%s", segment->header.number, segment->name);
    snprintf(part, sizeof(part), "%s.part", name);
    to = fs->open(fs, quarantine_dir, name, false, false);
    from = fs->open(fs, dir, segment->name, false, false);
    if (to >= 0) /* the same damage, found again after a crash; under this name the copy is whole */
        goto done;
    (void)fs->unlink(fs, quarantine_dir, part); /* of a copying that did not end; mostly there is none */
    if (from >= 0)
        to = fs->open(fs, quarantine_dir, part, true, true);
    if (from < 0 || to < 0)
        rc = from < 0 ? from : to;
    for (uint64_t at = 0; rc == 0; at += (uint64_t)n) {
        n = fs->read(fs, from, chunk, 1u << 20, at);
        if (n <= 0) {
            rc = (int)n;
            break;
        }
        rc = fs->write(fs, to, chunk, (size_t)n, at);
    }
    if (rc == 0)
        rc = fs->sync(fs, to);
    if (rc == 0)
        rc = fs->rename(fs, quarantine_dir, part, name);
    if (rc == 0)
        rc = fs->sync_dir(fs, quarantine_dir);
done:
    if (from >= 0)
        fs->close(fs, from);
    if (to >= 0)
        fs->close(fs, to);
    free(chunk);
    return rc == 0 ? 0 : hf__file_fail(rc, "cannot quarantine journal segment", segment->name);
}

int hf__quarantine_damaged(struct hf_file_layer *fs, int dir, int quarantine_dir, const struct hf_recovery *r)
{
    for (size_t i = 0; i < r->list.n && r->n_damage > 0; i++) {
        const struct hf_segment *segment = &r->list.segments[i];
        bool damaged = segment->verdict == HF_SEGMENT_BAD;
        int rc;
        for (uint32_t d = 0; d < r->n_damage && d < HF_RECOVERY_DAMAGE_MAX; d++)
            damaged |= strcmp(r->damage[d].segment, segment->name) == 0;
        rc = damaged ? quarantine(fs, dir, quarantine_dir, segment) : 0;
        if (rc != 0)
            return rc;
    }
    return 0;
}
