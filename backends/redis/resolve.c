/* Resolves host names on a detached thread: getaddrinfo() can take half a minute and cannot be interrupted. */
#include "resolve.h"

#include "fail.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct hf__lookup {
    pthread_mutex_t lock; /* guards all below */
    int owners;           /* the link thread and the resolver's */
    uv_async_t *notify;   /* NULL: abandoned */
    bool answered;
    int problem; /* of getaddrinfo */
    struct addrinfo *found;
    char *host;   /* constant */
    char port[8]; /* constant */
};

static int look_up(const char *host, const char *port, int flags, struct addrinfo **ret_found)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV};

    *ret_found = NULL;
    return getaddrinfo(host, port, &hints, ret_found);
}

int hf__lookup_literal(const char *host, uint16_t port, struct addrinfo **ret_found)
{
    char text[8];

    snprintf(text, sizeof(text), "%u", port);
    return look_up(host, text, AI_NUMERICHOST, ret_found);
}

static void leave(struct hf__lookup *lookup)
{
    bool last;

    pthread_mutex_lock(&lookup->lock);
    last = --lookup->owners == 0;
    pthread_mutex_unlock(&lookup->lock);
    if (!last)
        return;
    if (lookup->found)
        freeaddrinfo(lookup->found);
    pthread_mutex_destroy(&lookup->lock);
    free(lookup->host);
    free(lookup);
}

static void *resolver(void *arg)
{
    struct hf__lookup *lookup = arg;
    struct addrinfo *found;
    int problem;

    pthread_setname_np(pthread_self(), "hf-resolve");
    problem = look_up(lookup->host, lookup->port, AI_ADDRCONFIG, &found);
    pthread_mutex_lock(&lookup->lock);
    lookup->found = found;
    lookup->problem = problem;
    lookup->answered = true;
    if (lookup->notify)
        uv_async_send(lookup->notify);
    pthread_mutex_unlock(&lookup->lock);
    leave(lookup);
    return NULL;
}

/* Detached, with every signal blocked: the application's handlers run on its own threads. */
static int start_resolver(struct hf__lookup *lookup)
{
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all, old;
    int rc = pthread_attr_init(&attr);

    if (rc != 0)
        return rc;
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    rc = pthread_create(&thread, &attr, resolver, lookup);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    return rc;
}

int hf__lookup_start(const char *host, uint16_t port, uv_async_t *notify, struct hf__lookup **ret_lookup)
{
    struct hf__lookup *lookup = calloc(1, sizeof(*lookup));
    int problem;

    if (!lookup)
        return hf__fail(HF_ENOMEM, "out of memory: looking up a host name");
    lookup->host = strdup(host);
    if (!lookup->host || pthread_mutex_init(&lookup->lock, NULL) != 0) {
        free(lookup->host);
        free(lookup);
        return hf__fail(HF_ENOMEM, "out of memory: looking up a host name");
    }
    snprintf(lookup->port, sizeof(lookup->port), "%u", port);
    lookup->notify = notify;
    lookup->owners = 2;
    problem = start_resolver(lookup);
    if (problem != 0) {
        lookup->owners = 1;
        leave(lookup);
        return hf__fail_errno(HF_EIO, problem, "cannot start a thread to look up a host name");
    }
    *ret_lookup = lookup;
    return 0;
}

bool hf__lookup_take(struct hf__lookup *lookup, struct addrinfo **ret_found, const char **ret_problem)
{
    bool answered;

    pthread_mutex_lock(&lookup->lock);
    answered = lookup->answered;
    if (answered) {
        *ret_found = lookup->found;
        lookup->found = NULL;
        *ret_problem = lookup->problem ? gai_strerror(lookup->problem) : "";
    }
    pthread_mutex_unlock(&lookup->lock);
    return answered;
}

void hf__lookup_abandon(struct hf__lookup *lookup)
{
    if (!lookup)
        return;
    pthread_mutex_lock(&lookup->lock);
    lookup->notify = NULL;
    pthread_mutex_unlock(&lookup->lock);
    leave(lookup);
}
