/* Sentences on standard error, and exit statuses. */
#include "cli.h"

#include "show.h"

#include <errno.h>
#include <stdarg.h>
#include <time.h>

#define SENTENCE_MAX 8192 /* a whole key and more */

static void say(FILE *file, const char *format, va_list args) __attribute__((format(printf, 2, 0)));

static void say(FILE *file, const char *format, va_list args)
{
    char sentence[SENTENCE_MAX];

    vsnprintf(sentence, sizeof(sentence), format, args);
    fputs("holdfast: ", file);
    cli_put_visible(file, cli_slice(sentence));
    fputc('\n', file);
}

int cli_fail(const struct cli *cli, int status, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say(cli->err, format, args);
    va_end(args);
    return status;
}

void cli_note(const struct cli *cli, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say(cli->err, format, args);
    va_end(args);
}

int cli_status_of(int rc)
{
    switch (rc) {
    case HF_OK: return CLI_OK;
    case HF_NOT_FOUND: return CLI_NO_KEY;
    case HF_EINVAL:
    case HF_ECONFIG:
    case HF_ENOTINT:
    case HF_EWRONGTYPE: return CLI_USAGE;
    case HF_EOFFLINE:
    case HF_ETIMEOUT:
    case HF_EAUTH: return CLI_OFFLINE;
    case HF_EREFUSED:
    case HF_EINDOUBT: return CLI_PARKED;
    default: return CLI_STORE;
    }
}

int cli_fail_library(const struct cli *cli, int rc)
{
    return cli_fail(cli, cli_status_of(rc), "%s", *hf_errmsg() ? hf_errmsg() : hf_code_text(rc));
}

int cli_no_key(const struct cli *cli, struct hf_slice key, const struct hf_result *result)
{
    bool unasked = result->origin == HF_ORIGIN_NONE;

    return cli_fail(cli, CLI_NO_KEY, "%s: %.*s",
                    unasked ? "not held here, and Redis did not answer" : "no such key", (int)key.len,
                    (const char *)key.data);
}

int cli_finish_output(struct cli *cli, int status)
{
    bool failed = ferror(cli->out);

    errno = 0;
    failed |= fflush(cli->out) != 0;
    failed |= fclose(cli->out) != 0;
    if (failed && status == CLI_OK)
        return cli_fail(cli, CLI_STORE, "cannot write to standard output%s%s", errno ? ": " : "",
                        errno ? strerror(errno) : "");
    return status;
}

int64_t cli_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
