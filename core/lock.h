/* The lock file that makes one process the owner of a store. */
#ifndef HF_LOCK_H
#define HF_LOCK_H

#include <stdbool.h>
#include <stdint.h>

/* Open <dir>/lock; `create` makes it. HF_NOT_FOUND when it is not there. */
int hf__lock_open(int dir_fd, bool create, int *ret_fd);
/* Become the owner and write our process id. HF_ELOCKED names the owner. */
int hf__lock_take(int lock_fd, const char *dir);
/* Process id of the owner, 0: none, -1: one that did not say. */
int64_t hf__lock_owner(int lock_fd);

#endif
