/* Finding and opening the store a command works on. */
#include "cli.h"

#include "sidecar.h"

#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#define GREETING_MS 1000 /* to log in and catch up, once connected */
#define LOOK_EVERY_MS 2

static const char *first_given(const char *option, const char *variable)
{
    return option ? option : getenv(variable);
}

static int load_config(struct cli *cli)
{
    int rc;

    if (!cli->config_file || cli->config)
        return CLI_OK;
    rc = hf_config_load(cli->config_file, &cli->config);
    if (rc != 0) {
        cli_fail_library(cli, rc);
        return rc == HF_ENOMEM ? CLI_STORE : CLI_USAGE;
    }
    return CLI_OK;
}

/* What is lent has a directory of its own, and its configuration was read: another one would be read as another user. */
int cli_find_dir(struct cli *cli, const char **ret_dir)
{
    int status = cli->loan ? CLI_OK : load_config(cli);
    const char *dir = cli->loan ? cli->loan->dir : first_given(cli->dir, "HOLDFAST_DIR");

    if (status != CLI_OK)
        return status;
    if (!dir && cli->config)
        dir = hf_config_dir(cli->config);
    if (!dir || !*dir)
        return cli_fail(cli, CLI_USAGE,
                        "no store was named: use --dir, HOLDFAST_DIR or \"dir\" in the configuration");
    *ret_dir = dir;
    return CLI_OK;
}

/* The options of the configuration file with the address of --redis or HOLDFAST_REDIS over its own. The user and
 * password of the file belong to the file's address and do not travel to another one. */
struct hf_options cli_options(const struct cli *cli)
{
    struct hf_options options = {0};
    const char *redis = first_given(cli->redis, "HOLDFAST_REDIS");

    if (cli->loan)
        return *cli->loan->options;
    if (cli->config)
        options = *hf_config_options(cli->config);
    if (!redis)
        return options;
    if (options.redis && strcmp(options.redis, redis) != 0) {
        options.redis_user = NULL;
        options.redis_password = NULL;
    }
    options.redis = redis;
    return options;
}

bool cli_has_redis(const struct cli *cli)
{
    struct hf_options options = cli_options(cli);

    return options.redis && *options.redis;
}

int cli_need_redis(const struct cli *cli)
{
    if (cli_has_redis(cli))
        return CLI_OK;
    if (cli->loan)
        return cli_fail(cli, CLI_USAGE, "%s needs Redis, and the sidecar that owns the store was given none",
                        cli->command->name);
    return cli_fail(cli, CLI_USAGE, "%s needs an address: use --redis, HOLDFAST_REDIS or the configuration",
                    cli->command->name);
}

static int open_reader(struct cli *cli, const char *dir, struct hf_options options)
{
    options.redis = NULL;
    options.read_only = true;
    return hf_open(dir, &options, &cli->store);
}

static int open_owner(struct cli *cli, const char *dir, enum cli_needs needs, struct hf_options options)
{
    options.must_exist = needs != CLI_CREATES;
    options.look_only = needs == CLI_ASKS || needs == CLI_LOOKS;
    return hf_open(dir, &options, &cli->store);
}

/* A link that has just been opened leaves every change pending and answers for no key: give it the time that it
 * is allowed for connecting. */
static int wait_for_link(struct cli *cli, const struct hf_options *options)
{
    int connect_ms = options->redis_connect_timeout_ms;
    int64_t end_ms = cli_now_ms() + (connect_ms ? connect_ms : HF_REDIS_CONNECT_TIMEOUT_DEFAULT_MS) + GREETING_MS;
    struct hf_status s;
    int rc;

    if (!cli_has_redis(cli))
        return 0;
    do {
        rc = hf_status(cli->store, &s);
        if (rc != 0)
            return rc;
        if (s.link == HF_LINK_ONLINE || s.link == HF_LINK_OFFLINE || s.link == HF_LINK_HELD)
            return 0;
        (void)poll(NULL, 0, LOOK_EVERY_MS);
    } while (cli_now_ms() < end_ms && cli_is_wanted(cli));
    return 0;
}

/* Damage found when the store was opened, now or earlier, must not go unnoticed. */
static void warn_of_damage(struct cli *cli, const char *dir)
{
    struct hf_status s;

    if (hf_status(cli->store, &s) == 0 && s.quarantined > 0)
        fprintf(
            cli->err,
            "holdfast: warning: durable entries of the journal were lost to damage; the damaged segment is kept in "
            "%s/quarantine, and this warning ends when it is moved away\n",
            dir);
}

static bool asks_if_it_can(enum cli_needs needs)
{
    return needs == CLI_READS_SHARED || needs == CLI_ASKS;
}

static bool waits_for_link(enum cli_needs needs)
{
    return needs >= CLI_READS_SHARED && needs != CLI_OWNS;
}

int cli_look_for_sidecar(struct cli *cli, enum cli_needs needs)
{
    const char *dir;
    int status = cli_find_dir(cli, &dir);

    if (status != CLI_OK || cli->loan || cli->has_looked || needs <= CLI_READS)
        return status;
    cli->has_looked = true;
    cli->needs = needs;
    return cli_sidecar_ask(cli, dir);
}

/* As the owner where that is needed, or of use and possible; else as a reader. Returns what hf_open() does. */
static int open_own(struct cli *cli, const char *dir, enum cli_needs needs, const struct hf_options *options)
{
    int rc = HF_ELOCKED;

    if (needs >= CLI_LOOKS || (asks_if_it_can(needs) && cli_has_redis(cli)))
        rc = open_owner(cli, dir, needs, *options);
    if (rc == HF_ELOCKED && needs < CLI_LOOKS)
        return open_reader(cli, dir, *options);
    return rc == 0 && waits_for_link(needs) ? wait_for_link(cli, options) : rc;
}

static int take_lent(struct cli *cli, enum cli_needs needs, const struct hf_options *options)
{
    cli->store = cli->loan->store;
    return waits_for_link(needs) ? wait_for_link(cli, options) : 0;
}

int cli_open_as(struct cli *cli, enum cli_needs needs)
{
    struct hf_options options;
    const char *dir;
    int rc, status = cli_look_for_sidecar(cli, needs);

    if (status == CLI_OK)
        status = cli_find_dir(cli, &dir);
    if (status != CLI_OK)
        return status;
    options = cli_options(cli);
    rc = cli->loan ? take_lent(cli, needs, &options) : open_own(cli, dir, needs, &options);
    if (rc == HF_NOT_FOUND)
        return cli_fail(cli, CLI_STORE, "there is no store in %s", dir);
    if (rc == 0)
        warn_of_damage(cli, dir);
    return rc == 0 ? CLI_OK : cli_fail_library(cli, rc);
}

int cli_open_away(struct cli *cli)
{
    struct hf_options options;
    const char *dir;
    int rc, status = cli_find_dir(cli, &dir);

    if (status != CLI_OK)
        return status;
    if (cli->loan)
        return cli_fail(cli, CLI_STORE, "this needs the store to itself: stop the sidecar that owns it first");
    options = cli_options(cli);
    options.redis = NULL;
    rc = open_owner(cli, dir, CLI_OWNS, options);
    return rc == 0 ? CLI_OK : cli_fail_library(cli, rc);
}

int cli_open(struct cli *cli)
{
    return cli_open_as(cli, cli->command->needs);
}

void cli_close_store(struct cli *cli)
{
    if (!cli->loan)
        (void)hf_close(cli->store); /* of a reader, which has nothing to store */
    cli->store = NULL;
}

bool cli_is_wanted(const struct cli *cli)
{
    return !cli->loan || cli->loan->is_wanted(cli->loan->ctx);
}

int cli_close(struct cli *cli, int status)
{
    int rc = cli->loan ? 0 : hf_close(cli->store);

    cli->store = NULL;
    if (cli->input > STDIN_FILENO)
        close(cli->input);
    cli_sidecar_close(cli->sidecar);
    cli->sidecar = NULL;
    hf_config_free(cli->config);
    cli->config = NULL;
    free((void *)cli->redis);
    cli->redis = NULL;
    if (rc == 0 || status != CLI_OK)
        return status;
    if (rc != HF_EFULL && rc != HF_EIO)
        return cli_fail_library(cli, rc);
    /* What was acknowledged is in the journal, and stays there until a checkpoint succeeds. */
    fprintf(cli->err, "holdfast: done, and durable in the journal; the local tier could not follow: %s\n",
            hf_errmsg());
    return status;
}
