/* Hearing out what Redis had to say of changed keys: it comes before the answer to whatever is asked behind it. */
#include "link_state.h"

#include <stdio.h>

struct hear {
    struct hf_ask ask; /* first */
    struct hf_shared_fetch request;
    char key[48];
};

/* Also a refusal is an answer. */
static void answered(void *ctx, struct hf_shared_fetch *fetch)
{
    static const struct hf_shared_error none = {.class = HF_SHARED_OK};
    struct hear *hear = ctx;
    struct hf_shared_error error = fetch->error;

    hf__ask_done(&hear->ask, error.class == HF_SHARED_LINK ? &error : &none);
}

static int send_fetch(struct hf_ask *base, struct hf_shared_tier *tier)
{
    struct hear *hear = (struct hear *)base;

    return tier->ops->send_fetch(tier, &hear->request);
}

/* Our session's key is short, and the link's user may read it in any case. */
static void hear_init(struct hear *hear, const struct hf *store)
{
    snprintf(hear->key, sizeof(hear->key), "_hf:session:%s", store->node);
    hear->ask = (struct hf_ask){.send = send_fetch};
    hear->request = (struct hf_shared_fetch){.key = hf__slice_str(hear->key), .done = answered, .ctx = hear};
}

/* Where Redis tells nothing, no copy counts as verified that others may write; when it begins to, the copies are compared
 * after that. */
int hf_hear(struct hf *store, int timeout_ms)
{
    struct hear hear;
    int rc = hf__check_handle(store, false);

    if (rc != 0 || !store->link || !atomic_load(&store->link->tracking))
        return rc;
    hear_init(&hear, store);
    return hf__link_ask_within(store, &hear.ask, timeout_ms > 0 ? timeout_ms : 0);
}
