/* The `holdfast` tool for tests: runs it in a directory of the test's own, and looks at what it said. HOLDFAST_BIN names the
 * program. */
#ifndef TEST_TOOL_H
#define TEST_TOOL_H

#include "redis_server.h"
#include "scratch.h"

#include <cjson/cJSON.h>

#define TOOL_RUN_MS 30000 /* for a run to end, at the most */

/* A directory, which is the current one, and the last run of the tool in it. */
struct tool {
    struct scratch scratch;
    char in[96], out_path[96], err_path[96];
    bool read_only_disk; /* the tool sees the directory mounted read-only */
    int out_fd;          /* instead of a file; -1: a file; -2: closed */
    int err_fd;          /* instead of a file; -1: a file */
    int status;
    char *out, *err; /* of the last run, with a NUL behind them */
    size_t out_len;
    struct redis_server server; /* stopped by tool_tear_down, if it was started */
};

/* For cmocka: `*state` becomes a struct tool. */
int tool_set_up(void **state);
int tool_tear_down(void **state);

const char *tool_path(void);
/* Wait for a child to end: its exit status. */
int tool_end_of(pid_t pid);

/* Run the tool on the test's store, with arguments up to NULL. */
void run(struct tool *f, ...) __attribute__((sentinel));
/* The same without naming a store. */
void run_bare(struct tool *f, ...) __attribute__((sentinel));

/* The same in the background, until run_end() waits for it; only the last one begun has its output read. */
pid_t run_begin(const struct tool *f, ...) __attribute__((sentinel));
void run_end(struct tool *f, pid_t pid);

void assert_status(const struct tool *f, int status);
/* Status 0, `out` on standard output and nothing on standard error. */
void assert_done(const struct tool *f, const char *out);
/* One sentence on standard error that holds `part`, and nothing on standard output. */
void assert_refused(const struct tool *f, int status, const char *part);

/* Standard output as JSON, after a run that ended with `status`; the caller's. */
cJSON *json_with(const struct tool *f, int status);
cJSON *json_of(const struct tool *f); /* with status 0 */
/* A member that must be there. */
const cJSON *member(const cJSON *json, const char *name);

void put_file(const char *path, const void *data, size_t len);

/* Start the test's server and name it in HOLDFAST_REDIS. */
void start_server(struct tool *f, const char *const *args);
/* What it holds under a key, "(nil)" for nothing; borrowed until the next call. */
const char *in_redis(struct tool *f, const char *key);

#endif
