/* Requests whose connection ended before Redis got them: copies, which are run under the session of that connection. Only
 * those that would change something are kept; of one that takes several waves, only the first is there. */
#include "fake_answers.h"
#include "fake_requests.h"

#include <stdlib.h>

/* ---- copies: every one of these is freed by its release ---- */

static struct hf_slice keep(struct hf_slice s)
{
    struct hf_buf copy = fake_copy(s);

    return fake_slice(&copy);
}

static void drop(struct hf_slice s)
{
    free((void *)(uintptr_t)s.data); /* it was kept: no other's */
}

static void *keep_array(const void *from, size_t n, size_t size)
{
    void *copy = fake_need(calloc(n + 1, size));

    if (n > 0)
        memcpy(copy, from, n * size);
    return copy;
}

#define KEEP_ARRAY(from, n) keep_array((from), (n), sizeof(*(from)))

static void keep_log(struct hf_shared_log *log)
{
    log->key = keep(log->key);
    log->after_id = log->after_id ? keep(hf__slice(log->after_id, strlen(log->after_id) + 1)).data : NULL;
}

static void drop_log(const struct hf_shared_log *log)
{
    drop(log->key);
    free((void *)(uintptr_t)log->after_id);
}

static void *keep_group(const struct hf_shared_group *from)
{
    struct hf_shared_group *group = KEEP_ARRAY(from, 1);

    group->items = KEEP_ARRAY(from->items, from->n_items);
    group->logs = KEEP_ARRAY(from->logs, from->n_logs);
    for (size_t i = 0; i < group->n_items; i++) {
        struct hf_shared_item *item = &group->items[i];
        item->key = keep(item->key);
        item->value = keep(item->value);
        item->guards = KEEP_ARRAY(item->guards, item->n_guards);
    }
    for (size_t i = 0; i < group->n_logs; i++)
        keep_log(&group->logs[i]);
    return group;
}

static void drop_group(struct hf_shared_group *group)
{
    for (size_t i = 0; i < group->n_items; i++) {
        drop(group->items[i].key);
        drop(group->items[i].value);
        free((void *)(uintptr_t)group->items[i].guards);
    }
    for (size_t i = 0; i < group->n_logs; i++)
        drop_log(&group->logs[i]);
    free(group->items);
    free(group->logs);
    free(group);
}

static void *keep_lane(const struct hf_shared_lane *from)
{
    struct hf_shared_lane *lane = KEEP_ARRAY(from, 1);

    lane->mark_key = keep(lane->mark_key);
    keep_log(&lane->log);
    lane->ops = KEEP_ARRAY(from->ops, from->n_ops);
    for (size_t i = 0; i < lane->n_ops; i++) {
        struct hf_shared_lane_op *op = &lane->ops[i];
        op->key = keep(op->key);
        op->value = keep(op->value);
        op->guards = KEEP_ARRAY(op->guards, op->n_guards);
    }
    return lane;
}

static void drop_lane(struct hf_shared_lane *lane)
{
    for (size_t i = 0; i < lane->n_ops; i++) {
        drop(lane->ops[i].key);
        drop(lane->ops[i].value);
        free((void *)(uintptr_t)lane->ops[i].guards);
    }
    drop(lane->mark_key);
    drop_log(&lane->log);
    free(lane->ops);
    free(lane);
}

static void *keep_decide(const struct hf_shared_decide *from)
{
    struct hf_shared_decide *decide = KEEP_ARRAY(from, 1);

    decide->key = keep(decide->key);
    decide->expected = keep(decide->expected);
    decide->value = keep(decide->value);
    decide->fence_key = keep(decide->fence_key);
    keep_log(&decide->log);
    return decide;
}

static void drop_decide(struct hf_shared_decide *decide)
{
    drop(decide->key);
    drop(decide->expected);
    drop(decide->value);
    drop(decide->fence_key);
    drop_log(&decide->log);
    free(decide);
}

/* ---- keeping ---- */

/* NULL: it would change nothing. */
static void *keep_request(const struct fake_request_out *out)
{
    switch (out->kind) {
    case FAKE_GROUP: return keep_group(out->request);
    case FAKE_LANE: return keep_lane(out->request);
    case FAKE_DECIDE: return keep_decide(out->request);
    default: return NULL;
    }
}

static void release_request(const struct fake_late *late)
{
    if (late->kind == FAKE_GROUP)
        drop_group(late->request);
    else if (late->kind == FAKE_LANE)
        drop_lane(late->request);
    else
        drop_decide(late->request);
}

/* What it watches is the copy's from now on. */
static struct fake_session *take_session(struct fake_session *session)
{
    struct fake_session *taken = KEEP_ARRAY(session, 1);

    session->watches = NULL;
    session->n_watches = 0;
    session->touched = false;
    return taken;
}

void fake_keep_late(struct fake_tier *tier, const struct fake_request_out *first, bool only_one)
{
    struct fake_session *session = NULL;

    for (const struct fake_request_out *out = first; out; out = only_one ? NULL : out->next) {
        struct fake_late *late;
        void *request = keep_request(out);
        if (!request)
            continue;
        session = session ? session : take_session(&tier->session);
        late = fake_need(calloc(1, sizeof(*late)));
        *late = (struct fake_late){.session = session, .kind = out->kind, .request = request};
        *fake_server.late_end = late;
        fake_server.late_end = &late->next;
    }
}

/* ---- running ---- */

static void release_first(void)
{
    struct fake_late *late = fake_server.late;

    fake_server.late = late->next;
    if (!late->next)
        fake_server.late_end = &fake_server.late;
    if (!late->next || late->next->session != late->session) {
        fake_forget_watches(late->session);
        free(late->session);
    }
    release_request(late);
    free(late);
}

static void run(struct fake_late *late)
{
    struct fake_asker asker = {NULL, late->session};
    struct hf_buf found = {0};

    if (late->kind == FAKE_GROUP)
        fake_answer_group(asker, late->request, FAKE_APPLY);
    else if (late->kind == FAKE_LANE)
        fake_answer_lane(asker, late->request, FAKE_APPLY);
    else
        fake_answer_decide(asker, late->request, FAKE_APPLY, &found);
    hf_buf_release(&found);
    fake_end_turn();
}

void fake_run_late(void)
{
    while (fake_server.late) {
        run(fake_server.late);
        release_first();
    }
}

void fake_forget_late(void)
{
    while (fake_server.late)
        release_first();
}
