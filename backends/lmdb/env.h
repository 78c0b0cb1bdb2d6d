/* The LMDB environment of one store: making it, opening it, what it says about itself. Only this
 * file and file_length.c touch the file system. */
#ifndef HF_LMDB_ENV_H
#define HF_LMDB_ENV_H

#include "internal.h"

/* Open the environment `lmdb` in `dir`, with its tables, after making it if need be. `env` is zeroed before the
 * call and released by the caller in any case. `opts` has no defaults left in it. Returns as hf__lmdb_open does. */
int hf__lmdb_env_open(struct hf__lmdb_env *env, const char *dir, const struct hf_lmdb_options *opts);
void hf__lmdb_env_release(struct hf__lmdb_env *env);

/* Free the reader slots of processes that died; they pin pages. */
void hf__lmdb_env_clear_dead(const struct hf__lmdb_env *env);

/* Take over the size of the map that the owner has chosen since. No transaction may be open in this process. */
int hf__lmdb_env_remap(struct hf__lmdb_env *env);

/* Pages behind the last one that was ever used. */
uint64_t hf__lmdb_env_end_pages(const struct hf__lmdb_env *env);

#endif
