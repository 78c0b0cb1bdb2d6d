/* What the commands of the `holdfast` tool share: the table's rows, arguments, the store, and what to say.
 *
 * Adding a command `frob`:
 *  1. Write `int cli_cmd_frob(struct cli *cli, int argc, char **argv)` in cmd_frob.c. It calls cli_arguments() first,
 *     then cli_open() if it needs the store, does its work on cli->store, and returns an exit status. Whoever runs it
 *     closes the store and checks that the output was written. A command with verbs (`frob list`) gives
 *     cli_run_verb() a table of them instead.
 *  2. Put `const char cli_cmd_frob_help[]` at the top of that file: a line for every argument, every option and every verb
 *     that the usage names, two spaces before it.
 *  3. Declare both at the end of this file, and give them a row in the table in commands.c.
 *  4. Describe it in docs/cli.md and docs/man/holdfast.1, and test it in tests/integration/test_cli.c (which finds out
 *     by itself when the help or a document does not know an option).
 *
 * A command writes results to cli->out (with cli->json set: JSON, one object a line), one sentence per failure to
 * cli->err through cli_fail(), reads through cli_read(), and has no state but that of its call: the tool runs it, or
 * the sidecar that owns the store, in one of several threads. Everything here uses <holdfast.h> alone. */
#ifndef CLI_H
#define CLI_H

#include <holdfast.h>

#include <stdio.h>
#include <string.h>
#include <sys/types.h>

/* The exit statuses of the tool (design section 7). */
enum cli_status {
    CLI_OK = 0,
    CLI_CONFLICTS = 1, /* conflicts were recorded */
    CLI_FOUND = 1,     /* the same for what only examines: the tiers differ, the doctor found a problem */
    CLI_PARKED = 2,    /* entries are parked or in doubt */
    CLI_OFFLINE = 3,   /* the shared tier cannot be reached, or refuses us */
    CLI_USAGE = 4,     /* arguments, configuration or input that cannot be used */
    CLI_STORE = 5,     /* the store itself, or this tool's own output */
    CLI_NO_KEY = 6,    /* no such key, conflict or parked entry */

    CLI_ELSEWHERE = -1, /* none yet: a sidecar owns the store, and is to run the command */
};

enum cli_needs {
    CLI_NO_STORE,     /* works without opening one */
    CLI_READS,        /* what is held here, read-only, also beside the store's owner */
    CLI_READS_LIVE,   /* the same, and what a sidecar that owns the store knows beyond that */
    CLI_STEERS,       /* read-only, to tell the owner something; a sidecar is told directly */
    CLI_READS_SHARED, /* with a Redis address as owner, so that Redis can be asked; read-only when there is one */
    CLI_ASKS,         /* the same, and nothing is sent to Redis that changes it */
    CLI_LOOKS,        /* as owner of a store that exists, sending nothing that changes Redis */
    CLI_OWNS,         /* as owner of a store that exists */
    CLI_CHANGES,      /* the same, once the link has come up or failed, so that a change need not stay pending */
    CLI_CREATES,      /* the same, making the store when there is none */
};

struct cli;
struct cli_sidecar;

struct cli_command {
    const char *name;
    int (*run)(struct cli *cli, int argc, char **argv);
    enum cli_needs needs;
    const char *arguments; /* "KEY VALUE [--ttl DURATION]" */
    const char *help;      /* one line, without a full stop */
    const char *details;   /* what the arguments and options mean, line by line */
};

/* What a sidecar lends to a command that it runs: its store, and the way to the input of the tool that has asked. */
struct cli_loan {
    struct hf *store;
    const char *dir;
    const struct hf_options *options;                      /* that the store was opened with */
    ssize_t (*read)(void *ctx, void *buffer, size_t size); /* as cli_read() */
    bool (*has_input)(void *ctx);                          /* false: reading might wait */
    bool (*is_wanted)(void *ctx);                          /* false: the tool has gone, and waiting is of no use */
    void *ctx;
};

struct cli {
    const struct cli_command *command;
    FILE *out, *err; /* a sidecar's end up in the tool's */
    bool out_is_terminal, err_is_terminal;
    int input;                   /* what cli_read() reads, unless it is lent */
    uint64_t input_bytes;        /* of it, where that is known; else 0 */
    const struct cli_loan *loan; /* NULL: the tool runs the command itself */
    struct hf *store;            /* after cli_open() */
    struct hf_config *config;    /* what --config named; NULL: nothing */
    struct cli_sidecar *sidecar; /* after CLI_ELSEWHERE: the one that is to run the command */
    bool has_looked;             /* for one */
    enum cli_needs needs;        /* and for what the command would open the store */
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

/* A verb of a command: the first argument of `holdfast conflicts show 7`. A row without name ends a table. */
struct cli_verb {
    const char *name;
    const char *takes; /* the names of the command's options that it takes: "--key --limit" */
    int min, max;      /* arguments behind the verb */
    int (*run)(void *ctx, int argc, char **argv);
};

/* Run the verb that argv[0] names on what is behind it, once its options and arguments are found right; `options` are
 * those that cli_arguments() has taken. The verb's status, or CLI_USAGE. */
int cli_run_verb(struct cli *cli, const struct cli_verb *verbs, const struct cli_option *options, void *ctx,
                 int argc, char **argv);

/* The value of an option or argument `name`. CLI_OK, or CLI_USAGE with the sentence said. */
int cli_duration(const struct cli *cli, const char *name, const char *text, int64_t *ret_ms);
int cli_integer(const struct cli *cli, const char *name, const char *text, int64_t *ret_number);
/* The same from 0 on; NULL, for an option that was not given, leaves `*ret_number` alone. */
int cli_count(const struct cli *cli, const char *name, const char *text, int64_t *ret_number);
int cli_size(const struct cli *cli, const char *name, const char *text, uint64_t *ret_bytes);

/* Refuse a key that no store takes before one is made for it. CLI_OK, or CLI_USAGE with the sentence said. */
int cli_check_key(const struct cli *cli, const char *key);

/* ---- the store ---- */

/* The store's directory from --dir, HOLDFAST_DIR or the configuration file, which is loaded. CLI_OK or a status. */
int cli_find_dir(struct cli *cli, const char **ret_dir);

/* For a command that has something to do before it opens the store: CLI_ELSEWHERE when a sidecar is to run it, CLI_OK when
 * not, or a status with the sentence said. */
int cli_look_for_sidecar(struct cli *cli, enum cli_needs needs);

/* Open the store as the command's row asks. CLI_OK, CLI_ELSEWHERE, or a status with the sentence said. */
int cli_open(struct cli *cli);
/* The same for a verb that needs something else than the row says. */
int cli_open_as(struct cli *cli, enum cli_needs needs);
/* As owner of a store that exists, without its shared tier. */
int cli_open_away(struct cli *cli);
/* Give the store back before the command ends. */
void cli_close_store(struct cli *cli);

/* What the store is opened with; after cli_find_dir() or cli_open(). */
struct hf_options cli_options(const struct cli *cli);
/* True when a Redis address was given. */
bool cli_has_redis(const struct cli *cli);
/* CLI_OK, or CLI_USAGE with the sentence said when none was given. */
int cli_need_redis(const struct cli *cli);

/* Close what is open. The status to exit with: `status`, or CLI_STORE when closing failed after a success. */
int cli_close(struct cli *cli, int status);

/* Whether somebody waits for the command to end. */
bool cli_is_wanted(const struct cli *cli);

/* ---- saying what went wrong ---- */

/* One sentence on standard error behind "holdfast: ", with control characters made visible. Returns `status`. */
int cli_fail(const struct cli *cli, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The same for a library call that returned `rc`, with the library's sentence. Returns cli_status_of(rc). */
int cli_fail_library(const struct cli *cli, int rc);
int cli_status_of(int rc);

/* "no such key", telling absent from not held here by what a read reported. Returns CLI_NO_KEY. */
int cli_no_key(const struct cli *cli, struct hf_slice key, const struct hf_result *result);

/* A sentence that is no failure, on standard error. */
void cli_note(const struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- input and output ---- */

/* At most `size` bytes of the input: how many, 0 at the end, or a negative errno. */
ssize_t cli_read(struct cli *cli, void *buffer, size_t size);

/* What a callback returns to end a listing early, and the listing then returns; no hf_code. */
#define CLI_ENOUGH 1000

/* Flush, check and close the output. `status`, or CLI_STORE when a success was not written. */
int cli_finish_output(struct cli *cli, int status);

/* Milliseconds on a clock that is never set. */
int64_t cli_now_ms(void);

/* "1 entry", "2 entries": the word that fits the number. */
static inline const char *cli_plural(uint64_t n, const char *one, const char *many)
{
    return n == 1 ? one : many;
}

static inline struct hf_slice cli_slice(const char *text)
{
    return (struct hf_slice){.data = text, .len = strlen(text)};
}

/* ---- commands ---- */

/* Run what the arguments behind the program's name say. Its status, or CLI_ELSEWHERE: then nothing was done or said. */
int cli_run(struct cli *cli, int argc, char **argv);

int cli_cmd_set(struct cli *cli, int argc, char **argv);
int cli_cmd_get(struct cli *cli, int argc, char **argv);
int cli_cmd_del(struct cli *cli, int argc, char **argv);
int cli_cmd_incr(struct cli *cli, int argc, char **argv);
int cli_cmd_ttl(struct cli *cli, int argc, char **argv);
int cli_cmd_expire(struct cli *cli, int argc, char **argv);
int cli_cmd_persist(struct cli *cli, int argc, char **argv);
int cli_cmd_scan(struct cli *cli, int argc, char **argv);
int cli_cmd_import(struct cli *cli, int argc, char **argv);
int cli_cmd_export(struct cli *cli, int argc, char **argv);
int cli_cmd_status(struct cli *cli, int argc, char **argv);
int cli_cmd_journal(struct cli *cli, int argc, char **argv);
int cli_cmd_reconcile(struct cli *cli, int argc, char **argv);
int cli_cmd_conflicts(struct cli *cli, int argc, char **argv);
int cli_cmd_parked(struct cli *cli, int argc, char **argv);
int cli_cmd_explain(struct cli *cli, int argc, char **argv);
int cli_cmd_verify(struct cli *cli, int argc, char **argv);
int cli_cmd_pause(struct cli *cli, int argc, char **argv);
int cli_cmd_resume(struct cli *cli, int argc, char **argv);
int cli_cmd_throttle(struct cli *cli, int argc, char **argv);
int cli_cmd_doctor(struct cli *cli, int argc, char **argv);
int cli_cmd_audit(struct cli *cli, int argc, char **argv);

/* What --help says of each behind its usage. */
extern const char cli_cmd_set_help[];
extern const char cli_cmd_get_help[];
extern const char cli_cmd_del_help[];
extern const char cli_cmd_incr_help[];
extern const char cli_cmd_ttl_help[];
extern const char cli_cmd_expire_help[];
extern const char cli_cmd_persist_help[];
extern const char cli_cmd_scan_help[];
extern const char cli_cmd_import_help[];
extern const char cli_cmd_export_help[];
extern const char cli_cmd_status_help[];
extern const char cli_cmd_journal_help[];
extern const char cli_cmd_reconcile_help[];
extern const char cli_cmd_conflicts_help[];
extern const char cli_cmd_parked_help[];
extern const char cli_cmd_explain_help[];
extern const char cli_cmd_verify_help[];
extern const char cli_cmd_pause_help[];
extern const char cli_cmd_resume_help[];
extern const char cli_cmd_throttle_help[];
extern const char cli_cmd_doctor_help[];
extern const char cli_cmd_audit_help[];

#endif
