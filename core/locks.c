/* Locks: a key with its owner's random token and a TTL, taken, extended and given back by decisions. */
#include "decide.h"

#include "deadline.h"
#include "fail.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#define POLL_FIRST_MS 2
#define POLL_MAX_MS 50

struct hf_lock {
    struct hf *store;
    struct hf_buf key;
    char token[33];
    uint64_t fence;
    _Atomic int64_t safe_until_ms; /* on the clock that never jumps */
    _Atomic bool lost;
};

static int64_t boot_now(const struct hf_lock *lock)
{
    return lock->store->parts.clock->boot_ms(lock->store->parts.clock);
}

/* ---- the handle ---- */

static int make_token(char token[33])
{
    uint8_t bytes[16];

    if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
        return hf__fail(HF_EIO, "the system gives no random bytes for the token of a lock");
    for (size_t i = 0; i < sizeof(bytes); i++)
        snprintf(token + 2 * i, 3, "%02x", bytes[i]);
    return 0;
}

static void lock_free(struct hf_lock *lock)
{
    hf_buf_release(&lock->key);
    free(lock);
}

static int lock_new(struct hf *store, struct hf_slice key, struct hf_lock **ret_lock)
{
    struct hf_lock *lock = calloc(1, sizeof(*lock));
    int rc;

    if (!lock)
        return hf__fail(HF_ENOMEM, "out of memory: a lock");
    lock->store = store;
    rc = hf__buf_copy(key, &lock->key);
    if (rc == 0)
        rc = make_token(lock->token);
    if (rc != 0)
        lock_free(lock);
    else
        *ret_lock = lock;
    return rc;
}

static struct hf_decision decision_of(const struct hf_lock *lock, enum hf_decide_op op, int64_t ttl_ms)
{
    struct hf_slice token = hf__slice_str(lock->token);

    return (struct hf_decision){.op = op,
                                .key = hf__slice(lock->key.data, lock->key.len),
                                .expected = token,
                                .value = token,
                                .set = {.ttl_ms = ttl_ms},
                                .lock = true};
}

static int check_ttl(int64_t ttl_ms)
{
    if (ttl_ms < 1 || ttl_ms > HF_TTL_MAX_MS)
        return hf__fail(HF_EINVAL, "a lock of %lld ms; expected 1 to %lld", (long long)ttl_ms, HF_TTL_MAX_MS);
    return 0;
}

/* Redis may count a little faster than we do: HF_LOCK_ALLOWANCE_MS and a hundredth of the life are given away. */
static int64_t safe_until(const struct hf_decision *d, int64_t ttl_ms)
{
    return d->asked_boot_ms + ttl_ms - ttl_ms / 100 - HF_LOCK_ALLOWANCE_MS;
}

/* ---- taking ---- */

struct poll {
    struct timespec deadline;
    uint64_t random;
    int interval_ms;
};

static struct poll poll_begin(const struct hf_lock *lock, int64_t wait_ms)
{
    struct poll poll = {.random = strtoull(lock->token + 16, NULL, 16), .interval_ms = POLL_FIRST_MS};

    hf__deadline_in(&poll.deadline, wait_ms < INT_MAX ? (int)wait_ms : INT_MAX);
    return poll;
}

static void sleep_ms(int64_t ms)
{
    struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000};

    nanosleep(&ts, NULL);
}

/* Sleep before the next attempt: longer each time, with jitter, never past what the holder has left to live nor past
 * the deadline. False when that has passed. */
static bool poll_sleep(struct poll *poll, int64_t ttl_left_ms)
{
    struct timespec now;
    int64_t ms, left_ms;

    clock_gettime(CLOCK_MONOTONIC, &now);
    left_ms = (poll->deadline.tv_sec - now.tv_sec) * 1000 +
              (poll->deadline.tv_nsec - now.tv_nsec + 999999) / 1000000; /* not before the deadline */
    if (left_ms <= 0)
        return false;
    poll->random = poll->random * 6364136223846793005u + 1442695040888963407u;
    ms = poll->interval_ms / 2 + (int64_t)((poll->random >> 33) % (uint64_t)(poll->interval_ms / 2 + 1));
    if (ttl_left_ms >= 0 && ttl_left_ms < ms)
        ms = ttl_left_ms + 1;
    sleep_ms(ms < left_ms ? ms : left_ms);
    poll->interval_ms = 2 * poll->interval_ms < POLL_MAX_MS ? 2 * poll->interval_ms : POLL_MAX_MS;
    return true;
}

/* Ask until it is ours or the time is up. After an answer that was lost it may be ours already: who asks again with
 * the same token is told so, with the number that was drawn then. */
static int take(struct hf_lock *lock, struct hf_decision *d, int64_t wait_ms)
{
    struct poll poll = poll_begin(lock, wait_ms);
    bool unknown = false;
    int rc;

    do {
        d->ttl_left_ms = -1;
        rc = hf__decide(lock->store, d);
        if (rc == 0 && d->decided)
            return 0;
        unknown = rc == HF_EUNKNOWN || (unknown && rc == HF_EOFFLINE);
        if (rc != 0 && !unknown)
            return rc;
    } while (poll_sleep(&poll, d->ttl_left_ms));
    return rc == 0 ? HF_NOT_DONE
                   : hf__fail(HF_EUNKNOWN, "whether the lock is held is not known; it ends with its TTL");
}

int hf_lock_acquire(struct hf *store, struct hf_slice key, int64_t ttl_ms, int64_t wait_ms,
                    struct hf_lock **ret_lock)
{
    struct hf_decision d;
    struct hf_lock *lock = NULL;
    int rc = hf__check_handle(store, true);

    if (rc == 0)
        rc = hf__check_key(key);
    if (rc == 0)
        rc = check_ttl(ttl_ms);
    if (rc == 0 && wait_ms < 0)
        rc = hf__fail(HF_EINVAL, "a wait of %lld ms for a lock; expected at least 0", (long long)wait_ms);
    if (rc == 0)
        rc = lock_new(store, key, &lock);
    if (rc != 0)
        return rc;
    d = decision_of(lock, HF_DECIDE_ACQUIRE, ttl_ms);
    rc = take(lock, &d, wait_ms);
    hf__decision_release(store, &d);
    if (rc != 0) {
        lock_free(lock);
        return rc;
    }
    lock->fence = d.fence;
    atomic_store(&lock->safe_until_ms, safe_until(&d, ttl_ms));
    *ret_lock = lock;
    return 0;
}

/* ---- holding ---- */

/* Whether an extension was done is not known after a lost answer: then the shorter of both lives counts. */
int hf_lock_extend(struct hf_lock *lock, int64_t ttl_ms)
{
    struct hf_decision d = decision_of(lock, HF_DECIDE_COMPARE_EXPIRE, ttl_ms);
    int rc = hf__check_handle(lock->store, true);
    int64_t until;

    if (rc == 0)
        rc = check_ttl(ttl_ms);
    if (rc != 0)
        return rc;
    rc = hf__decide(lock->store, &d);
    hf__decision_release(lock->store, &d);
    until = safe_until(&d, ttl_ms);
    if (rc == HF_EUNKNOWN && until < atomic_load(&lock->safe_until_ms))
        atomic_store(&lock->safe_until_ms, until);
    if (rc != 0)
        return rc;
    atomic_store(&lock->lost, !d.decided);
    if (!d.decided)
        return HF_NOT_DONE;
    atomic_store(&lock->safe_until_ms, until);
    return 0;
}

void hf_lock_info(const struct hf_lock *lock, struct hf_lock_info *ret_info)
{
    int64_t left_ms = atomic_load(&lock->safe_until_ms) - boot_now(lock);
    bool lost = atomic_load(&lock->lost);

    *ret_info = (struct hf_lock_info){
        .token = lock->token,
        .fence = lock->fence,
        .safe_ms = lost || left_ms < 0 ? 0 : left_ms,
        .lost = lost,
    };
}

int hf_lock_release(struct hf_lock *lock)
{
    struct hf_decision d;
    int rc;

    if (!lock)
        return 0;
    d = decision_of(lock, HF_DECIDE_COMPARE_DELETE, 0);
    rc = hf__check_handle(lock->store, true);
    if (rc == 0)
        rc = hf__decide(lock->store, &d);
    hf__decision_release(lock->store, &d);
    if (rc == 0 && !d.decided)
        rc = HF_NOT_DONE;
    if (rc == HF_EOFFLINE || rc == HF_EUNKNOWN)
        rc = hf__fail_prefix(rc, "the lock ends with its TTL");
    lock_free(lock);
    return rc;
}
