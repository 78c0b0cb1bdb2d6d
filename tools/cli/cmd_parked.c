/* holdfast parked list|show|requeue|drop */
#include "cli.h"
#include "ids.h"
#include "json.h"
#include "show.h"

#include <inttypes.h>
#include <limits.h>

#define KEY_COLUMNS 32
#define REASON_COLUMNS 100

const char cmd_parked_help[] =
    "  list               a line for each parked entry: refused by Redis or in doubt, and why\n"
    "  show LSN           one entry with its value, whole, and the time it was made\n"
    "  requeue LSN...     make each a new change, which is sent again; behind what was written since\n"
    "    --all            all that are parked now\n"
    "  drop LSN...        forget entries: they are never shared\n"
    "    --all --yes      all that are parked now\n"
    "\n"
    "  list and show work beside the store's owner; requeue and drop own the store. A number that is not on the "
    "list\n"
    "  makes the status 6. An entry in doubt may have been applied: requeued, it may be applied twice.\n";

struct parked {
    struct cli *cli;
    bool all, yes;
    uint64_t shown;
    uint64_t lsn; /* to be shown */
};

static const char *state_text(const struct hf_parked *entry)
{
    return entry->in_doubt ? "in doubt" : "refused";
}

/* ---- list ---- */

static void print_json(const struct hf_parked *entry)
{
    struct cli_json json = {.file = stdout};

    cli_json_begin(&json, NULL);
    cli_json_uint(&json, "lsn", entry->lsn);
    cli_json_bytes(&json, "key", entry->key);
    cli_json_text(&json, "kind", cli_kind_text(entry->kind));
    cli_json_bool(&json, "in_doubt", entry->in_doubt);
    cli_json_text(&json, "reason", entry->reason);
    if (entry->kind == HF_OP_SET)
        cli_json_bytes(&json, "value", entry->value);
    if (entry->kind == HF_OP_INCR)
        cli_json_int(&json, "delta", entry->delta);
    cli_json_time(&json, "made_at_ms", entry->made_ms);
    cli_json_time(&json, "expires_at_ms", entry->deadline_ms);
    cli_json_end_line(&json);
}

static void print_row(const struct hf_parked *entry)
{
    char made[CLI_TIME_ROOM];

    printf("%12" PRIu64 "  %-8s  %-7s  %-24s  ", entry->lsn, state_text(entry), cli_kind_text(entry->kind),
           cli_time(made, entry->made_ms));
    cli_put_cell(stdout, entry->key, KEY_COLUMNS);
    fputs("  ", stdout);
    (void)cli_put_cut(stdout, cli_slice(entry->reason), REASON_COLUMNS);
    putchar('\n');
}

static int list_one(void *ctx, const struct hf_parked *entry)
{
    struct parked *parked = ctx;

    if (ferror(stdout))
        return CLI_ENOUGH;
    if (parked->shown++ == 0 && !parked->cli->json)
        printf("%12s  %-8s  %-7s  %-24s  %-*s  %s\n", "LSN", "STATE", "CHANGE", "MADE", KEY_COLUMNS, "KEY",
               "REASON");
    if (parked->cli->json)
        print_json(entry);
    else
        print_row(entry);
    return 0;
}

static int list(void *ctx, int argc, char **argv)
{
    struct parked *parked = ctx;
    int rc, status = cli_open_as(parked->cli, CLI_READS);

    (void)argc, (void)argv;
    if (status != CLI_OK)
        return status;
    rc = hf_parked_list(parked->cli->store, list_one, parked);
    return rc == 0 || rc == CLI_ENOUGH ? CLI_OK : cli_fail_library(rc);
}

/* ---- show ---- */

static void print_whole(const struct hf_parked *entry)
{
    char time[CLI_TIME_ROOM];

    printf("LSN      %" PRIu64 "\nkey      ", entry->lsn);
    cli_put_visible(stdout, entry->key);
    printf("\nstate    %s\nreason   ", state_text(entry));
    cli_put_visible(stdout, cli_slice(entry->reason));
    printf("\nchange   %s\nmade     %s\n", cli_kind_text(entry->kind), cli_time(time, entry->made_ms));
    if (entry->deadline_ms != 0)
        printf("expires  %s\n", cli_time(time, entry->deadline_ms));
    if (entry->kind == HF_OP_INCR)
        printf("delta    %" PRId64 "\n", entry->delta);
    if (entry->kind != HF_OP_SET)
        return;
    printf("value    %zu byte%s\n  ", entry->value.len, cli_plural(entry->value.len, "", "s"));
    cli_put_visible(stdout, entry->value);
    putchar('\n');
}

static int show_one(void *ctx, const struct hf_parked *entry)
{
    struct parked *parked = ctx;

    if (entry->lsn < parked->lsn)
        return 0;
    if (entry->lsn > parked->lsn)
        return CLI_ENOUGH;
    parked->shown++;
    if (parked->cli->json)
        print_json(entry);
    else
        print_whole(entry);
    return CLI_ENOUGH;
}

static int not_parked(uint64_t lsn)
{
    return cli_fail(CLI_NO_KEY, "there is no parked entry with LSN %" PRIu64, lsn);
}

static int show(void *ctx, int argc, char **argv)
{
    struct parked *parked = ctx;
    int rc, status = cli_id("LSN", argv[0], &parked->lsn);

    (void)argc;
    if (status == CLI_OK)
        status = cli_open_as(parked->cli, CLI_READS);
    if (status != CLI_OK)
        return status;
    rc = hf_parked_list(parked->cli->store, show_one, parked);
    if (rc != 0 && rc != CLI_ENOUGH)
        return cli_fail_library(rc);
    return parked->shown > 0 ? CLI_OK : not_parked(parked->lsn);
}

/* ---- requeue and drop ---- */

static void requeued(const struct cli *cli, uint64_t lsn, const struct hf_result *result)
{
    struct cli_json json = {.file = stdout};

    if (!cli->json) {
        printf("%" PRIu64 " is a change again (LSN %" PRIu64 ")%s\n", lsn, result->lsn,
               result->pending ? "; pending" : "");
        return;
    }
    cli_json_begin(&json, NULL);
    cli_json_uint(&json, "requeued", lsn);
    cli_json_written(&json, result);
    cli_json_end_line(&json);
}

static int requeue_one(const struct cli *cli, uint64_t lsn)
{
    struct hf_result result = {0};
    int rc = hf_parked_requeue(cli->store, lsn, &result);

    if (rc == 0)
        requeued(cli, lsn, &result);
    return rc;
}

static int drop_one(const struct cli *cli, uint64_t lsn)
{
    struct cli_json json = {.file = stdout};
    int rc = hf_parked_drop(cli->store, lsn);

    if (rc != 0)
        return rc;
    if (!cli->json) {
        printf("%" PRIu64 " was dropped\n", lsn);
        return 0;
    }
    cli_json_begin(&json, NULL);
    cli_json_uint(&json, "dropped", lsn);
    cli_json_end_line(&json);
    return 0;
}

typedef int one_fn(const struct cli *cli, uint64_t lsn);

/* A requeued entry that Redis refuses again is parked again, which does not keep the others from being sent; nor does
 * one that is not there. */
static int each_of(const struct cli *cli, const struct cli_ids *ids, one_fn *one)
{
    int rc, status = CLI_OK;

    for (size_t i = 0; i < ids->n && status != CLI_STORE; i++) {
        rc = one(cli, ids->ids[i]);
        if (rc != 0)
            status = rc == HF_NOT_FOUND ? not_parked(ids->ids[i]) : cli_fail_library(rc);
    }
    return status;
}

static int collect_one(void *ctx, const struct hf_parked *entry)
{
    return cli_ids_add(ctx, entry->lsn) ? 0 : HF_ENOMEM;
}

static int change_taken(struct parked *parked, struct cli_ids *ids, enum cli_needs needs, one_fn *one)
{
    int rc = 0, status = cli_open_as(parked->cli, needs);

    if (status != CLI_OK)
        return status;
    if (parked->all)
        rc = hf_parked_list(parked->cli->store, collect_one, ids);
    return rc == 0 ? each_of(parked->cli, ids, one) : cli_fail_library(rc);
}

static int change(struct parked *parked, enum cli_needs needs, one_fn *one, int argc, char **argv)
{
    struct cli_ids ids = {0};
    int status = cli_ids_take(&ids, "LSN", parked->all, argc, argv);

    if (status == CLI_OK)
        status = change_taken(parked, &ids, needs, one);
    cli_ids_release(&ids);
    return status;
}

static int requeue(void *ctx, int argc, char **argv)
{
    return change(ctx, CLI_CHANGES, requeue_one, argc, argv);
}

static int drop(void *ctx, int argc, char **argv)
{
    struct parked *parked = ctx;

    if (parked->all && !parked->yes)
        return cli_fail(CLI_USAGE, "parked drop --all gives up every parked entry: add --yes if that is meant");
    return change(parked, CLI_OWNS, drop_one, argc, argv);
}

static const struct cli_verb verbs[] = {
    {"list", "", 0, 0, list},
    {"show", "", 1, 1, show},
    {"requeue", "--all", 0, INT_MAX, requeue},
    {"drop", "--all --yes", 0, INT_MAX, drop},
    {0},
};

int cmd_parked(struct cli *cli, int argc, char **argv)
{
    struct parked parked = {.cli = cli};
    const struct cli_option options[] = {
        {.name = "--all", .flag = &parked.all}, {.name = "--yes", .flag = &parked.yes}, {0}};
    int status = cli_arguments(cli, &argc, argv, options, 1, INT_MAX);

    return status == CLI_OK ? cli_run_verb(cli, verbs, options, &parked, argc, argv) : status;
}
