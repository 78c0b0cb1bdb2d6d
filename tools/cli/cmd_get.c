/* holdfast get KEY [--meta] */
#include "cli.h"
#include "json.h"

#include <inttypes.h>

const char cli_cmd_get_help[] =
    "  KEY                the key whose value is printed, byte for byte; a line end is added only on a terminal\n"
    "  --meta             tell where the value came from, as JSON on standard error, or within the object of "
    "--json\n"
    "\n"
    "  With an address, and by a running sidecar, Redis is asked for what is not held here; not beside another "
    "owner.\n";

/* The value stays alone on standard output. */
static void print_plain(const struct cli *cli, struct hf_slice value, const struct hf_result *result, bool meta)
{
    struct cli_json json = {.file = cli->err};

    fwrite(value.data ? value.data : "", 1, value.len, cli->out);
    if (cli->out_is_terminal)
        putc('\n', cli->out);
    if (!meta)
        return;
    fflush(cli->out);
    cli_json_begin(&json, NULL);
    cli_json_origin(&json, result);
    if (result->deadline_ms != 0)
        cli_json_int(&json, "expires_at_ms", result->deadline_ms);
    cli_json_end_line(&json);
}

static void print_json(const struct cli *cli, struct hf_slice key, struct hf_slice value,
                       const struct hf_result *result, bool meta)
{
    struct cli_json json = {.file = cli->out};

    cli_json_begin(&json, NULL);
    cli_json_record(&json, key, &value, result->deadline_ms);
    if (meta)
        cli_json_origin(&json, result);
    cli_json_end_line(&json);
}

static int get(struct cli *cli, struct hf_slice key, bool meta)
{
    struct hf_buf value = {0};
    struct hf_result result = {0};
    int rc = hf_get(cli->store, key, &value, &result);

    if (rc == HF_NOT_FOUND)
        return cli_no_key(cli, key, &result);
    if (rc != 0)
        return cli_fail_library(cli, rc);
    if (cli->json)
        print_json(cli, key, (struct hf_slice){value.data, value.len}, &result, meta);
    else
        print_plain(cli, (struct hf_slice){value.data, value.len}, &result, meta);
    hf_buf_release(&value);
    return CLI_OK;
}

int cli_cmd_get(struct cli *cli, int argc, char **argv)
{
    bool meta = false;
    const struct cli_option options[] = {{.name = "--meta", .flag = &meta}, {0}};
    int status = cli_arguments(cli, &argc, argv, options, 1, 1);

    if (status == CLI_OK)
        status = cli_open(cli);
    return status == CLI_OK ? get(cli, cli_slice(argv[0]), meta) : status;
}
