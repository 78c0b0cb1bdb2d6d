/* Fuzz target: the sidecar's part of the configuration file. Refused with one sentence that does not show the password; or read to settings
 * that keep their bounds, of which every user can be found again and only by the password. */
#include "fuzz.h"
#include "settings.h"

#define PASSWORD "hunter2-in-the-environment"

static void check_users(const struct settings *settings)
{
    FUZZ_REQUIRE(settings->n_users >= 1 && settings->n_users <= SETTINGS_USERS_MAX);
    for (size_t i = 0; i < settings->n_users; i++) {
        const struct user *user = &settings->users[i];
        struct hf_slice name = hf__slice_str(user->name);

        FUZZ_REQUIRE(user->n_prefixes <= SETTINGS_PREFIXES_MAX);
        if (!user->has_password)
            continue;
        FUZZ_REQUIRE(settings_login(settings, name, hf__slice_str(PASSWORD)) == user);
        FUZZ_REQUIRE(settings_login(settings, name, hf__slice_str("hunter3")) == NULL);
        FUZZ_REQUIRE(settings_successor(settings, user) == user);
    }
}

static void check(const struct settings *settings)
{
    FUZZ_REQUIRE(settings->n_binds >= 1 && settings->n_binds <= SETTINGS_BINDS_MAX);
    FUZZ_REQUIRE(settings->port >= 0 && settings->port <= 65535 && settings->http_port >= 0 &&
                 settings->http_port <= 65535);
    FUZZ_REQUIRE(settings->output_max >= 64 * 1024 && settings->idle_timeout_ms >= 0 && settings->drain_ms >= 0);
    FUZZ_REQUIRE(settings->n_http_names <= SETTINGS_HTTP_NAMES_MAX && settings->max_clients >= 1);
    FUZZ_REQUIRE(settings_value_max(settings) >= 1);
    check_users(settings);
    if (settings_check(settings) != 0)
        fuzz_require_sentence(hf_errmsg());
}

/* What stands in the file itself may be shown as the wrong name that it is there. */
static void require_no_secret(const uint8_t *data, size_t size)
{
    FUZZ_REQUIRE(!strstr(hf_errmsg(), PASSWORD) || memmem(data, size, PASSWORD, strlen(PASSWORD)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct settings *settings = NULL;
    int rc;

    setenv("FUZZ_PASSWORD", PASSWORD, 0);
    rc = settings_load(fuzz_file(data, size), &settings);
    if (rc == 0) {
        check(settings);
        settings_release_ref(settings);
        return 0;
    }
    FUZZ_REQUIRE(rc == HF_ECONFIG || rc == HF_EIO);
    fuzz_require_sentence(hf_errmsg());
    require_no_secret(data, size);
    return 0;
}
