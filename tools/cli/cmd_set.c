/* holdfast set KEY VALUE [--ttl DURATION] */
#include "cli.h"
#include "input.h"
#include "json.h"

#include <stdlib.h>

const char cli_cmd_set_help[] =
    "  KEY                1 to 4,096 bytes\n"
    "  VALUE              the value; '-' reads it from standard input, at most max_value (64 MiB)\n"
    "  --ttl DURATION     how long it lives, 1 ms to 100 years; default: the namespace's\n"
    "\n"
    "  DURATION: a whole number with ms, s, m, h or d, such as 250ms or 7d; without a unit, milliseconds.\n"
    "  Makes the store when there is none. Prints nothing; a note says when the change is pending for Redis.\n";

static int parse_ttl(const struct cli *cli, const char *text, struct hf_set_options *options)
{
    int status = text ? cli_duration(cli, "--ttl", text, &options->ttl_ms) : CLI_OK;

    if (status == CLI_OK && text && (options->ttl_ms < 1 || options->ttl_ms > HF_TTL_MAX_MS))
        return cli_fail(cli, CLI_USAGE, "--ttl: found \"%s\", expected 1 ms to 100 years", text);
    return status;
}

static void report(const struct cli *cli, struct hf_slice key, const struct hf_result *result)
{
    struct cli_json json = {.file = cli->out};

    if (cli->json) {
        cli_json_begin(&json, NULL);
        cli_json_bytes(&json, "key", key);
        cli_json_written(&json, result);
        cli_json_end_line(&json);
    } else if (result->pending) {
        cli_note(cli, "stored here; pending until the shared tier is back");
    }
}

static int set(struct cli *cli, struct hf_slice key, struct hf_slice value, const struct hf_set_options *options)
{
    struct hf_result result;
    int rc, status = cli_open(cli);

    if (status != CLI_OK)
        return status;
    rc = hf_set(cli->store, key, value, options, &result);
    if (rc != 0)
        return cli_fail_library(cli, rc);
    report(cli, key, &result);
    return CLI_OK;
}

static size_t value_max(const struct cli *cli)
{
    struct hf_options options = cli_options(cli);

    return options.max_value_bytes ? (size_t)options.max_value_bytes : HF_MAX_VALUE_DEFAULT;
}

/* Input that a sidecar is to have is not read here. */
static int read_value(struct cli *cli, char **ret_input, size_t *ret_len)
{
    int status = cli_look_for_sidecar(cli, cli->command->needs);

    return status == CLI_OK ? cli_read_all(cli, "standard input", value_max(cli), ret_input, ret_len) : status;
}

int cli_cmd_set(struct cli *cli, int argc, char **argv)
{
    const char *ttl = NULL;
    const struct cli_option options[] = {{.name = "--ttl", .text = &ttl}, {0}};
    struct hf_set_options set_options = {0};
    struct hf_slice value;
    char *input = NULL;
    int status = cli_arguments(cli, &argc, argv, options, 2, 2);

    if (status == CLI_OK)
        status = cli_check_key(cli, argv[0]);
    if (status == CLI_OK)
        status = parse_ttl(cli, ttl, &set_options);
    if (status != CLI_OK)
        return status;
    value = cli_slice(argv[1]);
    if (strcmp(argv[1], "-") == 0)
        status = read_value(cli, &input, &value.len);
    if (input)
        value.data = input;
    if (status == CLI_OK)
        status = set(cli, cli_slice(argv[0]), value, &set_options);
    free(input);
    return status;
}
