/* Set-if-absent, compare-and-set, compare-and-delete, get-and-delete: who decides, and what follows from it. */
#include "decide.h"

#include "checkpoint.h"
#include "fail.h"
#include "link.h"
#include "lookup.h"
#include "settle.h"
#include "write.h"

/* ---- by Redis ---- */

int64_t hf__decision_ttl_ms(struct hf *store, const struct hf_decision *d)
{
    const struct hf_set_options *set = &d->set;
    int64_t left = set->deadline_ms - hf__now_ms(store);

    if (set->keep_ttl)
        return d->op == HF_DECIDE_COMPARE_SET ? HF_DECIDE_KEEP_TTL : 0;
    if (set->deadline_ms != 0)
        return left > 0 ? left : 1; /* it was in the future when the call began */
    if (set->ttl_ms != 0 || set->no_ttl)
        return set->ttl_ms;
    return hf__ns_of(&store->namespaces, d->key)->default_ttl_ms;
}

/* The answer tells how long what is there lives; counted from before the question, no way back lengthens it. */
static int64_t deadline_of(const struct hf_shared_decide *answer, int64_t asked_ms)
{
    return answer->ttl_left_ms < 0 ? 0 : asked_ms + answer->ttl_left_ms;
}

/* What was done becomes our copy, and with its entry in the journal the intent ends. Without room for it the key is
 * fetched again later; Redis holds it in any case. */
static void take_outcome(struct hf *store, struct hf_decision *d, const struct hf_shared_decide *answer,
                         int64_t asked_ms)
{
    bool deletes = d->op == HF_DECIDE_COMPARE_DELETE || d->op == HF_DECIDE_GET_DELETE;
    struct hf_entry entry = {
        .op = deletes ? HF_ENTRY_DELETE : HF_ENTRY_SET,
        .type = HF_TYPE_STRING,
        .flags = HF_ENTRY_DECIDED,
        .made_ms = hf__now_ms(store),
        .delta = (int64_t)d->intent->lsn,
        .key = d->key,
    };

    if (!deletes) {
        entry.value = d->op == HF_DECIDE_COMPARE_EXPIRE ? d->expected : d->value;
        entry.deadline_ms = deadline_of(answer, asked_ms);
    }
    if (hf__write_install(store, &entry, true)) {
        d->result.lsn = entry.lsn;
        if (deletes && !d->lock) /* the log names the intent */
            hf__settle_retain_delete(store, d->key, d->intent->lsn, entry.made_ms);
        hf__intent_end(store, d->intent);
    } else {
        d->intent->left = true;
        atomic_fetch_add(&store->intents.n_left, 1);
        hf__intent_come_back(store, d->intent);
    }
    d->intent = NULL;
}

/* Nothing was done, but what the key holds was told. Nobody reads the token of another's lock here. */
static void take_copy(struct hf *store, const struct hf_decision *d, const struct hf_shared_decide *answer,
                      int64_t asked_ms)
{
    struct hf_entry entry = {.op = answer->has_found ? HF_ENTRY_SET : HF_ENTRY_DELETE,
                             .type = HF_TYPE_STRING,
                             .made_ms = hf__now_ms(store),
                             .key = d->key,
                             .value = answer->found,
                             .deadline_ms = deadline_of(answer, asked_ms)};
    struct hf_found found;
    struct hf_look look;

    if (hf__look_begin(store, &look) != 0)
        return;
    if (hf__look_up(&look, d->key, &found) == 0 &&
        (answer->has_found ? !found.live || !hf__slice_eq(found.value, answer->found) : found.live))
        (void)hf__write_install(store, &entry, false);
    hf__look_end(&look);
}

void hf__decision_answered(struct hf *store, struct hf_decision *d, const struct hf_shared_decide *answer,
                           int64_t asked_ms)
{
    d->decided = answer->decided;
    d->has_found = answer->has_found;
    d->ttl_left_ms = answer->ttl_left_ms;
    d->fence = answer->fence;
    pthread_mutex_lock(&store->write_mutex);
    if (answer->decided) {
        take_outcome(store, d, answer, asked_ms);
    } else {
        if (!d->lock)
            take_copy(store, d, answer, asked_ms);
        hf__intent_come_back(store, d->intent);
    }
    pthread_mutex_unlock(&store->write_mutex);
    if (answer->decided && d->op == HF_DECIDE_GET_DELETE && hf__buf_copy(answer->found, &d->found) != 0)
        d->result.code = HF_EUNKNOWN; /* taken away, and lost for want of memory */
}

static int no_memory(const struct hf_decision *d)
{
    char shown[80];

    return hf__fail(d->result.code,
                    "the value of '%s' was taken away in Redis, and there is no memory to hand it out",
                    hf__printable(d->key, shown, sizeof(shown)));
}

static int by_redis(struct hf *store, struct hf_decision *d)
{
    int rc = hf__link_decide(store, d);

    if (rc == 0 && d->result.code != 0)
        rc = no_memory(d);
    if (rc == 0 && d->result.lsn != 0)
        rc = hf__journal_wait(store->journal, d->result.lsn);
    if (rc != 0)
        return rc;
    d->result.durable = d->result.lsn != 0 && d->result.lsn <= hf__journal_durable_lsn(store->journal);
    d->result.shared = true;
    d->result.origin = HF_ORIGIN_SHARED;
    d->result.existed = d->has_found;
    return 0;
}

/* ---- here ---- */

/* The condition, asked under the write lock. */
static int holds_here(void *ctx, const struct hf_found *found)
{
    struct hf_decision *d = ctx;
    bool absent = d->op == HF_DECIDE_SET_IF_ABSENT || d->op == HF_DECIDE_ACQUIRE;

    d->has_found = found->live;
    d->ttl_left_ms = found->live && found->deadline_ms != 0 ? found->deadline_ms : -1;
    if (d->op == HF_DECIDE_GET_DELETE)
        return found->live ? hf__buf_copy(found->value, &d->found) : HF_NOT_DONE;
    if (absent)
        return found->live ? HF_NOT_DONE : 0;
    return found->live && hf__slice_eq(found->value, d->expected) ? 0 : HF_NOT_DONE;
}

static struct hf_op op_of(struct hf *store, const struct hf_decision *d)
{
    struct hf_op op = {.kind = HF_OP_SET, .key = d->key, .value = d->value, .set = d->set};

    if (d->op == HF_DECIDE_COMPARE_DELETE || d->op == HF_DECIDE_GET_DELETE)
        op = (struct hf_op){.kind = HF_OP_DELETE, .key = d->key};
    else if (d->op == HF_DECIDE_COMPARE_EXPIRE)
        op = (struct hf_op){
            .kind = HF_OP_EXPIRE_AT, .key = d->key, .deadline_ms = hf__now_ms(store) + d->set.ttl_ms};
    return op;
}

/* A number of the journal is never given twice and only rises: it serves as fencing number where nobody else draws. */
static int here(struct hf *store, struct hf_decision *d, bool tentative, bool *ret_came_back)
{
    struct hf_condition condition = {.holds = holds_here, .ctx = d, .tentative = tentative};
    struct hf_op op = op_of(store, d);
    int rc = hf__write_if(store, &op, &condition, &d->result);

    *ret_came_back = condition.came_back;
    d->decided = rc == 0;
    d->fence = d->result.lsn;
    if (d->ttl_left_ms > 0) {
        int64_t left_ms = d->ttl_left_ms - hf__now_ms(store);
        d->ttl_left_ms = left_ms > 0 ? left_ms : 0;
    }
    if (rc < 0)
        hf_buf_release(&d->found);
    return rc == HF_NOT_DONE || rc == HF_NOT_FOUND ? 0 : rc;
}

/* ---- who decides ---- */

static int no_link(struct hf_slice key)
{
    char shown[80];

    return hf__fail(HF_EOFFLINE,
                    "this store shares its keys and was opened without the shared tier: nobody can decide "
                    "on '%s'",
                    hf__printable(key, shown, sizeof(shown)));
}

int hf__decide(struct hf *store, struct hf_decision *d)
{
    struct hf_ns *ns = hf__ns_of(&store->namespaces, d->key);
    bool came_back = true;
    int rc = 0;

    d->asked_boot_ms = store->parts.clock->boot_ms(store->parts.clock);
    if (!store->sharing || ns->write_mode == HF_WRITE_LOCAL)
        return here(store, d, false, &came_back);
    while (came_back) {
        rc = store->link ? by_redis(store, d) : no_link(d->key);
        if (rc != HF_EOFFLINE || !ns->tentative || d->lock || hf__link_is_accepting(store))
            return rc;
        rc = here(store, d, true, &came_back);
    }
    return rc;
}

void hf__decision_release(struct hf *store, struct hf_decision *d)
{
    hf__intent_drop(store, d->intent);
    d->intent = NULL;
    hf_buf_release(&d->found);
}

/* ---- the public calls ---- */

static int check(struct hf *store, const struct hf_decision *d)
{
    struct hf_op op = op_of(store, d);
    int rc = hf__check_handle(store, true);

    if (rc == 0)
        rc = hf__write_check(store, &op);
    if (rc == 0 && d->set.deadline_ms != 0 && d->set.deadline_ms <= hf__now_ms(store))
        rc = hf__fail(HF_EINVAL, "a deadline of %lld ms, which has passed; expected one in the future",
                      (long long)d->set.deadline_ms);
    if (rc == 0 && op.kind == HF_OP_SET)
        rc = hf__checkpoint_check_room(store, d->key.len + d->value.len);
    return rc;
}

static int run(struct hf *store, struct hf_decision *d, const struct hf_set_options *set, int otherwise,
               struct hf_buf *ret_value, struct hf_result *ret_result)
{
    int rc;

    if (set)
        d->set = *set;
    rc = check(store, d);
    if (rc == 0)
        rc = hf__decide(store, d);
    if (rc == 0 && !d->decided)
        rc = otherwise;
    d->result.code = rc;
    if (rc >= 0 && ret_result)
        *ret_result = d->result;
    if (rc == 0 && ret_value) {
        *ret_value = d->found;
        d->found = (struct hf_buf){0};
    }
    hf__decision_release(store, d);
    return rc;
}

int hf_set_if_absent(struct hf *store, struct hf_slice key, struct hf_slice value,
                     const struct hf_set_options *opts, struct hf_result *ret_result)
{
    struct hf_decision d = {.op = HF_DECIDE_SET_IF_ABSENT, .key = key, .value = value};

    return run(store, &d, opts, HF_NOT_DONE, NULL, ret_result);
}

int hf_compare_and_set(struct hf *store, struct hf_slice key, struct hf_slice expected, struct hf_slice value,
                       const struct hf_set_options *opts, struct hf_result *ret_result)
{
    struct hf_decision d = {.op = HF_DECIDE_COMPARE_SET, .key = key, .expected = expected, .value = value};

    return run(store, &d, opts, HF_NOT_DONE, NULL, ret_result);
}

int hf_compare_and_delete(struct hf *store, struct hf_slice key, struct hf_slice expected,
                          struct hf_result *ret_result)
{
    struct hf_decision d = {.op = HF_DECIDE_COMPARE_DELETE, .key = key, .expected = expected};

    return run(store, &d, NULL, HF_NOT_DONE, NULL, ret_result);
}

int hf_get_and_delete(struct hf *store, struct hf_slice key, struct hf_buf *ret_value, struct hf_result *ret_result)
{
    struct hf_decision d = {.op = HF_DECIDE_GET_DELETE, .key = key};

    return run(store, &d, NULL, HF_NOT_FOUND, ret_value, ret_result);
}
