/* The table of commands, help, and running what the arguments say. */
#include "cli.h"

static const struct cli_command commands[] = {
    {"set", cli_cmd_set, CLI_CREATES, "KEY VALUE [--ttl DURATION]",
     "store a value; '-' reads it from standard input", cli_cmd_set_help},
    {"get", cli_cmd_get, CLI_READS_SHARED, "KEY [--meta]", "print a value, byte for byte", cli_cmd_get_help},
    {"del", cli_cmd_del, CLI_CHANGES, "KEY...", "remove keys", cli_cmd_del_help},
    {"incr", cli_cmd_incr, CLI_CREATES, "KEY [N]", "add N (1) to a counter and print the new value",
     cli_cmd_incr_help},
    {"ttl", cli_cmd_ttl, CLI_READS_SHARED, "KEY", "print the remaining life in milliseconds, or 'none'",
     cli_cmd_ttl_help},
    {"expire", cli_cmd_expire, CLI_CHANGES, "KEY DURATION", "set the remaining life", cli_cmd_expire_help},
    {"persist", cli_cmd_persist, CLI_CHANGES, "KEY", "take the TTL away", cli_cmd_persist_help},
    {"scan", cli_cmd_scan, CLI_READS, "[PREFIX] [--limit N] [--values]", "list the keys held here, in order",
     cli_cmd_scan_help},
    {"import", cli_cmd_import, CLI_CREATES, "FILE|- [--on-error stop|skip] [--acks]",
     "store records from JSON lines", cli_cmd_import_help},
    {"export", cli_cmd_export, CLI_READS, "[PREFIX]", "print records as JSON lines", cli_cmd_export_help},
    {"status", cli_cmd_status, CLI_READS_LIVE, "", "print what is known about the store", cli_cmd_status_help},
    {"explain", cli_cmd_explain, CLI_ASKS, "KEY", "what each tier holds of a key, since when, and why",
     cli_cmd_explain_help},
    {"verify", cli_cmd_verify, CLI_LOOKS, "[--sample N]", "compare what is held here with Redis",
     cli_cmd_verify_help},
    {"reconcile", cli_cmd_reconcile, CLI_OWNS,
     "[--timeout DURATION] [--dry-run [--limit N]]\n       holdfast reconcile --on-loss reseed|adopt "
     "[--namespace PREFIX] [--timeout DURATION]\n       holdfast reconcile --new-node [--timeout DURATION]",
     "after an outage: connect, replay what is pending, report", cli_cmd_reconcile_help},
    {"conflicts", cli_cmd_conflicts, CLI_READS_LIVE,
     "list [--key KEY] [--limit N]\n       holdfast conflicts show ID\n       holdfast conflicts resolve "
     "ID...|--all --yes\n       holdfast conflicts restore ID",
     "list, show, resolve and restore what lost a conflict", cli_cmd_conflicts_help},
    {"parked", cli_cmd_parked, CLI_READS_LIVE,
     "list\n       holdfast parked show LSN\n       holdfast parked requeue LSN...|--all\n"
     "       holdfast parked drop LSN...|--all --yes",
     "list, show, requeue and drop what Redis refused or is in doubt", cli_cmd_parked_help},
    {"pause", cli_cmd_pause, CLI_STEERS, "", "stop sending to Redis; reads and writes here go on",
     cli_cmd_pause_help},
    {"resume", cli_cmd_resume, CLI_STEERS, "", "go on sending to Redis", cli_cmd_resume_help},
    {"throttle", cli_cmd_throttle, CLI_STEERS, "[--ops N] [--bytes SIZE]", "bound the replay, or print its bounds",
     cli_cmd_throttle_help},
    {"doctor", cli_cmd_doctor, CLI_ASKS, "", "examine machine, store and server, and say what to do",
     cli_cmd_doctor_help},
    {"audit", cli_cmd_audit, CLI_READS, "", "print what operators did that destroys or overrules",
     cli_cmd_audit_help},
    {"journal", cli_cmd_journal, CLI_NO_STORE, "list|verify", "list or examine the journal's segments",
     cli_cmd_journal_help},
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
          "A command that has to own the store is run by the sidecar (holdfastd) that owns it, if one does.\n"
          "Exit status: 0 done, 1 conflicts, differences or problems were found, 2 parked or in doubt,\n"
          "3 shared tier unreachable, 4 usage or configuration, 5 the store, 6 no such key or entry.\n"
          "'holdfast COMMAND --help' explains a command's arguments; 'man holdfast' has the details.\n",
          file);
    return status;
}

static int help_command(const struct cli *cli)
{
    const struct cli_command *command = cli->command;

    fprintf(cli->out, "usage: holdfast %s%s%s\n\n%s: %s\n\n%s", command->name, *command->arguments ? " " : "",
            command->arguments, command->name, command->help, command->details);
    fputs("\n  Options of every command, such as --dir and --json: 'holdfast --help'.\n", cli->out);
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

/* ---- running ---- */

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
        return cli_fail(cli, CLI_USAGE, "there is no command '%s'; 'holdfast --help' lists them", argv[0]);
    if (help_is_among(argc - 1, argv + 1))
        return help_command(cli);
    return cli->command->run(cli, argc - 1, argv + 1);
}

int cli_run(struct cli *cli, int argc, char **argv)
{
    int status = cli_global_options(cli, &argc, &argv);

    if (status != CLI_OK)
        return status;
    if (cli->version) {
        fprintf(cli->out, "holdfast %s\n", hf_version());
        return CLI_OK;
    }
    if (argc == 0)
        return help(cli->err, CLI_USAGE);
    if (asks_for_help(argv[0]))
        return help(cli->out, CLI_OK);
    return run_command(cli, argc, argv);
}
