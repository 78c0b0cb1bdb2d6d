/* What the sidecar was told: the object "sidecar" of the configuration file, and the options of the command line. */
#ifndef SIDECAR_SETTINGS_H
#define SIDECAR_SETTINGS_H

#include "bytes.h"
#include "tls_files.h"

#define SETTINGS_PORT_DEFAULT 6380
#define SETTINGS_CLIENTS_DEFAULT 10000u
#define SETTINGS_OUTPUT_DEFAULT (64ull << 20)     /* unread replies of a client, at the most */
#define SETTINGS_OUTPUT_SOFT_DEFAULT (8ull << 20) /* the same for longer than: */
#define SETTINGS_OUTPUT_SOFT_MS 60000
#define SETTINGS_AUTH_MS 10000 /* to authenticate in, where that is needed */
#define SETTINGS_DRAIN_DEFAULT_MS 5000
#define SETTINGS_USERS_MAX 256u
#define SETTINGS_PREFIXES_MAX 64u /* of a user */
#define SETTINGS_BINDS_MAX 8u
#define SETTINGS_HTTP_PORT_DEFAULT 0 /* none */
#define SETTINGS_HTTP_NAMES_MAX 8u
#define SETTINGS_SLOW_AFTER_DEFAULT_MS 10

/* Who may do what. */
struct user {
    const char *name;   /* "default" is who gives no name */
    uint8_t digest[32]; /* SHA-256 of the password */
    bool has_password;
    bool is_operator;                            /* may run what COMMAND_ADMIN marks */
    const char *prefixes[SETTINGS_PREFIXES_MAX]; /* of the keys and channels it may touch */
    size_t n_prefixes;                           /* 0: all */
};

struct settings {
    const char *binds[SETTINGS_BINDS_MAX]; /* addresses */
    size_t n_binds;
    int port;     /* of plain TCP; 0: none */
    int tls_port; /* at the same addresses; 0: none */
    struct tls_files tls_files;
    SSL_CTX *tls;           /* what is in them; NULL: no TLS */
    const char *unixsocket; /* path; NULL: <store's directory>/holdfastd.sock; "": none */
    struct user users[SETTINGS_USERS_MAX];
    size_t n_users; /* 0: everybody is the default user, with all rights */
    uint64_t max_clients;
    uint64_t output_max, output_soft_max;
    int idle_timeout_ms; /* of a client that sends nothing; 0: none */
    int drain_ms;        /* to share what is pending in, when it stops */
    const char *http_bind;
    int http_port; /* 0: no HTTP */
    const char
        *http_names[SETTINGS_HTTP_NAMES_MAX]; /* under which browsers call it, beside addresses and "localhost" */
    size_t n_http_names;
    int slow_after_ms; /* a command that takes longer is shown by the console; 0: none is */
    bool log_json;

    struct hf_config *config; /* the rest of the file; NULL: no file */
    void *json;               /* the document that the strings point into */
    unsigned refs;
};

/* The defaults, and what the file at `path` says (NULL: no file). HF_ECONFIG with the key's path, what was found and what was
 * expected; HF_EIO, HF_ENOMEM. */
int settings_load(const char *path, struct settings **ret_settings);
/* Counted by the loop thread alone: the loader has the first reference, and a worker's call has one while it runs. */
struct settings *settings_retain(struct settings *settings);
void settings_release_ref(struct settings *settings); /* accepts NULL */

/* The store was opened with what `old` says of it, and who comes to the TLS port needs a certificate, whether `settings` name one or
 * not: these stay, and `settings` take them over. */
void settings_keep(struct settings *settings, struct settings *old);

/* The largest value that the store takes. */
uint64_t settings_value_max(const struct settings *settings);

/* HF_ECONFIG: it would listen beyond this machine without a password (protected mode), or twice on one port. */
int settings_check(const struct settings *settings);
bool settings_is_loopback(const char *address);

/* Who `user`, of other settings, is in these; NULL: nobody. */
const struct user *settings_successor(const struct settings *settings, const struct user *user);

/* The user of this name whose password this is; NULL: there is none. Takes as long for a name that does not exist. */
const struct user *settings_login(const struct settings *settings, struct hf_slice name, struct hf_slice password);
/* Who owns the store, and needs no password for it. */
const struct user *settings_owner(const struct settings *settings);
/* Who needs no password; NULL: nobody. */
const struct user *settings_default_user(const struct settings *settings);
bool user_may_touch(const struct user *user, struct hf_slice key);

#endif
