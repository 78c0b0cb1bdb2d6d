/* holdfast scan [PREFIX] [--limit N] [--values], and export [PREFIX]: two views of one walk. */
#include "cli.h"
#include "json.h"
#include "progress.h"
#include "show.h"

const char cli_cmd_scan_help[] =
    "  PREFIX             only keys that begin with it\n"
    "  --limit N          at most N keys\n"
    "  --values           a tab and the value behind each key\n"
    "\n"
    "  Keys come in the order of their bytes. Control characters and bytes that are not "
    "UTF-8 are shown as \\x1b; with\n"
    "  --json they are exact. Works beside the store's owner.\n";

const char cli_cmd_export_help[] =
    "  PREFIX             only keys that begin with it\n"
    "\n"
    "  Prints the records held here as JSON lines, which 'holdfast import' reads. Works "
    "beside the store's owner.\n";

/* How to walk, and how to print each record. */
struct walk {
    const struct cli *cli;
    struct hf_slice prefix;
    int64_t limit; /* negative: none */
    bool json, values;
    bool progress;
};

static void print(const struct walk *walk, struct hf_slice key, struct hf_slice value, int64_t deadline_ms)
{
    const struct cli *cli = walk->cli;
    struct cli_json json = {.file = cli->out};

    if (walk->json) {
        cli_json_begin(&json, NULL);
        cli_json_record(&json, key, walk->values ? &value : NULL, deadline_ms);
        cli_json_end_line(&json);
        return;
    }
    cli_put_visible(cli->out, key);
    if (walk->values) {
        putc('\t', cli->out);
        cli_put_visible(cli->out, value);
    }
    putc('\n', cli->out);
}

/* Stops when the output fails, which is reported in the end. */
static int print_all(const struct walk *walk, struct hf_scan *scan)
{
    struct cli_progress progress = {0};
    struct hf_slice key, value;
    struct hf_result result;
    int64_t n = 0;
    int rc = 0;

    if (walk->progress)
        cli_progress_begin(&progress, walk->cli, "export");
    while (n != walk->limit && !ferror(walk->cli->out)) {
        rc = hf_scan_next(scan, &key, &value, &result);
        if (rc != 0)
            break;
        print(walk, key, value, result.deadline_ms);
        cli_progress_at(&progress, (uint64_t)++n, 0, 0);
    }
    cli_progress_end(&progress);
    return rc == HF_NOT_FOUND ? 0 : rc;
}

static int run(struct cli *cli, const struct walk *walk)
{
    struct hf_scan *scan = NULL;
    int rc, status = cli_open(cli);

    if (status != CLI_OK)
        return status;
    rc = hf_scan_open(cli->store, walk->prefix, (struct hf_slice){0}, &scan);
    if (rc == 0)
        rc = print_all(walk, scan);
    hf_scan_close(scan);
    return rc == 0 ? CLI_OK : cli_fail_library(cli, rc);
}

int cli_cmd_scan(struct cli *cli, int argc, char **argv)
{
    struct walk walk = {.cli = cli, .limit = -1};
    const char *limit = NULL;
    const struct cli_option options[] = {
        {.name = "--limit", .text = &limit}, {.name = "--values", .flag = &walk.values}, {0}};
    int status = cli_arguments(cli, &argc, argv, options, 0, 1);

    if (status == CLI_OK)
        status = cli_count(cli, "--limit", limit, &walk.limit);
    if (status != CLI_OK)
        return status;
    walk.json = cli->json;
    if (argc == 1)
        walk.prefix = cli_slice(argv[0]);
    return run(cli, &walk);
}

int cli_cmd_export(struct cli *cli, int argc, char **argv)
{
    struct walk walk = {.cli = cli, .limit = -1, .json = true, .values = true, .progress = !cli->out_is_terminal};
    int status = cli_arguments(cli, &argc, argv, NULL, 0, 1);

    if (status != CLI_OK)
        return status;
    if (argc == 1)
        walk.prefix = cli_slice(argv[0]);
    return run(cli, &walk);
}
