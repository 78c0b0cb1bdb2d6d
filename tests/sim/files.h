/* The simulated disk as the file layer of one store.
 *
 * A store opens its directories itself and hands their descriptors to the file layer: here a directory is known by the last part of
 * the path that such a descriptor stands for. A sync takes time. */
#ifndef SIM_FILES_H
#define SIM_FILES_H

#include <file_layer.h>
#include <sim_disk.h>

struct sim_files {
    struct hf_file_layer layer; /* first */
    struct sim_disk *disk;
    uint64_t random;
};

void sim_files_init(struct sim_files *files, struct sim_disk *disk, uint64_t seed);

#endif
