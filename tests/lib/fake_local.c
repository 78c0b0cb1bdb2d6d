/* The local tier of the tests: LMDB behind one table of wrapped operations. */
#include "fake_tier.h"

#include "fail.h"
#include "lmdb_tier.h"

#include <pthread.h>

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    const struct hf_local_ops *real; /* NULL until the first open */
    struct hf_local_ops wrapped;
    int failing; /* commits that still fail; negative: all */
    bool hold;
    unsigned held, passes; /* commits that wait; of these, those let go one by one */
} local = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static bool commit_fails(void)
{
    bool fails;

    pthread_mutex_lock(&local.mutex);
    local.held++;
    while (local.hold && local.passes == 0)
        pthread_cond_wait(&local.changed, &local.mutex);
    local.passes -= local.passes > 0;
    local.held--;
    pthread_cond_broadcast(&local.changed);
    fails = local.failing != 0;
    if (local.failing > 0)
        local.failing--;
    pthread_mutex_unlock(&local.mutex);
    return fails;
}

static int wrapped_commit(struct hf_local_txn *txn)
{
    if (!commit_fails())
        return local.real->txn_commit(txn);
    local.real->txn_abort(txn);
    return hf__fail(HF_EFULL, "the test lets this commit fail");
}

int fake_local_open(const char *dir, const struct hf_options *opts, struct hf_local_tier **ret_tier)
{
    struct hf_lmdb_options lmdb = {.map_bytes = opts->max_disk_bytes, .read_only = opts->read_only};
    int rc = hf__lmdb_open(dir, &lmdb, ret_tier);

    if (rc != 0)
        return rc;
    pthread_mutex_lock(&local.mutex);
    if (!local.real) {
        local.real = (*ret_tier)->ops;
        local.wrapped = *local.real;
        local.wrapped.txn_commit = wrapped_commit;
    }
    pthread_mutex_unlock(&local.mutex);
    (*ret_tier)->ops = &local.wrapped;
    return 0;
}

void fake_local_fail_commits(int n)
{
    pthread_mutex_lock(&local.mutex);
    local.failing = n;
    pthread_mutex_unlock(&local.mutex);
}

void fake_local_hold_commits(bool hold)
{
    pthread_mutex_lock(&local.mutex);
    local.hold = hold;
    local.passes = 0;
    pthread_cond_broadcast(&local.changed);
    pthread_mutex_unlock(&local.mutex);
}

void fake_local_pass_commit(void)
{
    pthread_mutex_lock(&local.mutex);
    local.passes++;
    pthread_cond_broadcast(&local.changed);
    while (local.passes > 0)
        pthread_cond_wait(&local.changed, &local.mutex);
    pthread_mutex_unlock(&local.mutex);
}

unsigned fake_local_held_commits(void)
{
    unsigned held;

    pthread_mutex_lock(&local.mutex);
    held = local.hold ? local.held : 0;
    pthread_mutex_unlock(&local.mutex);
    return held;
}
