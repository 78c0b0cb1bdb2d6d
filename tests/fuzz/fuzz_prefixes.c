/* Fuzz target: "KEY\nPREFIX\nPREFIX...": the key belongs to the namespace with the longest prefix that it begins with, and each of them names
 * its own bookkeeping. */
#include "fuzz.h"
#include "namespace.h"

#define PREFIXES_MAX 16u

struct given {
    struct hf_namespace namespaces[PREFIXES_MAX];
    char *prefixes[PREFIXES_MAX];
    size_t n;
};

static void take(struct fuzz_input *in, struct given *given)
{
    while (in->left > 0 && given->n < PREFIXES_MAX) {
        struct hf_slice prefix = fuzz_until(in, '\n');

        given->prefixes[given->n] = fuzz_text(prefix.data, prefix.len);
        given->namespaces[given->n].prefix = given->prefixes[given->n];
        given->n++;
    }
}

/* By hand; "" where none fits. */
static const char *longest(const struct given *given, struct hf_slice key)
{
    const char *found = "";

    for (size_t i = 0; i < given->n; i++) {
        if (hf__slice_starts_with(key, hf__slice_str(given->prefixes[i])) &&
            strlen(given->prefixes[i]) > strlen(found))
            found = given->prefixes[i];
    }
    return found;
}

static void check(const struct given *given, const struct hf_ns_table *table, struct hf_slice key)
{
    struct hf_ns *ns = hf__ns_of(table, key);
    struct hf_buf name = {0};

    FUZZ_REQUIRE(hf__slice_eq(hf__slice(ns->prefix.data, ns->prefix.len), hf__slice_str(longest(given, key))));
    FUZZ_REQUIRE(hf__ns_key(ns, ":epoch", "", &name) == 0);
    FUZZ_REQUIRE(name.len == 4 + ns->prefix.len + 6 && memcmp(name.data, "_hf:", 4) == 0);
    hf_buf_release(&name);
    FUZZ_REQUIRE(hf__ns_set_epoch(ns, "0123456789abcdef0123456789abcdef") == 0 && ns->log_key.len > name.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    struct hf_slice key = fuzz_until(&in, '\n');
    struct given given = {.n = 0};
    struct hf_ns_table table;

    take(&in, &given);
    if (hf__ns_table_init(&table, given.namespaces, given.n, "node") == 0) {
        check(&given, &table, key);
        hf__ns_table_release(&table);
    } else {
        fuzz_require_sentence(hf_errmsg());
    }
    for (size_t i = 0; i < given.n; i++)
        free(given.prefixes[i]);
    return 0;
}
