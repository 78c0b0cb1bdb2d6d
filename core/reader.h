/* Reading a store that another process owns, or that nobody owns: the local tier plus the journal's tail. */
#ifndef HF_READER_H
#define HF_READER_H

#include "lookup.h"

/* Begin a look through a reader's handle: a snapshot, and an overlay that holds exactly what the journal has behind
 * it, up to what the owner says is durable. Starts over when segments were recycled under it. */
int hf__reader_look(struct hf_look *ret_look);

#endif
