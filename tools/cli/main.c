/* The `holdfast` tool: the table of commands, help, and the way in and out. */
#include "cli.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static const struct cli_command commands[] = {
    {"set", cmd_set, CLI_CREATES, "KEY VALUE [--ttl DURATION]", "store a value; '-' reads it from standard input",
     cmd_set_help},
    {"get", cmd_get, CLI_READS_SHARED, "KEY [--meta]", "print a value, byte for byte", cmd_get_help},
    {"del", cmd_del, CLI_CHANGES, "KEY...", "remove keys", cmd_del_help},
    {"incr", cmd_incr, CLI_CREATES, "KEY [N]", "add N (1) to a counter and print the new value", cmd_incr_help},
    {"ttl", cmd_ttl, CLI_READS_SHARED, "KEY", "print the remaining life in milliseconds, or 'none'", cmd_ttl_help},
    {"expire", cmd_expire, CLI_CHANGES, "KEY DURATION", "set the remaining life", cmd_expire_help},
    {"persist", cmd_persist, CLI_CHANGES, "KEY", "take the TTL away", cmd_persist_help},
    {"scan", cmd_scan, CLI_READS, "[PREFIX] [--limit N] [--values]", "list the keys held here, in order",
     cmd_scan_help},
    {"import", cmd_import, CLI_CREATES, "FILE|- [--on-error stop|skip] [--acks]", "store records from JSON lines",
     cmd_import_help},
    {"export", cmd_export, CLI_READS, "[PREFIX]", "print records as JSON lines", cmd_export_help},
    {"status", cmd_status, CLI_READS, "", "print what is known about the store", cmd_status_help},
    {"explain", cmd_explain, CLI_ASKS, "KEY", "what each tier holds of a key, since when, and why",
     cmd_explain_help},
    {"verify", cmd_verify, CLI_LOOKS, "[--sample N]", "compare what is held here with Redis", cmd_verify_help},
    {"reconcile", cmd_reconcile, CLI_OWNS,
     "[--timeout DURATION] [--dry-run [--limit N]]\n       holdfast reconcile --on-loss reseed|adopt "
     "[--namespace PREFIX] [--timeout DURATION]",
     "after an outage: connect, replay what is pending, report", cmd_reconcile_help},
    {"conflicts", cmd_conflicts, CLI_READS,
     "list [--key KEY] [--limit N]\n       holdfast conflicts show ID\n       holdfast conflicts resolve "
     "ID...|--all --yes\n       holdfast conflicts restore ID",
     "list, show, resolve and restore what lost a conflict", cmd_conflicts_help},
    {"parked", cmd_parked, CLI_READS,
     "list\n       holdfast parked show LSN\n       holdfast parked requeue LSN...|--all\n"
     "       holdfast parked drop LSN...|--all --yes",
     "list, show, requeue and drop what Redis refused or is in doubt", cmd_parked_help},
    {"pause", cmd_pause, CLI_READS, "", "stop sending to Redis; reads and writes here go on", cmd_pause_help},
    {"resume", cmd_resume, CLI_READS, "", "go on sending to Redis", cmd_resume_help},
    {"throttle", cmd_throttle, CLI_READS, "[--ops N] [--bytes SIZE]", "bound the replay, or print its bounds",
     cmd_throttle_help},
    {"doctor", cmd_doctor, CLI_ASKS, "", "examine machine, store and server, and say what to do", cmd_doctor_help},
    {"audit", cmd_audit, CLI_READS, "", "print what operators did that destroys or overrules", cmd_audit_help},
    {"journal", cmd_journal, CLI_NO_STORE, "list|verify", "list or examine the journal's segments",
     cmd_journal_help},
    {0},
};

/* ---- help ---- */

static int help(FILE *file, int status)
{
    fputs("usage: holdfast [--dir DIR] [--redis ADDRESS] [--config FILE] [--json] COMMAND [ARGUMENT...]\n"
          "\n"
          "Commands:\n",
          file);
    for (const struct cli_command *c = commands; c->name; c++)
        fprintf(file, "  %-10s %s\n", c->name, c->help);
    fputs("\n"
          "Options, before or after the command:\n"
          "  --dir DIR        the store's directory (or HOLDFAST_DIR)\n"
          "  --redis ADDRESS  the shared tier (or HOLDFAST_REDIS), such as redis://host:6379/0 or unix:///path\n"
          "  --config FILE    a JSON configuration file\n"
          "  --json           print JSON\n"
          "  --help           this text; behind a command, that command's\n"
          "  --version        the version\n"
          "\n"
          "Exit status: 0 done, 1 conflicts, differences or problems were found, 2 parked or in doubt,\n"
          "3 shared tier unreachable, 4 usage or configuration, 5 the store, 6 no such key or entry.\n"
          "'holdfast COMMAND --help' explains a command's arguments; 'man holdfast' has the details.\n",
          file);
    return status;
}

static int help_command(const struct cli_command *command)
{
    printf("usage: holdfast %s%s%s\n\n%s: %s\n\n%s", command->name, *command->arguments ? " " : "",
           command->arguments, command->name, command->help, command->details);
    puts("\n  Options of every command, such as --dir and --json: 'holdfast --help'.");
    return CLI_OK;
}

static bool asks_for_help(const char *argument)
{
    return strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0;
}

/* --help anywhere before "--". */
static bool help_is_among(int argc, char **argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (asks_for_help(argv[i]))
            return true;
    }
    return false;
}

/* ---- the way in and out ---- */

/* A closed descriptor must not become a file of the store: take its number with one on which every use fails. */
static void occupy_standard_descriptors(void)
{
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) == -1)
            (void)open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
    }
}

static const struct cli_command *find_command(const char *name)
{
    const struct cli_command *c = commands;

    while (c->name && strcmp(c->name, name) != 0)
        c++;
    return c->name ? c : NULL;
}

static int run_command(struct cli *cli, int argc, char **argv)
{
    cli->command = find_command(argv[0]);
    if (!cli->command)
        return cli_fail(CLI_USAGE, "there is no command '%s'; 'holdfast --help' lists them", argv[0]);
    if (help_is_among(argc - 1, argv + 1))
        return help_command(cli->command);
    return cli->command->run(cli, argc - 1, argv + 1);
}

static int run(struct cli *cli, int argc, char **argv)
{
    int status = cli_global_options(cli, &argc, &argv);

    if (status != CLI_OK)
        return status;
    if (cli->version) {
        printf("holdfast %s\n", hf_version());
        return CLI_OK;
    }
    if (argc == 0)
        return help(stderr, CLI_USAGE);
    if (asks_for_help(argv[0]))
        return help(stdout, CLI_OK);
    return run_command(cli, argc, argv);
}

int main(int argc, char **argv)
{
    struct cli cli = {0};

    occupy_standard_descriptors();
    signal(SIGPIPE, SIG_IGN); /* a reader that goes away is an error of writing, reported as one */
    return cli_finish_output(cli_close(&cli, run(&cli, argc - 1, argv + 1)));
}
