/* The console: one page, what it loads, and the JSON that it asks for (docs/console.md lists the paths and what keeps others out). */
#ifndef SIDECAR_CONSOLE_H
#define SIDECAR_CONSOLE_H

#include "bytes.h"

#include <stdbool.h>

struct access;
struct console;
struct history;
struct http_answer;
struct http_request;
struct metrics;
struct server;
struct settings;
struct slow;

#define CONSOLE_NAMES_MAX 8u

/* What it shows; all of it stays until console_free(). */
struct console_options {
    struct server *server; /* of it: the store, and the name of this run */
    struct access *access;
    struct history *history;
    struct slow *slow;
    struct metrics *metrics;
    const struct hf_options *store_options; /* the namespaces */
    const char *const *names;               /* under which it may be called, beside addresses and "localhost" */
    size_t n_names;
};

int console_new(const struct console_options *options, struct console **ret_console);
void console_free(struct console *console); /* accepts NULL */

/* Whether this path is the console's. */
bool console_has(const char *path);
/* `cookie` is the name of the session's. On a thread that may wait. Returns 0 or HF_ENOMEM. */
int console_answer(struct console *console, const char *cookie, struct http_request *request,
                   struct http_answer *answer);

#endif
