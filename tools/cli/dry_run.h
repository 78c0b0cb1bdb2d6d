/* What a reconcile would do, without doing it. */
#ifndef CLI_DRY_RUN_H
#define CLI_DRY_RUN_H

#include "cli.h"

/* Open the store to look only, wait at most `timeout_ms` for the shared tier, and print what would become of every pending
 * change: counts, and up to `limit` keys for each outcome. The status of the command. */
int cli_dry_run(struct cli *cli, int64_t timeout_ms, int64_t limit);

#endif
