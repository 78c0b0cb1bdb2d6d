/* Running a command of the tool in a worker, and handing over what it says. */
#include "errand.h"

#include "cli.h"
#include "client.h"
#include "later.h"
#include "server.h"

#include <errno.h>
#include <stdlib.h>

enum stream { STREAM_OUT, STREAM_ERR, N_STREAMS };

struct cookie {
    struct errand *errand;
    enum stream stream;
};

struct errand {
    struct server *server;
    uv_work_t work;
    struct errand_setup setup;
    struct cli_loan loan;
    struct cookie cookies[N_STREAMS];
    char **argv; /* one piece of memory, the texts behind the pointers */
    int argc;

    /* The loop's. */
    struct later *asked; /* the client's question; NULL: none */
    bool has_ended;
    int status;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    unsigned refs;                   /* the client, the worker, a post on its way */
    bool is_posted;                  /* the loop is told already */
    bool is_gone;                    /* the client is */
    bool wants_input;                /* and waits for it */
    struct hf_bytes said[N_STREAMS]; /* and not asked for yet */
    struct hf_bytes input;           /* given, and read up to input_at */
    size_t input_at;
    bool has_input; /* the last of it, and how that ended, is not told yet */
    int input_error;
    struct post post;
};

/* ---- life ---- */

static void release_memory(struct errand *errand)
{
    for (size_t i = 0; i < N_STREAMS; i++)
        hf__bytes_release(&errand->said[i]);
    hf__bytes_release(&errand->input);
    pthread_mutex_destroy(&errand->lock);
    pthread_cond_destroy(&errand->changed);
    free(errand->argv);
    free(errand);
}

static void unref(struct errand *errand)
{
    bool last;

    pthread_mutex_lock(&errand->lock);
    last = --errand->refs == 0;
    pthread_mutex_unlock(&errand->lock);
    if (last)
        release_memory(errand);
}

/* ---- telling ---- */

static size_t said_bytes(const struct errand *errand)
{
    return errand->said[STREAM_OUT].len + errand->said[STREAM_ERR].len;
}

/* Lock held. */
static const char *what_it_is_at(const struct errand *errand, char status[16])
{
    if (errand->wants_input)
        return "input";
    if (!errand->has_ended)
        return "more";
    snprintf(status, 16, "%d", errand->status);
    return status;
}

/* Lock held. */
static void write_answer(struct errand *errand, struct reply *reply)
{
    char status[16];

    reply_array(reply, 3);
    for (size_t i = 0; i < N_STREAMS; i++) {
        reply_bulk(reply, hf__slice(errand->said[i].bytes, errand->said[i].len));
        hf__bytes_reset(&errand->said[i]);
    }
    reply_text(reply, what_it_is_at(errand, status));
    pthread_cond_broadcast(&errand->changed);
}

static void answer(struct errand *errand)
{
    struct later *asked = errand->asked;

    errand->asked = NULL;
    pthread_mutex_lock(&errand->lock);
    write_answer(errand, later_reply(asked));
    pthread_mutex_unlock(&errand->lock);
    later_done(asked);
}

static bool has_news(struct errand *errand)
{
    bool has;

    pthread_mutex_lock(&errand->lock);
    has = errand->has_ended || errand->wants_input || said_bytes(errand) >= ERRAND_SAID_MAX;
    pthread_mutex_unlock(&errand->lock);
    return has;
}

static void answer_if_news(struct errand *errand)
{
    if (errand->asked && has_news(errand))
        answer(errand);
}

static void on_post(struct post *post)
{
    struct errand *errand = (struct errand *)((char *)post - offsetof(struct errand, post));

    pthread_mutex_lock(&errand->lock);
    errand->is_posted = false;
    pthread_mutex_unlock(&errand->lock);
    answer_if_news(errand);
    unref(errand);
}

/* On the worker, with the lock: have the loop look. */
static void post(struct errand *errand)
{
    if (errand->is_posted)
        return;
    errand->is_posted = true;
    errand->refs++;
    server_post(errand->server, &errand->post);
}

/* ---- what the command says and reads ---- */

/* On the worker, with the lock: keep what there is room for. Returns how much that was; negative: it is of no use. */
static ssize_t say_some(struct errand *errand, enum stream stream, const char *bytes, size_t len)
{
    size_t room;

    while (said_bytes(errand) >= ERRAND_SAID_MAX && !errand->is_gone)
        pthread_cond_wait(&errand->changed, &errand->lock);
    room = ERRAND_SAID_MAX - said_bytes(errand);
    len = len < room ? len : room;
    if (errand->is_gone || hf__bytes_append(&errand->said[stream], bytes, len) != 0)
        return -1;
    if (len == room)
        post(errand);
    return (ssize_t)len;
}

static ssize_t on_write(void *ctx, const char *bytes, size_t len)
{
    const struct cookie *cookie = ctx;
    struct errand *errand = cookie->errand;
    size_t done = 0;
    ssize_t n;

    pthread_mutex_lock(&errand->lock);
    do {
        n = say_some(errand, cookie->stream, bytes + done, len - done);
        done += n > 0 ? (size_t)n : 0;
    } while (n > 0 && done < len);
    pthread_mutex_unlock(&errand->lock);
    return n < 0 ? 0 : (ssize_t)len;
}

/* Lock held. */
static ssize_t take_input(struct errand *errand, void *buffer, size_t size)
{
    size_t left = errand->input.len - errand->input_at;

    size = size < left ? size : left;
    if (size > 0)
        memcpy(buffer, errand->input.bytes + errand->input_at, size);
    errand->input_at += size;
    errand->has_input = errand->input_at < errand->input.len;
    return errand->input_error != 0 ? -errand->input_error : (ssize_t)size;
}

static ssize_t read_input(void *ctx, void *buffer, size_t size)
{
    struct errand *errand = ctx;
    ssize_t n = -EPIPE;

    pthread_mutex_lock(&errand->lock);
    errand->wants_input = !errand->has_input && !errand->is_gone;
    if (errand->wants_input)
        post(errand);
    while (!errand->has_input && !errand->is_gone)
        pthread_cond_wait(&errand->changed, &errand->lock);
    if (!errand->is_gone)
        n = take_input(errand, buffer, size);
    pthread_mutex_unlock(&errand->lock);
    return n;
}

static bool has_input(void *ctx)
{
    struct errand *errand = ctx;
    bool has;

    pthread_mutex_lock(&errand->lock);
    has = errand->has_input;
    pthread_mutex_unlock(&errand->lock);
    return has;
}

static bool is_wanted(void *ctx)
{
    struct errand *errand = ctx;
    bool wanted;

    pthread_mutex_lock(&errand->lock);
    wanted = !errand->is_gone;
    pthread_mutex_unlock(&errand->lock);
    return wanted;
}

/* ---- the worker ---- */

static FILE *open_stream(struct errand *errand, enum stream stream, int mode)
{
    const cookie_io_functions_t functions = {.write = on_write};
    FILE *file;

    errand->cookies[stream] = (struct cookie){.errand = errand, .stream = stream};
    file = fopencookie(&errand->cookies[stream], "w", functions);
    if (file)
        (void)setvbuf(file, NULL, mode, BUFSIZ); /* only slower without */
    return file;
}

static int run_command(struct errand *errand, FILE *out, FILE *err)
{
    struct cli cli = {
        .out = out,
        .err = err,
        .out_is_terminal = errand->setup.out_is_terminal,
        .err_is_terminal = errand->setup.err_is_terminal,
        .input = -1,
        .input_bytes = errand->setup.input_bytes,
        .loan = &errand->loan,
    };

    return cli_finish_output(&cli, cli_close(&cli, cli_run(&cli, errand->argc, errand->argv)));
}

static void on_worker(uv_work_t *work)
{
    struct errand *errand = work->data;
    FILE *out = open_stream(errand, STREAM_OUT, _IOFBF);
    FILE *err = out ? open_stream(errand, STREAM_ERR, _IOLBF) : NULL;

    hf_audit_as(errand->setup.uid, errand->setup.pid);
    if (err)
        errand->status = run_command(errand, out, err);
    else if (out)
        fclose(out);
    hf_audit_as(0, 0);
    if (err)
        fclose(err);
}

static void on_work_done(uv_work_t *work, int status)
{
    struct errand *errand = work->data;

    (void)status; /* nothing here is cancelled */
    errand->server->errands->n--;
    errand->has_ended = true;
    answer_if_news(errand);
    unref(errand);
}

/* ---- for the loop ---- */

static void release_part(struct client *client, void *state)
{
    struct errand *errand = state;
    struct later *asked = errand->asked;

    (void)client;
    errand->asked = NULL;
    if (asked)
        later_done(asked);
    pthread_mutex_lock(&errand->lock);
    errand->is_gone = true;
    pthread_cond_broadcast(&errand->changed);
    pthread_mutex_unlock(&errand->lock);
    unref(errand);
}

/* The pointers, their end, and the texts behind them. NULL: no memory. */
static char **copy_arguments(size_t argc, const struct hf_slice *argv)
{
    size_t size = (argc + 1) * sizeof(char *);
    char **copy, *text;

    for (size_t i = 0; i < argc; i++)
        size += argv[i].len + 1;
    copy = calloc(1, size);
    if (!copy)
        return NULL;
    text = (char *)(copy + argc + 1);
    for (size_t i = 0; i < argc; i++) {
        copy[i] = text;
        if (argv[i].len > 0)
            memcpy(text, argv[i].data, argv[i].len);
        text += argv[i].len + 1;
    }
    return copy;
}

static struct errand *new_errand(struct server *server, const struct errand_setup *setup)
{
    struct errand *errand = calloc(1, sizeof(*errand));

    if (!errand)
        return NULL;
    errand->server = server;
    errand->setup = *setup;
    errand->status = CLI_STORE; /* until it has run */
    errand->refs = 2;
    errand->post.run = on_post;
    errand->work.data = errand;
    errand->loan = (struct cli_loan){
        .store = server->store,
        .dir = server->errands->dir,
        .options = server->errands->options,
        .read = read_input,
        .has_input = has_input,
        .is_wanted = is_wanted,
        .ctx = errand,
    };
    pthread_mutex_init(&errand->lock, NULL);
    pthread_cond_init(&errand->changed, NULL);
    return errand;
}

int errand_begin(struct call *call, const struct errand_setup *setup, size_t argc, const struct hf_slice *argv)
{
    char **copy = copy_arguments(argc, argv);
    struct errand *errand = copy ? new_errand(call->server, setup) : NULL;

    if (!errand) {
        free(copy);
        return HF_ENOMEM;
    }
    errand->argc = (int)argc;
    errand->argv = copy;
    call->client->parts[CLIENT_ERRAND] = (struct client_state){.state = errand, .release = release_part};
    call->server->errands->n++;
    uv_queue_work(call->server->loop, &errand->work, on_worker, on_work_done); /* fails only without `on_worker` */
    return 0;
}

struct errand *errand_of(const struct client *client)
{
    return client->parts[CLIENT_ERRAND].state;
}

void errand_ask(struct errand *errand, struct call *call)
{
    errand->asked = call_later_alone(call);
    answer_if_news(errand);
}

bool errand_give(struct errand *errand, int error, struct hf_slice bytes)
{
    bool takes;

    pthread_mutex_lock(&errand->lock);
    takes = errand->wants_input;
    if (takes) {
        hf__bytes_reset(&errand->input);
        errand->input_at = 0;
        errand->input_error = hf__bytes_append(&errand->input, bytes.data, bytes.len) == 0 ? error : ENOMEM;
        errand->has_input = true;
        errand->wants_input = false;
        pthread_cond_broadcast(&errand->changed);
    }
    pthread_mutex_unlock(&errand->lock);
    return takes;
}

/* With the answer a client ends whose peer has gone. */
void errand_tick(struct client *client)
{
    struct errand *errand = errand_of(client);

    if (errand && errand->asked)
        answer(errand);
}
