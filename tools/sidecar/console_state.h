/* The console's own struct, and what its files share. */
#ifndef SIDECAR_CONSOLE_STATE_H
#define SIDECAR_CONSOLE_STATE_H

#include "console.h"
#include "http_request.h"
#include "json.h"

#include <cjson/cJSON.h>

struct console {
    struct console_options options;
};

/* An answer in JSON, whose bytes it takes over. Returns 0 or HF_ENOMEM. */
int console_json(struct http_answer *answer, unsigned status, struct json *json);
/* {"error": sentence} */
int console_refuse(struct http_answer *answer, unsigned status, const char *sentence);

/* What is behind "/api/" (console_api.c): a question of who may look, and a change by who may make it. */
int console_api_look(struct console *console, const char *what, const struct http_request *request,
                     struct http_answer *answer);
bool console_api_changes(const char *verb); /* whether there is such a change */
int console_api_change(struct console *console, const char *verb, const cJSON *json, const struct visitor *visitor,
                       struct http_answer *answer);

/* The namespaces with their policies, in the words of the configuration (console_namespaces.c). */
void console_namespaces(const struct console *console, struct json *json);

#endif
