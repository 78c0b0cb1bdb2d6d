/* LMDB's return codes as ours, with a sentence. */
#include "lmdb_fail.h"
#include "fail.h"

#include <errno.h>
#include <sys/statvfs.h>

/* LMDB reports a short write as EIO; with less than this left, the file system was full. */
#define ROOM_LEFT_MIN (1u << 20)

static bool file_system_is_full(const struct hf__lmdb_env *env)
{
    struct statvfs fs;

    return statvfs(env->path, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize < ROOM_LEFT_MIN;
}

static int code_of(const struct hf__lmdb_env *env, int rc)
{
    switch (rc) {
    case MDB_MAP_FULL: return HF_EFULL;
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_INCOMPATIBLE:
    case MDB_NOTFOUND:
    case MDB_CURSOR_FULL:
    case MDB_PAGE_FULL: return HF_ECORRUPT;
    case MDB_VERSION_MISMATCH: return HF_EVERSION;
    case MDB_READERS_FULL: return HF_EBUSY;
    case EIO: return file_system_is_full(env) ? HF_EFULL : HF_EIO;
    default: return hf__code_of_errno(rc);
    }
}

int hf__lmdb_fail(const struct hf__lmdb_env *env, int rc, const char *doing)
{
    int code = code_of(env, rc);

    if (rc == EIO && code == HF_EFULL)
        return hf__fail(code, "local tier %s: %s: the file system is full", env->path, doing);
    return hf__fail(code, "local tier %s: %s: %s", env->path, doing, mdb_strerror(rc));
}

int hf__lmdb_fail_errno(const struct hf__lmdb_env *env, int error_number, const char *doing)
{
    return hf__fail_errno(code_of(env, error_number), error_number, "local tier %s: %s", env->path, doing);
}
