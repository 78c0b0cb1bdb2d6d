/* holdfast explain KEY */
#include "cli.h"
#include "json.h"
#include "show.h"

#include <inttypes.h>

#define VALUE_COLUMNS 80

const char cli_cmd_explain_help[] =
    "  KEY                the key to be explained: what is held here and in Redis, since when, how its latest "
    "change\n"
    "                     ended, what waits or is kept for it, and in one sentence why it has this value\n"
    "\n"
    "  With an address, and by a running sidecar, Redis is asked, and nothing is sent that changes it. Beside "
    "another "
    "owner\n"
    "  only what is held here is explained. The status is 0 also when the key is nowhere.\n";

/* ---- for the eye ---- */

static void print_value(const struct cli *cli, struct hf_slice value, int64_t deadline_ms)
{
    char deadline[CLI_TIME_ROOM];

    fprintf(cli->out, "%zu byte%s, ", value.len, cli_plural(value.len, "", "s"));
    if (deadline_ms != 0)
        fprintf(cli->out, "expires %s\n", cli_time(deadline, deadline_ms));
    else
        fputs("no TTL\n", cli->out);
    fputs("              ", cli->out);
    (void)cli_put_cut(cli->out, value, VALUE_COLUMNS);
    putc('\n', cli->out);
}

static const char *where_text(const struct hf_explanation *e)
{
    if (e->in_journal_only)
        return "in the journal, not in the local tier yet";
    return e->in_overlay ? "in the overlay, not in the local tier yet" : "in the local tier";
}

static void print_here(const struct cli *cli, const struct hf_explanation *e)
{
    char made[CLI_TIME_ROOM];

    fputs("here          ", cli->out);
    if (!e->held) {
        fputs("not held\n", cli->out);
        return;
    }
    if (e->live)
        print_value(cli, e->value, e->deadline_ms);
    else
        fputs("deleted or expired\n", cli->out);
    fprintf(cli->out, "  since       %s ", cli_time(made, e->made_ms));
    if (e->lsn != 0)
        fprintf(cli->out, "(LSN %" PRIu64 "), %s\n", e->lsn, where_text(e));
    else
        fprintf(cli->out, "(from Redis), %s\n", where_text(e));
    fprintf(cli->out, "  origin      %s\n", cli_origin_text(e->origin));
}

/* What the change log tells of the value that Redis holds. */
struct since {
    bool logged; /* the log names the key */
    struct hf_logged last;
    char not_read[256]; /* why the log was not read; "" */
};

/* A change that cannot have left what is there: somebody who names nothing came later, or the key has expired. */
static bool is_outdated(const struct hf_explanation *e, const struct hf_logged *last)
{
    return last->deleted == e->shared_present;
}

static void print_since(const struct cli *cli, const struct hf_explanation *e, const struct since *since)
{
    const struct hf_logged *last = &since->last;
    char at[CLI_TIME_ROOM];

    fputs("  since       ", cli->out);
    if (!since->logged) {
        fprintf(cli->out, "not known: %s\n",
                since->not_read[0] ? since->not_read : "the change log does not name the key");
        return;
    }
    if (is_outdated(e, last))
        fputs("not known; the change log names an older change: ", cli->out);
    fprintf(cli->out, "%s%s (%s by %s%s, entry %s of the change log)\n", cli_time(at, last->since_ms),
            is_outdated(e, last) ? "" : " or later", last->what, last->by_this_node ? "this node" : "node ",
            last->by_this_node ? "" : last->node, last->id);
}

static void print_there(const struct cli *cli, const struct hf_explanation *e, const struct since *since)
{
    fputs("Redis         ", cli->out);
    if (!e->shared_known) {
        fputs("was not asked\n", cli->out);
        return;
    }
    if (!e->shared_present)
        fputs("absent\n", cli->out);
    else if (strcmp(e->shared_type, "string") != 0)
        fprintf(cli->out, "a value of type %s\n", e->shared_type);
    else
        print_value(cli, e->shared_value, e->shared_deadline_ms);
    print_since(cli, e, since);
    fprintf(cli->out, "  the same    %s\n", e->same ? "yes" : "no");
}

/* A key that was never written here has no change whose end could be told. */
static bool has_change(const struct hf_explanation *e)
{
    return e->lsn != 0 || e->pending_last_lsn != 0;
}

static void print_plain(const struct cli *cli, struct hf_slice key, const struct hf_explanation *e,
                        const struct since *since)
{
    fputs("key           ", cli->out);
    cli_put_visible(cli->out, key);
    fputs("\nnamespace     \"", cli->out);
    cli_put_visible(cli->out, cli_slice(e->prefix));
    fputs("\"\n", cli->out);
    print_here(cli, e);
    print_there(cli, e, since);
    fprintf(cli->out, "latest change %s\n", has_change(e) ? hf_outcome_text(e->outcome) : "none");
    fprintf(cli->out, "owed          %s", e->owed);
    if (e->pending_last_lsn != 0)
        fprintf(cli->out, " (LSN %" PRIu64 " to %" PRIu64 ", %" PRIu64 " %s folded)", e->pending_first_lsn,
                e->pending_last_lsn, e->pending_folded, cli_plural(e->pending_folded, "write", "writes"));
    fprintf(cli->out, "\nkept          %" PRIu64 " parked, %" PRIu64 " %s\n", e->parked, e->conflicts,
            cli_plural(e->conflicts, "conflict", "conflicts"));
    fprintf(cli->out, "why           %s\n", e->why);
}

/* ---- JSON ---- */

static void here_json(struct cli_json *json, const struct hf_explanation *e)
{
    cli_json_begin(json, "here");
    cli_json_bool(json, "held", e->held);
    cli_json_bool(json, "live", e->live);
    if (e->live)
        cli_json_bytes(json, "value", e->value);
    cli_json_time(json, "expires_at_ms", e->deadline_ms);
    cli_json_time(json, "made_at_ms", e->made_ms);
    cli_json_uint(json, "lsn", e->lsn);
    cli_json_bool(json, "in_overlay", e->in_overlay);
    cli_json_bool(json, "in_journal_only", e->in_journal_only);
    cli_json_text(json, "origin", cli_origin_text(e->origin));
    cli_json_end(json);
}

static void logged_json(struct cli_json *json, const struct hf_explanation *e, const struct since *since)
{
    const struct hf_logged *last = &since->last;

    if (!since->logged) {
        cli_json_null(json, "logged");
        return;
    }
    cli_json_begin(json, "logged");
    cli_json_text(json, "what", last->what);
    cli_json_text(json, "node", last->node);
    cli_json_bool(json, "by_this_node", last->by_this_node);
    cli_json_uint(json, "lsn", last->lsn);
    cli_json_time(json, "since_ms", last->since_ms);
    cli_json_time(json, "made_at_ms", last->made_ms);
    cli_json_text(json, "id", last->id);
    cli_json_bool(json, "outdated", is_outdated(e, last));
    cli_json_end(json);
}

static void there_json(struct cli_json *json, const struct hf_explanation *e, const struct since *since)
{
    cli_json_begin(json, "redis");
    cli_json_bool(json, "known", e->shared_known);
    if (e->shared_known) {
        cli_json_bool(json, "present", e->shared_present);
        cli_json_bool(json, "same", e->same);
    }
    if (e->shared_known && e->shared_present) {
        cli_json_text(json, "type", e->shared_type);
        cli_json_time(json, "expires_at_ms", e->shared_deadline_ms);
        if (strcmp(e->shared_type, "string") == 0)
            cli_json_bytes(json, "value", e->shared_value);
    }
    if (e->shared_known)
        logged_json(json, e, since);
    cli_json_end(json);
}

static void print_json(const struct cli *cli, struct hf_slice key, const struct hf_explanation *e,
                       const struct since *since)
{
    struct cli_json json = {.file = cli->out};

    cli_json_begin(&json, NULL);
    cli_json_bytes(&json, "key", key);
    cli_json_text(&json, "namespace", e->prefix);
    here_json(&json, e);
    there_json(&json, e, since);
    if (has_change(e))
        cli_json_outcome(&json, "outcome", e->outcome);
    else
        cli_json_null(&json, "outcome");
    cli_json_text(&json, "owed", e->owed);
    cli_json_uint(&json, "pending_first_lsn", e->pending_first_lsn);
    cli_json_uint(&json, "pending_last_lsn", e->pending_last_lsn);
    cli_json_uint(&json, "pending_folded", e->pending_folded);
    cli_json_uint(&json, "parked", e->parked);
    cli_json_uint(&json, "conflicts", e->conflicts);
    cli_json_text(&json, "why", e->why);
    cli_json_end_line(&json);
}

static void read_since(struct hf *store, struct hf_slice key, struct since *ret_since)
{
    int rc = hf_last_logged(store, key, &ret_since->last);

    ret_since->logged = rc == 0;
    if (rc != 0 && rc != HF_NOT_FOUND)
        snprintf(ret_since->not_read, sizeof(ret_since->not_read), "%s", hf_errmsg());
}

int cli_cmd_explain(struct cli *cli, int argc, char **argv)
{
    struct hf_explanation explanation = {0};
    struct since since = {0};
    int rc, status = cli_arguments(cli, &argc, argv, NULL, 1, 1);

    if (status == CLI_OK)
        status = cli_check_key(cli, argv[0]);
    if (status == CLI_OK)
        status = cli_open(cli);
    if (status != CLI_OK)
        return status;
    rc = hf_explain(cli->store, cli_slice(argv[0]), &explanation);
    if (rc != 0)
        return cli_fail_library(cli, rc);
    if (explanation.shared_known)
        read_since(cli->store, cli_slice(argv[0]), &since);
    if (cli->json)
        print_json(cli, cli_slice(argv[0]), &explanation, &since);
    else
        print_plain(cli, cli_slice(argv[0]), &explanation, &since);
    hf_explanation_release(&explanation);
    return CLI_OK;
}
