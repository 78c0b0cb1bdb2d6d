/* Step 2: a private redis-server; everything is shared, and new writes are shared when they return. */
#include "apply.h"
#include "check.h"
#include "steps.h"
#include "store.h"
#include "story.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DRAIN_MS 30000
#define TOOL_MS 10000

static int share(const struct job *job, struct hf *store)
{
    int64_t start_ms = story_clock_ms();

    if (hf_drain(store, DRAIN_MS) != 0)
        return story_wrong("sharing what the store holds: %s", hf_errmsg());
    story_say("   shared what the store held (%" PRId64 " ms)", story_clock_ms() - start_ms);
    check_redis(&job->server, &job->model);
    story_claim("   %zu plain keys and no others are in Redis, byte for byte, deadlines within %d ms",
                model_count_live(&job->model, story_unix_ms()), CHECK_TOLERANCE_MS);
    return 0;
}

/* ---- what any client sees ---- */

static int read_answer(const struct child *client, char *text, size_t size)
{
    FILE *file = fdopen(dup(client->output), "r");
    size_t len = file ? fread(text, 1, size - 1, file) : 0;

    text[len] = '\0';
    if (file)
        fclose(file);
    return len > 0 && text[len - 1] == '\n' ? 0 : -1;
}

static int ask_with_redis_cli(struct job *job)
{
    const struct record *record = &job->records.all[0];
    char *argv[] = {"redis-cli", "-s", job->server.socket, "--raw", "GET", record->key, NULL};
    struct child client;
    char text[4096];
    int rc;

    if (child_start(&client, argv, false, true) != 0)
        return -1;
    rc = read_answer(&client, text, sizeof(text));
    if (child_wait(&client, TOOL_MS) != 0 || rc != 0)
        return story_wrong("redis-cli GET %s did not answer", record->key);
    text[strlen(text) - 1] = '\0';
    if (strcmp(text, record->value) != 0)
        return story_wrong("redis-cli GET %s gives another value", record->key);
    story_say("   redis-cli GET %s: %s", record->key, text);
    return 0;
}

/* ---- writing with Redis there ---- */

struct live {
    struct job *job;
    const struct plan *plan;
    size_t n_shared, n_pending; /* written by the completion thread, read when all have completed */
};

static void count_done(void *ctx, size_t number, const struct hf_result *result)
{
    struct live *live = ctx;

    live->n_shared += result->shared;
    live->n_pending += result->pending;
    if (result->code != 0)
        story_wrong("%s: %s", live->plan->ops[number].key, result->error ? result->error : "not done");
    model_apply(&live->job->model, &live->plan->ops[number]);
}

static int write_live(struct job *job, struct hf *store, const struct plan *plan)
{
    struct live live = {.job = job, .plan = plan};
    struct apply_hooks hooks = {.done = count_done, .ctx = &live};
    size_t *numbers = calloc(plan->n, sizeof(*numbers));
    int64_t start_ms = story_clock_ms();
    int rc;

    if (!numbers)
        return story_wrong("out of memory");
    for (size_t i = 0; i < plan->n; i++)
        numbers[i] = i;
    rc = apply(store, plan, numbers, plan->n, &hooks);
    free(numbers);
    if (rc == 0 && live.n_shared != plan->n)
        story_wrong("%zu of %zu writes came back unshared, %zu of them pending", plan->n - live.n_shared, plan->n,
                    live.n_pending);
    story_claim("   %zu writes and increments, each shared when it returned (%" PRId64 " ms)", plan->n,
                story_clock_ms() - start_ms);
    return rc;
}

static int work_online(struct job *job, struct hf *store, const struct plan *plan)
{
    int rc = share(job, store);

    if (rc == 0)
        rc = ask_with_redis_cli(job);
    if (rc == 0)
        rc = write_live(job, store, plan);
    if (rc != 0)
        return rc;
    check_store(store, &job->model);
    check_redis(&job->server, &job->model);
    return 0;
}

int step_online(struct job *job)
{
    struct plan plan = {0};
    struct hf *store;
    int rc;

    story_say("2. Online: a private redis-server at %s", job->server.address);
    rc = server_start(&job->server);
    if (rc == 0)
        rc = plan_make(PLAN_ONLINE, &job->records, story_unix_ms(), &plan);
    if (rc != 0)
        return rc;
    store = store_open(job, job->server.address, "with Redis");
    rc = store ? work_online(job, store, &plan) : -1;
    if (store_close(store) != 0)
        rc = -1;
    plan_release(&plan);
    return rc;
}
