/* The four steps of the main job. */
#ifndef MAINJOB_STEPS_H
#define MAINJOB_STEPS_H

#include "model.h"
#include "records.h"
#include "server.h"

struct job {
    char dir[256];      /* of the whole job */
    char store[300];    /* the store's directory */
    char self[512];     /* this program */
    char holdfast[512]; /* the tool */
    struct records records;
    struct model model; /* what must be there */
    struct server server;
    int64_t short_end_ms; /* since 1970: when the short deadlines of the outage have passed */
};

/* Each tells its part of the story. 0, or -1 when the job cannot go on, with the reason told; what is found wrong
 * without being in the way is counted by story_wrongs(). */
int step_embedded(struct job *job);
int step_online(struct job *job);
int step_outage(struct job *job);
int step_return(struct job *job);

#endif
