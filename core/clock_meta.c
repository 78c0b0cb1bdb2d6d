/* The time in the local tier's meta table: `time_ms`, and `clock` with what belongs to it. One commit holds both. */
#include "clock_meta.h"

#include "bytes.h"
#include "checkpoint.h"
#include "fail.h"

#define FORMAT 1u
#define HEAD_BYTES 88u
#define CLOCK_BYTES (HEAD_BYTES + 16u * HF_STRETCHES_MAX)

enum { CLOCK_UNKNOWN = 1, CLOCK_HAS_OFFSET = 2 };

static void encode(const struct hf_timeline_saved *saved, uint8_t bytes[CLOCK_BYTES])
{
    memset(bytes, 0, CLOCK_BYTES);
    bytes[0] = FORMAT;
    bytes[1] = (uint8_t)((saved->unknown ? CLOCK_UNKNOWN : 0) | (saved->has_offset ? CLOCK_HAS_OFFSET : 0));
    bytes[2] = saved->n_stretches;
    hf__put64(bytes + 8, (uint64_t)saved->boot_ms);
    hf__put64(bytes + 16, (uint64_t)saved->gap_ms);
    memcpy(bytes + 24, saved->boot_id, HF_BOOT_ID_MAX);
    hf__put64(bytes + 64, (uint64_t)saved->offset.offset_ms);
    hf__put64(bytes + 72, (uint64_t)saved->offset.uncertainty_ms);
    hf__put64(bytes + 80, (uint64_t)saved->offset.measured_ms);
    for (size_t i = 0; i < saved->n_stretches; i++) {
        hf__put64(bytes + HEAD_BYTES + 16 * i, (uint64_t)saved->stretches[i].from_ms);
        hf__put64(bytes + HEAD_BYTES + 16 * i + 8, (uint64_t)saved->stretches[i].uncertainty_ms);
    }
}

static int check(struct hf_slice value)
{
    const uint8_t *bytes = value.data;

    if (value.len > 0 && bytes[0] != FORMAT)
        return hf__fail(HF_ECORRUPT, "the local tier's '" HF_META_CLOCK "' has format %u; this version reads %u",
                        bytes[0], FORMAT);
    if (value.len != CLOCK_BYTES)
        return hf__fail(HF_ECORRUPT, "the local tier's '" HF_META_CLOCK "' has %zu bytes; expected %u", value.len,
                        CLOCK_BYTES);
    if (bytes[2] > HF_STRETCHES_MAX)
        return hf__fail(HF_ECORRUPT,
                        "the local tier's '" HF_META_CLOCK "' has %u stretches; at most %d are possible", bytes[2],
                        HF_STRETCHES_MAX);
    return 0;
}

static void decode(const uint8_t *bytes, struct hf_timeline_saved *ret_saved)
{
    ret_saved->unknown = bytes[1] & CLOCK_UNKNOWN;
    ret_saved->has_offset = bytes[1] & CLOCK_HAS_OFFSET;
    ret_saved->n_stretches = bytes[2];
    ret_saved->boot_ms = (int64_t)hf__get64(bytes + 8);
    ret_saved->gap_ms = (int64_t)hf__get64(bytes + 16);
    memcpy(ret_saved->boot_id, bytes + 24, HF_BOOT_ID_MAX - 1);
    ret_saved->offset.offset_ms = (int64_t)hf__get64(bytes + 64);
    ret_saved->offset.uncertainty_ms = (int64_t)hf__get64(bytes + 72);
    ret_saved->offset.measured_ms = (int64_t)hf__get64(bytes + 80);
    for (size_t i = 0; i < ret_saved->n_stretches; i++) {
        ret_saved->stretches[i].from_ms = (int64_t)hf__get64(bytes + HEAD_BYTES + 16 * i);
        ret_saved->stretches[i].uncertainty_ms = (int64_t)hf__get64(bytes + HEAD_BYTES + 16 * i + 8);
    }
}

int hf__clock_meta_read(const struct hf_local_tier *tier, struct hf_local_snap *snap,
                        struct hf_timeline_saved *ret_saved)
{
    struct hf_timeline_saved saved = {0};
    struct hf_slice value;
    int rc = tier->ops->meta_get(snap, hf__slice_str(HF_META_TIME), &value);

    if (rc == 0 && value.len != 8)
        rc = hf__fail(HF_ECORRUPT, "the local tier's '" HF_META_TIME "' has %zu bytes; expected 8", value.len);
    if (rc == 0) {
        saved.time_ms = (int64_t)hf__get64(value.data);
        rc = tier->ops->meta_get(snap, hf__slice_str(HF_META_CLOCK), &value);
    }
    if (rc == 0)
        rc = check(value);
    if (rc == 0)
        decode(value.data, &saved);
    if (rc != 0 && rc != HF_NOT_FOUND)
        return rc;
    *ret_saved = saved;
    return 0;
}

int hf__clock_meta_write(const struct hf_local_tier *tier, struct hf_local_txn *txn, struct hf_timeline *timeline)
{
    struct hf_timeline_saved saved;
    uint8_t time[8], clock[CLOCK_BYTES];
    int rc;

    hf__timeline_save(timeline, &saved);
    hf__put64(time, (uint64_t)saved.time_ms);
    encode(&saved, clock);
    rc = tier->ops->meta_put(txn, hf__slice_str(HF_META_TIME), hf__slice(time, sizeof(time)));
    if (rc == 0)
        rc = tier->ops->meta_put(txn, hf__slice_str(HF_META_CLOCK), hf__slice(clock, sizeof(clock)));
    return rc;
}
