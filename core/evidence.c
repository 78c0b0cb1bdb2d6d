/* Evidence of loss. */
#include "evidence.h"

#include <stdlib.h>
#include <string.h>

static void parse(const char *id, uint64_t parts[2])
{
    char *end;

    parts[0] = strtoull(id, &end, 10);
    parts[1] = *end == '-' ? strtoull(end + 1, NULL, 10) : 0;
}

int hf__stream_id_compare(const char *a, const char *b)
{
    uint64_t x[2], y[2];

    parse(a, x);
    parse(b, y);
    if (x[0] != y[0])
        return x[0] < y[0] ? -1 : 1;
    return (x[1] > y[1]) - (x[1] < y[1]);
}

int64_t hf__stream_id_ms(const char *id)
{
    uint64_t parts[2];

    parse(id, parts);
    return (int64_t)parts[0];
}

enum hf_evidence hf__evidence(const struct hf_history *known, const struct hf_history *found, bool log_missing,
                              enum hf_server_life life)
{
    if (known->epoch[0] == '\0')
        return HF_EVIDENCE_AS_KNOWN;
    if (strcmp(known->epoch, found->epoch) != 0)
        return life == HF_SERVER_RESTARTED ? HF_EVIDENCE_EMPTIED : HF_EVIDENCE_FLUSHED;
    if (found->mark != 0 && found->mark < known->mark) /* one that is gone alone proves nothing */
        return HF_EVIDENCE_ROLLED_BACK;
    if (log_missing)
        return HF_EVIDENCE_LOG_LOST;
    if (hf__stream_id_compare(found->log_id, known->log_id) < 0)
        return HF_EVIDENCE_ROLLED_BACK;
    return HF_EVIDENCE_AS_KNOWN;
}

bool hf__evidence_is_loss(enum hf_evidence evidence)
{
    return evidence == HF_EVIDENCE_EMPTIED || evidence == HF_EVIDENCE_FLUSHED ||
           evidence == HF_EVIDENCE_ROLLED_BACK;
}

enum hf_loss_policy hf__evidence_policy(enum hf_evidence evidence, enum hf_loss_policy policy)
{
    if (policy != HF_LOSS_BY_EVIDENCE)
        return policy;
    return evidence == HF_EVIDENCE_EMPTIED ? HF_LOSS_RESEED : HF_LOSS_HOLD;
}

const char *hf__evidence_text(enum hf_evidence evidence)
{
    static const char *const texts[] = {
        [HF_EVIDENCE_AS_KNOWN] = "as known",
        [HF_EVIDENCE_EMPTIED] = "Redis was restarted empty",
        [HF_EVIDENCE_FLUSHED] = "Redis was flushed",
        [HF_EVIDENCE_ROLLED_BACK] = "Redis was rolled back to an older copy",
        [HF_EVIDENCE_TRIMMED] = "the change log was trimmed",
        [HF_EVIDENCE_LOG_LOST] = "the change log was lost",
    };

    return texts[evidence];
}
