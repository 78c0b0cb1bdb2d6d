/* A small file system of the test's own, mounted where only the test and its children see it, and filled as the test likes. */
#ifndef TEST_SMALL_DISK_H
#define TEST_SMALL_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct small_disk {
    char dir[64]; /* made by small_disk_make */
    bool mounted;
};

/* Mount one of so many bytes: "tmpfs", or "ext4" in a file. Before there are threads. False, after telling why, where this is not
 * permitted. */
bool small_disk_make(struct small_disk *disk, const char *kind, uint64_t bytes);
void small_disk_remove(struct small_disk *disk); /* accepts one that was never made */

/* What can still be stored. */
uint64_t small_disk_left(const struct small_disk *disk);
/* Take room until so much is left, as far as its blocks allow; what was taken before counts. */
void small_disk_fill(const struct small_disk *disk, uint64_t left);
/* Give the room back. */
void small_disk_empty(const struct small_disk *disk);

#endif
