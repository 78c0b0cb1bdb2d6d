/* Commands that are many: CLIENT ID, CONFIG GET. */
#ifndef SIDECAR_SUBCOMMAND_H
#define SIDECAR_SUBCOMMAND_H

#include "call.h"

struct subcommand {
    const char *name; /* lower case; NULL ends the table */
    void (*run)(struct call *call);
    int arity; /* as of a command, with both names */
};

/* Run the one that the first argument names, or reply that there is none, as Redis does. */
void subcommand_run(struct call *call, const struct subcommand *table);

#endif
