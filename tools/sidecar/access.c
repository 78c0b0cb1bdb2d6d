/* Who may look, and change something, over HTTP. */
#include "access.h"

#include "failures.h"
#include "sessions.h"
#include "settings.h"

#include <fail.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct access {
    bool is_open;
    pthread_mutex_t lock; /* of what follows */
    const struct settings *settings;
    struct failures failures;
    struct sessions sessions;
};

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- making ---- */

int access_new(const struct settings *settings, struct access **ret_access)
{
    struct access *access = calloc(1, sizeof(*access));

    if (!access)
        return hf__fail(HF_ENOMEM, "out of memory: who may log in");
    pthread_mutex_init(&access->lock, NULL);
    access->settings = settings;
    access->is_open = settings_default_user(settings) != NULL;
    *ret_access = access;
    return 0;
}

void access_free(struct access *access)
{
    if (!access)
        return;
    sessions_release(&access->sessions);
    pthread_mutex_destroy(&access->lock);
    free(access);
}

void access_reconfigure(struct access *access, const struct settings *settings)
{
    pthread_mutex_lock(&access->lock);
    access->settings = settings;
    pthread_mutex_unlock(&access->lock);
}

bool access_is_open(struct access *access)
{
    return access->is_open;
}

/* ---- visitors ---- */

void access_stranger(struct access *access, struct visitor *ret_visitor)
{
    *ret_visitor = (struct visitor){.may_look = access->is_open};
}

static void introduce(const struct user *user, const struct session *session, struct visitor *visitor)
{
    *visitor = (struct visitor){.may_look = user->n_prefixes == 0};
    snprintf(visitor->name, sizeof(visitor->name), "%s", user->name);
    if (!session)
        return;
    visitor->may_change = visitor->may_look && user->is_operator;
    memcpy(visitor->token, session->token, sizeof(visitor->token));
}

/* ---- passwords ---- */

/* With the lock. `*ret_user` is set when it is granted. */
static enum access_answer log_in(struct access *access, const struct sockaddr *from, struct hf_slice name,
                                 struct hf_slice password, const struct user **ret_user)
{
    const struct user *user;

    if (!failures_count(&access->failures, from, now_ms()))
        return ACCESS_WAIT;
    user = settings_login(access->settings, name, password);
    if (!user || !user->has_password)
        return ACCESS_REFUSED;
    failures_take_back(&access->failures, from);
    *ret_user = user;
    return user->n_prefixes > 0 ? ACCESS_LIMITED : ACCESS_GRANTED;
}

enum access_answer access_by_password(struct access *access, const struct sockaddr *from, struct hf_slice name,
                                      struct hf_slice password, struct visitor *ret_visitor)
{
    const struct user *user = NULL;
    enum access_answer answer;

    access_stranger(access, ret_visitor);
    if (access->is_open)
        return ACCESS_GRANTED;
    pthread_mutex_lock(&access->lock);
    answer = log_in(access, from, name, password, &user);
    if (answer == ACCESS_GRANTED)
        introduce(user, NULL, ret_visitor);
    pthread_mutex_unlock(&access->lock);
    return answer;
}

/* ---- sessions ---- */

enum access_answer access_begin(struct access *access, const struct sockaddr *from, struct hf_slice name,
                                struct hf_slice password, char secret[SESSION_TOKEN_CHARS + 1],
                                struct visitor *ret_visitor)
{
    const struct user *user = NULL;
    struct session *session = NULL;
    enum access_answer answer;

    access_stranger(access, ret_visitor);
    pthread_mutex_lock(&access->lock);
    answer = log_in(access, from, name, password, &user);
    if (answer == ACCESS_GRANTED)
        session = sessions_begin(&access->sessions, user->name, user->digest, now_ms());
    if (session) {
        introduce(user, session, ret_visitor);
        memcpy(secret, session->secret, sizeof(session->secret));
    } else if (answer == ACCESS_GRANTED) {
        answer = ACCESS_REFUSED;
    }
    pthread_mutex_unlock(&access->lock);
    return answer;
}

/* As the settings in force know it; NULL: it is gone, or has another password. */
static const struct user *user_of(const struct access *access, const struct session *session)
{
    const struct user then = {.name = session->name};
    const struct user *user = settings_successor(access->settings, &then);

    return user && CRYPTO_memcmp(user->digest, session->digest, sizeof(user->digest)) == 0 ? user : NULL;
}

bool access_by_session(struct access *access, const char *secret, struct visitor *ret_visitor)
{
    struct session *session;
    const struct user *user = NULL;

    access_stranger(access, ret_visitor);
    pthread_mutex_lock(&access->lock);
    session = sessions_use(&access->sessions, secret, now_ms());
    if (session)
        user = user_of(access, session);
    if (user)
        introduce(user, session, ret_visitor);
    else
        session_end(session);
    pthread_mutex_unlock(&access->lock);
    return user != NULL;
}

void access_end(struct access *access, const char *secret)
{
    pthread_mutex_lock(&access->lock);
    session_end(sessions_use(&access->sessions, secret, now_ms()));
    pthread_mutex_unlock(&access->lock);
}
