/* Numbers of conflicts or parked entries, as named on the command line. */
#ifndef CLI_IDS_H
#define CLI_IDS_H

#include "cli.h"

struct cli_ids {
    uint64_t *ids;
    size_t n, capacity;
};

/* False when memory is used up. */
bool cli_ids_add(struct cli_ids *ids, uint64_t id);
void cli_ids_release(struct cli_ids *ids);

/* One number, called `what` ("ID", "LSN"). CLI_OK, or CLI_USAGE with the sentence said. */
int cli_id(const struct cli *cli, const char *what, const char *text, uint64_t *ret_id);

/* The numbers in argv, at least one; none with `all`, whose numbers the caller adds. CLI_OK, or a status with the
 * sentence said. */
int cli_ids_take(const struct cli *cli, struct cli_ids *ids, const char *what, bool all, int argc, char **argv);

#endif
