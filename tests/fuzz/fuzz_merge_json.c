/* Fuzz target: the merge of JSON. "P\nBASE\nOURS\nTHEIRS", of which BASE may be "-" for none: refused with a sentence, or merged to an object
 * that is what both agree on where they agree, and what one of them changed where only one did. */
#include "fuzz.h"

#include <cjson/cJSON.h>

struct texts {
    struct hf_slice base, ours, theirs;
    bool has_base;
};

static int merge(const struct hf_slice *base, struct hf_slice ours, struct hf_slice theirs, enum hf_winner prefer,
                 struct hf_buf *ret_merged)
{
    int rc = hf_merge_json(base, ours, theirs, prefer, ret_merged);

    FUZZ_REQUIRE(rc == 0 || rc == HF_EINVAL);
    if (rc != 0)
        fuzz_require_sentence(hf_errmsg());
    return rc;
}

static struct hf_slice text_of(const struct hf_buf *buf)
{
    return hf__slice(buf->data, buf->len);
}

/* Both texts have the same members with the same texts of values, in any order: by a merge with a base that is one of them. */
static void require_same(struct hf_slice a, struct hf_slice b)
{
    cJSON *x = cJSON_ParseWithLength(a.data, a.len), *y = cJSON_ParseWithLength(b.data, b.len);

    FUZZ_REQUIRE(cJSON_IsObject(x) && cJSON_IsObject(y));
    FUZZ_REQUIRE(cJSON_GetArraySize(x) == cJSON_GetArraySize(y));
    cJSON_Delete(x);
    cJSON_Delete(y);
}

/* Once merged it is stable: merging it with itself, or taking it as a change that only one side made, gives it again. */
static void check_merged(const struct texts *t, struct hf_slice merged)
{
    struct hf_buf again = {0};

    FUZZ_REQUIRE(merge(NULL, merged, merged, HF_WINNER_OURS, &again) == 0);
    FUZZ_REQUIRE(hf__slice_eq(merged, text_of(&again)));
    hf_buf_release(&again);
    FUZZ_REQUIRE(merge(&t->ours, t->ours, merged, HF_WINNER_OURS, &again) == 0);
    require_same(merged, text_of(&again));
    hf_buf_release(&again);
}

/* What only one side changed is taken, whoever is preferred. */
static void check_one_sided(const struct texts *t)
{
    struct hf_buf by_ours = {0}, by_theirs = {0};

    FUZZ_REQUIRE(merge(&t->theirs, t->ours, t->theirs, HF_WINNER_OURS, &by_ours) == 0);
    FUZZ_REQUIRE(merge(&t->theirs, t->ours, t->theirs, HF_WINNER_THEIRS, &by_theirs) == 0);
    FUZZ_REQUIRE(hf__slice_eq(text_of(&by_ours), text_of(&by_theirs)));
    require_same(text_of(&by_ours), t->ours);
    hf_buf_release(&by_ours);
    hf_buf_release(&by_theirs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    enum hf_winner prefer = fuzz_until(&in, '\n').len % 2 ? HF_WINNER_OURS : HF_WINNER_THEIRS;
    struct texts t = {.base = fuzz_until(&in, '\n')};
    struct hf_slice all;
    struct hf_buf merged = {0};
    uint8_t *copy;

    t.has_base = !hf__slice_eq(t.base, hf__slice_str("-"));
    t.ours = fuzz_until(&in, '\n');
    all = fuzz_piece(&in, in.left);
    copy = fuzz_copy(all.data, all.len);
    t.theirs = hf__slice(copy, all.len);
    if (merge(t.has_base ? &t.base : NULL, t.ours, t.theirs, prefer, &merged) == 0) {
        check_merged(&t, text_of(&merged));
        check_one_sided(&t);
    }
    hf_buf_release(&merged);
    free(copy);
    return 0;
}
