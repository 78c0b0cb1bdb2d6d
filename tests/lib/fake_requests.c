/* Requests from the link to Redis and back, by kinds. */
#include "fake_requests.h"

#include "fail.h"
#include "fake_answers.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- sending ---- */

static struct fake_tier *of(struct hf_shared_tier *tier)
{
    return (struct fake_tier *)tier; /* the first member */
}

/* A broken promise of the seam: the test could only end in something that Redis never does. */
static void must(bool kept, const char *promise)
{
    if (kept)
        return;
    fprintf(stderr, "fake Redis: the link broke a promise of the seam: %s\n", promise);
    abort();
}

static bool is_busy(const struct fake_tier *tier)
{
    bool busy = false;

    for (const struct fake_request_out *out = tier->out; out; out = out->next)
        busy |= !out->beside;
    for (const struct fake_heard *heard = tier->heard; heard; heard = heard->next)
        busy |= heard->answered && !heard->answered->beside;
    return busy;
}

/* As a real connection does: one request at a time, but for those that may run beside others; and on a replica none that
 * writes. */
static int may_send(const struct fake_tier *tier, bool beside, bool writes)
{
    if (!tier->connected)
        return hf__fail(HF_EOFFLINE, "the shared tier is not connected");
    if (writes && !tier->master)
        return hf__fail(HF_EOFFLINE, "the shared tier is a replica, which takes no writes");
    if (!beside && is_busy(tier))
        return hf__fail(HF_EBUSY, "a request to the shared tier is already out");
    return 0;
}

void fake_queue_request(struct fake_tier *tier, enum fake_request kind, void *request, bool beside)
{
    struct fake_request_out *out = fake_need(calloc(1, sizeof(*out)));
    int64_t now = fake_mono_ns();

    *out = (struct fake_request_out){.kind = kind, .request = request, .beside = beside};
    out->due_ns = now + fake_draw_delay_ns();
    if (fake_server.keeps_time)
        out->late_ns = now + (int64_t)tier->reply_timeout_ms * FAKE_NS_PER_MS;
    out->asked_ms = tier->clock->boot_ms(tier->clock);
    *tier->out_end = out;
    tier->out_end = &out->next;
}

#define WATCH_PROMISE "after an examination that watches comes another one, or a group with `watched`"

static void lock(void)
{
    pthread_mutex_lock(&fake_server.mutex);
}

/* With the lock, which is given up. */
static int send(struct fake_tier *tier, enum fake_request kind, void *request, bool beside, bool writes)
{
    int rc = may_send(tier, beside, writes);

    must(beside || kind == FAKE_GROUP || kind == FAKE_EXAMINE || !tier->watching, WATCH_PROMISE);
    if (rc == 0) {
        fake_queue_request(tier, kind, request, beside);
        fake_server.scripts[kind].asked++;
    }
    pthread_mutex_unlock(&fake_server.mutex);
    return rc;
}

int fake_send_group(struct hf_shared_tier *base, struct hf_shared_group *group)
{
    struct fake_tier *tier = of(base);

    lock();
    must(group->watched || !tier->watching, WATCH_PROMISE);
    must(group->watched || group->n_items > 0, "a group without items is one that ends the watching");
    tier->watching &= may_send(tier, false, true) != 0;
    return send(tier, FAKE_GROUP, group, false, true);
}

int fake_send_lane(struct hf_shared_tier *base, struct hf_shared_lane *lane)
{
    lock();
    return send(of(base), FAKE_LANE, lane, false, true);
}

int fake_send_epoch(struct hf_shared_tier *base, struct hf_shared_epoch *epoch)
{
    lock();
    return send(of(base), FAKE_EPOCH, epoch, false, false);
}

int fake_send_log_page(struct hf_shared_tier *base, struct hf_shared_log_page *page)
{
    lock();
    return send(of(base), FAKE_LOG_PAGE, page, false, false);
}

int fake_send_decide(struct hf_shared_tier *base, struct hf_shared_decide *decide)
{
    lock();
    must(decide->op != HF_DECIDE_ACQUIRE || (decide->fence_key.len > 0 && decide->ttl_ms > 0),
         "a lock has a life, and a key for its fencing numbers");
    return send(of(base), FAKE_DECIDE, decide, false, true);
}

int fake_send_facts(struct hf_shared_tier *base, struct hf_shared_facts *facts)
{
    lock();
    return send(of(base), FAKE_FACTS, facts, true, false);
}

int fake_send_fetch(struct hf_shared_tier *base, struct hf_shared_fetch *fetch)
{
    lock();
    return send(of(base), FAKE_FETCH, fetch, true, false);
}

int fake_send_examine(struct hf_shared_tier *base, struct hf_shared_examine *examine)
{
    struct fake_tier *tier = of(base);

    lock();
    tier->watching |= examine->watch != HF_WATCH_NOTHING && may_send(tier, false, true) == 0;
    return send(tier, FAKE_EXAMINE, examine, examine->watch == HF_WATCH_NOTHING,
                examine->watch != HF_WATCH_NOTHING);
}

/* ---- answering ---- */

static void make_room(struct fake_request_out *out, size_t n_values, size_t n_pages)
{
    out->values = fake_need(calloc(n_values + 1, sizeof(*out->values)));
    out->n_values = n_values;
    out->pages = fake_need(calloc(n_pages + 1, sizeof(*out->pages)));
    out->n_pages = n_pages;
}

static void answer_examine(struct fake_asker asker, struct fake_request_out *out, enum fake_outcome outcome)
{
    struct hf_shared_examine *examine = out->request;

    make_room(out, examine->n_keys, examine->n_logs);
    fake_answer_examine(asker, examine, outcome, out->values, out->pages);
}

void fake_answer_request(struct fake_tier *tier, struct fake_request_out *out, enum fake_outcome outcome)
{
    struct fake_asker asker = {tier, &tier->session};

    if (outcome == FAKE_LOSE_ANSWER || outcome == FAKE_CUT_ANSWER)
        outcome = FAKE_APPLY;
    if (out->kind != FAKE_EXAMINE)
        make_room(out, 1, 1);
    switch (out->kind) {
    case FAKE_GROUP: fake_answer_group(asker, out->request, outcome); break;
    case FAKE_LANE: fake_answer_lane(asker, out->request, outcome); break;
    case FAKE_DECIDE: fake_answer_decide(asker, out->request, outcome, &out->values[0]); break;
    case FAKE_EPOCH: fake_answer_epoch(asker, out->request); break;
    case FAKE_LOG_PAGE: out->pages[0] = fake_answer_page(out->request); break;
    case FAKE_FETCH: fake_answer_fetch(out->request, outcome, &out->values[0]); break;
    case FAKE_EXAMINE: answer_examine(asker, out, outcome); break;
    case FAKE_FACTS: fake_answer_facts(asker, out->request, outcome); break;
    default: out->redis_ms = fake_tell_time_ms(); break;
    }
}

/* ---- telling ---- */

struct told {
    const struct fake_tier *tier;
    uint64_t attempt;
};

/* `each` may end the connection. On the link thread, whose alone the attempt is. */
static bool goes_on(void *ctx)
{
    const struct told *told = ctx;

    return told->tier->attempt == told->attempt;
}

static void tell_pages(struct fake_tier *tier, struct fake_request_out *out)
{
    struct told told = {tier, tier->attempt};

    for (size_t i = 0; i < out->n_pages; i++) {
        if (out->pages[i].page)
            fake_tell_page(&out->pages[i], goes_on, &told);
    }
}

static void tell_time(struct fake_tier *tier, const struct fake_request_out *out)
{
    if (tier->handler->clock)
        tier->handler->clock(tier->ctx, out->redis_ms, out->asked_ms, tier->clock->boot_ms(tier->clock));
}

/* What it ended with; once it is done, the request is its owner's. */
#define DONE(type)                                                                                                 \
    do {                                                                                                           \
        type *request_ = out->request;                                                                             \
        error = request_->error;                                                                                   \
        request_->done(request_->ctx, request_);                                                                   \
    } while (0)

static struct hf_shared_error run_done(struct fake_request_out *out)
{
    struct hf_shared_error error = {0};

    switch (out->kind) {
    case FAKE_GROUP: DONE(struct hf_shared_group); break;
    case FAKE_LANE: DONE(struct hf_shared_lane); break;
    case FAKE_DECIDE: DONE(struct hf_shared_decide); break;
    case FAKE_EPOCH: DONE(struct hf_shared_epoch); break;
    case FAKE_LOG_PAGE: DONE(struct hf_shared_log_page); break;
    case FAKE_FETCH: DONE(struct hf_shared_fetch); break;
    case FAKE_EXAMINE: DONE(struct hf_shared_examine); break;
    case FAKE_FACTS: DONE(struct hf_shared_facts); break;
    default: break;
    }
    return error;
}

static void release(struct fake_request_out *out)
{
    for (size_t i = 0; i < out->n_values; i++)
        hf_buf_release(&out->values[i]);
    for (size_t i = 0; i < out->n_pages; i++)
        fake_release_stream(&out->pages[i].entries);
    free(out->values);
    free(out->pages);
    free(out);
}

struct hf_shared_error fake_tell_request(struct fake_tier *tier, struct fake_request_out *out)
{
    struct hf_shared_error error;

    if (out->kind == FAKE_TIME)
        tell_time(tier, out);
    tell_pages(tier, out);
    error = run_done(out);
    release(out);
    return error;
}

void fake_release_heard(struct fake_heard *heard)
{
    for (size_t i = 0; i < heard->n_keys; i++)
        hf_buf_release(&heard->keys[i]);
    free(heard->keys);
    free(heard);
}

/* ---- losing ---- */

static void lose_log(struct hf_shared_log *log)
{
    log->missing = false;
    log->last_id[0] = '\0';
}

static void lose_group(struct hf_shared_group *group, struct hf_shared_error error)
{
    group->error = error;
    for (size_t i = 0; i < group->n_items; i++)
        group->items[i].error = error;
    for (size_t i = 0; i < group->n_logs; i++)
        lose_log(&group->logs[i]);
}

static void lose_lane(struct hf_shared_lane *lane, struct hf_shared_error error)
{
    lane->error = error;
    lane->outcome = HF_LANE_FAILED;
    lose_log(&lane->log);
    for (size_t i = 0; i < lane->n_ops; i++)
        lane->ops[i].expired = lane->ops[i].has_number = false;
}

static void lose_decide(struct hf_shared_decide *decide, struct hf_shared_error error)
{
    decide->error = error;
    decide->decided = decide->has_found = false;
    decide->found = hf__slice(NULL, 0);
    decide->ttl_left_ms = -1;
    decide->fence = 0;
    lose_log(&decide->log);
}

static void lose_fetch(struct hf_shared_fetch *fetch, struct hf_shared_error error)
{
    fetch->error = error;
    fetch->found = false;
    fetch->value = hf__slice(NULL, 0);
    fetch->ttl_ms = -1;
}

static void lose_examine(struct hf_shared_examine *examine, struct hf_shared_error error)
{
    examine->error = error;
    for (size_t i = 0; i < examine->n_keys; i++) {
        struct hf_shared_seen *seen = &examine->keys[i];
        *seen = (struct hf_shared_seen){.key = seen->key, .want = seen->want, .owner = seen->owner};
    }
}

/* Whatever it was answered is not known. */
void fake_lose_request(struct fake_tier *tier, struct fake_request_out *out, struct hf_shared_error error)
{
    (void)tier;
    switch (out->kind) {
    case FAKE_GROUP: lose_group(out->request, error); break;
    case FAKE_LANE: lose_lane(out->request, error); break;
    case FAKE_DECIDE: lose_decide(out->request, error); break;
    case FAKE_EPOCH: ((struct hf_shared_epoch *)out->request)->error = error; break;
    case FAKE_LOG_PAGE: ((struct hf_shared_log_page *)out->request)->error = error; break;
    case FAKE_FETCH: lose_fetch(out->request, error); break;
    case FAKE_EXAMINE: lose_examine(out->request, error); break;
    case FAKE_FACTS: ((struct hf_shared_facts *)out->request)->error = error; break;
    default: break;
    }
    (void)run_done(out);
    release(out);
}
