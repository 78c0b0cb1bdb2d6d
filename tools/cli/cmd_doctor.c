/* holdfast doctor */
#include "cli.h"
#include "json.h"
#include "show.h"

#include <inttypes.h>

#define TOPIC_COLUMNS 28

const char cli_cmd_doctor_help[] =
    "  Examines the machine, the store and, with an address, the server, and prints a line for each finding: its "
    "level\n"
    "  (ok, advice, problem, unknown), what it is about, what was found and, below it, what to do. Nothing is sent "
    "to\n"
    "  Redis that changes it; beside an owner that is no sidecar the server is not asked. Status 1: there is a "
    "problem.\n";

struct findings {
    const struct cli *cli;
    uint64_t problems;
};

static const char *level_text(enum hf_finding_level level)
{
    switch (level) {
    case HF_FINDING_OK: return "ok";
    case HF_FINDING_ADVICE: return "advice";
    case HF_FINDING_PROBLEM: return "problem";
    case HF_FINDING_UNKNOWN: break;
    }
    return "unknown";
}

static void print_json(const struct cli *cli, const struct hf_finding *finding)
{
    struct cli_json json = {.file = cli->out};

    cli_json_begin(&json, NULL);
    cli_json_text(&json, "level", level_text(finding->level));
    cli_json_text(&json, "topic", finding->topic);
    cli_json_text(&json, "found", finding->found);
    cli_json_text(&json, "advice", finding->advice);
    cli_json_end_line(&json);
}

static void print_plain(const struct cli *cli, const struct hf_finding *finding)
{
    fprintf(cli->out, "%-8s  ", level_text(finding->level));
    cli_put_cell(cli->out, cli_slice(finding->topic), TOPIC_COLUMNS);
    fputs("  ", cli->out);
    cli_put_visible(cli->out, cli_slice(finding->found));
    putc('\n', cli->out);
    if (!*finding->advice)
        return;
    fprintf(cli->out, "%-8s  %-*s  -> ", "", TOPIC_COLUMNS, "");
    cli_put_visible(cli->out, cli_slice(finding->advice));
    putc('\n', cli->out);
}

static int print_one(void *ctx, const struct hf_finding *finding)
{
    struct findings *findings = ctx;

    if (finding->level == HF_FINDING_PROBLEM)
        findings->problems++;
    if (findings->cli->json)
        print_json(findings->cli, finding);
    else
        print_plain(findings->cli, finding);
    return 0;
}

int cli_cmd_doctor(struct cli *cli, int argc, char **argv)
{
    struct findings findings = {.cli = cli};
    int rc, status = cli_arguments(cli, &argc, argv, NULL, 0, 0);

    if (status == CLI_OK)
        status = cli_open(cli);
    if (status != CLI_OK)
        return status;
    if (!cli->json)
        fprintf(cli->out, "%-8s  %-*s  %s\n", "LEVEL", TOPIC_COLUMNS, "TOPIC", "FOUND, AND ADVICE");
    rc = hf_doctor(cli->store, print_one, &findings);
    if (rc != 0)
        return cli_fail_library(cli, rc);
    if (findings.problems == 0)
        return CLI_OK;
    return cli_fail(cli, CLI_FOUND, "%" PRIu64 " %s found", findings.problems,
                    cli_plural(findings.problems, "problem was", "problems were"));
}
