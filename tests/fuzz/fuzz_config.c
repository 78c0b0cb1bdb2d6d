/* Fuzz target: the configuration file, with a password in the environment, and the table of namespaces that is made of it. Refused with one
 * sentence that does not show the password; or read to options that keep their bounds, the same each time. */
#include "fuzz.h"
#include "namespace.h"

#define PASSWORD "hunter2-in-the-environment"

/* What stands in the file itself may be shown as the wrong name that it is there. */
static void require_no_secret(const uint8_t *data, size_t size)
{
    FUZZ_REQUIRE(!strstr(hf_errmsg(), PASSWORD) || memmem(data, size, PASSWORD, strlen(PASSWORD)));
}

static void check_namespaces(const struct hf_options *options)
{
    struct hf_ns_table table;
    int rc = hf__ns_table_init(&table, options->namespaces, options->n_namespaces, "0123456789abcdef");

    if (rc != 0) {
        FUZZ_REQUIRE(rc == HF_EINVAL);
        fuzz_require_sentence(hf_errmsg());
        return;
    }
    FUZZ_REQUIRE(table.n >= options->n_namespaces && table.all[table.n - 1].prefix.len == 0);
    for (size_t i = 1; i < table.n; i++)
        FUZZ_REQUIRE(table.all[i].prefix.len <= table.all[i - 1].prefix.len);
    hf__ns_table_release(&table);
}

static void check_options(const struct hf_options *options)
{
    FUZZ_REQUIRE(options->max_value_bytes <= HF_VALUE_MAX);
    FUZZ_REQUIRE(options->redis_timeout_ms >= 0 && options->sync_interval_ms >= 0);
    FUZZ_REQUIRE(options->pending_policy <= HF_PENDING_DROP_OLDEST);
    FUZZ_REQUIRE(!options->redis_password || strcmp(options->redis_password, PASSWORD) == 0);
    check_namespaces(options);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hf_config *config = NULL;
    int rc;

    setenv("FUZZ_PASSWORD", PASSWORD, 0);
    rc = hf_config_load(fuzz_file(data, size), &config);
    if (rc == 0) {
        check_options(hf_config_options(config));
        hf_config_free(config);
        return 0;
    }
    FUZZ_REQUIRE(rc == HF_ECONFIG || rc == HF_EIO);
    fuzz_require_sentence(hf_errmsg());
    require_no_secret(data, size);
    return 0;
}
