/* holdfast journal list|verify */
#include "cli.h"
#include "json.h"

#include <inttypes.h>

const char cli_cmd_journal_help[] =
    "  list               a line for each segment: its state, the LSNs it holds, its size\n"
    "  verify             print what is wrong with the journal; status 5: something that was durable is damaged\n"
    "\n"
    "  The files are examined from the disk, also beside the store's owner. A torn tail, which every power cut may "
    "leave,\n"
    "  is no damage.\n";

struct totals {
    const struct cli *cli;
    bool has_heading;
    uint64_t segments, groups, bytes;
};

static void segment_json(const struct cli *cli, const struct hf_journal_segment *s)
{
    struct cli_json json = {.file = cli->out};

    cli_json_begin(&json, NULL);
    cli_json_text(&json, "file", s->file);
    cli_json_uint(&json, "number", s->number);
    cli_json_text(&json, "state", s->state);
    cli_json_uint(&json, "first_lsn", s->first_lsn);
    cli_json_uint(&json, "last_lsn", s->last_lsn);
    cli_json_uint(&json, "groups", s->groups);
    cli_json_uint(&json, "used_bytes", s->used_bytes);
    cli_json_uint(&json, "bytes", s->bytes);
    cli_json_text(&json, "problem", s->problem);
    cli_json_end_line(&json);
}

static int list_one(void *ctx, const struct hf_journal_segment *s)
{
    struct totals *totals = ctx;
    const struct cli *cli = totals->cli;

    if (cli->json) {
        segment_json(cli, s);
        return 0;
    }
    if (!totals->has_heading)
        fprintf(cli->out, "%-24s %-10s %12s %12s %8s %11s\n", "FILE", "STATE", "FIRST LSN", "LAST LSN", "GROUPS",
                "USED BYTES");
    totals->has_heading = true;
    fprintf(cli->out, "%-24s %-10s %12" PRIu64 " %12" PRIu64 " %8" PRIu64 " %11" PRIu64 "  %s\n", s->file, s->state,
            s->first_lsn, s->last_lsn, s->groups, s->used_bytes, s->problem);
    return 0;
}

static int failed(const struct cli *cli, int rc, const char *dir)
{
    return rc == HF_NOT_FOUND ? cli_fail(cli, CLI_STORE, "there is no store in %s", dir)
                              : cli_fail_library(cli, rc);
}

/* Damage is no failure here: the table shows it. */
static int list(struct totals *totals, const char *dir)
{
    int rc = hf_journal_verify(dir, list_one, totals);

    return rc == 0 || rc == HF_ECORRUPT ? CLI_OK : failed(totals->cli, rc, dir);
}

static int verify_one(void *ctx, const struct hf_journal_segment *s)
{
    struct totals *totals = ctx;
    const struct cli *cli = totals->cli;

    totals->segments++;
    totals->groups += s->groups;
    totals->bytes += s->used_bytes;
    if (cli->json)
        segment_json(cli, s);
    else if (*s->problem)
        fprintf(cli->out, "%s: %s: %s\n", s->file, s->state, s->problem);
    return 0;
}

static int verify(struct totals *totals, const char *dir)
{
    const struct cli *cli = totals->cli;
    int rc = hf_journal_verify(dir, verify_one, totals);

    if (rc != 0)
        return failed(totals->cli, rc, dir);
    if (!cli->json)
        fprintf(cli->out, "the journal is sound: %" PRIu64 " %s, %" PRIu64 " %s, %" PRIu64 " %s\n",
                totals->segments, cli_plural(totals->segments, "segment", "segments"), totals->groups,
                cli_plural(totals->groups, "group", "groups"), totals->bytes,
                cli_plural(totals->bytes, "byte", "bytes"));
    return CLI_OK;
}

static const struct {
    const char *name;
    int (*run)(struct totals *totals, const char *dir);
} verbs[] = {
    {"list", list},
    {"verify", verify},
};

int cli_cmd_journal(struct cli *cli, int argc, char **argv)
{
    struct totals totals = {.cli = cli};
    const char *dir;
    int status = cli_arguments(cli, &argc, argv, NULL, 1, 1);

    if (status == CLI_OK)
        status = cli_find_dir(cli, &dir);
    if (status != CLI_OK)
        return status;
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (strcmp(verbs[i].name, argv[0]) == 0)
            return verbs[i].run(&totals, dir);
    }
    return cli_fail(cli, CLI_USAGE, "journal: found '%s', expected list or verify", argv[0]);
}
