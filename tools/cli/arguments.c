/* Options and arguments of the command line. */
#include "cli.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

static bool looks_like_option(const char *argument)
{
    return argument[0] == '-' && argument[1] != '\0' && !(argument[1] >= '0' && argument[1] <= '9');
}

/* The user and password of an address must not stay in what `ps` shows: copy it, then blank them in place. */
static const char *take_address(char *address)
{
    char *copy = strdup(address), *start = strstr(address, "://"), *end = strrchr(address, '@');

    start = start ? start + 3 : address;
    if (copy && end && end > start)
        memset(start, '*', (size_t)(end - start));
    return copy;
}

/* The value behind '=' in "--name=value", or NULL. */
static char *inline_value(const char *name, char *argument)
{
    size_t len = strlen(name);

    return strncmp(argument, name, len) == 0 && argument[len] == '=' ? argument + len + 1 : NULL;
}

static const struct cli_option *find_option(const struct cli_option *options, char *argument)
{
    for (const struct cli_option *o = options; o && o->name; o++) {
        if (strcmp(o->name, argument) == 0 || (o->text && inline_value(o->name, argument)))
            return o;
    }
    return NULL;
}

/* Take the option at argv[*at] and its value; `*at` is left on the last argument used. */
static int take_option(struct cli *cli, const struct cli_option *option, int argc, char **argv, int *at)
{
    char *value;

    if (option->flag ? *option->flag : *option->text != NULL)
        return cli_fail(cli, CLI_USAGE, "%s was given twice", option->name);
    if (option->flag) {
        *option->flag = true;
        return CLI_OK;
    }
    value = inline_value(option->name, argv[*at]);
    if (!value && *at + 1 == argc)
        return cli_fail(cli, CLI_USAGE, "%s needs a value", option->name);
    if (!value)
        value = argv[++*at];
    *option->text = option->text == &cli->redis ? take_address(value) : value;
    return *option->text ? CLI_OK : cli_fail(cli, CLI_STORE, "out of memory");
}

static int take(struct cli *cli, const struct cli_option *options, int argc, char **argv, int *at)
{
    const struct cli_option global[] = {
        {.name = "--dir", .text = &cli->dir},         {.name = "--redis", .text = &cli->redis},
        {.name = "--json", .flag = &cli->json},       {.name = "--config", .text = &cli->config_file},
        {.name = "--version", .flag = &cli->version}, {0},
    };
    const struct cli_option *option = find_option(options, argv[*at]);

    if (!option)
        option = find_option(global, argv[*at]);
    if (!option)
        return cli_fail(cli, CLI_USAGE, "there is no option '%s'; 'holdfast %s%s--help' lists them", argv[*at],
                        cli->command ? cli->command->name : "", cli->command ? " " : "");
    return take_option(cli, option, argc, argv, at);
}

int cli_global_options(struct cli *cli, int *argc, char ***argv)
{
    int i, status;

    for (i = 0; i < *argc && looks_like_option((*argv)[i]); i++) {
        if (strcmp((*argv)[i], "--help") == 0 || strcmp((*argv)[i], "-h") == 0)
            break;
        status = take(cli, NULL, *argc, *argv, &i);
        if (status != CLI_OK)
            return status;
    }
    *argc -= i;
    *argv += i;
    return CLI_OK;
}

static int check_number(const struct cli *cli, int n, int min, int max)
{
    const char *command = cli->command->name, *arguments = cli->command->arguments;
    const char *found = cli_plural((uint64_t)n, "argument", "arguments");

    if (n >= min && n <= max)
        return CLI_OK;
    if (strchr(arguments, '\n')) /* more than a sentence holds */
        return cli_fail(cli, CLI_USAGE, "%s: found %d %s, 'holdfast %s --help' shows the usage", command, n, found,
                        command);
    return cli_fail(cli, CLI_USAGE, "%s: found %d %s, usage: holdfast %s%s%s", command, n, found, command,
                    *arguments ? " " : "", arguments);
}

int cli_arguments(struct cli *cli, int *argc, char **argv, const struct cli_option *options, int min, int max)
{
    bool only_arguments = false;
    int n = 0, status;

    for (int i = 0; i < *argc; i++) {
        if (!only_arguments && strcmp(argv[i], "--") == 0) {
            only_arguments = true;
        } else if (only_arguments || !looks_like_option(argv[i])) {
            argv[n++] = argv[i];
        } else {
            status = take(cli, options, *argc, argv, &i);
            if (status != CLI_OK)
                return status;
        }
    }
    *argc = n;
    return check_number(cli, n, min, max);
}

/* ---- verbs ---- */

static const struct cli_verb *find_verb(const struct cli_verb *verbs, const char *name)
{
    const struct cli_verb *v = verbs;

    while (v->name && strcmp(v->name, name) != 0)
        v++;
    return v->name ? v : NULL;
}

static bool is_given(const struct cli_option *option)
{
    return option->flag ? *option->flag : *option->text != NULL;
}

static int check_verb(const struct cli *cli, const struct cli_verb *verb, const struct cli_option *options, int n)
{
    const char *command = cli->command->name;

    for (const struct cli_option *o = options; o->name; o++) {
        if (is_given(o) && !strstr(verb->takes, o->name))
            return cli_fail(cli, CLI_USAGE, "%s %s takes no %s", command, verb->name, o->name);
    }
    if (n >= verb->min && n <= verb->max)
        return CLI_OK;
    return cli_fail(cli, CLI_USAGE, "%s %s: found %d %s, 'holdfast %s --help' shows the usage", command, verb->name,
                    n, cli_plural((uint64_t)n, "argument", "arguments"), command);
}

int cli_run_verb(struct cli *cli, const struct cli_verb *verbs, const struct cli_option *options, void *ctx,
                 int argc, char **argv)
{
    const struct cli_verb *verb = find_verb(verbs, argv[0]);
    int status;

    if (!verb)
        return cli_fail(cli, CLI_USAGE, "%s: there is no '%s'; 'holdfast %s --help' lists what there is",
                        cli->command->name, argv[0], cli->command->name);
    status = check_verb(cli, verb, options, argc - 1);
    return status == CLI_OK ? verb->run(ctx, argc - 1, argv + 1) : status;
}

/* ---- values ---- */

int cli_duration(const struct cli *cli, const char *name, const char *text, int64_t *ret_ms)
{
    if (hf_parse_duration(text, ret_ms) != 0)
        return cli_fail(cli, CLI_USAGE, "%s: %s", name, hf_errmsg());
    return CLI_OK;
}

int cli_check_key(const struct cli *cli, const char *key)
{
    size_t len = strlen(key);

    if (len < 1 || len > HF_KEY_MAX)
        return cli_fail(cli, CLI_USAGE, "found a key of %zu bytes, expected 1 to %d", len, HF_KEY_MAX);
    if (strncmp(key, "_hf:", 4) == 0)
        return cli_fail(cli, CLI_USAGE, "keys that begin with '_hf:' are reserved for bookkeeping");
    return CLI_OK;
}

int cli_integer(const struct cli *cli, const char *name, const char *text, int64_t *ret_number)
{
    char *end = NULL;
    intmax_t number;

    errno = 0;
    number = strtoimax(text, &end, 10);
    if (*text == '\0' || *text == ' ' || *text == '+' || *end != '\0' || errno != 0)
        return cli_fail(cli, CLI_USAGE, "%s: found \"%s\", expected a whole number of at most 64 bits", name, text);
    *ret_number = (int64_t)number;
    return CLI_OK;
}

int cli_count(const struct cli *cli, const char *name, const char *text, int64_t *ret_number)
{
    int status = text ? cli_integer(cli, name, text, ret_number) : CLI_OK;

    if (status == CLI_OK && text && *ret_number < 0)
        return cli_fail(cli, CLI_USAGE, "%s: found %s, expected a number from 0 on", name, text);
    return status;
}

int cli_size(const struct cli *cli, const char *name, const char *text, uint64_t *ret_bytes)
{
    if (text && hf_parse_size(text, ret_bytes) != 0)
        return cli_fail(cli, CLI_USAGE, "%s: %s", name, hf_errmsg());
    return CLI_OK;
}
