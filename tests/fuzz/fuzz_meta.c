/* Fuzz target: what the engine itself keeps in the local tier's meta table: the clock, and the intents that were out. A tier of two values
 * hands out the input. What is read is kept whole; anything else is refused with a sentence. */
#include "checkpoint.h"
#include "clock_meta.h"
#include "fuzz.h"
#include "intent.h"
#include "store.h"

enum { CLOCK, INTENTS, N_KINDS };

#define TIME "\1\2\3\4\5\6\7\10"

struct tier {
    struct hf_local_tier base; /* first */
    const char *name;
    struct hf_slice value;
};

static int begin(struct hf_local_tier *tier, struct hf_local_snap **ret_snap)
{
    *ret_snap = (struct hf_local_snap *)tier;
    return 0;
}

static void end(struct hf_local_snap *snap)
{
    (void)snap;
}

static int get(struct hf_local_snap *snap, struct hf_slice name, struct hf_slice *ret_value)
{
    const struct tier *tier = (const struct tier *)snap;

    if (hf__slice_eq(name, hf__slice_str(tier->name)))
        *ret_value = tier->value;
    else if (hf__slice_eq(name, hf__slice_str(HF_META_TIME)))
        *ret_value = hf__slice(TIME, 8);
    else
        return HF_NOT_FOUND;
    return 0;
}

static const struct hf_local_ops ops = {.snap_begin = begin, .snap_end = end, .meta_get = get};

static void check(int rc)
{
    FUZZ_REQUIRE(rc == 0 || rc == HF_ECORRUPT);
    if (rc != 0)
        fuzz_require_sentence(hf_errmsg());
}

static void read_clock(struct tier *tier)
{
    struct hf_timeline_saved saved;
    int rc;

    tier->name = HF_META_CLOCK;
    rc = hf__clock_meta_read(&tier->base, (struct hf_local_snap *)tier, &saved);
    check(rc);
    FUZZ_REQUIRE(rc != 0 || (saved.n_stretches <= HF_STRETCHES_MAX && saved.boot_id[HF_BOOT_ID_MAX - 1] == '\0' &&
                             saved.time_ms == (int64_t)hf__get64(TIME)));
}

/* What was read is stored as it was, in the other order. */
static void read_intents(struct tier *tier)
{
    struct hf *store = calloc(1, sizeof(*store));
    size_t bytes = 0;
    int rc;

    if (!store)
        abort();
    store->local = &tier->base;
    tier->name = HF_META_INTENTS;
    pthread_mutex_init(&store->write_mutex, NULL);
    hf__intents_init(store);
    rc = hf__intents_load(store);
    check(rc);
    for (const struct hf_intent *intent = store->intents.first; intent; intent = intent->next)
        FUZZ_REQUIRE(intent->key.len >= 1);
    if (rc == 0)
        rc = hf__intents_save(store);
    bytes = store->intents.saved.len;
    FUZZ_REQUIRE(rc != 0 || bytes == tier->value.len);
    hf__intents_release(store);
    pthread_mutex_destroy(&store->write_mutex);
    free(store);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tier tier = {.base = {.ops = &ops}};
    uint8_t *value;

    if (size < 1)
        return 0;
    value = fuzz_copy(data + 1, size - 1);
    tier.value = hf__slice(value, size - 1);
    if (data[0] % N_KINDS == CLOCK)
        read_clock(&tier);
    else
        read_intents(&tier);
    free(value);
    return 0;
}

size_t fuzz_seed(unsigned i, uint8_t *to, size_t room)
{
    static const char intents[] = "\1\1\0\0\0\0\0\0\0\3\0key\2\0\0\0\0\0\0\0\5\0other";
    size_t clock_bytes = 1 + 88 + 16 * HF_STRETCHES_MAX;

    if (i == 0) {
        memcpy(to, intents, sizeof(intents) - 1);
        return sizeof(intents) - 1;
    }
    if (i > 2 || clock_bytes > room)
        return 0;
    memset(to, 0, clock_bytes);
    to[1] = 1;
    to[3] = (uint8_t)(4 * i);
    return clock_bytes;
}
