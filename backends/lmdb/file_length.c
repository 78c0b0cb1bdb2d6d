/* The length of data.mdb against what its meta page claims. */
#include "file_length.h"

#include "free_list.h"
#include "lmdb_fail.h"
#include "fail.h"

#include <errno.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LENGTH_TRIES 50 /* of 2 ms each */

static uint64_t claimed_bytes(const struct hf__lmdb_env *env)
{
    MDB_envinfo info;

    (void)mdb_env_info(env->mdb, &info); /* fails only for a NULL argument */
    return ((uint64_t)info.me_last_pgno + 1) * env->page_bytes;
}

static int file_bytes(const struct hf__lmdb_env *env, int *ret_fd, uint64_t *ret_bytes)
{
    struct stat st;
    int rc = mdb_env_get_fd(env->mdb, ret_fd);

    if (rc == 0 && fstat(*ret_fd, &st) != 0)
        rc = errno;
    if (rc != 0)
        return hf__lmdb_fail(env, rc, "asking for the size of data.mdb");
    *ret_bytes = (uint64_t)st.st_size;
    return 0;
}

void hf__lmdb_length_cover(const struct hf__lmdb_env *env)
{
    uint64_t bytes;
    int fd;

    if (file_bytes(env, &fd, &bytes) != 0 || bytes >= claimed_bytes(env))
        return;
    if (ftruncate(fd, (off_t)claimed_bytes(env)) != 0)
        return; /* the next open then looks at the free list itself */
}

/* Whether all pages from byte `bytes` of the file on are free. They must be there as zeros while LMDB looks. */
static bool only_free_missing(const struct hf__lmdb_env *env, uint64_t bytes)
{
    uint64_t first = bytes / env->page_bytes;
    uint64_t n_free = 0;
    MDB_txn *mdb;
    int rc;

    if (mdb_txn_begin(env->mdb, NULL, MDB_RDONLY, &mdb) != 0)
        return false;
    rc = hf__lmdb_free_beyond(env, mdb, first, &n_free);
    mdb_txn_abort(mdb);
    return rc == 0 && n_free == claimed_bytes(env) / env->page_bytes - first;
}

/* The owner extends the file right after its commit; give it that time. */
static int await_length(const struct hf__lmdb_env *env, uint64_t *ret_bytes)
{
    int fd;
    int rc = file_bytes(env, &fd, ret_bytes);

    for (int i = 0; i < LENGTH_TRIES && rc == 0 && *ret_bytes < claimed_bytes(env); i++) {
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
        rc = file_bytes(env, &fd, ret_bytes);
    }
    return rc;
}

/* Let the owner accept a file that lacks nothing but free pages, extended by zeros; leave any other as it is. */
static int settle_length(const struct hf__lmdb_env *env, uint64_t *bytes)
{
    uint64_t claimed = claimed_bytes(env);
    int fd;
    int rc = file_bytes(env, &fd, bytes);

    if (rc != 0 || *bytes >= claimed)
        return rc;
    if (ftruncate(fd, (off_t)claimed) != 0)
        return hf__lmdb_fail_errno(env, errno, "extending data.mdb");
    if (!only_free_missing(env, *bytes)) {
        if (ftruncate(fd, (off_t)*bytes) != 0)
            return hf__lmdb_fail_errno(env, errno, "restoring the size of the damaged data.mdb");
        return 0;
    }
    *bytes = claimed;
    return 0;
}

/* A file that was cut would kill the process on the first access behind its end. */
int hf__lmdb_length_check(const struct hf__lmdb_env *env)
{
    uint64_t bytes;
    int rc = env->read_only ? await_length(env, &bytes) : settle_length(env, &bytes);

    if (rc != 0 || bytes >= claimed_bytes(env))
        return rc;
    return hf__fail(HF_ECORRUPT, "local tier %s: data.mdb was cut: %llu bytes, its meta page speaks of %llu",
                    env->path, (unsigned long long)bytes, (unsigned long long)claimed_bytes(env));
}
