/* holdfast del KEY... */
#include "cli.h"
#include "json.h"

#include <limits.h>

const char cli_cmd_del_help[] =
    "  KEY...             the keys to remove; one that is missing makes the status 6, and the others are removed\n";

static void report(const struct cli *cli, struct hf_slice key, bool deleted, const struct hf_result *result)
{
    struct cli_json json = {.file = cli->out};

    cli_json_begin(&json, NULL);
    cli_json_bytes(&json, "key", key);
    cli_json_bool(&json, "deleted", deleted);
    cli_json_written(&json, result);
    cli_json_end_line(&json);
}

/* A key that is not there does not keep the others from being removed. One that only Redis has is there, too, which
 * looking at it brings to light. */
static int del(struct cli *cli, struct hf_slice key)
{
    struct hf_result result = {0};
    int rc = cli_has_redis(cli) ? hf_exists(cli->store, key, NULL) : 0;

    if (rc >= 0)
        rc = hf_delete(cli->store, key, &result);
    if (rc < 0)
        return cli_fail_library(cli, rc);
    if (cli->json)
        report(cli, key, rc == 0, &result);
    else if (result.pending)
        cli_note(cli, "%.*s: removed here; pending until the shared tier is back", (int)key.len,
                 (const char *)key.data);
    if (rc == HF_NOT_FOUND)
        return cli_fail(cli, CLI_NO_KEY, "no such key: %.*s", (int)key.len, (const char *)key.data);
    return CLI_OK;
}

int cli_cmd_del(struct cli *cli, int argc, char **argv)
{
    int one, status = cli_arguments(cli, &argc, argv, NULL, 1, INT_MAX);

    if (status == CLI_OK)
        status = cli_open(cli);
    for (int i = 0; i < argc && (status == CLI_OK || status == CLI_NO_KEY); i++) {
        one = del(cli, cli_slice(argv[i]));
        if (one != CLI_OK)
            status = one;
    }
    return status;
}
