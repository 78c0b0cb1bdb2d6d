/* holdfast import FILE|- [--on-error stop|skip] [--acks]
 *
 * Lines are parsed and submitted asynchronously, at most WINDOW of them at a time, so that they share syncs and groups.
 * Completions run on the library's thread, which must not be kept waiting by whoever reads the output: it only hands over, and
 * what completed is counted and told between two lines. */
#include "cli.h"
#include "input.h"
#include "json.h"
#include "progress.h"
#include "record.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>

const char cli_cmd_import_help[] =
    "  FILE|-             a file of JSON lines, or standard input: key or key_b64, value or value_b64, and "
    "perhaps\n"
    "                     expires_at_ms or ttl_ms in each\n"
    "  --on-error stop|skip\n"
    "                     at a line that cannot be used: stop (the default), or go on with the next; status 4 in "
    "both\n"
    "                     cases\n"
    "  --acks             print each key, as a JSON string on a line, once its record is as durable as the store\n"
    "                     promises; the report goes to standard error\n"
    "\n"
    "  Makes the store when there is none.\n";

#include "utf8.h"

#define WINDOW 512          /* in flight; twice the group at which Redis is within a third of its plain speed */
#define ACKS_FLUSH_EVERY 64 /* and whenever nothing is in flight */

struct counts {
    uint64_t stored, pending, expired, parked, failed;
};

struct import {
    struct cli *cli;
    const char *name; /* of the input, for sentences */
    bool skip, acks;
    int64_t started_ms;
    struct cli_progress progress;

    unsigned in_flight, unflushed;
    struct counts counts;
    int status; /* of the first failure */
    bool stop;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t some_done;
    struct submission *done, **done_end; /* completed, and not counted yet */
};

/* A line under way. */
struct submission {
    struct import *import;
    struct submission *next;
    uint64_t line;
    int code; /* when it has completed, and the next two with it */
    bool pending;
    char *error;
    size_t key_len;
    char key[]; /* for --acks */
};

/* ---- failures ---- */

/* A line that cannot be used is skipped if told so; what ails the store ends the import. */
static void fail_line(struct import *import, uint64_t line, int status, const char *problem)
{
    cli_fail(import->cli, status, "%s: line %" PRIu64 ": %s", import->name, line, problem);
    import->counts.failed++;
    if (import->status == CLI_OK)
        import->status = status;
    if (!import->skip || status != CLI_USAGE)
        import->stop = true;
}

/* ---- completions ---- */

static void print_ack(struct import *import, const struct submission *submission)
{
    struct hf_slice key = {submission->key, submission->key_len};
    struct cli_json json = {.file = import->cli->out};

    if (cli_is_text(key)) {
        cli_json_string(json.file, key);
        putc('\n', json.file);
    } else {
        cli_json_begin(&json, NULL);
        cli_json_bytes(&json, "key", key);
        cli_json_end_line(&json);
    }
    import->unflushed++;
}

static void count(struct import *import, const struct submission *submission)
{
    switch (submission->code) {
    case HF_OK:
        import->counts.stored++;
        import->counts.pending += submission->pending;
        break;
    case HF_NOT_FOUND: /* dead before it arrived, and nothing was there */ import->counts.expired++; break;
    case HF_EREFUSED: /* stored here */
    case HF_EINDOUBT: import->counts.parked++; break;
    default:
        fail_line(import, submission->line, cli_status_of(submission->code),
                  submission->error && *submission->error ? submission->error : hf_code_text(submission->code));
        return;
    }
    if (import->acks)
        print_ack(import, submission);
}

static void free_submission(struct submission *submission)
{
    free(submission->error);
    free(submission);
}

/* On the library's thread: without memory for the sentence, the code's text has to do. */
static void completed(void *ctx, const struct hf_result *result)
{
    struct submission *submission = ctx;
    struct import *import = submission->import;

    submission->code = result->code;
    submission->pending = result->pending;
    submission->error = result->code < 0 && result->error ? strdup(result->error) : NULL;
    pthread_mutex_lock(&import->lock);
    *import->done_end = submission;
    import->done_end = &submission->next;
    pthread_cond_signal(&import->some_done);
    pthread_mutex_unlock(&import->lock);
}

/* What has completed; waits for the first one if told so. */
static struct submission *take_done(struct import *import, bool wait)
{
    struct submission *done;

    pthread_mutex_lock(&import->lock);
    while (wait && !import->done)
        pthread_cond_wait(&import->some_done, &import->lock);
    done = import->done;
    import->done = NULL;
    import->done_end = &import->done;
    pthread_mutex_unlock(&import->lock);
    return done;
}

static void settle_done(struct import *import, bool wait)
{
    struct submission *next;

    for (struct submission *done = take_done(import, wait); done; done = next) {
        next = done->next;
        count(import, done);
        import->in_flight--;
        free_submission(done);
    }
    if (import->unflushed >= ACKS_FLUSH_EVERY || (import->unflushed > 0 && import->in_flight == 0)) {
        fflush(import->cli->out);
        import->unflushed = 0;
    }
}

/* Wait until fewer than `limit` are in flight. False when the import is to stop. */
static bool wait_below(struct import *import, unsigned limit)
{
    settle_done(import, false);
    while (import->in_flight >= limit)
        settle_done(import, true);
    return !import->stop;
}

/* ---- submitting ---- */

static struct submission *new_submission(struct import *import, uint64_t line, struct hf_slice key)
{
    struct submission *submission = malloc(sizeof(*submission) + key.len);

    if (!submission)
        return NULL;
    *submission = (struct submission){.import = import, .line = line, .key_len = key.len};
    memcpy(submission->key, key.data, key.len);
    return submission;
}

/* A full queue is waited for: a completion makes room, and with none of ours under way a moment has to. */
static int submit_patiently(struct import *import, const struct hf_op *op, struct submission *submission)
{
    int rc;

    for (;;) {
        rc = hf_submit(import->cli->store, op, completed, submission);
        if (rc == 0)
            import->in_flight++;
        if (rc != HF_EBUSY)
            return rc;
        if (!wait_below(import, 1) || !cli_is_wanted(import->cli))
            return HF_EBUSY;
        (void)poll(NULL, 0, 1);
    }
}

static void submit(struct import *import, uint64_t line, const struct cli_record *record)
{
    struct hf_op op = {
        .kind = HF_OP_SET,
        .key = record->key,
        .value = record->value,
        .set = {.ttl_ms = record->ttl_ms, .deadline_ms = record->deadline_ms},
    };
    struct submission *submission = new_submission(import, line, record->key);
    int rc;

    if (!submission) {
        fail_line(import, line, CLI_STORE, "out of memory");
        return;
    }
    rc = submit_patiently(import, &op, submission);
    if (rc == 0)
        return;
    submission->code = rc;
    submission->error = strdup(hf_errmsg());
    count(import, submission);
    free_submission(submission);
}

static void import_line(struct import *import, uint64_t number, const char *line, size_t len)
{
    struct cli_record record;
    char problem[256];

    if (strspn(line, " \t\r") == len)
        return;
    if (!cli_record_parse(line, len, &record, problem, sizeof(problem))) {
        fail_line(import, number, CLI_USAGE, problem);
        return;
    }
    submit(import, number, &record);
    cli_record_release(&record);
}

/* ---- the whole ---- */

/* Before the input is waited for, everything is told that was submitted: whoever writes the lines may wait for that. */
static void import_lines(struct import *import)
{
    struct cli_lines lines = {.cli = import->cli};
    size_t len;
    char *line;
    int rc = 0;

    while (wait_below(import, cli_lines_ready(&lines) ? WINDOW : 1) &&
           (rc = cli_lines_next(&lines, &line, &len)) == 0) {
        import_line(import, lines.line, line, len);
        cli_progress_at(&import->progress, lines.line, lines.bytes, import->cli->input_bytes);
    }
    if (rc < 0) {
        import->skip = false;
        fail_line(import, lines.line + 1, CLI_USAGE, rc == -EFBIG ? "the line is too long" : strerror(-rc));
    }
    (void)wait_below(import, 1);
    cli_lines_release(&lines);
}

static void report_json(const struct import *import)
{
    struct cli_json json = {.file = import->cli->out};

    cli_json_begin(&json, NULL);
    cli_json_uint(&json, "stored", import->counts.stored);
    cli_json_uint(&json, "pending", import->counts.pending);
    cli_json_uint(&json, "expired", import->counts.expired);
    cli_json_uint(&json, "parked", import->counts.parked);
    cli_json_uint(&json, "failed", import->counts.failed);
    cli_json_int(&json, "ms", cli_now_ms() - import->started_ms);
    cli_json_end_line(&json);
}

static void print_count(FILE *file, uint64_t n, const char *what)
{
    if (n > 0)
        fprintf(file, ", %" PRIu64 " %s", n, what);
}

/* Beside acknowledgements the report goes to standard error. */
static void report(const struct import *import)
{
    FILE *file = import->acks ? import->cli->err : import->cli->out;

    if (import->cli->json) {
        report_json(import);
        return;
    }
    fprintf(file, "%" PRIu64 " %s stored", import->counts.stored,
            import->counts.stored == 1 ? "record" : "records");
    print_count(file, import->counts.pending, "of them pending");
    print_count(file, import->counts.expired, "expired before they arrived");
    print_count(file, import->counts.parked, "refused by the shared tier and parked");
    print_count(file, import->counts.failed, "not stored");
    fprintf(file, " (%" PRId64 " ms)\n", cli_now_ms() - import->started_ms);
}

static int run(struct import *import)
{
    int status = cli_open(import->cli);

    if (status != CLI_OK)
        return status;
    import->started_ms = cli_now_ms();
    cli_progress_begin(&import->progress, import->cli, "import");
    import_lines(import);
    cli_progress_end(&import->progress);
    report(import);
    if (import->status == CLI_OK && import->counts.parked > 0)
        return CLI_PARKED;
    return import->status;
}

static int parse_on_error(const struct cli *cli, const char *text, bool *ret_skip)
{
    if (text && strcmp(text, "stop") != 0 && strcmp(text, "skip") != 0)
        return cli_fail(cli, CLI_USAGE, "--on-error: found \"%s\", expected stop or skip", text);
    *ret_skip = text && strcmp(text, "skip") == 0;
    return CLI_OK;
}

int cli_cmd_import(struct cli *cli, int argc, char **argv)
{
    struct import import = {.cli = cli,
                            .lock = PTHREAD_MUTEX_INITIALIZER,
                            .some_done = PTHREAD_COND_INITIALIZER,
                            .done_end = &import.done};
    const char *on_error = NULL;
    const struct cli_option options[] = {
        {.name = "--on-error", .text = &on_error}, {.name = "--acks", .flag = &import.acks}, {0}};
    int status = cli_arguments(cli, &argc, argv, options, 1, 1);

    if (status == CLI_OK)
        status = parse_on_error(cli, on_error, &import.skip);
    if (status == CLI_OK)
        status = cli_input_open(cli, argv[0]); /* first: a mistyped name must not leave an empty store behind */
    if (status != CLI_OK)
        return status;
    import.name = strcmp(argv[0], "-") == 0 ? "standard input" : argv[0];
    return run(&import);
}
