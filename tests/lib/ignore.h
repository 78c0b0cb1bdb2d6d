/* Callbacks of the library that look at nothing, and go on. */
#ifndef HF_IGNORE_H
#define HF_IGNORE_H

#include <holdfast.h>

int ignore_change(void *ctx, const struct hf_link_change *change);
int ignore_conflict(void *ctx, const struct hf_conflict *conflict);
int ignore_difference(void *ctx, const struct hf_difference *difference);
int ignore_finding(void *ctx, const struct hf_finding *finding);
int ignore_line(void *ctx, const char *line);
int ignore_loss(void *ctx, const struct hf_loss *loss);
int ignore_parked(void *ctx, const struct hf_parked *entry);
int ignore_preview(void *ctx, const struct hf_preview *preview);
void ignore_result(void *ctx, const struct hf_result *result);

#endif
