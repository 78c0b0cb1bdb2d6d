/* A command of the `holdfast` tool under way: the tool's own code, run by a worker on the sidecar's store.
 *
 * What the command says is kept, up to ERRAND_SAID_MAX bytes, until the client asks for it; when more is kept, the command waits.
 * When it wants input, it waits for that. So whoever does not ask, or gives nothing, holds a worker, and neither memory nor the
 * loop; there are ERRANDS_MAX of them at most. When the client goes away, whatever the command says or wants fails, and it ends. */
#ifndef SIDECAR_ERRAND_H
#define SIDECAR_ERRAND_H

#include "call.h"

#include <sys/types.h>

#define ERRANDS_MAX 4u /* commands that run at once */
#define ERRAND_SAID_MAX (64u * 1024)

/* Plugged into the server. */
struct errands {
    const char *dir; /* of the store */
    const struct hf_options *options;
    unsigned n; /* commands that run */
};

struct errand;

/* What the tool told of itself. */
struct errand_setup {
    bool out_is_terminal, err_is_terminal;
    uint64_t input_bytes; /* 0: not known */
    uid_t uid;            /* who it is, for the audit log */
    pid_t pid;
};

/* Run the command that these arguments make, on behalf of the call's client. Returns 0 or HF_ENOMEM. */
int errand_begin(struct call *call, const struct errand_setup *setup, size_t argc, const struct hf_slice *argv);
/* The one that was begun for this client; NULL: none was. */
struct errand *errand_of(const struct client *client);
/* Reply what it has said since it was asked last, and what it is at, as soon as there is something to tell. */
void errand_ask(struct errand *errand, struct call *call);
/* Input; `error` is the errno that reading it ended with, and no bytes are its end. False: it waits for none. */
bool errand_give(struct errand *errand, int error, struct hf_slice bytes);
/* Once a second: whoever asks is told that it runs still. */
void errand_tick(struct client *client);

#endif
