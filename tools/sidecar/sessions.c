/* Sessions over HTTP. */
#include "sessions.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void session_end(struct session *session)
{
    if (!session)
        return;
    free(session->name);
    OPENSSL_cleanse(session, sizeof(*session));
}

void sessions_release(struct sessions *sessions)
{
    for (size_t i = 0; i < SESSIONS_MAX; i++)
        session_end(&sessions->all[i]);
}

static bool make_token(char token[SESSION_TOKEN_CHARS + 1])
{
    unsigned char random[SESSION_TOKEN_CHARS / 2];

    if (RAND_bytes(random, sizeof(random)) != 1)
        return false;
    for (size_t i = 0; i < sizeof(random); i++)
        snprintf(token + 2 * i, 3, "%02x", random[i]);
    return true;
}

/* A free place, or that of the session that was idle longest. */
static struct session *find_place(struct sessions *sessions)
{
    struct session *oldest = &sessions->all[0];

    for (size_t i = 0; i < SESSIONS_MAX; i++) {
        if (!sessions->all[i].name)
            return &sessions->all[i];
        if (sessions->all[i].used_ms < oldest->used_ms)
            oldest = &sessions->all[i];
    }
    session_end(oldest);
    return oldest;
}

struct session *sessions_begin(struct sessions *sessions, const char *name, const uint8_t digest[32],
                               int64_t now_ms)
{
    struct session *session = find_place(sessions);

    session->begun_ms = session->used_ms = now_ms;
    memcpy(session->digest, digest, sizeof(session->digest));
    if (make_token(session->secret) && make_token(session->token))
        session->name = strdup(name);
    return session->name ? session : NULL;
}

static bool is_over(const struct session *session, int64_t now_ms)
{
    return now_ms - session->used_ms > SESSIONS_IDLE_MS || now_ms - session->begun_ms > SESSIONS_LIFE_MS;
}

struct session *sessions_use(struct sessions *sessions, const char *secret, int64_t now_ms)
{
    struct session *found = NULL;

    if (strlen(secret) != SESSION_TOKEN_CHARS)
        return NULL;
    for (size_t i = 0; i < SESSIONS_MAX; i++) {
        if (sessions->all[i].name && CRYPTO_memcmp(sessions->all[i].secret, secret, SESSION_TOKEN_CHARS) == 0)
            found = &sessions->all[i];
    }
    if (found && is_over(found, now_ms)) {
        session_end(found);
        found = NULL;
    }
    if (found)
        found->used_ms = now_ms;
    return found;
}
