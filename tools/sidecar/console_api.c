/* What the console asks for, as JSON. What HOLDFAST tells and does is asked of HOLDFAST. */
#include "console_state.h"

#include "cmd_holdfast.h"
#include "history.h"
#include "log.h"
#include "number.h"
#include "server.h"
#include "slow.h"

#include <inttypes.h>
#include <microhttpd.h>
#include <stdio.h>

#define WORDS_MAX 6
#define EXACT_MAX (1ll << 53) /* numbers up to this are exact in JSON */

/* ---- HOLDFAST ---- */

static bool is_error(const struct reply *reply)
{
    return !reply->failed && reply->bytes.bytes[0] == '-';
}

/* Run a verb of HOLDFAST on this thread; `words` end with NULL. An error is told with `status`. */
static int ask_holdfast(struct console *console, work_fn *verb, const char *const *words, unsigned status,
                        struct http_answer *answer)
{
    struct reply reply = {.proto = 3};
    struct hf_slice argv[WORDS_MAX];
    struct call call = {.server = console->options.server, .argv = argv, .reply = &reply};
    struct json json = {0};
    int rc;

    for (; words[call.argc]; call.argc++)
        argv[call.argc] = hf__slice_str(words[call.argc]);
    verb(&call);
    if (is_error(&reply)) {
        reply.bytes.bytes[reply.bytes.len - 2] = '\0'; /* its line's end */
        rc = console_refuse(answer, status, (const char *)reply.bytes.bytes + 1);
    } else {
        if (!reply.failed)
            (void)json_reply(&json, hf__slice(reply.bytes.bytes, reply.bytes.len)); /* it is all one reply */
        json.failed |= reply.failed;
        rc = console_json(answer, MHD_HTTP_OK, &json);
    }
    reply_release(&reply);
    return rc;
}

/* ---- looking ---- */

static int look_at_status(struct console *console, const struct http_request *request, struct http_answer *answer)
{
    (void)request;
    return ask_holdfast(console, holdfast_status, (const char *const[]){"holdfast", "status", NULL},
                        MHD_HTTP_INTERNAL_SERVER_ERROR, answer);
}

static const char *number_of(const struct http_request *request, const char *name)
{
    const char *text = http_request_argument(request, name);

    return text ? text : "0";
}

static int look_at_conflicts(struct console *console, const struct http_request *request,
                             struct http_answer *answer)
{
    const char *const words[] = {"holdfast", "conflicts", "list", "decided", "from", number_of(request, "from"),
                                 NULL};

    return ask_holdfast(console, holdfast_conflicts, words, MHD_HTTP_BAD_REQUEST, answer);
}

static int look_at_parked(struct console *console, const struct http_request *request, struct http_answer *answer)
{
    const char *const words[] = {"holdfast", "parked", "list", "from", number_of(request, "from"), NULL};

    return ask_holdfast(console, holdfast_parked, words, MHD_HTTP_BAD_REQUEST, answer);
}

/* Another run has another history: who has seen that of the one before begins anew. */
static int look_at_history(struct console *console, const struct http_request *request, struct http_answer *answer)
{
    uint64_t since_ms = 0, after = 0;
    struct json json = {0};

    if (!number_parse_unsigned(hf__slice_str(number_of(request, "since")), &since_ms) || since_ms > INT64_MAX)
        return console_refuse(answer, MHD_HTTP_BAD_REQUEST, "since: expected milliseconds");
    if (!number_parse_unsigned(hf__slice_str(number_of(request, "after")), &after))
        return console_refuse(answer, MHD_HTTP_BAD_REQUEST, "after: expected the number of a change");
    json_begin(&json, '{');
    json_add_text(&json, "run", console->options.server->run_id);
    history_write(console->options.history, (int64_t)since_ms, after, &json);
    json_end(&json, '}');
    return console_json(answer, MHD_HTTP_OK, &json);
}

static int look_at_slow(struct console *console, const struct http_request *request, struct http_answer *answer)
{
    struct json json = {0};

    (void)request;
    json_begin(&json, '{');
    slow_write(console->options.slow, &json);
    json_end(&json, '}');
    return console_json(answer, MHD_HTTP_OK, &json);
}

static int look_at_namespaces(struct console *console, const struct http_request *request,
                              struct http_answer *answer)
{
    struct json json = {0};

    (void)request;
    console_namespaces(console, &json);
    return console_json(answer, MHD_HTTP_OK, &json);
}

static const struct {
    const char *what;
    int (*answer)(struct console *console, const struct http_request *request, struct http_answer *answer);
} looks[] = {
    {"status", look_at_status}, {"history", look_at_history}, {"conflicts", look_at_conflicts},
    {"parked", look_at_parked}, {"slow", look_at_slow},       {"namespaces", look_at_namespaces},
};

/* One entry with its whole value: "conflicts/17". */
static int show(struct console *console, const char *what, struct http_answer *answer)
{
    if (strncmp(what, "conflicts/", 10) == 0)
        return ask_holdfast(console, holdfast_conflicts,
                            (const char *const[]){"holdfast", "conflicts", "show", what + 10, NULL},
                            MHD_HTTP_NOT_FOUND, answer);
    if (strncmp(what, "parked/", 7) == 0)
        return ask_holdfast(console, holdfast_parked,
                            (const char *const[]){"holdfast", "parked", "show", what + 7, NULL}, MHD_HTTP_NOT_FOUND,
                            answer);
    return console_refuse(answer, MHD_HTTP_NOT_FOUND, "there is nothing of this name to be seen");
}

int console_api_look(struct console *console, const char *what, const struct http_request *request,
                     struct http_answer *answer)
{
    for (size_t i = 0; i < sizeof(looks) / sizeof(looks[0]); i++) {
        if (strcmp(what, looks[i].what) == 0)
            return looks[i].answer(console, request, answer);
    }
    return show(console, what, answer);
}

/* ---- changing ---- */

static const struct change {
    const char *verb;
    const char *list, *act; /* HOLDFAST's words */
    work_fn *run;
} changes[] = {
    {"conflicts/resolve", "conflicts", "resolve", holdfast_conflicts},
    {"conflicts/restore", "conflicts", "restore", holdfast_conflicts},
    {"parked/requeue", "parked", "requeue", holdfast_parked},
    {"parked/drop", "parked", "drop", holdfast_parked},
};

static const struct change *find_change(const char *verb)
{
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        if (strcmp(verb, changes[i].verb) == 0)
            return &changes[i];
    }
    return NULL;
}

bool console_api_changes(const char *verb)
{
    return find_change(verb) != NULL;
}

static bool whole_number(const cJSON *json, uint64_t *ret_number)
{
    double number = cJSON_IsNumber(json) ? json->valuedouble : -1;

    if (!(number >= 0 && number < (double)EXACT_MAX) || number != (double)(uint64_t)number)
        return false;
    *ret_number = (uint64_t)number;
    return true;
}

int console_api_change(struct console *console, const char *verb, const cJSON *json, const struct visitor *visitor,
                       struct http_answer *answer)
{
    const struct change *change = find_change(verb);
    uint64_t number;
    char text[24];

    if (!whole_number(cJSON_GetObjectItemCaseSensitive(json, "number"), &number))
        return console_refuse(answer, MHD_HTTP_BAD_REQUEST, "number: expected that of an entry");
    snprintf(text, sizeof(text), "%" PRIu64, number);
    log_line(LOG_LEVEL_INFO, "console", "user %s: HOLDFAST %s %s %s", visitor->name, change->list, change->act,
             text);
    return ask_holdfast(console, change->run,
                        (const char *const[]){"holdfast", change->list, change->act, text, NULL}, MHD_HTTP_CONFLICT,
                        answer);
}
