/* Sessions over HTTP: who knows a session's secret is its user, until it ends.
 *
 * Not locked. `now_ms` is any clock that does not step. */
#ifndef SIDECAR_SESSIONS_H
#define SIDECAR_SESSIONS_H

#include <stdint.h>

#define SESSIONS_MAX 64u                         /* when there are more, the one that was idle longest ends */
#define SESSIONS_IDLE_MS (30 * 60 * 1000)        /* one ends when it was not used for so long, */
#define SESSIONS_LIFE_MS (12ll * 60 * 60 * 1000) /* and in any case after this */
#define SESSION_TOKEN_CHARS 64                   /* 32 random bytes in hexadecimal */

struct session {
    char *name;                           /* of its user; NULL: a free place */
    uint8_t digest[32];                   /* of its user's password when it began */
    char secret[SESSION_TOKEN_CHARS + 1]; /* only its browser may know it */
    char token[SESSION_TOKEN_CHARS +
               1]; /* what a change must carry: only the page that is shown by the session knows it */
    int64_t begun_ms, used_ms;
};

/* Zeroed is empty. */
struct sessions {
    struct session all[SESSIONS_MAX];
};

void sessions_release(struct sessions *sessions);

/* NULL: no memory, or no random bytes. Borrowed until the next call. */
struct session *sessions_begin(struct sessions *sessions, const char *name, const uint8_t digest[32],
                               int64_t now_ms);
/* The session with this secret, which is used now; NULL: there is none. Takes as long whatever the secret is. */
struct session *sessions_use(struct sessions *sessions, const char *secret, int64_t now_ms);
/* Accepts NULL. */
void session_end(struct session *session);

#endif
