#include "update.h"

#include "server.h"

static void update_release(struct update *update)
{
    hf__bytes_release(&update->made);
    reply_release(&update->answer);
}

/* ---- by Redis, which compares ---- */

/* In the form that the library's decisions take: a new life is a set of the same value. */
static int compare(struct hf *store, const struct hf_op *op, const struct value *old, struct hf_result *ret_result)
{
    struct hf_set_options set = op->set;

    switch (op->kind) {
    case HF_OP_SET:
        if (!old->live)
            set.keep_ttl = false;
        return old->live ? hf_compare_and_set(store, op->key, old->bytes, op->value, &set, ret_result)
                         : hf_set_if_absent(store, op->key, op->value, &set, ret_result);
    case HF_OP_DELETE: return hf_compare_and_delete(store, op->key, old->bytes, ret_result);
    case HF_OP_EXPIRE_AT:
        set = (struct hf_set_options){.deadline_ms = op->deadline_ms};
        return hf_compare_and_set(store, op->key, old->bytes, old->bytes, &set, ret_result);
    case HF_OP_PERSIST:
        set = (struct hf_set_options){.no_ttl = true};
        return hf_compare_and_set(store, op->key, old->bytes, old->bytes, &set, ret_result);
    case HF_OP_INCR: break; /* goes its own way: space_add() */
    }
    return HF_EINVAL;
}

/* A deadline that has passed is no life: the library's decisions take none. */
static void bury(const struct call *call, struct hf_op *op)
{
    int64_t deadline_ms = op->kind == HF_OP_SET ? op->set.deadline_ms : op->deadline_ms;

    if (deadline_ms != 0 && deadline_ms <= space_now_ms(call))
        *op = (struct hf_op){.kind = HF_OP_DELETE, .key = op->key};
}

/* False: it has changed meanwhile. */
static bool write_compared(struct call *call, const struct value *old, struct update *update)
{
    struct hf_result result = {0};
    int rc;

    bury(call, &update->op);
    if (update->op.kind == HF_OP_DELETE && !old->live)
        rc = 0;
    else
        rc = compare(call->server->store, &update->op, old, &result);
    if (rc == 0)
        space_told(call, &result);
    if (rc == HF_NOT_DONE)
        return false;
    if (rc == HF_EOFFLINE && !update->decides)
        space_write(call, &update->op, &update->answer);
    else if (rc < 0)
        call_fail(call, rc);
    else
        reply_add(call->reply, &update->answer);
    return true;
}

/* ---- who decides ---- */

/* False: try again. */
static bool finish(struct call *call, const struct value *old, struct update *update)
{
    bool ours = space_is_ours(call, update->op.key);

    if (update->answer.bytes.len == 0 && !update->answer.failed)
        reply_status(&update->answer, "OK");
    if (update->op.kind == 0)
        reply_add(call->reply, &update->answer);
    else if (call->scratch && !ours && !old->other_type) /* what is no string is replaced as it is */
        return write_compared(call, old, update);
    else if (update->decides && !ours && !old->other_type)
        reply_error(call->reply, "OFFLINE Redis decides this, and it cannot be asked");
    else
        space_write(call, &update->op, &update->answer);
    return true;
}

typedef bool read_fn(struct call *call, struct hf_slice key, struct value *ret_value);

static bool try_update(struct call *call, struct hf_slice key, read_fn *read, update_fn *decide)
{
    struct update update = {.answer = space_answer(call)};
    struct value old;
    bool done;

    if (!read(call, key, &old))
        return true;
    decide(call, &old, &update);
    update.op.key = key;
    done = finish(call, &old, &update);
    update_release(&update);
    return done;
}

static void update_as(struct call *call, struct hf_slice key, read_fn *read, update_fn *decide)
{
    if (!space_may_decide(call, key))
        return;
    for (int i = 0; i < UPDATE_TRIES; i++) {
        if (try_update(call, key, read, decide))
            return;
    }
    reply_error(call->reply, "ERR the key was changed by others %d times meanwhile; nothing was done",
                UPDATE_TRIES);
}

void space_update(struct call *call, struct hf_slice key, update_fn *decide)
{
    update_as(call, key, space_read, decide);
}

void space_update_any(struct call *call, struct hf_slice key, update_fn *decide)
{
    update_as(call, key, space_read_any, decide);
}
