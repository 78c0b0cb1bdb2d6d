/* A sidecar that owns the store: it runs the command, and this tool reads, writes and waits for it (docs/sidecar-tool.md). */
#ifndef CLI_SIDECAR_H
#define CLI_SIDECAR_H

#include "cli.h"

/* Ask the sidecar that listens in the store's directory whether it runs the command, which needs cli->needs. CLI_ELSEWHERE:
 * it does, and cli->sidecar is the connection. CLI_OK: there is none; or it does not, and a note says that a command which can do
 * without it does. Otherwise a status with the sentence said. */
int cli_sidecar_ask(struct cli *cli, const char *dir);

/* Have it run the command with these arguments. Its status, or one with the sentence said: CLI_PARKED when it is in doubt
 * whether the command was done. */
int cli_sidecar_run(struct cli *cli, int argc, char **argv);

void cli_sidecar_close(struct cli_sidecar *sidecar); /* accepts NULL */

#endif
