/* Callbacks of the library that look at nothing. */
#include "ignore.h"

int ignore_change(void *ctx, const struct hf_link_change *change)
{
    (void)ctx;
    (void)change;
    return 0;
}

int ignore_conflict(void *ctx, const struct hf_conflict *conflict)
{
    (void)ctx;
    (void)conflict;
    return 0;
}

int ignore_difference(void *ctx, const struct hf_difference *difference)
{
    (void)ctx;
    (void)difference;
    return 0;
}

int ignore_finding(void *ctx, const struct hf_finding *finding)
{
    (void)ctx;
    (void)finding;
    return 0;
}

int ignore_line(void *ctx, const char *line)
{
    (void)ctx;
    (void)line;
    return 0;
}

int ignore_loss(void *ctx, const struct hf_loss *loss)
{
    (void)ctx;
    (void)loss;
    return 0;
}

int ignore_parked(void *ctx, const struct hf_parked *entry)
{
    (void)ctx;
    (void)entry;
    return 0;
}

int ignore_preview(void *ctx, const struct hf_preview *preview)
{
    (void)ctx;
    (void)preview;
    return 0;
}

void ignore_result(void *ctx, const struct hf_result *result)
{
    (void)ctx;
    (void)result;
}
