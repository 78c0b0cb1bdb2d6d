/* The length of data.mdb against what its meta page claims. LMDB does not write free pages at the end of the file, so
 * a sound file may be shorter; a file that was cut kills the process on the first access behind its end. */
#ifndef HF_LMDB_FILE_LENGTH_H
#define HF_LMDB_FILE_LENGTH_H

#include "internal.h"

/* Check the file of an environment just opened, before any table is read. The owner extends a file that lacks nothing
 * but free pages. Returns 0, HF_ECORRUPT with the file as it was, or HF_EIO. */
int hf__lmdb_length_check(const struct hf__lmdb_env *env);

/* Let the file reach to the last page that the committed meta page claims. To be called by the owner after a commit;
 * takes no disk space. */
void hf__lmdb_length_cover(const struct hf__lmdb_env *env);

#endif
