/* Which path of the console is answered by what, and who is kept out. */
#include "console_state.h"

#include "console_files.h"
#include "log.h"

#include <arpa/inet.h>
#include <fail.h>
#include <microhttpd.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define API "/api/"

int console_new(const struct console_options *options, struct console **ret_console)
{
    struct console *console = calloc(1, sizeof(*console));

    if (!console)
        return hf__fail(HF_ENOMEM, "out of memory: the console");
    console->options = *options;
    *ret_console = console;
    return 0;
}

void console_free(struct console *console)
{
    free(console);
}

/* ---- files ---- */

static const struct {
    const char *ending, *type;
} types[] = {
    {".html", "text/html; charset=utf-8"},
    {".css", "text/css; charset=utf-8"},
    {".js", "text/javascript; charset=utf-8"},
    {".svg", "image/svg+xml"},
};

static const char *type_of(const char *name)
{
    const char *ending = strrchr(name, '.');

    for (size_t i = 0; ending && i < sizeof(types) / sizeof(types[0]); i++) {
        if (strcmp(ending, types[i].ending) == 0)
            return types[i].type;
    }
    return "application/octet-stream";
}

/* A request line may name a path without a slash, also an empty one: there is no such file. */
static const struct console_file *find_file(const char *path)
{
    const char *name = strcmp(path, "/") == 0 ? "/index.html" : path;
    const struct console_file *file = console_files;

    while (file->name && (*name != '/' || strcmp(file->name, name + 1) != 0))
        file++;
    return file->name ? file : NULL;
}

static int answer_file(const struct console_file *file, struct http_answer *answer)
{
    answer->status = MHD_HTTP_OK;
    answer->type = type_of(file->name);
    return hf__bytes_append(&answer->body, file->bytes, file->len);
}

bool console_has(const char *path)
{
    return strncmp(path, API, strlen(API)) == 0 || find_file(path);
}

/* ---- sentences ---- */

int console_json(struct http_answer *answer, unsigned status, struct json *json)
{
    answer->status = status;
    answer->type = "application/json";
    answer->body = json->text;
    return json->failed ? HF_ENOMEM : 0;
}

int console_refuse(struct http_answer *answer, unsigned status, const char *sentence)
{
    struct json json = {0};

    json_begin(&json, '{');
    json_add_text(&json, "error", sentence);
    json_end(&json, '}');
    return console_json(answer, status, &json);
}

/* ---- names ---- */

static bool is_address(const char *host)
{
    unsigned char address[16];

    return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

static bool is_name_of_ours(const struct console *console, const char *host)
{
    for (size_t i = 0; i < console->options.n_names; i++) {
        if (strcasecmp(host, console->options.names[i]) == 0)
            return true;
    }
    return is_address(host) || strcasecmp(host, "localhost") == 0;
}

/* A foreign name can be made to point here, and its pages may then read what is answered: so only what is no foreign name counts.
 * "name", "name:port", "[v6]" or "[v6]:port". */
static bool host_is_ours(const struct console *console, const char *host)
{
    char name[256], *end;

    if (!host || strlen(host) >= sizeof(name))
        return false;
    memcpy(name, host, strlen(host) + 1);
    end = *name == '[' ? strchr(name, ']') : strrchr(name, ':');
    if (*name == '[' && (!end || (end[1] != '\0' && end[1] != ':')))
        return false;
    if (end)
        *end = '\0';
    return is_name_of_ours(console, name + (*name == '['));
}

/* Browsers say which page a change comes from. Programs that are none say nothing, and no page can make them send something. */
static bool comes_from_here(const struct http_request *request, const char *host)
{
    const char *origin = http_request_header(request, "Origin");
    const char *site = http_request_header(request, "Sec-Fetch-Site");
    const char *behind = origin ? strstr(origin, "://") : NULL;

    if (site && strcmp(site, "same-origin") != 0)
        return false;
    return !origin || (behind && strcasecmp(behind + 3, host) == 0);
}

static bool is_json(const struct http_request *request)
{
    const char *type = http_request_header(request, MHD_HTTP_HEADER_CONTENT_TYPE);

    return type && strncasecmp(type, "application/json", 16) == 0 && (type[16] == '\0' || type[16] == ';');
}

/* ---- sessions ---- */

static int answer_session(struct console *console, const struct visitor *visitor, struct http_answer *answer)
{
    struct json json = {0};

    json_begin(&json, '{');
    json_add_bool(&json, "open", access_is_open(console->options.access));
    json_add_bool(&json, "may_look", visitor->may_look);
    json_add_bool(&json, "may_change", visitor->may_change);
    json_add_text(&json, "user", visitor->name);
    json_add_text(&json, "token", visitor->token);
    if (visitor->may_look)
        json_add_text(&json, "version", hf_version());
    json_end(&json, '}');
    return console_json(answer, MHD_HTTP_OK, &json);
}

/* Not for other sites, not for scripts, and gone with the browser. */
static void set_cookie(struct http_answer *answer, const char *name, const char *secret)
{
    snprintf(answer->set_cookie, sizeof(answer->set_cookie), "%s=%s; Path=/; HttpOnly; SameSite=Strict%s", name,
             secret, *secret ? "" : "; Max-Age=0");
}

static struct hf_slice text_of(const cJSON *json, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, name));

    return hf__slice_str(text ? text : "");
}

static int log_in(struct console *console, const char *cookie, struct http_request *request, const cJSON *json,
                  struct http_answer *answer)
{
    char secret[SESSION_TOKEN_CHARS + 1];
    enum access_answer was =
        access_begin(console->options.access, http_request_from(request), text_of(json, "user"),
                     text_of(json, "password"), secret, &request->visitor);

    switch (was) {
    case ACCESS_GRANTED: break;
    case ACCESS_LIMITED:
        return console_refuse(answer, MHD_HTTP_FORBIDDEN, "this user is limited to prefixes and sees no console");
    case ACCESS_WAIT: return console_refuse(answer, MHD_HTTP_TOO_MANY_REQUESTS, ACCESS_WAIT_TEXT);
    default:
        log_line(LOG_LEVEL_WARNING, "console", "a wrong user or password was given at the console");
        return console_refuse(answer, MHD_HTTP_UNAUTHORIZED, "no such user with this password");
    }
    log_line(LOG_LEVEL_INFO, "console", "user %s has logged in at the console", request->visitor.name);
    set_cookie(answer, cookie, secret);
    return answer_session(console, &request->visitor, answer);
}

static int log_out(struct console *console, const char *cookie, struct http_request *request,
                   struct http_answer *answer)
{
    const char *secret = http_request_cookie(request, cookie);

    if (secret)
        access_end(console->options.access, secret);
    set_cookie(answer, cookie, "");
    access_stranger(console->options.access, &request->visitor);
    return answer_session(console, &request->visitor, answer);
}

/* ---- changes ---- */

static bool has_token(const struct http_request *request)
{
    const char *token = http_request_header(request, "X-Holdfast-Token");

    return token && strlen(token) == SESSION_TOKEN_CHARS && *request->visitor.token &&
           CRYPTO_memcmp(token, request->visitor.token, SESSION_TOKEN_CHARS) == 0;
}

/* A session, its token, and the right. Returns 0 with the refusal in `answer`; 1: it may go on. */
static int refuse_change(const struct http_request *request, bool only_session, struct http_answer *answer)
{
    const struct visitor *visitor = &request->visitor;

    if (!*visitor->token)
        return console_refuse(answer, MHD_HTTP_UNAUTHORIZED, "a login is needed to change something");
    if (!has_token(request))
        return console_refuse(answer, MHD_HTTP_FORBIDDEN, "the token of the session is missing or wrong");
    if (!only_session && !visitor->may_change)
        return console_refuse(answer, MHD_HTTP_FORBIDDEN, "this user may look, and change nothing");
    return 1;
}

static int change(struct console *console, const char *cookie, struct http_request *request, const cJSON *json,
                  struct http_answer *answer)
{
    const char *verb = request->path + strlen(API);
    bool is_logout = strcmp(verb, "logout") == 0;
    int rc;

    if (strcmp(verb, "login") == 0)
        return log_in(console, cookie, request, json, answer);
    if (!is_logout && !console_api_changes(verb))
        return console_refuse(answer, MHD_HTTP_NOT_FOUND, "there is nothing of this name to be done");
    rc = refuse_change(request, is_logout, answer);
    if (rc <= 0)
        return rc;
    return is_logout ? log_out(console, cookie, request, answer)
                     : console_api_change(console, verb, json, &request->visitor, answer);
}

static int answer_post(struct console *console, const char *cookie, struct http_request *request,
                       struct http_answer *answer)
{
    cJSON *json;
    int rc;

    if (!comes_from_here(request, http_request_header(request, MHD_HTTP_HEADER_HOST)))
        return console_refuse(answer, MHD_HTTP_FORBIDDEN, "a change must come from this page");
    if (!is_json(request))
        return console_refuse(answer, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE, "expected application/json");
    if (request->is_too_long)
        return console_refuse(answer, MHD_HTTP_CONTENT_TOO_LARGE, "the body is too long");
    json = cJSON_ParseWithLength((const char *)request->body.bytes, request->body.len);
    if (cJSON_IsObject(json))
        rc = change(console, cookie, request, json, answer);
    else
        rc = console_refuse(answer, MHD_HTTP_BAD_REQUEST, "expected an object in JSON");
    cJSON_Delete(json);
    return rc;
}

/* ---- looking ---- */

static int answer_api(struct console *console, const struct http_request *request, struct http_answer *answer)
{
    const char *what = request->path + strlen(API);

    if (strcmp(what, "session") == 0)
        return answer_session(console, &request->visitor, answer);
    if (request->must_wait)
        return console_refuse(answer, MHD_HTTP_TOO_MANY_REQUESTS, ACCESS_WAIT_TEXT);
    if (!request->visitor.may_look)
        return console_refuse(answer, MHD_HTTP_UNAUTHORIZED, "a login is needed");
    return console_api_look(console, what, request, answer);
}

static int refuse_method(struct http_answer *answer, const char *allow)
{
    answer->allow = allow;
    return console_refuse(answer, MHD_HTTP_METHOD_NOT_ALLOWED, "this method is not answered here");
}

int console_answer(struct console *console, const char *cookie, struct http_request *request,
                   struct http_answer *answer)
{
    const struct console_file *file = find_file(request->path);

    if (!host_is_ours(console, http_request_header(request, MHD_HTTP_HEADER_HOST)))
        return http_answer_text(answer, MHD_HTTP_MISDIRECTED_REQUEST,
                                "the console is called by an address, localhost or a name in sidecar.http.names\n");
    if (http_request_only_looks(request))
        return file ? answer_file(file, answer) : answer_api(console, request, answer);
    if (file || !http_request_is_post(request))
        return refuse_method(answer, file ? "GET, HEAD" : "GET, HEAD, POST");
    return answer_post(console, cookie, request, answer);
}
