/* The address of a shared tier: parsed from a URL, without opening anything. */
#ifndef HF_REDIS_ADDRESS_H
#define HF_REDIS_ADDRESS_H

#include <holdfast.h>

#define HF__REDIS_PORT_DEFAULT 6379
#define HF__REDIS_HOST_MAX 253 /* a DNS name in text form, RFC 1035 */
#define HF__REDIS_PATH_MAX 107 /* sockaddr_un.sun_path, less its NUL */
#define HF__REDIS_DB_MAX 999999999

/* Zeroed is empty. Strings are owned; absent ones are NULL. */
struct hf__redis_address {
    bool tls;
    char *host; /* a name or an IP literal without brackets; NULL for a unix socket */
    uint16_t port;
    char *path; /* of a unix socket; else NULL */
    int db;
    char *user;     /* percent-decoded */
    char *password; /* percent-decoded; wiped on release */
};

/* Parse redis://[user[:password]@]host[:port][/db], rediss://..., or unix:///path[?db=N]; an IPv6 literal stands in
 * brackets; %XX is decoded in user, password and path. The caller releases `ret_address`.
 * Returns 0, HF_ENOMEM, or HF_ECONFIG with a sentence that never holds a byte of the password. */
int hf__redis_address_parse(const char *text, struct hf__redis_address *ret_address);

/* Free the contents, wiping the password. Accepts an empty address. */
void hf__redis_address_release(struct hf__redis_address *address);

/* "host:port" or the path, for messages; at most `size` bytes, returned. */
const char *hf__redis_address_name(const struct hf__redis_address *address, char *text, size_t size);

#endif
