/* How the fake Redis answers who connects, as backends/redis/greet.c asks: who it is, whether a copy of the store has been there,
 * what time it is, and the token that fences every connection of this node before it. */
#include "fake_answers.h"

static struct hf_shared_error is_copied(const struct fake_tier *tier)
{
    const struct fake_key *key = fake_look(hf__slice_str(tier->session.key));
    struct fake_caller caller = {0};

    if (!tier->owner || !fake_is_string(key) || fake_refuses(&caller, FAKE_READS))
        return fake_classify(NULL);
    for (size_t i = 0; i < tier->owner->n_known; i++) {
        if (hf__slice_starts_with(fake_slice(&key->value), hf__slice(tier->owner->known[i], HF_OWNER_ID)))
            return fake_classify(NULL);
    }
    return fake_error(HF_SHARED_AUTH, "another copy of this store's directory has connected to Redis: decide with "
                                      "`holdfast reconcile --new-node`");
}

static void draw_token(struct fake_tier *tier)
{
    fake_random_hex(tier->session.token, 32);
    if (tier->owner)
        memcpy(tier->session.token, tier->owner->id, HF_OWNER_ID);
}

/* For want of memory: by a script that frees first, unless GET has told of another type before. */
static struct hf_shared_error set_token_by_script(struct hf_slice name, struct hf_slice token)
{
    struct fake_caller caller = {0};
    const struct fake_key *key;
    const char *why = fake_get(&caller, name, &key);

    if (why)
        return fake_classify(why);
    caller = fake_script_caller(&why);
    if (!why)
        why = fake_delete(&caller, name);
    return fake_classify(why ? why : fake_set(&caller, name, token, 0));
}

static struct hf_shared_error set_token(struct fake_tier *tier)
{
    struct fake_caller caller = {.by = tier};
    struct hf_slice name = hf__slice_str(tier->session.key), token = hf__slice_str(tier->session.token);
    struct hf_shared_error error = fake_classify(fake_set(&caller, name, token, 0));

    if (error.oom)
        error = set_token_by_script(name, token);
    fake_watch(&tier->session, name);
    return error;
}

/* HELLO, GET session, TRACKING; TIME, SET, WATCH, GET. */
struct hf_shared_error fake_greet(struct fake_tier *tier)
{
    struct fake_caller caller = {0};
    struct hf_shared_error error = is_copied(tier);
    const char *no_time = fake_refuses(&caller, FAKE_KEYLESS);

    if (fake_server.troubles[FAKE_TROUBLE_NOAUTH])
        return fake_classify("NOAUTH HELLO must be called with the client already authenticated");
    if (error.class != HF_SHARED_OK)
        return error;
    if (fake_server.troubles[FAKE_TROUBLE_BUSY])
        return fake_classify(no_time);
    tier->master = !fake_server.troubles[FAKE_TROUBLE_READONLY];
    tier->hears = tier->tracks = tier->handler->invalidated && tier->n_prefixes > 0 && !fake_server.no_tracking;
    tier->hello = (struct hf_shared_hello){.master = tier->master,
                                           .tracking = tier->tracks,
                                           .version = FAKE_VERSION,
                                           .asked_ms = tier->hello.asked_ms};
    tier->hello.redis_ms = fake_tell_time_ms();
    if (!tier->master)
        return error;
    draw_token(tier);
    return set_token(tier);
}
