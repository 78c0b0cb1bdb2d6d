/* holdfast incr KEY [N] */
#include "cli.h"
#include "json.h"

const char cli_cmd_incr_help[] =
    "  KEY                a decimal counter, which starts from 0; its TTL stays\n"
    "  N                  what is added, of 64 bits; default: 1; it may be negative\n"
    "\n"
    "  Prints the new value, which is Redis's when it answered in time; otherwise a note "
    "says that it is tentative.\n";

#include <inttypes.h>

static void report(const struct cli *cli, struct hf_slice key, int64_t value, const struct hf_result *result)
{
    struct cli_json json = {.file = cli->out};

    if (!cli->json) {
        fprintf(cli->out, "%" PRId64 "\n", value);
        if (result->tentative)
            cli_note(cli, "tentative: the shared tier has not confirmed this value");
        return;
    }
    cli_json_begin(&json, NULL);
    cli_json_bytes(&json, "key", key);
    cli_json_int(&json, "number", value);
    cli_json_bool(&json, "tentative", result->tentative);
    cli_json_written(&json, result);
    cli_json_end_line(&json);
}

int cli_cmd_incr(struct cli *cli, int argc, char **argv)
{
    struct hf_result result = {0};
    int64_t delta = 1, value;
    int rc, status = cli_arguments(cli, &argc, argv, NULL, 1, 2);

    if (status == CLI_OK)
        status = cli_check_key(cli, argv[0]);
    if (status == CLI_OK && argc == 2)
        status = cli_integer(cli, "N", argv[1], &delta);
    if (status == CLI_OK)
        status = cli_open(cli);
    if (status != CLI_OK)
        return status;
    rc = hf_incr(cli->store, cli_slice(argv[0]), delta, &value, &result);
    if (rc != 0)
        return cli_fail_library(cli, rc);
    report(cli, cli_slice(argv[0]), value, &result);
    return CLI_OK;
}
