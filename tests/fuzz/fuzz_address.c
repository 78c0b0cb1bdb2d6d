/* Fuzz target: the address of a shared tier. Refused with one sentence without a byte of the password; or read to parts within their bounds,
 * which written as an address again are read the same. */
#include "address.h"
#include "fuzz.h"

#include <stdio.h>

/* `text` with every byte that is no letter or digit as %XX. */
static void add_encoded(char *to, size_t size, const char *text)
{
    size_t at = strlen(to);

    for (; *text && at + 4 < size; text++)
        at += (size_t)snprintf(to + at, size - at, "%%%02X", (unsigned char)*text);
}

static void write_address(const struct hf__redis_address *a, char *to, size_t size)
{
    char end[HF__REDIS_HOST_MAX + 64];

    snprintf(to, size, "%s", a->path ? "unix:///" : a->tls ? "rediss://" : "redis://");
    if (a->path) {
        add_encoded(to, size, a->path + 1);
        snprintf(end, sizeof(end), "?db=%d", a->db);
    } else {
        add_encoded(to, size, a->user ? a->user : "");
        strncat(to, a->password ? ":" : "", size - strlen(to) - 1);
        add_encoded(to, size, a->password ? a->password : "");
        snprintf(end, sizeof(end), strchr(a->host, ':') ? "@[%s]:%u/%d" : "@%s:%u/%d", a->host, a->port, a->db);
    }
    strncat(to, end, size - strlen(to) - 1);
}

static bool same(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static void check_again(const struct hf__redis_address *a)
{
    size_t size = 4096 + 3 * ((a->user ? strlen(a->user) : 0) + (a->password ? strlen(a->password) : 0));
    char *text = malloc(size);
    struct hf__redis_address again;

    if (!text)
        abort();
    write_address(a, text, size);
    FUZZ_REQUIRE(hf__redis_address_parse(text, &again) == 0);
    FUZZ_REQUIRE(same(a->host, again.host) && same(a->path, again.path) && same(a->user, again.user) &&
                 same(a->password, again.password));
    FUZZ_REQUIRE(a->tls == again.tls && a->port == again.port && a->db == again.db);
    hf__redis_address_release(&again);
    free(text);
}

/* No password is as short, and none of our words has one of its letters thrice. */
static void require_no_secret(const char *text)
{
    FUZZ_REQUIRE(strstr(text, "QQQ") == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hf__redis_address a;
    char *text = fuzz_text(data, size), name[512];
    int rc = hf__redis_address_parse(text, &a);

    if (rc == 0) {
        FUZZ_REQUIRE(!a.host != !a.path && a.db >= 0 && a.db <= HF__REDIS_DB_MAX);
        FUZZ_REQUIRE(a.host ? a.port > 0 && strlen(a.host) <= HF__REDIS_HOST_MAX
                            : strlen(a.path) <= HF__REDIS_PATH_MAX);
        FUZZ_REQUIRE(strlen(hf__redis_address_name(&a, name, sizeof(name))) > 0);
        check_again(&a);
        hf__redis_address_release(&a);
    } else {
        FUZZ_REQUIRE(rc == HF_ECONFIG);
        fuzz_require_sentence(hf_errmsg());
        require_no_secret(hf_errmsg());
    }
    free(text);
    return 0;
}
