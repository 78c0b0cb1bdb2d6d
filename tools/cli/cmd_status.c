/* holdfast status */
#include "cli.h"
#include "json.h"
#include "show.h"

#include <inttypes.h>

const char cli_cmd_status_help[] =
    "  Prints what is known about the store: what is held here, what waits for Redis, what is kept for the "
    "operator, the\n"
    "  journal, the disk. A running sidecar tells what it knows. Beside another owner, and without one, this is a "
    "reader:\n"
    "  the link and what counts since the store was opened are then its own, so 'disabled' and 0. With --json, "
    "the\n"
    "  fields of struct hf_status.\n";

static void print_journal_json(struct cli_json *json, const struct hf_status *s)
{
    cli_json_begin(json, "journal");
    cli_json_uint(json, "first_lsn", s->journal_first_lsn);
    cli_json_uint(json, "last_lsn", s->last_lsn);
    cli_json_uint(json, "durable_lsn", s->durable_lsn);
    cli_json_uint(json, "bytes", s->journal_bytes);
    cli_json_uint(json, "segments", s->journal_segments);
    cli_json_uint(json, "quarantined", s->quarantined);
    cli_json_bool(json, "stopped", s->stopped);
    cli_json_end(json);
}

static void print_since_open_json(struct cli_json *json, const struct hf_status *s)
{
    cli_json_begin(json, "since_open");
    cli_json_uint(json, "shared_ops", s->shared_ops);
    cli_json_uint(json, "replayed_ops", s->replayed_ops);
    cli_json_uint(json, "settled_by_log", s->settled_by_log);
    cli_json_uint(json, "expired_in_queue", s->expired_in_queue);
    cli_json_uint(json, "refreshed", s->refreshed);
    cli_json_uint(json, "revalidated", s->revalidated);
    cli_json_uint(json, "link_losses", s->link_losses);
    cli_json_uint(json, "losses", s->losses);
    cli_json_uint(json, "rollbacks", s->rollbacks);
    cli_json_uint(json, "resent", s->resent);
    cli_json_uint(json, "dropped", s->dropped);
    cli_json_uint(json, "lost_conflicts", s->lost_conflicts);
    cli_json_outcomes(json, "settled_by", s->settled_by);
    cli_json_end(json);
}

static void print_json(const struct cli *cli, const struct hf_status *s)
{
    struct cli_json json = {.file = cli->out};

    cli_json_begin(&json, NULL);
    cli_json_text(&json, "link", hf_link_text(s->link));
    cli_json_text(&json, "link_reason", s->link_reason);
    cli_json_text(&json, "node", s->node);
    cli_json_int(&json, "owner_pid", s->owner_pid);
    cli_json_bool(&json, "read_only", s->read_only);
    cli_json_bool(&json, "paused", s->paused);
    cli_json_bool(&json, "adopting", s->adopting);
    cli_json_bool(&json, "look_only", s->look_only);
    cli_json_bool(&json, "time_unknown", s->time_unknown);
    cli_json_uint(&json, "keys", s->keys);
    cli_json_uint(&json, "pending_keys", s->pending_keys);
    cli_json_uint(&json, "pending_bytes", s->pending_bytes);
    cli_json_int(&json, "oldest_pending_ms", s->oldest_pending_ms);
    cli_json_uint(&json, "pending_ops", s->pending_ops);
    cli_json_uint(&json, "conflicts", s->conflicts);
    cli_json_uint(&json, "blind_conflicts", s->blind_conflicts);
    cli_json_uint(&json, "gaps", s->gaps);
    cli_json_uint(&json, "parked", s->parked);
    cli_json_uint(&json, "in_doubt", s->in_doubt);
    cli_json_uint(&json, "checkpoint_lsn", s->checkpoint_lsn);
    print_journal_json(&json, s);
    cli_json_uint(&json, "disk_used_bytes", s->disk_used_bytes);
    cli_json_uint(&json, "max_disk_bytes", s->max_disk_bytes);
    cli_json_uint(&json, "replay_ops_per_s", s->replay_ops_per_s);
    cli_json_uint(&json, "replay_bytes_per_s", s->replay_bytes_per_s);
    print_since_open_json(&json, s);
    cli_json_int(&json, "clock_offset_ms", s->clock_offset_ms);
    cli_json_int(&json, "clock_uncertainty_ms", s->clock_uncertainty_ms);
    cli_json_end_line(&json);
}

static void print_number(const struct cli *cli, const char *name, uint64_t number, const char *unit)
{
    fprintf(cli->out, "%-18s %" PRIu64 "%s\n", name, number, unit);
}

static void print_owner(const struct cli *cli, const struct hf_status *s)
{
    fprintf(cli->out, "%-18s ", "owner");
    if (s->owner_pid > 0)
        fprintf(cli->out, "process %" PRId64 "\n", s->owner_pid);
    else
        fputs("none\n", cli->out);
}

static void print_bound(const struct cli *cli, const char *name, uint64_t bound, const char *unit)
{
    if (bound == 0)
        fprintf(cli->out, "%-18s no bound\n", name);
    else
        print_number(cli, name, bound, unit);
}

/* States that ask for attention. */
static void print_warnings(const struct cli *cli, const struct hf_status *s)
{
    if (s->paused)
        fputs("sending to Redis is paused: 'holdfast resume' ends that\n", cli->out);
    if (s->time_unknown)
        fputs("the time is not known until Redis has been asked\n", cli->out);
    if (s->stopped)
        fputs("the journal has stopped: a sync failed, reopen the store\n", cli->out);
}

static void print_plain(const struct cli *cli, const struct hf_status *s)
{
    fprintf(cli->out, "%-18s %s\n", "node", s->node);
    print_owner(cli, s);
    fprintf(cli->out, "%-18s %s%s%s\n", "link", hf_link_text(s->link), *s->link_reason ? ": " : "", s->link_reason);
    print_number(cli, "keys", s->keys, "");
    print_number(cli, "pending keys", s->pending_keys, "");
    print_number(cli, "pending bytes", s->pending_bytes, "");
    print_number(cli, "oldest pending", (uint64_t)s->oldest_pending_ms, " ms");
    print_number(cli, "pending operations", s->pending_ops, "");
    print_bound(cli, "replay operations", s->replay_ops_per_s, " a second");
    print_bound(cli, "replay bytes", s->replay_bytes_per_s, " a second");
    print_number(cli, "conflicts", s->conflicts, "");
    print_number(cli, "  blind", s->blind_conflicts, "");
    print_number(cli, "gaps", s->gaps, "");
    print_number(cli, "parked", s->parked, "");
    print_number(cli, "  in doubt", s->in_doubt, "");
    print_number(cli, "checkpoint LSN", s->checkpoint_lsn, "");
    print_number(cli, "durable LSN", s->durable_lsn, "");
    print_number(cli, "journal first LSN", s->journal_first_lsn, "");
    print_number(cli, "journal last LSN", s->last_lsn, "");
    print_number(cli, "journal bytes", s->journal_bytes, "");
    print_number(cli, "journal segments", s->journal_segments, "");
    print_number(cli, "  quarantined", s->quarantined, "");
    print_number(cli, "disk used", s->disk_used_bytes, " bytes");
    print_number(cli, "disk limit", s->max_disk_bytes, " bytes");
    print_warnings(cli, s);
}

int cli_cmd_status(struct cli *cli, int argc, char **argv)
{
    struct hf_status s;
    int rc, status = cli_arguments(cli, &argc, argv, NULL, 0, 0);

    if (status == CLI_OK)
        status = cli_open(cli);
    if (status != CLI_OK)
        return status;
    rc = hf_status(cli->store, &s);
    if (rc != 0)
        return cli_fail_library(cli, rc);
    if (cli->json)
        print_json(cli, &s);
    else
        print_plain(cli, &s);
    return CLI_OK;
}
