/* holdfast parked list|show|requeue|drop */
#include "cli.h"
#include "ids.h"
#include "json.h"
#include "show.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define KEY_COLUMNS 32
#define REASON_COLUMNS 100

const char cli_cmd_parked_help[] =
    "  list               a line for each parked entry: refused by Redis or in doubt, and why\n"
    "  show LSN           one entry with its value, whole, and the time it was made\n"
    "  requeue LSN...     make each a new change, which is sent again; behind what was written since. With Redis "
    "there\n"
    "                     it is tried at once, and what is refused again is parked again: status 2\n"
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
    /* to be taken off */
    struct cli_ids ids;
    struct again *again; /* of each, while requeueing */
    size_t n_again;      /* parked again */
    size_t next;         /* the first that is not before what was listed last */
};

static const char *state_text(const struct hf_parked *entry)
{
    return entry->in_doubt ? "in doubt" : "refused";
}

/* ---- list ---- */

static void print_json(const struct cli *cli, const struct hf_parked *entry)
{
    struct cli_json json = {.file = cli->out};

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

static void print_row(const struct cli *cli, const struct hf_parked *entry)
{
    char made[CLI_TIME_ROOM];

    fprintf(cli->out, "%12" PRIu64 "  %-8s  %-7s  %-24s  ", entry->lsn, state_text(entry),
            cli_kind_text(entry->kind), cli_time(made, entry->made_ms));
    cli_put_cell(cli->out, entry->key, KEY_COLUMNS);
    fputs("  ", cli->out);
    (void)cli_put_cut(cli->out, cli_slice(entry->reason), REASON_COLUMNS);
    putc('\n', cli->out);
}

static int list_one(void *ctx, const struct hf_parked *entry)
{
    struct parked *parked = ctx;
    const struct cli *cli = parked->cli;

    if (ferror(cli->out))
        return CLI_ENOUGH;
    if (parked->shown++ == 0 && !cli->json)
        fprintf(cli->out, "%12s  %-8s  %-7s  %-24s  %-*s  %s\n", "LSN", "STATE", "CHANGE", "MADE", KEY_COLUMNS,
                "KEY", "REASON");
    if (cli->json)
        print_json(cli, entry);
    else
        print_row(cli, entry);
    return 0;
}

static int list(void *ctx, int argc, char **argv)
{
    struct parked *parked = ctx;
    struct cli *cli = parked->cli;
    int rc, status = cli_open(cli);

    (void)argc, (void)argv;
    if (status != CLI_OK)
        return status;
    rc = hf_parked_list(cli->store, list_one, parked);
    return rc == 0 || rc == CLI_ENOUGH ? CLI_OK : cli_fail_library(cli, rc);
}

/* ---- show ---- */

static void print_whole(const struct cli *cli, const struct hf_parked *entry)
{
    char time[CLI_TIME_ROOM];

    fprintf(cli->out, "LSN      %" PRIu64 "\nkey      ", entry->lsn);
    cli_put_visible(cli->out, entry->key);
    fprintf(cli->out, "\nstate    %s\nreason   ", state_text(entry));
    cli_put_visible(cli->out, cli_slice(entry->reason));
    fprintf(cli->out, "\nchange   %s\nmade     %s\n", cli_kind_text(entry->kind), cli_time(time, entry->made_ms));
    if (entry->deadline_ms != 0)
        fprintf(cli->out, "expires  %s\n", cli_time(time, entry->deadline_ms));
    if (entry->kind == HF_OP_INCR)
        fprintf(cli->out, "delta    %" PRId64 "\n", entry->delta);
    if (entry->kind != HF_OP_SET)
        return;
    fprintf(cli->out, "value    %zu byte%s\n  ", entry->value.len, cli_plural(entry->value.len, "", "s"));
    cli_put_visible(cli->out, entry->value);
    putc('\n', cli->out);
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
        print_json(parked->cli, entry);
    else
        print_whole(parked->cli, entry);
    return CLI_ENOUGH;
}

static int not_parked(const struct cli *cli, uint64_t lsn)
{
    return cli_fail(cli, CLI_NO_KEY, "there is no parked entry with LSN %" PRIu64, lsn);
}

static int show(void *ctx, int argc, char **argv)
{
    struct parked *parked = ctx;
    struct cli *cli = parked->cli;
    int rc, status = cli_id(cli, "LSN", argv[0], &parked->lsn);

    (void)argc;
    if (status == CLI_OK)
        status = cli_open(cli);
    if (status != CLI_OK)
        return status;
    rc = hf_parked_list(cli->store, show_one, parked);
    if (rc != 0 && rc != CLI_ENOUGH)
        return cli_fail_library(cli, rc);
    return parked->shown > 0 ? CLI_OK : not_parked(cli, parked->lsn);
}

/* ---- taking entries off ---- */

typedef int one_fn(struct parked *parked, size_t i);

/* What cannot be taken off does not keep the others from it; nor does one that is not there. */
static int each_of(struct parked *parked, one_fn *one)
{
    const struct cli *cli = parked->cli;
    int rc, status = CLI_OK;

    for (size_t i = 0; i < parked->ids.n && status != CLI_STORE && cli_is_wanted(cli); i++) {
        rc = one(parked, i);
        if (rc != 0)
            status = rc == HF_NOT_FOUND ? not_parked(cli, parked->ids.ids[i]) : cli_fail_library(cli, rc);
    }
    return status;
}

static int collect_one(void *ctx, const struct hf_parked *entry)
{
    return cli_ids_add(ctx, entry->lsn) ? 0 : HF_ENOMEM;
}

static int open_and_collect(struct parked *parked, enum cli_needs needs)
{
    struct cli *cli = parked->cli;
    int rc = 0, status = cli_open_as(cli, needs);

    if (status == CLI_OK && parked->all)
        rc = hf_parked_list(cli->store, collect_one, &parked->ids);
    return rc == 0 ? status : cli_fail_library(cli, rc);
}

/* ---- requeue ---- */

#define TRIED_MS 5000 /* for Redis to take or refuse what was requeued */

/* How an entry became a change again. */
struct again {
    struct hf_result result;
    char *reason; /* why it was parked again; NULL: it was not */
};

static int requeue_one(struct parked *parked, size_t i)
{
    return hf_parked_requeue(parked->cli->store, parked->ids.ids[i], &parked->again[i].result);
}

/* The last change that waits; 0: none does. */
static uint64_t last_pending(const struct parked *parked)
{
    uint64_t last = 0;

    for (size_t i = 0; i < parked->ids.n; i++) {
        if (parked->again[i].result.pending && parked->again[i].result.lsn > last)
            last = parked->again[i].result.lsn;
    }
    return last;
}

static bool is_tried(const struct parked *parked)
{
    struct hf_status s;

    return hf_status(parked->cli->store, &s) == 0 && !s.paused &&
           (s.link == HF_LINK_CATCHING_UP || s.link == HF_LINK_REPLAYING || s.link == HF_LINK_ONLINE);
}

/* Both the list and the new changes are in the order of their LSNs. */
static int take_reason(void *ctx, const struct hf_parked *entry)
{
    struct parked *parked = ctx;
    struct again *again;

    while (parked->next < parked->ids.n && parked->again[parked->next].result.lsn < entry->lsn)
        parked->next++;
    if (parked->next == parked->ids.n || parked->again[parked->next].result.lsn != entry->lsn)
        return 0;
    again = &parked->again[parked->next];
    again->reason = strdup(entry->reason);
    parked->n_again++;
    return again->reason ? 0 : HF_ENOMEM;
}

/* What was refused once is judged before it is sent, and its call does not wait for that: with Redis there, this does. */
static int await_ends(struct parked *parked)
{
    uint64_t last = last_pending(parked);

    if (last == 0 || !is_tried(parked) || hf_wait_shared(parked->cli->store, last, TRIED_MS) != 0)
        return 0;
    for (size_t i = 0; i < parked->ids.n; i++)
        parked->again[i].result.pending = false;
    return hf_parked_list(parked->cli->store, take_reason, parked);
}

static void tell_requeued(const struct parked *parked, size_t i)
{
    const struct again *again = &parked->again[i];
    const struct cli *cli = parked->cli;
    struct cli_json json = {.file = cli->out};

    if (!cli->json) {
        fprintf(cli->out, "%" PRIu64 " is a change again (LSN %" PRIu64 ")%s%s%s\n", parked->ids.ids[i],
                again->result.lsn, again->result.pending ? "; pending" : "",
                again->reason ? "; parked again: " : "", again->reason ? again->reason : "");
        return;
    }
    cli_json_begin(&json, NULL);
    cli_json_uint(&json, "requeued", parked->ids.ids[i]);
    cli_json_written(&json, &again->result);
    if (again->reason)
        cli_json_text(&json, "parked_again", again->reason);
    cli_json_end_line(&json);
}

static int requeue_all(struct parked *parked)
{
    const struct cli *cli = parked->cli;
    int rc, status;

    parked->again = calloc(parked->ids.n + 1, sizeof(*parked->again));
    if (!parked->again)
        return cli_fail(cli, CLI_STORE, "out of memory: %zu parked entries", parked->ids.n);
    status = each_of(parked, requeue_one);
    rc = await_ends(parked);
    for (size_t i = 0; i < parked->ids.n; i++) {
        if (parked->again[i].result.lsn != 0)
            tell_requeued(parked, i);
    }
    if (rc != 0)
        return cli_fail_library(cli, rc);
    if (status == CLI_OK && parked->n_again > 0)
        return cli_fail(cli, CLI_PARKED, "%zu %s parked again: 'holdfast parked list'", parked->n_again,
                        cli_plural(parked->n_again, "entry was", "entries were"));
    return status;
}

static int requeue(void *ctx, int argc, char **argv)
{
    struct parked *parked = ctx;
    int status = cli_ids_take(parked->cli, &parked->ids, "LSN", parked->all, argc, argv);

    if (status == CLI_OK)
        status = open_and_collect(parked, CLI_CHANGES);
    if (status == CLI_OK)
        status = requeue_all(parked);
    for (size_t i = 0; parked->again && i < parked->ids.n; i++)
        free(parked->again[i].reason);
    free(parked->again);
    cli_ids_release(&parked->ids);
    return status;
}

/* ---- drop ---- */

static int drop_one(struct parked *parked, size_t i)
{
    const struct cli *cli = parked->cli;
    struct cli_json json = {.file = cli->out};
    uint64_t lsn = parked->ids.ids[i];
    int rc = hf_parked_drop(cli->store, lsn);

    if (rc != 0)
        return rc;
    if (!cli->json) {
        fprintf(cli->out, "%" PRIu64 " was dropped\n", lsn);
        return 0;
    }
    cli_json_begin(&json, NULL);
    cli_json_uint(&json, "dropped", lsn);
    cli_json_end_line(&json);
    return 0;
}

static int drop(void *ctx, int argc, char **argv)
{
    struct parked *parked = ctx;
    const struct cli *cli = parked->cli;
    int status;

    if (parked->all && !parked->yes)
        return cli_fail(cli, CLI_USAGE,
                        "parked drop --all gives up every parked entry: add --yes if that is meant");
    status = cli_ids_take(cli, &parked->ids, "LSN", parked->all, argc, argv);
    if (status == CLI_OK)
        status = open_and_collect(parked, CLI_OWNS);
    if (status == CLI_OK)
        status = each_of(parked, drop_one);
    cli_ids_release(&parked->ids);
    return status;
}

static const struct cli_verb verbs[] = {
    {"list", "", 0, 0, list},
    {"show", "", 1, 1, show},
    {"requeue", "--all", 0, INT_MAX, requeue},
    {"drop", "--all --yes", 0, INT_MAX, drop},
    {0},
};

int cli_cmd_parked(struct cli *cli, int argc, char **argv)
{
    struct parked parked = {.cli = cli};
    const struct cli_option options[] = {
        {.name = "--all", .flag = &parked.all}, {.name = "--yes", .flag = &parked.yes}, {0}};
    int status = cli_arguments(cli, &argc, argv, options, 1, INT_MAX);

    return status == CLI_OK ? cli_run_verb(cli, verbs, options, &parked, argc, argv) : status;
}
