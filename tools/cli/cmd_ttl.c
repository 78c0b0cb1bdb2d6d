/* holdfast ttl KEY, expire KEY DURATION, persist KEY */
#include "cli.h"
#include "json.h"

#include <inttypes.h>

const char cli_cmd_ttl_help[] =
    "  KEY                the key whose remaining life is printed, in milliseconds; 'none': it has no TTL\n";

const char cli_cmd_expire_help[] =
    "  KEY                a key that exists\n"
    "  DURATION           how long it lives from now on: a whole number with ms, s, m, "
    "h or d, such as 250ms or 7d;\n"
    "                     without a unit, milliseconds\n";

const char cli_cmd_persist_help[] = "  KEY                the key whose TTL is taken away\n";

static void print_ttl(const struct cli *cli, struct hf_slice key, int64_t ttl_ms, int64_t deadline_ms)
{
    struct cli_json json = {.file = cli->out};

    if (!cli->json) {
        if (ttl_ms < 0)
            fputs("none\n", cli->out);
        else
            fprintf(cli->out, "%" PRId64 "\n", ttl_ms);
        return;
    }
    cli_json_begin(&json, NULL);
    cli_json_record(&json, key, NULL, deadline_ms);
    if (ttl_ms < 0)
        cli_json_null(&json, "ttl_ms");
    else
        cli_json_int(&json, "ttl_ms", ttl_ms);
    cli_json_end_line(&json);
}

int cli_cmd_ttl(struct cli *cli, int argc, char **argv)
{
    struct hf_result result = {0};
    int64_t ttl_ms;
    int rc, status = cli_arguments(cli, &argc, argv, NULL, 1, 1);

    if (status == CLI_OK)
        status = cli_open(cli);
    if (status != CLI_OK)
        return status;
    rc = hf_ttl(cli->store, cli_slice(argv[0]), &ttl_ms, &result);
    if (rc == HF_NOT_FOUND)
        return cli_no_key(cli, cli_slice(argv[0]), &result);
    if (rc != 0)
        return cli_fail_library(cli, rc);
    print_ttl(cli, cli_slice(argv[0]), ttl_ms, result.deadline_ms);
    return CLI_OK;
}

/* What expire and persist say once the library has answered. */
static int changed(const struct cli *cli, struct hf_slice key, int rc, const struct hf_result *result)
{
    struct cli_json json = {.file = cli->out};
    struct hf_result look = {0};

    if (rc == HF_NOT_FOUND && hf_exists(cli->store, key, &look) >= 0)
        return cli_no_key(cli, key, &look);
    if (rc != 0)
        return cli_fail_library(cli, rc);
    if (cli->json) {
        cli_json_begin(&json, NULL);
        cli_json_bytes(&json, "key", key);
        cli_json_written(&json, result);
        cli_json_end_line(&json);
    } else if (result->pending) {
        cli_note(cli, "changed here; pending until the shared tier is back");
    }
    return CLI_OK;
}

int cli_cmd_expire(struct cli *cli, int argc, char **argv)
{
    struct hf_result result = {0};
    int64_t ttl_ms = 0;
    int rc, status = cli_arguments(cli, &argc, argv, NULL, 2, 2);

    if (status == CLI_OK)
        status = cli_duration(cli, "DURATION", argv[1], &ttl_ms);
    if (status == CLI_OK)
        status = cli_open(cli);
    if (status != CLI_OK)
        return status;
    rc = hf_expire(cli->store, cli_slice(argv[0]), ttl_ms, &result);
    return changed(cli, cli_slice(argv[0]), rc, &result);
}

int cli_cmd_persist(struct cli *cli, int argc, char **argv)
{
    struct hf_result result = {0};
    int rc, status = cli_arguments(cli, &argc, argv, NULL, 1, 1);

    if (status == CLI_OK)
        status = cli_open(cli);
    if (status != CLI_OK)
        return status;
    rc = hf_persist(cli->store, cli_slice(argv[0]), &result);
    return changed(cli, cli_slice(argv[0]), rc, &result);
}
