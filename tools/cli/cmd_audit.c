/* holdfast audit */
#include "cli.h"
#include "show.h"

const char cli_cmd_audit_help[] =
    "  Prints what operators did that destroys or overrules something, oldest first: a line of JSON for each, with "
    "the\n"
    "  time, who (user and process), what, and which key or entry. Works beside the store's owner.\n";

/* The lines are JSON as they are; with --json not a byte of them is changed. */
static int print_one(void *ctx, const char *line)
{
    const struct cli *cli = ctx;

    if (ferror(cli->out))
        return CLI_ENOUGH;
    if (cli->json)
        fputs(line, cli->out);
    else
        cli_put_visible(cli->out, cli_slice(line));
    putc('\n', cli->out);
    return 0;
}

int cli_cmd_audit(struct cli *cli, int argc, char **argv)
{
    int rc, status = cli_arguments(cli, &argc, argv, NULL, 0, 0);

    if (status == CLI_OK)
        status = cli_open(cli);
    if (status != CLI_OK)
        return status;
    rc = hf_audit_list(cli->store, print_one, cli);
    return rc == 0 || rc == CLI_ENOUGH ? CLI_OK : cli_fail_library(cli, rc);
}
