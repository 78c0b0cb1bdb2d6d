/* holdfast conflicts list|show|resolve|restore */
#include "cli.h"
#include "ids.h"
#include "json.h"
#include "show.h"

#include <inttypes.h>
#include <limits.h>

#define KEY_COLUMNS 24
#define VALUE_COLUMNS 24

const char cli_cmd_conflicts_help[] =
    "  list               a line for each conflict: who won, by which rule, and both values, cut to a line\n"
    "    --key KEY        only those of this key\n"
    "    --limit N        at most N of them\n"
    "  show ID            one conflict with both values, whole, and the times they were made\n"
    "  resolve ID...      take conflicts off the list: what was decided stands, the loser's value is gone\n"
    "    --all --yes      all that are on the list now\n"
    "  restore ID         write the loser's value as a new change, and take the conflict off the list\n"
    "\n"
    "  list and show work beside the store's owner; resolve and restore own the store. A number that is not on "
    "the\n"
    "  list makes the status 6. A conflict by rule 'blind' was none: it keeps what a write replaced unseen.\n";

struct conflicts {
    struct cli *cli;
    const char *key; /* NULL: all */
    int64_t limit;   /* negative: none */
    bool all, yes;
    int64_t shown;
    uint64_t id; /* to be shown */
};

/* ---- list ---- */

static void print_json(const struct cli *cli, const struct hf_conflict *c)
{
    struct cli_json json = {.file = cli->out};

    cli_json_begin(&json, NULL);
    cli_json_uint(&json, "id", c->id);
    cli_json_bytes(&json, "key", c->key);
    cli_json_text(&json, "kind", cli_kind_text(c->kind));
    cli_json_text(&json, "winner", cli_winner_text(c->winner));
    cli_json_text(&json, "rule", c->rule);
    cli_json_bool(&json, "ambiguous", c->ambiguous);
    cli_json_bool(&json, "blind", c->blind);
    cli_json_time(&json, "decided_at_ms", c->decided_ms);
    cli_json_side(&json, "ours", &c->ours, true);
    cli_json_side(&json, "theirs", &c->theirs, true);
    cli_json_end_line(&json);
}

static void print_heading(const struct cli *cli)
{
    fprintf(cli->out, "%8s  %-24s  %-6s  %-12s  %-*s  %-*s  %s\n", "ID", "DECIDED", "WINNER", "RULE", KEY_COLUMNS,
            "KEY", VALUE_COLUMNS, "OURS", "THEIRS");
}

static void print_row(const struct cli *cli, const struct hf_conflict *c)
{
    char decided[CLI_TIME_ROOM];

    fprintf(cli->out, "%8" PRIu64 "  %-24s  %-6s  %-12s  ", c->id, cli_time(decided, c->decided_ms),
            cli_winner_text(c->winner), c->rule);
    cli_put_cell(cli->out, c->key, KEY_COLUMNS);
    fputs("  ", cli->out);
    cli_pad(cli->out, cli_put_side_cut(cli->out, &c->ours, VALUE_COLUMNS), VALUE_COLUMNS + 2);
    (void)cli_put_side_cut(cli->out, &c->theirs, VALUE_COLUMNS);
    putc('\n', cli->out);
}

static bool is_asked_for(const struct conflicts *conflicts, struct hf_slice key)
{
    const char *wanted = conflicts->key;

    return !wanted || (key.len == strlen(wanted) && memcmp(key.data, wanted, key.len) == 0);
}

static int list_one(void *ctx, const struct hf_conflict *conflict)
{
    struct conflicts *conflicts = ctx;
    const struct cli *cli = conflicts->cli;

    if (conflicts->shown == conflicts->limit || ferror(cli->out))
        return CLI_ENOUGH;
    if (!is_asked_for(conflicts, conflict->key))
        return 0;
    if (conflicts->shown++ == 0 && !cli->json)
        print_heading(cli);
    if (cli->json)
        print_json(cli, conflict);
    else
        print_row(cli, conflict);
    return 0;
}

static int list(void *ctx, int argc, char **argv)
{
    struct conflicts *conflicts = ctx;
    struct cli *cli = conflicts->cli;
    int rc, status = cli_open(cli);

    (void)argc, (void)argv;
    if (status != CLI_OK)
        return status;
    rc = hf_conflict_list(cli->store, 0, list_one, conflicts);
    return rc == 0 || rc == CLI_ENOUGH ? CLI_OK : cli_fail_library(cli, rc);
}

/* ---- show ---- */

static void print_side(const struct cli *cli, const char *name, const struct hf_side *side)
{
    fprintf(cli->out, "%-9s ", name);
    cli_put_side(cli->out, side);
    putc('\n', cli->out);
    if (!side->present || side->too_long)
        return;
    fputs("  ", cli->out);
    cli_put_visible(cli->out, side->value);
    putc('\n', cli->out);
}

static void print_whole(const struct cli *cli, const struct hf_conflict *c)
{
    char decided[CLI_TIME_ROOM];

    fprintf(cli->out, "conflict  %" PRIu64 "\nkey       ", c->id);
    cli_put_visible(cli->out, c->key);
    fprintf(cli->out, "\nchange    %s\nwinner    %s, by rule %s%s\ndecided   %s\n", cli_kind_text(c->kind),
            cli_winner_text(c->winner), c->rule,
            c->ambiguous ? "; ambiguous: the times are closer than their uncertainty" : "",
            cli_time(decided, c->decided_ms));
    print_side(cli, "ours", &c->ours);
    print_side(cli, "theirs", &c->theirs);
}

/* The list begins at the conflict looked for, or behind where it would be. */
static int show_one(void *ctx, const struct hf_conflict *conflict)
{
    struct conflicts *conflicts = ctx;

    if (conflict->id != conflicts->id)
        return CLI_ENOUGH;
    conflicts->shown++;
    if (conflicts->cli->json)
        print_json(conflicts->cli, conflict);
    else
        print_whole(conflicts->cli, conflict);
    return CLI_ENOUGH;
}

static int not_listed(const struct cli *cli, uint64_t id)
{
    return cli_fail(cli, CLI_NO_KEY, "there is no conflict %" PRIu64, id);
}

static int show(void *ctx, int argc, char **argv)
{
    struct conflicts *conflicts = ctx;
    struct cli *cli = conflicts->cli;
    int rc, status = cli_id(cli, "ID", argv[0], &conflicts->id);

    (void)argc;
    if (status == CLI_OK)
        status = cli_open(cli);
    if (status != CLI_OK)
        return status;
    rc = hf_conflict_list(cli->store, conflicts->id, show_one, conflicts);
    if (rc != 0 && rc != CLI_ENOUGH)
        return cli_fail_library(cli, rc);
    return conflicts->shown > 0 ? CLI_OK : not_listed(cli, conflicts->id);
}

/* ---- resolve ---- */

static int collect_one(void *ctx, const struct hf_conflict *conflict)
{
    return cli_ids_add(ctx, conflict->id) ? 0 : HF_ENOMEM;
}

static void report_resolved(const struct cli *cli, uint64_t n)
{
    struct cli_json json = {.file = cli->out};

    if (!cli->json) {
        fprintf(cli->out, "%" PRIu64 " %s resolved\n", n, cli_plural(n, "conflict", "conflicts"));
        return;
    }
    cli_json_begin(&json, NULL);
    cli_json_uint(&json, "resolved", n);
    cli_json_end_line(&json);
}

/* One that is not there does not keep the others from being resolved. */
static int resolve_all(const struct cli *cli, const struct cli_ids *ids)
{
    int rc, status = CLI_OK;
    uint64_t n = 0;

    for (size_t i = 0; i < ids->n && (status == CLI_OK || status == CLI_NO_KEY) && cli_is_wanted(cli); i++) {
        rc = hf_conflict_resolve(cli->store, ids->ids[i]);
        if (rc == 0)
            n++;
        else
            status = rc == HF_NOT_FOUND ? not_listed(cli, ids->ids[i]) : cli_fail_library(cli, rc);
    }
    report_resolved(cli, n);
    return status;
}

static int resolve_taken(struct conflicts *conflicts, struct cli_ids *ids)
{
    struct cli *cli = conflicts->cli;
    int rc = 0, status = cli_open_as(cli, CLI_OWNS);

    if (status != CLI_OK)
        return status;
    if (conflicts->all)
        rc = hf_conflict_list(cli->store, 0, collect_one, ids);
    return rc == 0 ? resolve_all(cli, ids) : cli_fail_library(cli, rc);
}

static int resolve(void *ctx, int argc, char **argv)
{
    struct conflicts *conflicts = ctx;
    const struct cli *cli = conflicts->cli;
    struct cli_ids ids = {0};
    int status;

    if (conflicts->all && !conflicts->yes)
        return cli_fail(cli, CLI_USAGE,
                        "conflicts resolve --all gives up every loser's value: add --yes if that is meant");
    status = cli_ids_take(cli, &ids, "ID", conflicts->all, argc, argv);
    if (status == CLI_OK)
        status = resolve_taken(conflicts, &ids);
    cli_ids_release(&ids);
    return status;
}

/* ---- restore ---- */

static void report_restored(const struct cli *cli, uint64_t id, const struct hf_result *result)
{
    struct cli_json json = {.file = cli->out};

    if (!cli->json) {
        fprintf(cli->out, "the loser of conflict %" PRIu64 " was written again (LSN %" PRIu64 ")%s\n", id,
                result->lsn, result->pending ? "; pending until the shared tier is back" : "");
        return;
    }
    cli_json_begin(&json, NULL);
    cli_json_uint(&json, "restored", id);
    cli_json_written(&json, result);
    cli_json_end_line(&json);
}

static int restore(void *ctx, int argc, char **argv)
{
    struct cli *cli = ((struct conflicts *)ctx)->cli;
    struct hf_result result = {0};
    uint64_t id;
    int rc, status = cli_id(cli, "ID", argv[0], &id);

    (void)argc;
    if (status == CLI_OK)
        status = cli_open_as(cli, CLI_CHANGES);
    if (status != CLI_OK)
        return status;
    rc = hf_conflict_restore(cli->store, id, &result);
    if (rc != 0)
        return rc == HF_NOT_FOUND ? not_listed(cli, id) : cli_fail_library(cli, rc);
    report_restored(cli, id, &result);
    return CLI_OK;
}

static const struct cli_verb verbs[] = {
    {"list", "--key --limit", 0, 0, list},
    {"show", "", 1, 1, show},
    {"resolve", "--all --yes", 0, INT_MAX, resolve},
    {"restore", "", 1, 1, restore},
    {0},
};

int cli_cmd_conflicts(struct cli *cli, int argc, char **argv)
{
    struct conflicts conflicts = {.cli = cli, .limit = -1};
    const char *limit = NULL;
    const struct cli_option options[] = {
        {.name = "--key", .text = &conflicts.key},
        {.name = "--limit", .text = &limit},
        {.name = "--all", .flag = &conflicts.all},
        {.name = "--yes", .flag = &conflicts.yes},
        {0},
    };
    int status = cli_arguments(cli, &argc, argv, options, 1, INT_MAX);

    if (status == CLI_OK)
        status = cli_count(cli, "--limit", limit, &conflicts.limit);
    return status == CLI_OK ? cli_run_verb(cli, verbs, options, &conflicts, argc, argv) : status;
}
