#include "writing.h"

#include "client.h"
#include "server.h"

#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define NO_SUM SIZE_MAX

/* How something failed: code and sentence. */
struct failure {
    int code; /* 0: it did not */
    char sentence[256];
};

/* One call's writes. Its parts are what the store was given: single operations, and a batch for each namespace. */
struct writing {
    struct post post; /* to the loop, when all parts have ended */
    struct server *server;
    struct later *later; /* on the loop */
    struct call *call;   /* in a worker, which waits for: */
    sem_t ended;
    struct reply answer;
    size_t sum_at;            /* where the sum belongs in it; NO_SUM: it holds none */
    struct hf_result result;  /* of the part that has ended last, by the completion */
    atomic_size_t parts;      /* under way, and one while they are still being submitted */
    struct failure submitted; /* the first part that was not taken */
    struct failure completed; /* the first part that ended badly; the completion thread's until all have ended */
};

static void note_failure(struct failure *failure, int code, const char *sentence)
{
    if (failure->code != 0)
        return;
    failure->code = code;
    snprintf(failure->sentence, sizeof(failure->sentence), "%s", sentence ? sentence : hf_code_text(code));
}

/* ---- the end ---- */

static void write_answer(struct reply *reply, const struct reply *answer, size_t sum_at, int64_t sum)
{
    const struct hf_bytes *bytes = &answer->bytes;
    size_t before = sum_at == NO_SUM ? bytes->len : sum_at;

    reply_raw(reply, bytes->bytes, before);
    if (sum_at != NO_SUM)
        reply_integer(reply, sum);
    if (before < bytes->len)
        reply_raw(reply, bytes->bytes + before, bytes->len - before);
    reply->failed |= answer->failed;
}

static void write_reply(struct writing *w, struct reply *reply)
{
    const struct failure *failure = w->submitted.code != 0 ? &w->submitted : &w->completed;

    if (failure->code != 0)
        reply_failure(reply, failure->code, failure->sentence);
    else
        write_answer(reply, &w->answer, w->sum_at, w->result.number);
}

static void release(struct writing *w)
{
    reply_release(&w->answer);
    sem_destroy(&w->ended);
    free(w);
}

/* On the loop thread. */
static void leave(struct post *post)
{
    struct writing *w = (struct writing *)post;
    struct client *client = later_client(w->later);

    if (client)
        client->last_result = w->result;
    write_reply(w, later_reply(w->later));
    later_done(w->later);
    release(w);
}

static bool was_last(struct writing *w)
{
    return atomic_fetch_sub_explicit(&w->parts, 1, memory_order_acq_rel) == 1;
}

/* On the completion thread: a part has ended. */
static void part_done(void *ctx, const struct hf_result *result)
{
    struct writing *w = ctx;

    if (result->code < 0)
        note_failure(&w->completed, result->code, result->error);
    w->result = *result;
    w->result.error = NULL; /* it is borrowed */
    if (!was_last(w))
        return;
    if (w->later)
        server_post(w->server, &w->post);
    else
        sem_post(&w->ended);
}

/* ---- submitting ---- */

static void part_taken(struct writing *w, int rc)
{
    if (rc < 0)
        note_failure(&w->submitted, rc, hf_errmsg());
    if (rc != 0)
        (void)atomic_fetch_sub(&w->parts, 1); /* its completion will not come; ours still counts */
}

static void submit_one(struct writing *w, const struct hf_op *op)
{
    atomic_fetch_add(&w->parts, 1);
    part_taken(w, hf_submit(w->server->store, op, part_done, w));
}

static int batch_add(struct hf_batch *batch, const struct hf_op *op)
{
    switch (op->kind) {
    case HF_OP_SET: return hf_batch_set(batch, op->key, op->value, &op->set);
    case HF_OP_DELETE: return hf_batch_delete(batch, op->key);
    case HF_OP_INCR: return hf_batch_incr(batch, op->key, op->delta);
    case HF_OP_EXPIRE_AT: return hf_batch_expire_at(batch, op->key, op->deadline_ms);
    case HF_OP_PERSIST: return hf_batch_persist(batch, op->key);
    }
    return HF_EINVAL;
}

/* The operations of one namespace, of which there are `n_here`. */
struct share {
    const struct space_rules *rules;
    const struct hf_op *ops;
    size_t n, n_here;
};

static bool is_in(const struct writing *w, const struct share *share, const struct hf_op *op)
{
    return space_rules_of(w->server->space, op->key) == share->rules;
}

static void submit_batch(struct writing *w, const struct share *share)
{
    struct hf_batch *batch = NULL;
    int rc = hf_batch_new(w->server->store, &batch);

    for (size_t i = 0; i < share->n && rc == 0; i++) {
        if (is_in(w, share, &share->ops[i]))
            rc = batch_add(batch, &share->ops[i]);
    }
    atomic_fetch_add(&w->parts, 1);
    part_taken(w, rc == 0 ? hf_batch_submit(batch, part_done, w) : rc);
    hf_batch_free(batch);
}

/* One operation needs no batch: it is cheaper to share. */
static void submit_share(struct writing *w, struct share *share)
{
    const struct hf_op *last = NULL;

    for (size_t i = 0; i < share->n; i++) {
        if (is_in(w, share, &share->ops[i])) {
            last = &share->ops[i];
            share->n_here++;
        }
    }
    if (share->n_here == 1)
        submit_one(w, last);
    else if (share->n_here > 1)
        submit_batch(w, share);
}

static void submit_together(struct writing *w, const struct hf_op *ops, size_t n)
{
    const struct space *space = w->server->space;

    for (size_t i = 0; i <= space->n_rules; i++) {
        struct share share = {.rules = i < space->n_rules ? &space->rules[i] : NULL, .ops = ops, .n = n};
        submit_share(w, &share);
    }
}

static void submit(struct writing *w, const struct hf_op *ops, size_t n, enum space_unity unity)
{
    if (unity == SPACE_TOGETHER && n > 1) {
        submit_together(w, ops, n);
        return;
    }
    for (size_t i = 0; i < n; i++)
        submit_one(w, &ops[i]);
}

/* ---- the beginning ---- */

/* NULL: there is no memory, and the call is answered. */
static struct writing *new_writing(struct call *call)
{
    struct writing *w = calloc(1, sizeof(*w));

    if (!w) {
        reply_error(call->reply, "ERR out of memory: a write");
        return NULL;
    }
    w->server = call->server;
    w->post.run = leave;
    sem_init(&w->ended, 0, 0);
    atomic_init(&w->parts, 1);
    if (call->scratch) {
        w->call = call;
        return w;
    }
    w->later = call_later(call);
    if (!w->later) {
        release(w);
        return NULL;
    }
    return w;
}

/* Everything is submitted. */
static void submitted(struct writing *w)
{
    bool last = was_last(w);

    if (w->later) {
        if (last) /* all has ended already; but a place is not left while its command is being run */
            server_post(w->server, &w->post);
        return;
    }
    while (!last && sem_wait(&w->ended) != 0) /* a signal came between */
        continue;
    space_told(w->call, &w->result);
    write_reply(w, w->call->reply);
    release(w);
}

/* ---- without Redis ---- */

/* A single write on the loop, where nobody has to hear what Redis makes of it: the reply is held until it is durable. HF_NOT_DONE:
 * it has to be submitted. A failure is answered. */
static int write_at_once(struct call *call, const struct hf_op *op, struct hf_result *ret_result)
{
    int rc = call->scratch ? HF_NOT_DONE : hf_try_write(call->server->store, op, ret_result);

    if (rc < 0)
        call_fail(call, rc);
    if (rc != 0)
        return rc;
    call_hold(call, ret_result->lsn);
    space_told(call, ret_result);
    return 0;
}

/* Takes over the bytes of `answer`. */
static void begin(struct call *call, const struct hf_op *ops, size_t n, enum space_unity unity,
                  struct reply *answer, size_t sum_at)
{
    struct hf_result result = {0};
    struct writing *w = NULL;
    int rc = n == 1 ? write_at_once(call, ops, &result) : HF_NOT_DONE;

    if (rc >= 0 && rc != HF_NOT_DONE)
        write_answer(call->reply, answer, sum_at, result.number);
    if (rc == HF_NOT_DONE)
        w = new_writing(call);
    if (!w) {
        reply_release(answer);
        return;
    }
    w->answer = *answer;
    w->sum_at = sum_at;
    *answer = (struct reply){0};
    submit(w, ops, n, unity);
    submitted(w);
}

void writing_begin(struct call *call, const struct hf_op *ops, size_t n, enum space_unity unity,
                   struct reply *answer)
{
    begin(call, ops, n, unity, answer, NO_SUM);
}

void writing_begin_sum(struct call *call, const struct hf_op *ops, size_t n, struct reply *answer, size_t sum_at)
{
    begin(call, ops, n, SPACE_TOGETHER, answer, sum_at);
}
