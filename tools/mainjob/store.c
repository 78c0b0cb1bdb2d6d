/* The job's own use of its store and of the tool. */
#include "store.h"

#include "story.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define TOOL_MS 60000
#define ARGUMENTS_MAX 12

struct hf *store_open(const struct job *job, const char *address, const char *why)
{
    struct hf_options options = {.redis = address};
    int64_t start_ms = story_clock_ms();
    struct hf *store = NULL;

    if (hf_open(job->store, &options, &store) != 0) {
        story_wrong("opening the store: %s", hf_errmsg());
        return NULL;
    }
    story_say("   opened the store %s (%" PRId64 " ms)", why, story_clock_ms() - start_ms);
    return store;
}

struct hf *store_open_reader(const struct job *job)
{
    struct hf_options options = {.read_only = true};
    struct hf *store = NULL;

    if (hf_open(job->store, &options, &store) != 0)
        story_wrong("opening the store for reading: %s", hf_errmsg());
    return store;
}

int store_close(struct hf *store)
{
    return hf_close(store) == 0 ? 0 : story_wrong("closing the store: %s", hf_errmsg());
}

static void retell(int fd)
{
    FILE *file = fdopen(dup(fd), "r");
    char line[1024];

    if (!file)
        return;
    while (fgets(line, sizeof(line), file))
        printf("      %s", line);
    fflush(stdout);
    fclose(file);
}

int store_run_tool(const struct job *job, ...)
{
    char *argv[ARGUMENTS_MAX + 4] = {(char *)job->holdfast, "--dir", (char *)job->store};
    struct child tool;
    va_list args;
    int n = 3;

    va_start(args, job);
    do
        argv[n] = va_arg(args, char *);
    while (argv[n++] && n < ARGUMENTS_MAX + 3);
    va_end(args);
    if (child_start(&tool, argv, false, true) != 0)
        return -1;
    retell(tool.output);
    return child_wait(&tool, TOOL_MS);
}
