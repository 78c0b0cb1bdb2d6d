/* Answers to who asks for facts of the server. */
#include "fake_answers.h"

#include <inttypes.h>
#include <stdio.h>

static int64_t uptime_s(void)
{
    int64_t now = fake_now_ms();

    if (fake_server.uptime_from_ms == 0)
        fake_server.uptime_from_ms = now;
    return fake_server.uptime_base_s + (now - fake_server.uptime_from_ms) / 1000;
}

static void tell_info(struct hf_shared_facts *facts)
{
    const bool *troubles = fake_server.troubles;

    facts->has_info = true;
    snprintf(facts->run_id, sizeof(facts->run_id), "%040x", fake_server.runs);
    facts->uptime_s = uptime_s();
    facts->loading = troubles[FAKE_TROUBLE_LOADING];
    strcpy(facts->rdb_status, troubles[FAKE_TROUBLE_MISCONF] ? "err" : "ok");
    strcpy(facts->aof_status, "ok");
    facts->used_memory_bytes = fake_used_bytes();
    facts->max_memory_bytes = troubles[FAKE_TROUBLE_OOM] ? 1 : fake_server.max_bytes;
    strcpy(facts->eviction_policy, fake_server.evicts ? "allkeys-random" : "noeviction");
    facts->evicted_keys = fake_server.n_evicted;
    strcpy(facts->role, troubles[FAKE_TROUBLE_READONLY] ? "slave" : "master");
}

static void tell_config(struct hf_shared_facts *facts)
{
    facts->has_config = true;
    strcpy(facts->append_fsync, "everysec");
    facts->max_value_bytes = 512u * 1024 * 1024;
    strcpy(facts->user, "default");
}

/* Not on one that nobody listens to. Who asks for it again is refused, for the prefixes overlap with those that are there;
 * then nobody listens, although Redis goes on to tell. */
static void set_tracking(struct fake_tier *tier, struct hf_shared_facts *facts)
{
    bool refused = fake_server.no_tracking || fake_server.troubles[FAKE_TROUBLE_BUSY];
    bool on = facts->track == HF_TRACK_ON;

    if (facts->track == HF_TRACK_AS_IS || !tier->handler->invalidated || tier->n_prefixes == 0)
        return;
    tier->hears = facts->tracking = on && !tier->tracks && !refused;
    if (!refused)
        tier->tracks = on;
}

void fake_answer_facts(struct fake_asker asker, struct hf_shared_facts *facts, enum fake_outcome outcome)
{
    struct fake_caller caller = {0};

    *facts = (struct hf_shared_facts){.track = facts->track,
                                      .done = facts->done,
                                      .ctx = facts->ctx,
                                      .version = FAKE_VERSION,
                                      .may_run_scripts = true,
                                      .may_read_info = outcome != FAKE_REFUSE,
                                      .may_read_config = true,
                                      .may_track = !fake_server.no_tracking};
    if (asker.tier)
        set_tracking(asker.tier, facts);
    if (outcome == FAKE_REFUSE)
        snprintf(facts->refusal, sizeof(facts->refusal), "NOPERM this user has no permissions to run 'info'");
    else if (!fake_refuses(&caller, FAKE_KEYLESS) || fake_server.troubles[FAKE_TROUBLE_LOADING])
        tell_info(facts);
    if (facts->has_info)
        tell_config(facts);
}
