/* holdfast verify [--sample N] */
#include "cli.h"
#include "json.h"
#include "show.h"

#include <inttypes.h>

const char cli_cmd_verify_help[] =
    "  --sample N         compare N keys taken at random; default: all keys that are held here\n"
    "\n"
    "  Compares what is held here with what Redis holds, by digest, and changes nothing: a line for each key that\n"
    "  differs, then the sums. A key with a change that Redis has not acknowledged is counted as pending. Status "
    "1:\n"
    "  keys differ that are not pending; 3: Redis cannot be asked. Owns the store while it runs.\n";

static void difference_json(const struct cli *cli, const struct hf_difference *d)
{
    struct cli_json json = {.file = cli->out};

    cli_json_begin(&json, NULL);
    cli_json_bytes(&json, "key", d->key);
    cli_json_bool(&json, "pending", d->pending);
    cli_json_bool(&json, "absent_there", d->absent_there);
    cli_json_bool(&json, "other_type", d->other_type);
    cli_json_bool(&json, "other_value", d->other_value);
    cli_json_bool(&json, "other_deadline", d->other_deadline);
    cli_json_end_line(&json);
}

/* What differs, for the eye. A deadline may differ along with the value. */
static const char *what_text(const struct hf_difference *d)
{
    if (d->absent_there)
        return "absent in Redis";
    if (d->other_type)
        return "another type in Redis";
    if (d->other_value && d->other_deadline)
        return "another value and deadline in Redis";
    return d->other_value ? "another value in Redis" : "another deadline in Redis";
}

static int print_one(void *ctx, const struct hf_difference *difference)
{
    const struct cli *cli = ctx;

    if (ferror(cli->out))
        return CLI_ENOUGH;
    if (cli->json) {
        difference_json(cli, difference);
        return 0;
    }
    cli_put_visible(cli->out, difference->key);
    fprintf(cli->out, ": %s%s\n", what_text(difference), difference->pending ? " (pending)" : "");
    return 0;
}

static void print_sums(const struct cli *cli, const struct hf_verification *sums)
{
    struct cli_json json = {.file = cli->out};

    if (!cli->json) {
        fprintf(
            cli->out, "%" PRIu64 " %s compared: %" PRIu64 " the same, %" PRIu64 " pending, %" PRIu64 " different\n",
            sums->compared, cli_plural(sums->compared, "key", "keys"), sums->same, sums->pending, sums->different);
        return;
    }
    cli_json_begin(&json, NULL);
    cli_json_uint(&json, "compared", sums->compared);
    cli_json_uint(&json, "same", sums->same);
    cli_json_uint(&json, "pending", sums->pending);
    cli_json_uint(&json, "different", sums->different);
    cli_json_end_line(&json);
}

static int verify_store(struct cli *cli, uint64_t sample)
{
    struct hf_verification sums = {0};
    int rc = hf_verify(cli->store, sample, print_one, cli, &sums);

    if (rc == CLI_ENOUGH)
        return CLI_OK; /* that the output failed is reported in the end */
    if (rc != 0)
        return cli_fail_library(cli, rc);
    print_sums(cli, &sums);
    if (sums.different == 0)
        return CLI_OK;
    return cli_fail(cli, CLI_FOUND, "%" PRIu64 " %s", sums.different,
                    cli_plural(sums.different, "key differs", "keys differ"));
}

int cli_cmd_verify(struct cli *cli, int argc, char **argv)
{
    const char *sample_text = NULL;
    const struct cli_option options[] = {{.name = "--sample", .text = &sample_text}, {0}};
    int64_t sample = 0;
    int status = cli_arguments(cli, &argc, argv, options, 0, 0);

    if (status == CLI_OK)
        status = cli_count(cli, "--sample", sample_text, &sample);
    if (status == CLI_OK)
        status = cli_look_for_sidecar(cli, cli->command->needs);
    if (status == CLI_OK)
        status = cli_need_redis(cli);
    if (status == CLI_OK)
        status = cli_open(cli);
    return status == CLI_OK ? verify_store(cli, (uint64_t)sample) : status;
}
