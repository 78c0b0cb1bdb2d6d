/* A writing program that is killed. */
#include "writer.h"

#include "apply.h"
#include "story.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void tell(char mark, size_t number, const char *sentence)
{
    char line[600];
    int n = snprintf(line, sizeof(line), "%c%zu%s%.500s\n", mark, number, *sentence ? " " : "", sentence);

    if (write(STDOUT_FILENO, line, (size_t)n) != n)
        _exit(1); /* nobody is listening any more */
}

static void tell_begin(void *ctx, size_t number)
{
    const struct plan *plan = ctx;

    if (plan->ops[number].kind == HF_OP_INCR)
        tell('+', number, "");
}

static void tell_done(void *ctx, size_t number, const struct hf_result *result)
{
    (void)ctx;
    if (result->code >= 0)
        tell('=', number, "");
    else
        tell('!', number, result->error ? result->error : hf_code_text(result->code));
}

static size_t *read_numbers(const struct plan *plan, size_t *ret_n)
{
    size_t *numbers = calloc(plan->n, sizeof(*numbers)), n = 0;

    while (numbers && n < plan->n && scanf("%zu", &numbers[n]) == 1 && numbers[n] < plan->n)
        n++;
    *ret_n = n;
    return numbers;
}

static int write_plan(const char *dir, const char *address, struct plan *plan)
{
    struct hf_options options = {.redis = address, .must_exist = true};
    struct apply_hooks hooks = {.begin = tell_begin, .done = tell_done, .ctx = plan};
    struct hf *store = NULL;
    size_t n, *numbers = read_numbers(plan, &n);
    int rc = numbers ? hf_open(dir, &options, &store) : HF_ENOMEM;

    if (rc == 0)
        rc = apply(store, plan, numbers, n, &hooks);
    if (hf_close(store) != 0)
        rc = -1;
    if (rc != 0)
        fprintf(stderr, "writer: %s\n", hf_errmsg());
    free(numbers);
    return rc == 0 ? 0 : 1;
}

int writer_main(int argc, char **arguments)
{
    struct records records = {0};
    struct plan plan = {0};
    int status = 1;

    if (argc != 4)
        return 4;
    if (records_load(&records) == 0 &&
        plan_make((enum plan_part)atoi(arguments[2]), &records, strtoll(arguments[3], NULL, 10), &plan) == 0)
        status = write_plan(arguments[0], arguments[1], &plan);
    plan_release(&plan);
    records_release(&records);
    return status;
}
