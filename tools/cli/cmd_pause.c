/* holdfast pause, resume, throttle [--ops N] [--bytes SIZE]: what a running owner is told through the store's control
 * page, so that they work beside it; they are kept for the next one. */
#include "cli.h"
#include "json.h"

#include <inttypes.h>

const char cli_cmd_pause_help[] =
    "  Nothing is sent to Redis any more, until 'holdfast resume'. Reads and writes here "
    "go on, and what is written\n"
    "  waits. Works beside the store's owner, and is kept over restarts.\n";

const char cli_cmd_resume_help[] = "  Ends 'holdfast pause': what waits is sent. Works beside the store's owner.\n";

const char cli_cmd_throttle_help[] =
    "  --ops N            replay at most N operations a second; 0: no bound\n"
    "  --bytes SIZE       replay at most SIZE bytes a second; 0: no bound\n"
    "\n"
    "  A bound that is not given stays as it is; without options the bounds are printed. Works beside the store's\n"
    "  owner, also while it replays, and is kept over restarts. SIZE: a number with B, KiB, MiB, GiB or TiB, such "
    "as\n"
    "  4MiB.\n";

/* ---- pause and resume ---- */

static void report_paused(const struct cli *cli, bool paused)
{
    struct cli_json json = {.file = cli->out};

    if (!cli->json) {
        fprintf(cli->out, "%s\n",
                paused ? "paused: nothing is sent to Redis until 'holdfast resume'"
                       : "resumed: what waits is sent to Redis");
        return;
    }
    cli_json_begin(&json, NULL);
    cli_json_bool(&json, "paused", paused);
    cli_json_end_line(&json);
}

static int set_paused(struct cli *cli, int argc, char **argv, bool paused)
{
    int rc, status = cli_arguments(cli, &argc, argv, NULL, 0, 0);

    if (status == CLI_OK)
        status = cli_open(cli);
    if (status != CLI_OK)
        return status;
    rc = paused ? hf_pause(cli->store) : hf_resume(cli->store);
    if (rc != 0)
        return cli_fail_library(cli, rc);
    report_paused(cli, paused);
    return CLI_OK;
}

int cli_cmd_pause(struct cli *cli, int argc, char **argv)
{
    return set_paused(cli, argc, argv, true);
}

int cli_cmd_resume(struct cli *cli, int argc, char **argv)
{
    return set_paused(cli, argc, argv, false);
}

/* ---- throttle ---- */

struct bounds {
    const char *ops_text, *bytes_text; /* as given; NULL: not */
    uint64_t ops_per_s, bytes_per_s;
};

static void print_bound(const struct cli *cli, const char *name, uint64_t bound)
{
    if (bound == 0)
        fprintf(cli->out, "%-10s no bound\n", name);
    else
        fprintf(cli->out, "%-10s %" PRIu64 " a second\n", name, bound);
}

static void report_bounds(const struct cli *cli, const struct bounds *bounds)
{
    struct cli_json json = {.file = cli->out};

    if (!cli->json) {
        print_bound(cli, "operations", bounds->ops_per_s);
        print_bound(cli, "bytes", bounds->bytes_per_s);
        return;
    }
    cli_json_begin(&json, NULL);
    cli_json_uint(&json, "replay_ops_per_s", bounds->ops_per_s);
    cli_json_uint(&json, "replay_bytes_per_s", bounds->bytes_per_s);
    cli_json_end_line(&json);
}

/* Both bounds are set at once: the one that was not given is the one in force. */
static int throttle(struct cli *cli, struct bounds *bounds)
{
    struct hf_status s;
    int rc = hf_status(cli->store, &s);

    if (rc != 0)
        return cli_fail_library(cli, rc);
    if (!bounds->ops_text)
        bounds->ops_per_s = s.replay_ops_per_s;
    if (!bounds->bytes_text)
        bounds->bytes_per_s = s.replay_bytes_per_s;
    if (bounds->ops_text || bounds->bytes_text)
        rc = hf_throttle(cli->store, bounds->ops_per_s, bounds->bytes_per_s);
    if (rc != 0)
        return cli_fail_library(cli, rc);
    report_bounds(cli, bounds);
    return CLI_OK;
}

int cli_cmd_throttle(struct cli *cli, int argc, char **argv)
{
    struct bounds bounds = {0};
    const struct cli_option options[] = {
        {.name = "--ops", .text = &bounds.ops_text}, {.name = "--bytes", .text = &bounds.bytes_text}, {0}};
    int64_t ops = 0;
    int status = cli_arguments(cli, &argc, argv, options, 0, 0);

    if (status == CLI_OK)
        status = cli_count(cli, "--ops", bounds.ops_text, &ops);
    if (status == CLI_OK)
        status = cli_size(cli, "--bytes", bounds.bytes_text, &bounds.bytes_per_s);
    if (status == CLI_OK)
        status = cli_open(cli);
    bounds.ops_per_s = (uint64_t)ops;
    return status == CLI_OK ? throttle(cli, &bounds) : status;
}
