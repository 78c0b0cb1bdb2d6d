/* A copy held here against what Redis was seen to hold, by digest. */
#include "link_state.h"

bool hf__compare_wants_more(const struct hf_version_id *here, const struct hf_shared_seen *seen)
{
    return seen->left_out || (seen->kind == HF_SHARED_STRING && !seen->has_digest &&
                              here->kind == HF_VERSION_DIGEST && here->len == seen->len);
}

static unsigned compare_strings(struct hf_turn *turn, const struct hf_version_id *here,
                                const struct hf_shared_seen *seen)
{
    int64_t deadline_ms = hf__turn_from_redis_ms(turn, seen->deadline_ms);
    int64_t uncertainty_ms = hf__turn_uncertainty_ms(turn, turn->now_ms);
    unsigned differs = 0;

    if (seen->len != here->len || !seen->has_digest || memcmp(seen->digest, here->digest, HF_DIGEST_BYTES) != 0)
        differs |= HF_DIFFERS_VALUE;
    if (!hf__judge_same_deadline(deadline_ms, here->deadline_ms, uncertainty_ms))
        differs |= HF_DIFFERS_DEADLINE;
    return differs;
}

unsigned hf__compare(struct hf_turn *turn, const struct hf_version_id *here, const struct hf_shared_seen *seen)
{
    if (seen->kind == HF_SHARED_OTHER)
        return HF_DIFFERS_TYPE;
    if (seen->kind == HF_SHARED_ABSENT || here->kind != HF_VERSION_DIGEST)
        return (seen->kind == HF_SHARED_ABSENT) == (here->kind != HF_VERSION_DIGEST) ? 0 : HF_DIFFERS_PRESENCE;
    return compare_strings(turn, here, seen);
}
