/* LMDB's return codes as ours, with a sentence. */
#ifndef HF_LMDB_FAIL_H
#define HF_LMDB_FAIL_H

#include "internal.h"

/* Set the sentence "local tier <path>: <doing>: <LMDB's text>" and return our code for LMDB's `rc`, which is not
 * MDB_SUCCESS. A full map or file system is HF_EFULL, also where LMDB only says EIO for a short write. */
int hf__lmdb_fail(const struct hf__lmdb_env *env, int rc, const char *doing);

/* The same for a failed system call, with its errno. */
int hf__lmdb_fail_errno(const struct hf__lmdb_env *env, int error_number, const char *doing);

#endif
