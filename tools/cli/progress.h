/* A progress line on standard error, only when that is a terminal. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include "cli.h"

struct cli_progress {
    bool on;
    bool drawn;
    FILE *file;
    const char *what; /* borrowed */
    int64_t drawn_ms;
    int64_t begun_ms; /* when it was first asked to draw a rate */
};

void cli_progress_begin(struct cli_progress *progress, const struct cli *cli, const char *what);
/* `records` are done; `bytes` of `total_bytes` fill the bar, 0: no total is known. Draws ten times a second. */
void cli_progress_at(struct cli_progress *progress, uint64_t records, uint64_t bytes, uint64_t total_bytes);
/* `done` of `total` with rate and time left since the first call. Draws ten times a second. */
void cli_progress_towards(struct cli_progress *progress, uint64_t done, uint64_t total);
/* A sentence instead of a bar. */
void cli_progress_say(struct cli_progress *progress, const char *sentence);
/* Take the line away. */
void cli_progress_end(struct cli_progress *progress);

#endif
