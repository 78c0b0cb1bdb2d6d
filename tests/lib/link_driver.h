/* A Redis tier seen from a test's own thread: jobs are run on the link thread, and every answer is waited for, at most
 * LINK_DRIVER_WAIT_S. What cannot go on fails the test. */
#ifndef TEST_LINK_DRIVER_H
#define TEST_LINK_DRIVER_H

#include "redis_tier.h"

#include <pthread.h>

#define LINK_DRIVER_WAIT_S 20

struct link_driver {
    struct hf_shared_tier *tier;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t changed;
    int n_connected, n_lost, n_done;
    int n_times;                  /* answers to TIME, but for the one in `hello` */
    struct hf_shared_error lost;  /* the last one */
    struct hf_shared_hello hello; /* likewise */
    void (*told)(struct link_driver *d, const struct hf_slice *keys,
                 size_t n); /* on the link thread; NULL: nothing is tracked */
    int (*job)(struct link_driver *d, void *arg);
    void *job_arg;
    int job_rc;
    bool job_ran;
};

/* Make and start a tier; not yet connected. */
void link_driver_start(struct link_driver *d, const struct hf_redis_options *opts);
/* The same with a tier that was made elsewhere, which is the driver's from now on; `told` as in struct link_driver. */
void link_driver_drive(struct link_driver *d, struct hf_shared_tier *tier,
                       void (*told)(struct link_driver *d, const struct hf_slice *keys, size_t n));
void link_driver_stop(struct link_driver *d);

/* Connect and wait for the outcome: true for connected, false for lost. */
bool link_driver_connects(struct link_driver *d);

/* Run `job` on the link thread and give its result. */
int link_driver_run(struct link_driver *d, int (*job)(struct link_driver *d, void *arg), void *arg);

/* For a request's `done`: one more is done. */
void link_driver_note(struct link_driver *d);
/* Wait until so many have been noted, or connections been lost, or answers to TIME have come, since the start. */
void link_driver_wait_done(struct link_driver *d, int n);
void link_driver_wait_lost(struct link_driver *d, int n);
void link_driver_wait_times(struct link_driver *d, int n);
/* Run a job that sends one request, and wait until it is done. */
void link_driver_send(struct link_driver *d, int (*job)(struct link_driver *d, void *arg), void *request);

#endif
