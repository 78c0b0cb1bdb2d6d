/* What the commands of the `holdfast` tool share: the table's rows, arguments, the store, and what to say.
 *
 * Adding a command `frob`:
 *  1. Write `int cmd_frob(struct cli *cli, int argc, char **argv)` in cmd_frob.c. It calls cli_arguments() first,
 *     then cli_open() if it needs the store, does its work on cli->store, and returns an exit status. main() closes
 *     the store and checks that standard output was written.
 *  2. Declare it at the end of this file, and give it a row in the table in main.c.
 *  3. Describe it in docs/cli.md and docs/man/holdfast.1, and test it in tests/integration/test_cli.c.
 *
 * A command writes results to standard output (with cli->json set: JSON, one object a line), one sentence per
 * failure to standard error through cli_fail(), and nothing else. The tool uses <holdfast.h> alone. */
#ifndef CLI_H
#define CLI_H

#include <holdfast.h>

#include <stdio.h>
#include <string.h>

/* The exit statuses of the tool (design section 7). */
enum cli_status {
    CLI_OK = 0,
    CLI_CONFLICTS = 1, /* conflicts were recorded */
    CLI_PARKED = 2,    /* entries are parked or in doubt */
    CLI_OFFLINE = 3,   /* the shared tier cannot be reached, or refuses us */
    CLI_USAGE = 4,     /* arguments, configuration or input that cannot be used */
    CLI_STORE = 5,     /* the store itself, or this tool's own output */
    CLI_NO_KEY = 6,    /* no such key */
};

enum cli_needs {
    CLI_NO_STORE,     /* works without opening one */
    CLI_READS,        /* what is held here, read-only, also beside the store's owner */
    CLI_READS_SHARED, /* with a Redis address as owner, so that Redis can be asked; read-only when there is one */
    CLI_OWNS,         /* as owner of a store that exists */
    CLI_CHANGES,      /* the same, once the link has come up or failed, so that a change need not stay pending */
    CLI_CREATES,      /* the same, making the store when there is none */
};

struct cli;

struct cli_command {
    const char *name;
    int (*run)(struct cli *cli, int argc, char **argv);
    enum cli_needs needs;
    const char *arguments; /* "KEY VALUE [--ttl DURATION]" */
    const char *help;      /* one line, without a full stop */
};

struct cli {
    const struct cli_command *command;
    struct hf *store;         /* after cli_open() */
    struct hf_config *config; /* what --config named; NULL: nothing */
    /* Global options as given; NULL: not given. */
    const char *dir;
    const char *redis; /* a copy, because argv's is blanked; freed by cli_close() */
    const char *config_file;
    bool json;
    bool version;
};

/* ---- arguments ---- */

/* An option of a command: a flag, or one that takes a value. A row without name ends a table. */
struct cli_option {
    const char *name;  /* "--ttl" */
    bool *flag;        /* set to true; NULL: the option takes a value */
    const char **text; /* set to the value, which is argv's */
};

/* Take global options from the front of argv, up to the first argument that is none. CLI_OK or CLI_USAGE. */
int cli_global_options(struct cli *cli, int *argc, char ***argv);

/* Take the command's options and global ones out of argv, which holds `min` to `max` other arguments afterwards.
 * Options end at "--"; "-" and negative numbers are no options. `options` may be NULL. CLI_OK or CLI_USAGE. */
int cli_arguments(struct cli *cli, int *argc, char **argv, const struct cli_option *options, int min, int max);

/* The value of an option or argument `name`. CLI_OK, or CLI_USAGE with the sentence said. */
int cli_duration(const char *name, const char *text, int64_t *ret_ms);
int cli_integer(const char *name, const char *text, int64_t *ret_number);

/* Refuse a key that no store takes before one is made for it. CLI_OK, or CLI_USAGE with the sentence said. */
int cli_check_key(const char *key);

/* ---- the store ---- */

/* The store's directory from --dir, HOLDFAST_DIR or the configuration file, which is loaded. CLI_OK or a status. */
int cli_find_dir(struct cli *cli, const char **ret_dir);

/* Open the store as the command's row asks. CLI_OK, or a status with the sentence said. */
int cli_open(struct cli *cli);

/* True when a Redis address was given; after cli_find_dir() or cli_open(). */
bool cli_has_redis(const struct cli *cli);

/* Close what is open. The status to exit with: `status`, or CLI_STORE when closing failed after a success. */
int cli_close(struct cli *cli, int status);

/* ---- saying what went wrong ---- */

/* One sentence on standard error behind "holdfast: ", with control characters made visible. Returns `status`. */
int cli_fail(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same for a library call that returned `rc`, with the library's sentence. Returns cli_status_of(rc). */
int cli_fail_library(int rc);
int cli_status_of(int rc);

/* "no such key", telling absent from not held here by what a read reported. Returns CLI_NO_KEY. */
int cli_no_key(struct hf_slice key, const struct hf_result *result);

/* A sentence that is no failure, on standard error. */
void cli_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- output ---- */

/* Bytes for the eye: UTF-8 as it is, control characters and other bytes as \xNN. */
void cli_put_visible(FILE *file, struct hf_slice bytes);

/* Flush and check standard output. `status`, or CLI_STORE when a success was not written. */
int cli_finish_output(int status);

/* Milliseconds on a clock that is never set. */
int64_t cli_now_ms(void);

static inline struct hf_slice cli_slice(const char *text)
{
    return (struct hf_slice){.data = text, .len = strlen(text)};
}

/* ---- commands ---- */

int cmd_set(struct cli *cli, int argc, char **argv);
int cmd_get(struct cli *cli, int argc, char **argv);
int cmd_del(struct cli *cli, int argc, char **argv);
int cmd_incr(struct cli *cli, int argc, char **argv);
int cmd_ttl(struct cli *cli, int argc, char **argv);
int cmd_expire(struct cli *cli, int argc, char **argv);
int cmd_persist(struct cli *cli, int argc, char **argv);
int cmd_scan(struct cli *cli, int argc, char **argv);
int cmd_import(struct cli *cli, int argc, char **argv);
int cmd_export(struct cli *cli, int argc, char **argv);
int cmd_status(struct cli *cli, int argc, char **argv);
int cmd_journal(struct cli *cli, int argc, char **argv);
int cmd_reconcile(struct cli *cli, int argc, char **argv);

#endif
