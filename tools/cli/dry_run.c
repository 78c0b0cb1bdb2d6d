/* holdfast reconcile --dry-run */
#include "dry_run.h"

#include "json.h"
#include "show.h"

#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>

#define LOOK_EVERY_MS 10
#define KEY_COLUMNS 32

/* The first changes of one outcome, copied; the values are not, only their lengths. */
struct kept {
    struct hf_preview *previews;
    size_t n, capacity;
};

struct dry_run {
    struct cli *cli;
    uint64_t limit;
    uint64_t total;
    uint64_t counts[HF_N_OUTCOMES];
    struct kept kept[HF_N_OUTCOMES];
    struct hf_loss *losses;
    size_t n_losses;
};

/* ---- collecting ---- */

/* Key, rule and reason lie in one piece of memory, which the key's slice owns. */
static bool copy_texts(struct hf_preview *preview)
{
    size_t rule_len = strlen(preview->rule) + 1, reason_len = strlen(preview->reason) + 1;
    char *memory = malloc(preview->key.len + rule_len + reason_len);

    if (!memory)
        return false;
    memcpy(memory, preview->key.data, preview->key.len);
    memcpy(memory + preview->key.len, preview->rule, rule_len);
    memcpy(memory + preview->key.len + rule_len, preview->reason, reason_len);
    preview->key.data = memory;
    preview->rule = memory + preview->key.len;
    preview->reason = preview->rule + rule_len;
    return true;
}

static bool keep(struct kept *kept, struct hf_preview preview)
{
    size_t capacity = kept->capacity ? kept->capacity * 2 : 16;
    struct hf_preview *grown;

    if (kept->n == kept->capacity) {
        grown = realloc(kept->previews, capacity * sizeof(*grown));
        if (!grown)
            return false;
        kept->previews = grown;
        kept->capacity = capacity;
    }
    if (!copy_texts(&preview))
        return false;
    kept->previews[kept->n++] = preview;
    return true;
}

static int take_one(void *ctx, const struct hf_preview *preview)
{
    struct dry_run *dry = ctx;
    struct kept *kept = &dry->kept[preview->outcome];

    if (!cli_is_wanted(dry->cli))
        return CLI_ENOUGH;
    dry->total++;
    dry->counts[preview->outcome]++;
    return kept->n >= dry->limit || keep(kept, *preview) ? 0 : HF_ENOMEM;
}

static int take_loss(void *ctx, const struct hf_loss *loss)
{
    struct dry_run *dry = ctx;
    struct hf_loss *grown = realloc(dry->losses, (dry->n_losses + 1) * sizeof(*grown));

    if (!grown)
        return HF_ENOMEM;
    dry->losses = grown;
    dry->losses[dry->n_losses++] = *loss;
    return 0;
}

static void release(struct dry_run *dry)
{
    free(dry->losses);
    for (int i = 0; i < HF_N_OUTCOMES; i++) {
        for (size_t k = 0; k < dry->kept[i].n; k++)
            free((void *)dry->kept[i].previews[k].key.data);
        free(dry->kept[i].previews);
    }
}

/* Ask until the link has come up. Once something was told, a link that breaks ends it: what was counted would be counted
 * again. */
static int look(struct dry_run *dry, int64_t timeout_ms, struct hf_status *ret_status)
{
    int64_t end_ms = cli_now_ms() + timeout_ms;
    int rc, status_rc;

    for (;;) {
        rc = hf_preview(dry->cli->store, take_one, dry);
        status_rc = hf_status(dry->cli->store, ret_status);
        if (status_rc != 0)
            return status_rc;
        if (rc != HF_EOFFLINE || dry->total > 0 || ret_status->link == HF_LINK_HELD || cli_now_ms() >= end_ms ||
            !cli_is_wanted(dry->cli))
            return rc;
        (void)poll(NULL, 0, LOOK_EVERY_MS);
    }
}

/* ---- the report ---- */

static const char *heading(enum hf_outcome outcome)
{
    return outcome == HF_OUTCOME_PENDING ? "undecided (a resolver would be asked, or the conflict log is full)"
                                         : hf_outcome_text(outcome);
}

static void print_side(const struct cli *cli, const char *name, const struct hf_side *side, bool is_increment)
{
    char made[CLI_TIME_ROOM];

    fprintf(cli->out, "%s ", name);
    if (is_increment)
        fputs("an increment", cli->out);
    else if (side->present)
        fprintf(cli->out, "%zu byte%s", side->value.len, cli_plural(side->value.len, "", "s"));
    else
        fputs("absent", cli->out);
    fprintf(cli->out, ", made %s; ", cli_time_about(made, side->made_ms, side->uncertainty_ms));
}

static void print_preview(const struct cli *cli, const struct hf_preview *preview)
{
    fputs("  ", cli->out);
    cli_put_cell(cli->out, preview->key, KEY_COLUMNS);
    fprintf(cli->out, "  %s: ", cli_kind_text(preview->kind));
    print_side(cli, "ours", &preview->ours, preview->kind == HF_OP_INCR);
    print_side(cli, "theirs", &preview->theirs, false);
    fprintf(cli->out, "LSN %" PRIu64 " to %" PRIu64 "%s%s%s", preview->first_lsn, preview->last_lsn,
            *preview->rule ? "; rule " : "", preview->rule, *preview->reason ? "; " : "");
    cli_put_visible(cli->out, cli_slice(preview->reason));
    putc('\n', cli->out);
}

static void print_outcome(const struct dry_run *dry, enum hf_outcome outcome)
{
    const struct kept *kept = &dry->kept[outcome];
    const struct cli *cli = dry->cli;

    if (dry->counts[outcome] == 0)
        return;
    fprintf(cli->out, "%s: %" PRIu64 "\n", heading(outcome), dry->counts[outcome]);
    for (size_t i = 0; i < kept->n; i++)
        print_preview(cli, &kept->previews[i]);
    if (dry->counts[outcome] > kept->n)
        fprintf(cli->out, "  ... and %" PRIu64 " more\n", dry->counts[outcome] - kept->n);
}

static const char *measure(enum hf_loss_policy policy)
{
    switch (policy) {
    case HF_LOSS_RESEED: return "the copies held here are given back first";
    case HF_LOSS_ADOPT: return "what Redis has is taken, and what differs is a conflict";
    case HF_LOSS_HOLD: return "nothing is sent before 'holdfast reconcile --on-loss reseed' or 'adopt' decides";
    default: return "what came after the older copy is sent again first";
    }
}

static void print_loss(const struct cli *cli, const struct hf_loss *loss)
{
    fprintf(cli->out, "%s, namespace '", loss->found);
    cli_put_visible(cli->out, loss->prefix);
    fprintf(cli->out, "': %s\n", measure(loss->policy));
}

static void report_plain(const struct dry_run *dry)
{
    const struct cli *cli = dry->cli;

    for (size_t i = 0; i < dry->n_losses; i++)
        print_loss(cli, &dry->losses[i]);
    fprintf(cli->out, "%" PRIu64 " %s pending; nothing was changed\n", dry->total,
            cli_plural(dry->total, "change is", "changes are"));
    for (int i = 0; i < HF_N_OUTCOMES; i++)
        print_outcome(dry, (enum hf_outcome)i);
}

static void preview_json(struct cli_json *json, const struct hf_preview *preview)
{
    cli_json_begin(json, NULL);
    cli_json_bytes(json, "key", preview->key);
    cli_json_text(json, "kind", cli_kind_text(preview->kind));
    cli_json_outcome(json, "outcome", preview->outcome);
    cli_json_text(json, "rule", preview->rule);
    cli_json_text(json, "reason", preview->reason);
    cli_json_uint(json, "first_lsn", preview->first_lsn);
    cli_json_uint(json, "last_lsn", preview->last_lsn);
    cli_json_side(json, "ours", &preview->ours, false);
    cli_json_side(json, "theirs", &preview->theirs, false);
    cli_json_end(json);
}

static void loss_json(struct cli_json *json, const struct hf_loss *loss)
{
    static const char *const words[] = {"resend", "reseed", "adopt", "hold"};

    cli_json_begin(json, NULL);
    cli_json_bytes(json, "namespace", loss->prefix);
    cli_json_text(json, "found", loss->found);
    cli_json_text(json, "then", words[loss->policy]);
    cli_json_end(json);
}

static void report_json(const struct dry_run *dry)
{
    struct cli_json json = {.file = dry->cli->out};

    cli_json_begin(&json, NULL);
    cli_json_bool(&json, "dry_run", true);
    cli_json_uint(&json, "changes", dry->total);
    cli_json_uint(&json, "undecided", dry->counts[HF_OUTCOME_PENDING]);
    cli_json_outcomes(&json, "outcomes", dry->counts);
    cli_json_begin_array(&json, "losses");
    for (size_t i = 0; i < dry->n_losses; i++)
        loss_json(&json, &dry->losses[i]);
    cli_json_end_array(&json);
    cli_json_begin_array(&json, "keys");
    for (int i = 0; i < HF_N_OUTCOMES; i++) {
        for (size_t k = 0; k < dry->kept[i].n; k++)
            preview_json(&json, &dry->kept[i].previews[k]);
    }
    cli_json_end_array(&json);
    cli_json_end_line(&json);
}

static int run(struct dry_run *dry, int64_t timeout_ms)
{
    const struct cli *cli = dry->cli;
    struct hf_status s;
    int rc = look(dry, timeout_ms, &s);

    if (rc == 0)
        rc = hf_preview_losses(dry->cli->store, take_loss, dry);
    if (rc == HF_EOFFLINE)
        return cli_fail(cli, CLI_OFFLINE, "the shared tier was not reached, or does not serve us: %s",
                        *s.link_reason ? s.link_reason : hf_link_text(s.link));
    if (rc == HF_ENOMEM)
        return cli_fail(cli, CLI_STORE, "out of memory");
    if (rc != 0)
        return cli_fail_library(cli, rc);
    if (cli->json)
        report_json(dry);
    else
        report_plain(dry);
    return CLI_OK;
}

int cli_dry_run(struct cli *cli, int64_t timeout_ms, int64_t limit)
{
    struct dry_run dry = {.cli = cli, .limit = (uint64_t)limit};
    int status = cli_open_as(cli, CLI_LOOKS);

    if (status == CLI_OK)
        status = run(&dry, timeout_ms);
    release(&dry);
    return status;
}
