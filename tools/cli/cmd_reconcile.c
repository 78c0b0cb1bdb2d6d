/* holdfast reconcile [--timeout DURATION]: the tool to run after an outage. */
#include "cli.h"
#include "json.h"
#include "progress.h"

#include <inttypes.h>
#include <limits.h>
#include <poll.h>

#define TIMEOUT_DEFAULT_MS 30000
#define DRAIN_STEP_MS 100 /* between looks at the link */
#define LOOK_EVERY_MS 10  /* while there is nothing to wait for but the link */
#define PARKED_SHOWN 20

struct reconcile {
    struct cli *cli;
    int64_t timeout_ms;
    int64_t took_ms;
    struct hf_status before, after;
};

/* ---- the work ---- */

/* What was there before the link could do anything: a look as a reader, ahead of opening as owner. */
static int look_before(struct reconcile *r)
{
    static const struct cli_command look = {.name = "reconcile", .needs = CLI_READS};
    const struct cli_command *command = r->cli->command;
    int rc, status;

    r->cli->command = &look;
    status = cli_open(r->cli);
    r->cli->command = command;
    if (status != CLI_OK)
        return status;
    rc = hf_status(r->cli->store, &r->before);
    if (rc != 0)
        return cli_fail_library(rc);
    hf_close(r->cli->store);
    r->cli->store = NULL;
    return CLI_OK;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* One step of waiting for the link to be there and everything to be shared. HF_ETIMEOUT: not yet; HF_EOFFLINE: the
 * link is held, and waiting does not help. */
static int step(struct reconcile *r, int64_t left_ms)
{
    int rc = hf_drain(r->cli->store, (int)smaller(left_ms, DRAIN_STEP_MS));
    int status_rc = hf_status(r->cli->store, &r->after);

    if (status_rc != 0)
        return status_rc;
    if (r->after.link == HF_LINK_HELD)
        return HF_EOFFLINE;
    if (rc == 0 && r->after.link != HF_LINK_ONLINE) {
        (void)poll(NULL, 0, LOOK_EVERY_MS);
        return HF_ETIMEOUT;
    }
    return rc == HF_EOFFLINE ? HF_ETIMEOUT : rc;
}

static int work(struct reconcile *r)
{
    int64_t start_ms = cli_now_ms(), left_ms = r->timeout_ms;
    struct cli_progress progress;
    int rc;

    cli_progress_begin(&progress, "reconcile", true);
    for (;;) {
        rc = step(r, left_ms);
        left_ms = r->timeout_ms - (cli_now_ms() - start_ms);
        if (rc != HF_ETIMEOUT || left_ms <= 0)
            break;
        cli_progress_say(&progress, *r->after.link_reason ? r->after.link_reason : hf_link_text(r->after.link));
    }
    cli_progress_end(&progress);
    r->took_ms = cli_now_ms() - start_ms;
    return rc;
}

/* ---- the report ---- */

static uint64_t new_conflicts(const struct reconcile *r)
{
    return r->after.conflicts > r->before.conflicts ? r->after.conflicts - r->before.conflicts : 0;
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
    struct cli_json json = {.file = stdout};
    int rc;

    cli_json_begin(&json, NULL);
    cli_json_text(&json, "link", hf_link_text(r->after.link));
    cli_json_text(&json, "link_reason", r->after.link_reason);
    cli_json_uint(&json, "pending_keys_before", r->before.pending_keys);
    cli_json_uint(&json, "pending_ops_before", r->before.pending_ops);
    cli_json_uint(&json, "replayed_ops", r->after.replayed_ops);
    cli_json_uint(&json, "settled_by_log", r->after.settled_by_log);
    cli_json_uint(&json, "expired_in_queue", r->after.expired_in_queue);
    cli_json_uint(&json, "conflicts", new_conflicts(r));
    cli_json_uint(&json, "parked", r->after.parked);
    cli_json_uint(&json, "in_doubt", r->after.in_doubt);
    cli_json_uint(&json, "pending_keys", r->after.pending_keys);
    cli_json_uint(&json, "pending_ops", r->after.pending_ops);
    cli_json_int(&json, "ms", r->took_ms);
    cli_json_begin_array(&json, "parked_entries");
    rc = hf_parked_list(r->cli->store, parked_json, &json);
    cli_json_end_array(&json);
    cli_json_end_line(&json);
    return rc;
}

static int parked_plain(void *ctx, const struct hf_parked *entry)
{
    unsigned *shown = ctx;

    if (++*shown > PARKED_SHOWN)
        return 0;
    printf("  %s ", entry->in_doubt ? "in doubt" : "parked  ");
    cli_put_visible(stdout, entry->key);
    printf(" (LSN %" PRIu64 "): %s\n", entry->lsn, entry->reason);
    return 0;
}

static void print_number(const char *name, uint64_t number)
{
    printf("  %-26s %10" PRIu64 "\n", name, number);
}

static int report_plain(const struct reconcile *r)
{
    unsigned shown = 0;
    int rc;

    printf("%s after %" PRId64 " ms\n", hf_link_text(r->after.link), r->took_ms);
    print_number("keys pending before", r->before.pending_keys);
    print_number("operations pending before", r->before.pending_ops);
    print_number("replayed", r->after.replayed_ops);
    print_number("settled from the log", r->after.settled_by_log);
    print_number("expired while queued", r->after.expired_in_queue);
    print_number("conflicts", new_conflicts(r));
    print_number("parked", r->after.parked);
    print_number("  of them in doubt", r->after.in_doubt);
    print_number("keys still pending", r->after.pending_keys);
    rc = hf_parked_list(r->cli->store, parked_plain, &shown);
    if (shown > PARKED_SHOWN)
        printf("  ... and %u more\n", shown - PARKED_SHOWN);
    return rc;
}

/* ---- the verdict ---- */

static bool is_offline(int rc)
{
    return rc == HF_ETIMEOUT || rc == HF_EOFFLINE || rc == HF_EAUTH;
}

static int offline(const struct reconcile *r)
{
    const char *reason = *r->after.link_reason ? r->after.link_reason : hf_link_text(r->after.link);

    if (r->after.link == HF_LINK_ONLINE)
        return cli_fail(CLI_OFFLINE, "not everything was shared within %" PRId64 " ms", r->timeout_ms);
    return cli_fail(CLI_OFFLINE, "the shared tier was not reached, or does not serve us (%" PRId64 " ms): %s",
                    r->took_ms, reason);
}

/* `rc` is how the work ended. */
static int verdict(const struct reconcile *r, int rc)
{
    if (is_offline(rc))
        return offline(r);
    if (rc != 0)
        return cli_fail_library(rc);
    if (r->after.parked > 0)
        return cli_fail(CLI_PARKED, "%" PRIu64 " entries are parked, %" PRIu64 " of them in doubt", r->after.parked,
                        r->after.in_doubt);
    if (new_conflicts(r) > 0)
        return cli_fail(CLI_CONFLICTS, "%" PRIu64 " conflicts were recorded", new_conflicts(r));
    return CLI_OK;
}

static int reconcile(struct reconcile *r)
{
    int rc, report_rc, status = look_before(r);

    if (status == CLI_OK)
        status = cli_open(r->cli);
    if (status != CLI_OK)
        return status;
    rc = work(r);
    if (rc != 0 && !is_offline(rc))
        return cli_fail_library(rc);
    report_rc = r->cli->json ? report_json(r) : report_plain(r);
    return verdict(r, rc != 0 ? rc : report_rc);
}

int cmd_reconcile(struct cli *cli, int argc, char **argv)
{
    struct reconcile r = {.cli = cli, .timeout_ms = TIMEOUT_DEFAULT_MS};
    const char *timeout = NULL, *dir;
    const struct cli_option options[] = {{.name = "--timeout", .text = &timeout}, {0}};
    int status = cli_arguments(cli, &argc, argv, options, 0, 0);

    if (status == CLI_OK && timeout)
        status = cli_duration("--timeout", timeout, &r.timeout_ms);
    if (status == CLI_OK)
        status = cli_find_dir(cli, &dir);
    if (status != CLI_OK)
        return status;
    if (r.timeout_ms > INT_MAX)
        return cli_fail(CLI_USAGE, "--timeout: found \"%s\", expected at most %d ms", timeout, INT_MAX);
    if (!cli_has_redis(cli))
        return cli_fail(CLI_USAGE, "reconcile needs an address: use --redis, HOLDFAST_REDIS or the configuration");
    return reconcile(&r);
}
