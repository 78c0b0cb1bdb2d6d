/* Answers to those who look at keys: fetches and examinations. */
#include "fake_answers.h"

#include "digest.h"
#include "errors.h"

/* ---- fetching ---- */

static const char denied[] = "NOPERM this user may not look at this key";

void fake_answer_fetch(struct hf_shared_fetch *fetch, enum fake_outcome outcome, struct hf_buf *ret_value)
{
    const struct fake_key *key;
    const char *why;
    struct fake_caller caller = fake_script_caller(&why);

    fetch->found = false;
    fetch->value = hf__slice(NULL, 0);
    fetch->ttl_ms = -1;
    if (!why && outcome == FAKE_REFUSE)
        why = denied;
    if (!why)
        why = fake_get(&caller, fetch->key, &key);
    fetch->error = fake_classify(why);
    if (why || !key)
        return;
    *ret_value = fake_copy(fake_slice(&key->value));
    fetch->found = true;
    fetch->value = fake_slice(ret_value);
    fetch->ttl_ms = fake_pttl(fetch->key);
}

/* ---- examining ---- */

struct budget {
    int64_t left;
    bool served;
};

static void see_nothing(struct hf_shared_seen *seen)
{
    *seen = (struct hf_shared_seen){.key = seen->key, .want = seen->want, .owner = seen->owner};
}

static void see_digest(struct hf_shared_seen *seen, const struct fake_key *key)
{
    seen->has_digest = true;
    memcpy(seen->digest, hf__version_id(fake_slice(&key->value), 0).digest, sizeof(seen->digest));
}

/* What has to be hashed or handed out is counted once; the first is served in any case. */
static void see_more(struct hf_shared_seen *seen, const struct fake_key *key, struct budget *budget,
                     struct hf_buf *value)
{
    bool wants_value = seen->want & HF_WANT_VALUE;
    bool wants_hash = (seen->want & HF_WANT_DIGEST) && seen->len > HF_EXAMINE_SMALL;

    if (seen->want & HF_WANT_DEADLINE)
        seen->deadline_ms = key->deadline_ms;
    if (!wants_value && !wants_hash)
        return;
    seen->left_out = budget->served && (int64_t)seen->len > budget->left;
    if (seen->left_out)
        return;
    budget->served = true;
    budget->left -= (int64_t)seen->len;
    if (wants_hash)
        see_digest(seen, key);
    if (!wants_value)
        return;
    *value = fake_copy(fake_slice(&key->value));
    seen->value = fake_slice(value);
}

static void look_at(struct hf_shared_seen *seen, bool at_kind, struct budget *budget, struct hf_buf *value)
{
    const struct fake_key *key = fake_look(seen->key);

    if (!key)
        return;
    seen->kind = key->type[0] ? HF_SHARED_OTHER : HF_SHARED_STRING;
    if (seen->kind == HF_SHARED_OTHER) {
        memcpy(seen->type, key->type, sizeof(seen->type));
        return;
    }
    if (at_kind)
        return;
    seen->len = key->value.len;
    if (seen->len <= HF_EXAMINE_SMALL)
        see_digest(seen, key);
    see_more(seen, key, budget, value);
}

static void watch_all(struct fake_asker asker, const struct hf_shared_examine *examine)
{
    struct fake_caller caller = {0};

    if (examine->watch == HF_WATCH_NOTHING || fake_refuses(&caller, FAKE_ALWAYS))
        return;
    for (size_t i = 0; i < examine->n_keys && examine->watch == HF_WATCH_KEYS; i++)
        fake_watch(asker.session, examine->keys[i].key);
    for (size_t i = 0; i < examine->n_logs && examine->watch == HF_WATCH_LOGS; i++)
        fake_watch(asker.session, examine->logs[i].log_key);
}

/* Who may not look is told so of each key. */
static void refuse_keys(struct hf_shared_examine *examine, struct hf_shared_error error)
{
    for (size_t i = 0; i < examine->n_keys; i++)
        examine->keys[i].error = error;
}

static void look_at_keys(struct hf_shared_examine *examine, enum fake_outcome outcome, struct hf_buf *values)
{
    struct budget budget = {.left = HF_EXAMINE_BUDGET};
    const char *why;
    struct hf_shared_error error;

    (void)fake_script_caller(&why);
    error = fake_classify(outcome == FAKE_REFUSE ? denied : why);
    if (error.class == HF_SHARED_AUTH)
        refuse_keys(examine, error);
    else if (error.class != HF_SHARED_OK)
        examine->error = error;
    for (size_t i = 0; i < examine->n_keys && error.class == HF_SHARED_OK; i++)
        look_at(&examine->keys[i], examine->watch == HF_WATCH_LOGS, &budget, &values[i]);
}

static bool goes_on(void *ctx)
{
    (void)ctx;
    return false;
}

static void look_for_news(struct hf_shared_examine *examine, const struct hf_shared_log_page *log)
{
    struct hf_shared_log_page page = *log, all = *log;
    struct fake_page behind = fake_answer_page(&page), whole;

    all.after_id[0] = '\0';
    whole = fake_answer_page(&all);
    if (hf__redis_worse(examine->error.class, page.error.class) != examine->error.class)
        examine->error = page.error;
    examine->unread |= behind.entries.n > 0 || (whole.entries.n == 0 && log->after_id[0]);
    fake_tell_page(&behind, goes_on, NULL);
    fake_tell_page(&whole, goes_on, NULL);
}

void fake_answer_examine(struct fake_asker asker, struct hf_shared_examine *examine, enum fake_outcome outcome,
                         struct hf_buf *values, struct fake_page *pages)
{
    examine->error = outcome == FAKE_REFUSE ? fake_classify(NULL) : fake_error_of(outcome);
    for (size_t i = 0; i < examine->n_keys; i++)
        see_nothing(&examine->keys[i]);
    watch_all(asker, examine);
    if (examine->n_keys > 0)
        look_at_keys(examine, outcome, values);
    examine->unread = false;
    for (size_t i = 0; i < examine->n_logs && examine->watch == HF_WATCH_LOGS; i++)
        look_for_news(examine, &examine->logs[i]);
    for (size_t i = 0; i < examine->n_logs && examine->watch != HF_WATCH_LOGS; i++) {
        struct hf_shared_log_page *page = &examine->logs[i];
        page->n_entries = 0;
        page->gap = page->missing = false;
        page->error = fake_classify(NULL);
        if (examine->error.class == HF_SHARED_OK)
            pages[i] = fake_answer_page(page);
        if (hf__redis_worse(examine->error.class, page->error.class) != examine->error.class)
            examine->error = page->error;
    }
}
