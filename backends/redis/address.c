/* Parses the address of a shared tier.
 *
 * Errors name the part and what was expected there, and quote nothing: a password with a '/' in it, or without its
 * host, can end up in any part. */
#include "address.h"

#include "bytes.h"
#include "fail.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- small parts ---- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool only(struct hf_slice s, const char *others)
{
    const char *p = s.data;

    for (size_t i = 0; i < s.len; i++) {
        if (!isalnum((unsigned char)p[i]) && !(p[i] != '\0' && strchr(others, p[i])))
            return false;
    }
    return true;
}

static bool digits(struct hf_slice s)
{
    const char *p = s.data;

    for (size_t i = 0; i < s.len; i++) {
        if (!isdigit((unsigned char)p[i]))
            return false;
    }
    return s.len > 0;
}

/* The part before the first byte out of `stops`; `*rest` then begins at that byte. */
static struct hf_slice take_until(struct hf_slice *rest, const char *stops)
{
    const char *p = rest->data;
    size_t n = 0;

    while (n < rest->len && !strchr(stops, p[n]))
        n++;
    *rest = hf__slice(p + n, rest->len - n);
    return hf__slice(p, n);
}

static struct hf_slice skip(struct hf_slice s, size_t n)
{
    return hf__slice((const char *)s.data + n, s.len - n);
}

static bool begins(struct hf_slice s, const char *text)
{
    return hf__slice_starts_with(s, hf__slice_str(text));
}

/* Copy with %XX decoded. `what` names the part in an error; its contents are not shown. */
static int decode(struct hf_slice s, const char *what, char **ret_text)
{
    const char *p = s.data;
    char *text = malloc(s.len + 1);
    size_t n = 0;

    if (!text)
        return hf__fail(HF_ENOMEM, "out of memory: the address of the shared tier");
    for (size_t i = 0; i < s.len; i++) {
        int high, low;

        if (p[i] != '%') {
            text[n++] = p[i];
            continue;
        }
        high = i + 2 < s.len ? hex_digit(p[i + 1]) : -1;
        low = i + 2 < s.len ? hex_digit(p[i + 2]) : -1;
        if (high < 0 || low < 0 || high + low == 0) {
            explicit_bzero(text, n);
            free(text);
            return hf__fail(HF_ECONFIG,
                            "redis address: the %s has a '%%' that is not followed by two hexadecimal "
                            "digits other than 00; write a plain '%%' as %%25",
                            what);
        }
        text[n++] = (char)(high << 4 | low);
        i += 2;
    }
    text[n] = '\0';
    *ret_text = text;
    return 0;
}

/* ---- the parts of an address ---- */

static int parse_db(struct hf_slice text, int *ret_db)
{
    int db = 0;

    if (!digits(text))
        return hf__fail(HF_ECONFIG, "redis address: the database is not a number from 0 to %d", HF__REDIS_DB_MAX);
    for (size_t i = 0; i < text.len; i++) {
        if (db > HF__REDIS_DB_MAX / 10)
            return hf__fail(HF_ECONFIG, "redis address: the database is outside 0 to %d", HF__REDIS_DB_MAX);
        db = db * 10 + (((const char *)text.data)[i] - '0');
    }
    *ret_db = db;
    return 0;
}

static int parse_port(struct hf_slice text, uint16_t *ret_port)
{
    unsigned port = 0;

    if (!digits(text))
        return hf__fail(HF_ECONFIG, "redis address: the port after ':' is not a number from 1 to 65535");
    for (size_t i = 0; i < text.len && port <= 65535; i++)
        port = port * 10 + (unsigned)(((const char *)text.data)[i] - '0');
    if (port < 1 || port > 65535)
        return hf__fail(HF_ECONFIG, "redis address: the port after ':' is outside 1 to 65535");
    *ret_port = (uint16_t)port;
    return 0;
}

static int parse_userinfo(struct hf_slice text, struct hf__redis_address *a)
{
    struct hf_slice user = take_until(&text, ":");
    int rc = 0;

    if (user.len > 0)
        rc = decode(user, "user", &a->user);
    if (rc == 0 && text.len > 1)
        rc = decode(skip(text, 1), "password", &a->password);
    return rc;
}

/* [v6 literal] at the beginning of `*rest`. */
static int parse_literal(struct hf_slice *rest, struct hf__redis_address *a)
{
    struct hf_slice text;
    struct in6_addr in6;

    *rest = skip(*rest, 1);
    text = take_until(rest, "]");
    if (rest->len == 0)
        return hf__fail(HF_ECONFIG, "redis address: found '[' without ']' around an IPv6 address");
    *rest = skip(*rest, 1);
    a->host = strndup(text.data, text.len);
    if (!a->host)
        return hf__fail(HF_ENOMEM, "out of memory: the address of the shared tier");
    if (inet_pton(AF_INET6, a->host, &in6) != 1)
        return hf__fail(HF_ECONFIG, "redis address: what stands in [] is not an IPv6 address");
    return 0;
}

static int parse_name(struct hf_slice *rest, struct hf__redis_address *a)
{
    struct hf_slice text = take_until(rest, ":");

    if (text.len == 0)
        return hf__fail(HF_ECONFIG, "redis address: no host was found; expected redis://host[:port][/db]");
    if (text.len > HF__REDIS_HOST_MAX)
        return hf__fail(HF_ECONFIG, "redis address: the host has %zu bytes, expected at most %d", text.len,
                        HF__REDIS_HOST_MAX);
    if (!only(text, ".-_"))
        return hf__fail(HF_ECONFIG, "redis address: the host has a character other than letters, digits, '.', '-' "
                                    "and '_'; an IPv6 address stands in []");
    a->host = strndup(text.data, text.len);
    return a->host ? 0 : hf__fail(HF_ENOMEM, "out of memory: the address of the shared tier");
}

static int parse_host_port(struct hf_slice text, struct hf__redis_address *a)
{
    int rc = begins(text, "[") ? parse_literal(&text, a) : parse_name(&text, a);

    if (rc != 0)
        return rc;
    if (text.len == 0) {
        a->port = HF__REDIS_PORT_DEFAULT;
        return 0;
    }
    if (!begins(text, ":"))
        return hf__fail(HF_ECONFIG, "redis address: expected ':' and a port, or nothing, after the host");
    return parse_port(skip(text, 1), &a->port);
}

/* ---- the forms ---- */

/* [user[:password]@]host[:port][/db] */
static int parse_tcp(struct hf_slice rest, struct hf__redis_address *a)
{
    struct hf_slice authority = take_until(&rest, "/?#");
    const char *at = memrchr(authority.data, '@', authority.len);
    int rc;

    if (memchr(rest.data, '@', rest.len))
        return hf__fail(HF_ECONFIG, "redis address: found '@' behind the host; a '/', '?' or '#' in a password is "
                                    "written as %%2F, %%3F or %%23");
    if (at) {
        size_t n = (size_t)(at - (const char *)authority.data);

        rc = parse_userinfo(hf__slice(authority.data, n), a);
        if (rc != 0)
            return rc;
        authority = skip(authority, n + 1);
    }
    rc = parse_host_port(authority, a);
    if (rc != 0 || rest.len == 0 || hf__slice_eq(rest, hf__slice_str("/")))
        return rc;
    if (!begins(rest, "/"))
        return hf__fail(HF_ECONFIG, "redis address: found '?' or '#' behind the host, expected /db or nothing");
    return parse_db(skip(rest, 1), &a->db);
}

/* /path[?db=N] */
static int parse_unix(struct hf_slice rest, struct hf__redis_address *a)
{
    struct hf_slice path = take_until(&rest, "?");
    int rc;

    if (!begins(path, "/") || path.len == 1)
        return hf__fail(HF_ECONFIG, "redis address: expected the absolute path of a socket after unix://");
    rc = decode(path, "path", &a->path);
    if (rc != 0)
        return rc;
    if (strlen(a->path) > HF__REDIS_PATH_MAX)
        return hf__fail(HF_ECONFIG, "redis address: the socket's path has %zu bytes, expected at most %d",
                        strlen(a->path), HF__REDIS_PATH_MAX);
    if (rest.len == 0)
        return 0;
    if (!begins(rest, "?db="))
        return hf__fail(HF_ECONFIG, "redis address: expected ?db=N, or nothing, after the socket's path");
    return parse_db(skip(rest, 4), &a->db);
}

static int parse(struct hf_slice text, struct hf__redis_address *a)
{
    if (begins(text, "redis://"))
        return parse_tcp(skip(text, 8), a);
    if (begins(text, "rediss://")) {
        a->tls = true;
        return parse_tcp(skip(text, 9), a);
    }
    if (begins(text, "unix://"))
        return parse_unix(skip(text, 7), a);
    return hf__fail(HF_ECONFIG, "redis address: it does not begin with redis://, rediss:// or unix://");
}

int hf__redis_address_parse(const char *text, struct hf__redis_address *ret_address)
{
    struct hf__redis_address a = {0};
    int rc = parse(hf__slice_str(text), &a);

    if (rc != 0) {
        hf__redis_address_release(&a);
        return rc;
    }
    *ret_address = a;
    return 0;
}

void hf__redis_address_release(struct hf__redis_address *address)
{
    if (address->password)
        explicit_bzero(address->password, strlen(address->password));
    free(address->password);
    free(address->user);
    free(address->host);
    free(address->path);
    *address = (struct hf__redis_address){0};
}

const char *hf__redis_address_name(const struct hf__redis_address *address, char *text, size_t size)
{
    if (address->path)
        snprintf(text, size, "%s", address->path);
    else if (strchr(address->host, ':'))
        snprintf(text, size, "[%s]:%u", address->host, address->port);
    else
        snprintf(text, size, "%s:%u", address->host, address->port);
    return text;
}
