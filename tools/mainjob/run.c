/* A plan that is carried out by programs which are killed. */
#include "run.h"

#include "check.h"
#include "story.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WRITER_MS 60000

int run_init(struct run *run, enum plan_part part, const struct records *records, int64_t start_ms)
{
    *run = (struct run){.part = part, .start_ms = start_ms};
    if (plan_make(part, records, start_ms, &run->plan) != 0)
        return -1;
    run->states = calloc(run->plan.n, sizeof(*run->states));
    return run->states ? 0 : story_wrong("out of memory");
}

void run_release(struct run *run)
{
    plan_release(&run->plan);
    free(run->states);
    *run = (struct run){0};
}

void run_acked(struct run *run, size_t number)
{
    run->n_acked += run->states[number] != RUN_ACKED;
    run->states[number] = RUN_ACKED;
}

/* ---- a writer ---- */

static bool is_to_do(const struct run *run, size_t number)
{
    return run->states[number] == RUN_UNSENT;
}

static int send_numbers(const struct run *run, const struct child *writer)
{
    FILE *file = fdopen(dup(writer->input), "w");

    if (!file)
        return story_wrong("out of memory");
    for (size_t i = 0; i < run->plan.n; i++) {
        if (is_to_do(run, i))
            fprintf(file, "%zu\n", i);
    }
    return fclose(file) == 0 ? 0 : story_wrong("the writer did not take its orders");
}

/* A line of the writer's (writer.h). */
static int take_line(struct run *run, const char *line)
{
    char *end;
    size_t number = strtoul(line + 1, &end, 10);

    if ((*line != '+' && *line != '=') || *end != '\n' || number >= run->plan.n)
        return story_wrong("the writer says: %.*s", (int)strcspn(line, "\n"), line);
    if (*line == '=')
        run_acked(run, number);
    else
        run->states[number] = RUN_BEGUN;
    return 0;
}

/* Read what the writer reports until it ends, killing it on the way if asked to. */
static int follow(struct run *run, const struct child *writer, size_t kill_after)
{
    FILE *file = fdopen(dup(writer->output), "r");
    size_t kill_at = run->n_acked + kill_after;
    char line[1024];
    bool killed = false;
    int rc = 0;

    if (!file)
        return story_wrong("out of memory");
    while (rc == 0 && fgets(line, sizeof(line), file)) {
        rc = take_line(run, line);
        if (kill_after > 0 && !killed && run->n_acked >= kill_at) {
            child_signal(writer, SIGKILL);
            killed = true;
        }
    }
    fclose(file);
    return rc;
}

/* Increments that a dead writer had begun are not done again. */
static void count_unsure(struct run *run)
{
    run->n_unsure = 0;
    for (size_t i = 0; i < run->plan.n; i++)
        run->n_unsure += run->states[i] == RUN_BEGUN;
}

int run_writer(struct run *run, const char *self, const char *dir, const char *address, size_t kill_after)
{
    char part[8], start[32];
    char *argv[] = {(char *)self, "--writer", (char *)dir, (char *)address, part, start, NULL};
    struct child writer;
    int rc, status, expected = kill_after > 0 ? 128 + SIGKILL : 0;

    snprintf(part, sizeof(part), "%d", (int)run->part);
    snprintf(start, sizeof(start), "%" PRId64, run->start_ms);
    rc = child_start(&writer, argv, true, true);
    if (rc != 0)
        return rc;
    rc = send_numbers(run, &writer);
    close(writer.input);
    writer.input = -1;
    if (rc == 0)
        rc = follow(run, &writer, kill_after);
    if (rc != 0)
        child_signal(&writer, SIGKILL);
    status = child_wait(&writer, WRITER_MS);
    count_unsure(run);
    if (rc == 0 && status != expected)
        return story_wrong("the writer ended with status %d, expected %d", status, expected);
    return rc;
}

/* ---- what must be true ---- */

/* An operation's effect on what the model has for its key. */
static void effect(const struct model *model, const struct plan_op *op, const char **value, int64_t *deadline_ms)
{
    const struct model_entry *entry = model_find(model, op->key, strlen(op->key));

    *value = op->kind == HF_OP_SET ? op->value : op->kind == HF_OP_DELETE || !entry ? NULL : entry->value;
    *deadline_ms = op->deadline_ms;
}

static void check_op(const struct run *run, struct hf *store, const struct model *model, size_t number)
{
    const struct plan_op *op = &run->plan.ops[number];
    const struct model_entry *entry = model_find(model, op->key, strlen(op->key));
    struct check_found found;
    struct hf_buf bytes = {0};
    const char *value;
    int64_t deadline_ms;
    bool fits;

    if (check_read(store, op->key, &bytes, &found) != 0)
        return;
    effect(model, op, &value, &deadline_ms);
    fits = check_fits(&found, value, deadline_ms, 0);
    if (run->states[number] != RUN_ACKED)
        fits |= check_fits(&found, entry ? entry->value : NULL, entry ? entry->deadline_ms : 0, 0);
    if (!fits)
        story_wrong("%s: %s after the kill, %s", op->key, found.live ? "neither old nor new" : "not there",
                    run->states[number] == RUN_ACKED ? "though it was acknowledged" : "not acknowledged");
    hf_buf_release(&bytes);
}

/* The sum of a counter's acknowledged increments, and of those whose outcome is not known. */
static void add_up(const struct run *run, const char *key, int64_t *ret_acked, int64_t *ret_unsure)
{
    *ret_acked = *ret_unsure = 0;
    for (size_t i = 0; i < run->plan.n; i++) {
        const struct plan_op *op = &run->plan.ops[i];
        if (op->kind != HF_OP_INCR || strcmp(op->key, key) != 0)
            continue;
        if (run->states[i] == RUN_ACKED)
            *ret_acked += op->delta;
        else if (run->states[i] == RUN_BEGUN)
            *ret_unsure += op->delta;
    }
}

/* What a counter holds, which must lie between what was acknowledged and what was begun. */
static int64_t check_counter(const struct run *run, struct hf *store, const struct model *model, const char *key)
{
    struct check_found found;
    struct hf_buf bytes = {0};
    int64_t acked, unsure, before = model_counter(model, key), now = 0;
    char text[32] = "";

    if (check_read(store, key, &bytes, &found) != 0)
        return before;
    if (found.live)
        snprintf(text, sizeof(text), "%.*s", (int)found.len, found.value);
    now = strtoll(text, NULL, 10);
    add_up(run, key, &acked, &unsure);
    if (now < before + acked || now > before + acked + unsure)
        story_wrong("%s: found %" PRId64 ", expected %" PRId64 " to %" PRId64, key, now, before + acked,
                    before + acked + unsure);
    hf_buf_release(&bytes);
    return now;
}

void run_check(const struct run *run, struct hf *store, const struct model *model)
{
    for (size_t i = 0; i < run->plan.n; i++) {
        if (run->plan.ops[i].kind == HF_OP_INCR)
            check_counter(run, store, model, run->plan.ops[i].key);
        else
            check_op(run, store, model, i);
    }
}

/* Every counter is looked at once, before the model has any of its increments. */
static int finish_counters(const struct run *run, struct hf *store, struct model *model)
{
    struct model done = {0};
    int rc = 0;

    for (size_t i = 0; i < run->plan.n && rc == 0; i++) {
        const char *key = run->plan.ops[i].key;
        if (run->plan.ops[i].kind != HF_OP_INCR || model_find(&done, key, strlen(key)))
            continue;
        rc = model_set_counter(&done, key, 1);
        if (rc == 0)
            rc = model_set_counter(model, key, check_counter(run, store, model, key));
    }
    model_release(&done);
    return rc;
}

int run_finish(const struct run *run, struct hf *store, struct model *model)
{
    int rc = finish_counters(run, store, model);

    for (size_t i = 0; i < run->plan.n && rc == 0; i++) {
        if (run->plan.ops[i].kind == HF_OP_INCR)
            continue;
        if (run->states[i] != RUN_ACKED)
            rc = story_wrong("%s: was never acknowledged", run->plan.ops[i].key);
        else
            rc = model_apply(model, &run->plan.ops[i]);
    }
    return rc;
}
