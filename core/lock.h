/* The lock file that makes one process the owner of a store, and locks on files that several processes change. */
#ifndef HF_LOCK_H
#define HF_LOCK_H

#include <stdbool.h>
#include <stdint.h>

/* Open <dir>/lock; `create` makes it. HF_NOT_FOUND when it is not there. */
int hf__lock_open(int dir_fd, bool create, int *ret_fd);
/* Become the owner and write our process id. HF_ELOCKED names the owner. */
int hf__lock_take(int lock_fd, const char *dir);
/* Own it no longer, also where a child has the file open, too. */
void hf__lock_give_back(int lock_fd);
/* Process id of the owner, 0: none, -1: one that did not say. */
int64_t hf__lock_owner(int lock_fd);

/* Open a regular file of the directory (made 0600 when it is not there) for reading and appending, and lock it against
 * everybody else, also in this process; closing it unlocks. The name stands for this very file while it is locked, as long
 * as all who rename it hold its lock. HF_EBUSY when another holds it for seconds. */
int hf__lock_file(int dir_fd, const char *name, int *ret_fd);

#endif
