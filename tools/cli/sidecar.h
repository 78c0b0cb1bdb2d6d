/* A sidecar that owns the store: it runs the command, and this tool reads, writes and waits for it (docs/sidecar-tool.md). */
#ifndef CLI_SIDECAR_H
#define CLI_SIDECAR_H

#include "cli.h"

/* A connection to the sidecar that listens in the store's directory; -1: none does. */
int cli_sidecar_connect(const char *dir);

/* Have the sidecar that cli->sidecar is connected to run the command with these arguments. Its status, or one with the
 * sentence said: CLI_PARKED when it is in doubt whether the command was done. */
int cli_sidecar_run(struct cli *cli, int argc, char **argv);

#endif
