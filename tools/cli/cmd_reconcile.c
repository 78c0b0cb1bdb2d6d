/* holdfast reconcile: the tool to run after an outage. */
#include "cli.h"
#include "dry_run.h"
#include "json.h"
#include "progress.h"
#include "show.h"

#include <inttypes.h>
#include <limits.h>
#include <poll.h>

#define TIMEOUT_DEFAULT_MS 30000
#define DRAIN_STEP_MS 100 /* between looks at the link */
#define LOOK_EVERY_MS 10  /* while there is nothing to wait for but the link */
#define PARKED_SHOWN 20
#define DRY_RUN_SHOWN 10
#define RATE_FROM_MS 100 /* a shorter run tells nothing about the rate */
#define DECIDED_MS 2000  /* for the link to go on after the operator's decision */

const char cli_cmd_reconcile_help[] =
    "  --timeout DURATION wait at most so long for everything to be shared; default: 30s\n"
    "  --dry-run          only tell what would become of every pending change, and change nothing\n"
    "    --limit N        with it: show at most N keys for each outcome; default: 10\n"
    "  --on-loss reseed|adopt\n"
    "                     decide for namespaces that are held because Redis lost their data: give back the copies "
    "that\n"
    "                     are held here (reseed), or take what Redis has now (adopt; each loss is a conflict)\n"
    "    --namespace PREFIX\n"
    "                     with it: decide for this namespace only; default: for every one that is held\n"
    "  --new-node         first make this directory, which is a copy of another one, a node of its own; increments "
    "and\n"
    "                     batches that wait are parked, in doubt: the other directory may have sent them\n"
    "\n"
    "  Connects, replays what is pending, waits until everything is shared, and prints how each change ended. "
    "Needs an\n"
    "  address, and owns the store. Status 1: conflicts were recorded; 2: entries are parked or in doubt; 3: the "
    "shared\n"
    "  tier was not reached, or not everything was shared in time. A dry run that could look ends with 0.\n";

struct reconcile {
    struct cli *cli;
    int64_t timeout_ms;
    int64_t took_ms;
    enum hf_loss_policy on_loss; /* HF_LOSS_BY_EVIDENCE: not given */
    const char *prefix;          /* of the one namespace to decide for; NULL: all */
    bool new_node;
    int64_t decided_ms;    /* when the last decision was taken; 0: none */
    uint64_t most_pending; /* keys, at any look */
    struct hf_status before, after;
};

/* ---- the work ---- */

/* What was there before the link could do anything: a look as a reader, ahead of opening as owner. */
static int look_before(struct reconcile *r)
{
    struct cli *cli = r->cli;
    int rc, status = cli_open_as(cli, CLI_READS);

    if (status != CLI_OK)
        return status;
    rc = hf_status(cli->store, &r->before);
    if (rc != 0)
        return cli_fail_library(cli, rc);
    cli_close_store(cli);
    r->most_pending = r->before.pending_keys;
    return CLI_OK;
}

/* ---- a copy of another directory ---- */

static int close_again(struct cli *cli)
{
    int rc = hf_close(cli->store);

    cli->store = NULL;
    return rc == 0 ? CLI_OK : cli_fail_library(cli, rc);
}

static int renew_node(struct cli *cli)
{
    struct hf_status s;
    int rc, status = cli_open_away(cli);

    if (status != CLI_OK)
        return status;
    rc = hf_renew_node(cli->store);
    if (rc == 0)
        rc = hf_status(cli->store, &s);
    if (rc != 0)
        return cli_fail_library(cli, rc);
    cli_note(cli, "this directory is a node of its own now; %" PRIu64 " %s parked, %" PRIu64 " of them in doubt",
             s.parked, cli_plural(s.parked, "entry is", "entries are"), s.in_doubt);
    return close_again(cli);
}

/* ---- deciding for what is held ---- */

static int decide_for(struct reconcile *r, const char *prefix)
{
    int rc = hf_decide_loss(r->cli->store, cli_slice(prefix), r->on_loss);

    if (rc != 0)
        return rc;
    r->decided_ms = cli_now_ms();
    cli_note(r->cli, "namespace '%s': %s", prefix,
             r->on_loss == HF_LOSS_RESEED ? "the copies held here are given back" : "what Redis holds is taken");
    return 0;
}

/* Every namespace is asked about; one that is not held for a loss is none of our business. */
static int decide_for_all(struct reconcile *r)
{
    const struct hf_options options = cli_options(r->cli);
    int rc = decide_for(r, "");

    for (size_t i = 0; i < options.n_namespaces && (rc == 0 || rc == HF_EINVAL); i++) {
        if (*options.namespaces[i].prefix)
            rc = decide_for(r, options.namespaces[i].prefix);
    }
    return rc == HF_EINVAL ? 0 : rc;
}

/* The link is held. HF_ETIMEOUT: it was decided, and the link goes on in a moment; HF_EOFFLINE: it is held for something
 * else. */
static int decide(struct reconcile *r)
{
    int rc = r->prefix ? decide_for(r, r->prefix) : decide_for_all(r);

    if (rc != 0 && (rc != HF_EINVAL || r->decided_ms == 0))
        return rc;
    return r->decided_ms != 0 && cli_now_ms() - r->decided_ms < DECIDED_MS ? HF_ETIMEOUT : HF_EOFFLINE;
}

/* ---- waiting ---- */

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* One step of waiting for the link to be there and everything to be shared. HF_ETIMEOUT: not yet; HF_EOFFLINE: the
 * link is held, or sending is paused, and waiting does not help. */
static int step(struct reconcile *r, int64_t left_ms)
{
    int rc = hf_drain(r->cli->store, (int)smaller(left_ms, DRAIN_STEP_MS));
    int status_rc = hf_status(r->cli->store, &r->after);

    if (status_rc != 0)
        return status_rc;
    if (r->after.link == HF_LINK_HELD && r->on_loss != HF_LOSS_BY_EVIDENCE)
        return decide(r);
    if (r->after.link == HF_LINK_HELD || (r->after.paused && rc != 0))
        return HF_EOFFLINE;
    if (rc == 0 && (r->after.link != HF_LINK_ONLINE || r->after.adopting)) {
        (void)poll(NULL, 0, LOOK_EVERY_MS);
        return HF_ETIMEOUT;
    }
    return rc == HF_EOFFLINE ? HF_ETIMEOUT : rc;
}

static void draw(struct reconcile *r, struct cli_progress *progress)
{
    uint64_t pending = r->after.pending_keys;

    if (pending > r->most_pending)
        r->most_pending = pending;
    if (r->after.link == HF_LINK_REPLAYING || r->after.link == HF_LINK_ONLINE)
        cli_progress_towards(progress, r->most_pending - pending, r->most_pending);
    else
        cli_progress_say(progress, *r->after.link_reason ? r->after.link_reason : hf_link_text(r->after.link));
}

/* What was recorded on the way is in the local tier only behind a checkpoint, and the report tells of it. A checkpoint
 * that fails does so again when the store is closed, which is reported. */
static int settle(struct reconcile *r)
{
    (void)hf_checkpoint(r->cli->store);
    return hf_status(r->cli->store, &r->after);
}

/* What counts since the store was opened is told since the beginning of the command: a sidecar's store is open for long. */
static void count_from_beginning(struct reconcile *r)
{
    r->after.replayed_ops -= r->before.replayed_ops;
    r->after.settled_by_log -= r->before.settled_by_log;
    r->after.expired_in_queue -= r->before.expired_in_queue;
    r->after.lost_conflicts -= r->before.lost_conflicts;
    r->after.dropped -= r->before.dropped;
    r->after.revalidated -= r->before.revalidated;
    for (int i = 0; i < HF_N_OUTCOMES; i++)
        r->after.settled_by[i] -= r->before.settled_by[i];
}

static int work(struct reconcile *r)
{
    int64_t start_ms = cli_now_ms(), left_ms = r->timeout_ms;
    struct cli_progress progress;
    int rc;

    cli_progress_begin(&progress, r->cli, "reconcile");
    for (;;) {
        rc = step(r, left_ms);
        left_ms = r->timeout_ms - (cli_now_ms() - start_ms);
        if (rc != HF_ETIMEOUT || left_ms <= 0 || !cli_is_wanted(r->cli))
            break;
        draw(r, &progress);
    }
    cli_progress_end(&progress);
    r->took_ms = cli_now_ms() - start_ms;
    if (rc == 0)
        rc = settle(r);
    count_from_beginning(r);
    return rc;
}

/* ---- the report ---- */

static uint64_t growth(uint64_t before, uint64_t after)
{
    return after > before ? after - before : 0;
}

static uint64_t new_conflicts(const struct reconcile *r)
{
    return growth(r->before.conflicts, r->after.conflicts);
}

static uint64_t new_blind(const struct reconcile *r)
{
    return growth(r->before.blind_conflicts, r->after.blind_conflicts);
}

static uint64_t per_second(const struct reconcile *r)
{
    return r->took_ms > 0 ? r->after.replayed_ops * 1000 / (uint64_t)r->took_ms : r->after.replayed_ops * 1000;
}

static int parked_json(void *ctx, const struct hf_parked *entry)
{
    struct cli_json *json = ctx;

    cli_json_begin(json, NULL);
    cli_json_uint(json, "lsn", entry->lsn);
    cli_json_bytes(json, "key", entry->key);
    cli_json_bool(json, "in_doubt", entry->in_doubt);
    cli_json_text(json, "reason", entry->reason);
    cli_json_end(json);
    return 0;
}

static int report_json(const struct reconcile *r)
{
    struct cli_json json = {.file = r->cli->out};
    int rc;

    cli_json_begin(&json, NULL);
    cli_json_text(&json, "link", hf_link_text(r->after.link));
    cli_json_text(&json, "link_reason", r->after.link_reason);
    cli_json_uint(&json, "pending_keys_before", r->before.pending_keys);
    cli_json_uint(&json, "pending_ops_before", r->before.pending_ops);
    cli_json_uint(&json, "replayed_ops", r->after.replayed_ops);
    cli_json_uint(&json, "settled_by_log", r->after.settled_by_log);
    cli_json_uint(&json, "expired_in_queue", r->after.expired_in_queue);
    cli_json_outcomes(&json, "outcomes", r->after.settled_by);
    cli_json_uint(&json, "conflicts", new_conflicts(r));
    cli_json_uint(&json, "blind_conflicts", new_blind(r));
    cli_json_uint(&json, "lost_conflicts", r->after.lost_conflicts);
    cli_json_uint(&json, "dropped", r->after.dropped);
    cli_json_uint(&json, "revalidated", r->after.revalidated);
    cli_json_uint(&json, "parked", r->after.parked);
    cli_json_uint(&json, "in_doubt", r->after.in_doubt);
    cli_json_uint(&json, "pending_keys", r->after.pending_keys);
    cli_json_uint(&json, "pending_ops", r->after.pending_ops);
    cli_json_bool(&json, "paused", r->after.paused);
    cli_json_int(&json, "ms", r->took_ms);
    cli_json_uint(&json, "replayed_per_s", per_second(r));
    cli_json_begin_array(&json, "parked_entries");
    rc = hf_parked_list(r->cli->store, parked_json, &json);
    cli_json_end_array(&json);
    cli_json_end_line(&json);
    return rc;
}

struct shown {
    const struct cli *cli;
    unsigned n;
};

static int parked_plain(void *ctx, const struct hf_parked *entry)
{
    struct shown *shown = ctx;
    const struct cli *cli = shown->cli;

    if (++shown->n > PARKED_SHOWN)
        return 0;
    fprintf(cli->out, "  %s ", entry->in_doubt ? "in doubt" : "parked  ");
    cli_put_visible(cli->out, entry->key);
    fprintf(cli->out, " (LSN %" PRIu64 "): %s\n", entry->lsn, entry->reason);
    return 0;
}

static void print_number(const struct cli *cli, const char *name, uint64_t number)
{
    fprintf(cli->out, "  %-26s %10" PRIu64 "\n", name, number);
}

/* What is usually 0 is shown only when it is not. */
static void print_unusual(const struct cli *cli, const char *name, uint64_t number)
{
    if (number > 0)
        print_number(cli, name, number);
}

static void print_outcomes(const struct cli *cli, const struct hf_status *s)
{
    bool has_heading = false;

    for (int i = HF_OUTCOME_PENDING + 1; i < HF_N_OUTCOMES; i++) {
        if (s->settled_by[i] > 0 && !has_heading)
            fputs("how the changes ended\n", cli->out);
        has_heading |= s->settled_by[i] > 0;
        print_unusual(cli, hf_outcome_text((enum hf_outcome)i), s->settled_by[i]);
    }
}

static void print_first_line(const struct reconcile *r)
{
    const struct cli *cli = r->cli;
    uint64_t rate = per_second(r);

    fprintf(cli->out, "%s after %" PRId64 " ms", hf_link_text(r->after.link), r->took_ms);
    if (rate > 0 && r->took_ms >= RATE_FROM_MS)
        fprintf(cli->out, ", %" PRIu64 " %s a second", rate, cli_plural(rate, "change", "changes"));
    putc('\n', cli->out);
}

static int report_plain(const struct reconcile *r)
{
    const struct cli *cli = r->cli;
    struct shown shown = {.cli = cli};
    int rc;

    print_first_line(r);
    print_number(cli, "keys pending before", r->before.pending_keys);
    print_number(cli, "operations pending before", r->before.pending_ops);
    print_number(cli, "replayed", r->after.replayed_ops);
    print_number(cli, "settled from the log", r->after.settled_by_log);
    print_number(cli, "expired while queued", r->after.expired_in_queue);
    print_number(cli, "conflicts", new_conflicts(r));
    print_unusual(cli, "replaced unseen (blind)", new_blind(r));
    print_unusual(cli, "blind, and not kept", r->after.lost_conflicts);
    print_unusual(cli, "dropped at a bound", r->after.dropped);
    print_unusual(cli, "copies compared", r->after.revalidated);
    print_number(cli, "parked", r->after.parked);
    print_number(cli, "  of them in doubt", r->after.in_doubt);
    print_number(cli, "keys still pending", r->after.pending_keys);
    rc = hf_parked_list(cli->store, parked_plain, &shown);
    if (shown.n > PARKED_SHOWN)
        fprintf(cli->out, "  ... and %u more\n", shown.n - PARKED_SHOWN);
    print_outcomes(cli, &r->after);
    return rc;
}

/* ---- the verdict ---- */

static bool is_offline(int rc)
{
    return rc == HF_ETIMEOUT || rc == HF_EOFFLINE || rc == HF_EAUTH;
}

static int offline(const struct reconcile *r)
{
    const struct cli *cli = r->cli;
    const char *reason = *r->after.link_reason ? r->after.link_reason : hf_link_text(r->after.link);

    if (r->after.paused)
        return cli_fail(cli, CLI_OFFLINE, "sending to Redis is paused: 'holdfast resume' ends that");
    if (r->after.adopting)
        return cli_fail(cli, CLI_OFFLINE,
                        "the copies were not all compared with what Redis holds within %" PRId64 " ms",
                        r->timeout_ms);
    if (r->after.link == HF_LINK_ONLINE)
        return cli_fail(cli, CLI_OFFLINE, "not everything was shared within %" PRId64 " ms", r->timeout_ms);
    return cli_fail(cli, CLI_OFFLINE, "the shared tier was not reached, or does not serve us (%" PRId64 " ms): %s",
                    r->took_ms, reason);
}

/* `rc` is how the work ended. */
static int verdict(const struct reconcile *r, int rc)
{
    const struct cli *cli = r->cli;

    if (is_offline(rc))
        return offline(r);
    if (rc != 0)
        return cli_fail_library(cli, rc);
    if (r->after.parked > 0)
        return cli_fail(cli, CLI_PARKED,
                        "%" PRIu64 " %s parked, %" PRIu64 " of them in doubt: 'holdfast parked list'",
                        r->after.parked, cli_plural(r->after.parked, "entry is", "entries are"), r->after.in_doubt);
    if (new_conflicts(r) > 0)
        return cli_fail(cli, CLI_CONFLICTS, "%" PRIu64 " %s recorded: 'holdfast conflicts list'", new_conflicts(r),
                        cli_plural(new_conflicts(r), "conflict was", "conflicts were"));
    return CLI_OK;
}

static int reconcile(struct reconcile *r)
{
    struct cli *cli = r->cli;
    int rc, report_rc, status = look_before(r);

    if (status == CLI_OK && r->new_node)
        status = renew_node(r->cli);
    if (status == CLI_OK)
        status = cli_open(cli);
    if (status != CLI_OK)
        return status;
    rc = work(r);
    if (rc != 0 && !is_offline(rc))
        return cli_fail_library(cli, rc);
    if (r->on_loss != HF_LOSS_BY_EVIDENCE && r->decided_ms == 0)
        cli_note(cli, "no namespace was held for a loss: --on-loss had nothing to decide");
    report_rc = cli->json ? report_json(r) : report_plain(r);
    return verdict(r, rc != 0 ? rc : report_rc);
}

/* ---- the arguments ---- */

struct given {
    const char *timeout, *limit, *on_loss, *prefix;
    bool dry_run, new_node;
};

static int parse_timeout(const struct cli *cli, const char *text, int64_t *ret_ms)
{
    int status = text ? cli_duration(cli, "--timeout", text, ret_ms) : CLI_OK;

    if (status == CLI_OK && *ret_ms > INT_MAX)
        return cli_fail(cli, CLI_USAGE, "--timeout: found \"%s\", expected at most %d ms", text, INT_MAX);
    return status;
}

static int parse_on_loss(const struct cli *cli, const char *text, enum hf_loss_policy *ret_policy)
{
    if (text && strcmp(text, "reseed") != 0 && strcmp(text, "adopt") != 0)
        return cli_fail(cli, CLI_USAGE, "--on-loss: found \"%s\", expected reseed or adopt", text);
    if (text)
        *ret_policy = strcmp(text, "reseed") == 0 ? HF_LOSS_RESEED : HF_LOSS_ADOPT;
    return CLI_OK;
}

static int check_together(const struct cli *cli, const struct given *given)
{
    if (given->dry_run && (given->on_loss || given->new_node))
        return cli_fail(cli, CLI_USAGE, "--dry-run changes nothing, and %s does: expected only one of them",
                        given->on_loss ? "--on-loss" : "--new-node");
    if (given->prefix && !given->on_loss)
        return cli_fail(cli, CLI_USAGE, "--namespace goes with --on-loss");
    if (given->limit && !given->dry_run)
        return cli_fail(cli, CLI_USAGE, "--limit goes with --dry-run");
    return CLI_OK;
}

int cli_cmd_reconcile(struct cli *cli, int argc, char **argv)
{
    struct reconcile r = {.cli = cli, .timeout_ms = TIMEOUT_DEFAULT_MS};
    struct given given = {0};
    int64_t limit = DRY_RUN_SHOWN;
    const struct cli_option options[] = {
        {.name = "--timeout", .text = &given.timeout},
        {.name = "--dry-run", .flag = &given.dry_run},
        {.name = "--limit", .text = &given.limit},
        {.name = "--on-loss", .text = &given.on_loss},
        {.name = "--namespace", .text = &given.prefix},
        {.name = "--new-node", .flag = &given.new_node},
        {0},
    };
    int status = cli_arguments(cli, &argc, argv, options, 0, 0);

    if (status == CLI_OK)
        status = parse_timeout(cli, given.timeout, &r.timeout_ms);
    if (status == CLI_OK)
        status = cli_count(cli, "--limit", given.limit, &limit);
    if (status == CLI_OK)
        status = parse_on_loss(cli, given.on_loss, &r.on_loss);
    if (status == CLI_OK)
        status = check_together(cli, &given);
    if (status == CLI_OK)
        status = cli_look_for_sidecar(cli, given.dry_run ? CLI_LOOKS : CLI_OWNS);
    if (status == CLI_OK)
        status = cli_need_redis(cli);
    r.prefix = given.prefix;
    r.new_node = given.new_node;
    if (status != CLI_OK)
        return status;
    return given.dry_run ? cli_dry_run(cli, r.timeout_ms, limit) : reconcile(&r);
}
