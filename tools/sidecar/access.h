/* Who may look, and change something, over HTTP: by password, or by a session that was begun with one.
 *
 * A sidecar without any password is *open*: everybody looks, and nobody changes anything, as nobody can be told from anybody. Who is
 * limited to prefixes sees nothing that is of all keys. Called on the threads of HTTP. */
#ifndef SIDECAR_ACCESS_H
#define SIDECAR_ACCESS_H

#include "bytes.h"
#include "sessions.h"

#include <sys/socket.h>

struct access;
struct settings;

#define ACCESS_NAME_MAX 128u /* bytes of a user's name that are shown */

/* Who asks. */
struct visitor {
    bool may_look, may_change;
    char name[ACCESS_NAME_MAX + 1];
    char token[SESSION_TOKEN_CHARS + 1]; /* of the session, for changes; "": there is no session */
};

enum access_answer {
    ACCESS_GRANTED,
    ACCESS_REFUSED, /* no such user with this password */
    ACCESS_LIMITED, /* one who is limited to prefixes */
    ACCESS_WAIT,    /* too many wrong passwords came from this address: the password was not looked at */
};

#define ACCESS_WAIT_TEXT "too many wrong passwords: wait some seconds"

/* Whether it is open is decided once: a listener beyond this machine must not lose its password with a new configuration. */
int access_new(const struct settings *settings, struct access **ret_access);
void access_free(struct access *access); /* accepts NULL */
/* Other settings are in force. Afterwards the old ones are not used any more. */
void access_reconfigure(struct access *access, const struct settings *settings);
bool access_is_open(struct access *access);

/* Who comes without anything. */
void access_stranger(struct access *access, struct visitor *ret_visitor);
/* Who comes with a name and a password: a visitor who may look and change nothing, for a browser would send these with whatever
 * request another site makes it send. `*ret_visitor` is a stranger unless it is granted. Where it is open, nobody looks at the password. */
enum access_answer access_by_password(struct access *access, const struct sockaddr *from, struct hf_slice name,
                                      struct hf_slice password, struct visitor *ret_visitor);
/* The same, and a session begins: `secret` gets the SESSION_TOKEN_CHARS characters that only its browser may know. */
enum access_answer access_begin(struct access *access, const struct sockaddr *from, struct hf_slice name,
                                struct hf_slice password, char secret[SESSION_TOKEN_CHARS + 1],
                                struct visitor *ret_visitor);
/* Who comes with the secret of a session. False: there is none, or its user is gone or has another password now; then
 * `*ret_visitor` is a stranger. */
bool access_by_session(struct access *access, const char *secret, struct visitor *ret_visitor);
void access_end(struct access *access, const char *secret);

#endif
