/* Step 1: import into a store without Redis, kill -9 in the middle, and look for what was acknowledged. */
#include "run.h"
#include "steps.h"
#include "store.h"
#include "story.h"

#include "check.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KILL_AFTER 5000
#define TOOL_MS 60000

/* ---- the file to import ---- */

static int print_line(FILE *file, const struct plan_op *op)
{
    cJSON *json = cJSON_CreateObject();
    char *line = NULL;

    cJSON_AddStringToObject(json, "key", op->key);
    cJSON_AddStringToObject(json, "value", op->value);
    if (op->deadline_ms != 0)
        cJSON_AddNumberToObject(json, "expires_at_ms", (double)op->deadline_ms);
    line = cJSON_PrintUnformatted(json);
    if (line)
        fprintf(file, "%s\n", line);
    cJSON_Delete(json);
    free(line);
    return line ? 0 : -1;
}

static int write_lines(const char *path, const struct plan *plan)
{
    FILE *file = fopen(path, "we");
    int rc = file ? 0 : -1;

    for (size_t i = 0; i < plan->n && rc == 0; i++)
        rc = print_line(file, &plan->ops[i]);
    if (file && fclose(file) != 0)
        rc = -1;
    return rc == 0 ? 0 : story_wrong("cannot write %s", path);
}

/* ---- the import that is killed ---- */

/* A line of `import --acks` is a key in quotes; these keys need no escapes. The kill may cut the last line. */
static void take_ack(struct run *run, const struct model *whole, const char *line)
{
    size_t len = strlen(line);
    const struct model_entry *entry;

    if (len < 3 || line[len - 1] != '\n')
        return;
    entry = model_find(whole, line + 1, len - 3);
    if (entry)
        run_acked(run, (size_t)(entry - whole->entries));
    else
        story_wrong("import acknowledges what it was not given: %s", line);
}

/* `whole`: everything that is imported, in the order of the plan. */
static int import_and_kill(struct job *job, const char *path, struct run *run, const struct model *whole)
{
    char *argv[] = {job->holdfast, "--dir", job->store, "import", "--acks", (char *)path, NULL};
    struct child tool;
    char line[1024];
    FILE *file;
    int status;

    if (child_start(&tool, argv, false, true) != 0)
        return -1;
    file = fdopen(dup(tool.output), "r");
    while (file && fgets(line, sizeof(line), file)) {
        take_ack(run, whole, line);
        if (run->n_acked == KILL_AFTER)
            child_signal(&tool, SIGKILL);
    }
    if (file)
        fclose(file);
    status = child_wait(&tool, TOOL_MS);
    if (status != 128 + SIGKILL)
        return story_wrong("the import ended with status %d before it was killed", status);
    story_say("   killed the import with SIGKILL: %zu of %zu records were acknowledged", run->n_acked, run->plan.n);
    return 0;
}

static int look_after_kill(struct job *job, const struct run *run)
{
    struct hf *store = store_open(job, NULL, "again");

    if (!store)
        return -1;
    run_check(run, store, &job->model);
    story_claim("   every acknowledged record is there, every other one is whole or absent");
    return store_close(store);
}

static int import_all(struct job *job, const char *path, struct run *run)
{
    struct hf *store;
    int status = store_run_tool(job, "import", path, NULL);

    if (status != 0)
        return story_wrong("holdfast import ended with status %d", status);
    for (size_t i = 0; i < run->plan.n; i++)
        run_acked(run, i);
    store = store_open_reader(job);
    if (!store || run_finish(run, store, &job->model) != 0) {
        hf_close(store);
        return -1;
    }
    check_store(store, &job->model);
    story_claim("   %zu records and no others are in the store, byte for byte, with their deadlines", job->model.n);
    return store_close(store);
}

static int carry_out(struct job *job, struct run *run)
{
    struct model whole = {0};
    char path[300];
    int rc = 0;

    snprintf(path, sizeof(path), "%s/records.jsonl", job->dir);
    for (size_t i = 0; i < run->plan.n && rc == 0; i++)
        rc = model_apply(&whole, &run->plan.ops[i]);
    if (rc == 0)
        rc = write_lines(path, &run->plan);
    if (rc == 0)
        rc = import_and_kill(job, path, run, &whole);
    if (rc == 0)
        rc = look_after_kill(job, run);
    if (rc == 0)
        rc = import_all(job, path, run);
    model_release(&whole);
    return rc;
}

int step_embedded(struct job *job)
{
    struct run run = {0};
    int rc;

    story_say("1. Embedded: a store without Redis, killed while it is written");
    rc = run_init(&run, PLAN_IMPORT, &job->records, story_unix_ms());
    if (rc == 0)
        rc = carry_out(job, &run);
    run_release(&run);
    return rc;
}
