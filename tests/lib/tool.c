/* Running the `holdfast` tool. */
#include "tool.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGUMENTS_MAX 16

int tool_set_up(void **state)
{
    struct tool *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    scratch_make(&f->scratch);
    f->out_fd = f->err_fd = -1;
    snprintf(f->in, sizeof(f->in), "%s/in", f->scratch.dir);
    snprintf(f->out_path, sizeof(f->out_path), "%s/out", f->scratch.dir);
    snprintf(f->err_path, sizeof(f->err_path), "%s/err", f->scratch.dir);
    unsetenv("HOLDFAST_DIR");
    unsetenv("HOLDFAST_REDIS");
    assert_int_equal(chdir(f->scratch.dir), 0);
    *state = f;
    return 0;
}

int tool_tear_down(void **state)
{
    struct tool *f = *state;

    if (f->server.dir[0])
        redis_server_stop(&f->server);
    scratch_remove(&f->scratch);
    free(f->out);
    free(f->err);
    free(f);
    return 0;
}

void put_file(const char *path, const void *data, size_t len)
{
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static char *take_file(const char *path, size_t *ret_len)
{
    FILE *file = fopen(path, "re");
    struct stat st;
    char *data;

    assert_non_null(file);
    assert_int_equal(fstat(fileno(file), &st), 0);
    data = calloc(1, (size_t)st.st_size + 1);
    assert_non_null(data);
    *ret_len = fread(data, 1, (size_t)st.st_size, file);
    fclose(file);
    return data;
}

/* ---- running the tool ---- */

const char *tool_path(void)
{
    const char *path = getenv("HOLDFAST_BIN");

    if (!path || access(path, X_OK) != 0)
        fail_msg("HOLDFAST_BIN does not name the tool");
    return path;
}

/* A mount of our own makes the directory read-only for root, too. */
static void make_disk_read_only(const char *dir)
{
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount(dir, dir, NULL, MS_BIND, NULL) != 0 ||
        mount(dir, dir, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) != 0)
        _exit(99);
    if (chdir(dir) != 0)
        _exit(99);
}

static void become_tool(const struct tool *f, char *const argv[])
{
    int in = open(f->in, O_RDONLY | O_CREAT, 0600);
    int out = f->out_fd != -1 ? f->out_fd : open(f->out_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    int err = open(f->err_path, O_WRONLY | O_CREAT | O_TRUNC, 0600); /* made anyway, as it is read afterwards */

    dup2(in, STDIN_FILENO);
    dup2(f->err_fd != -1 ? f->err_fd : err, STDERR_FILENO);
    if (out == -2)
        close(STDOUT_FILENO);
    else
        dup2(out, STDOUT_FILENO);
    for (int fd = 3; fd < 64; fd++)
        close(fd);
    if (f->read_only_disk)
        make_disk_read_only(f->scratch.dir);
    execv(argv[0], argv);
    _exit(98);
}

static bool has_ended(void *ctx)
{
    const pid_t *pid = ctx;
    siginfo_t info = {0};

    return waitid(P_PID, (id_t)*pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid != 0;
}

int tool_end_of(pid_t pid)
{
    int status;

    if (!wait_until(has_ended, &pid, TOOL_RUN_MS)) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        fail_msg("the tool did not end");
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static pid_t start_argv(const struct tool *f, char *const argv[])
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        become_tool(f, argv);
    return pid;
}

void run_end(struct tool *f, pid_t pid)
{
    size_t len;

    f->status = tool_end_of(pid);
    free(f->out);
    free(f->err);
    f->out = f->out_fd == -1 ? take_file(f->out_path, &f->out_len) : calloc(1, 1);
    f->err = take_file(f->err_path, &len);
}

/* Arguments from a list that NULL ends; with `dir`, "--dir <store>" before them. */
static pid_t start_va(const struct tool *f, bool dir, va_list args)
{
    char *argv[ARGUMENTS_MAX + 4] = {(char *)tool_path()};
    int n = 1;

    if (dir) {
        argv[n++] = "--dir";
        argv[n++] = (char *)f->scratch.store;
    }
    do {
        assert_in_range(n, 0, ARGUMENTS_MAX + 3);
        argv[n] = va_arg(args, char *);
    } while (argv[n++]);
    return start_argv(f, argv);
}

void run(struct tool *f, ...)
{
    va_list args;

    va_start(args, f);
    run_end(f, start_va(f, true, args));
    va_end(args);
}

void run_bare(struct tool *f, ...)
{
    va_list args;

    va_start(args, f);
    run_end(f, start_va(f, false, args));
    va_end(args);
}

pid_t run_begin(const struct tool *f, ...)
{
    va_list args;
    pid_t pid;

    va_start(args, f);
    pid = start_va(f, true, args);
    va_end(args);
    return pid;
}

/* ---- what it said ---- */

void assert_status(const struct tool *f, int status)
{
    if (f->status != status)
        fail_msg("status %d, expected %d; it said: %s%s", f->status, status, f->out, f->err);
}

void assert_done(const struct tool *f, const char *out)
{
    assert_status(f, 0);
    assert_string_equal(f->err, "");
    assert_string_equal(f->out, out);
}

void assert_refused(const struct tool *f, int status, const char *part)
{
    assert_status(f, status);
    assert_string_equal(f->out, "");
    if (strncmp(f->err, "holdfast: ", 10) != 0 || !strstr(f->err, part) ||
        strchr(f->err, '\n') != f->err + strlen(f->err) - 1)
        fail_msg("it said \"%s\"; expected one line with \"%s\"", f->err, part);
}

cJSON *json_with(const struct tool *f, int status)
{
    cJSON *json;

    assert_status(f, status);
    json = cJSON_Parse(f->out);
    if (!json)
        fail_msg("no JSON: %s", f->out);
    return json;
}

cJSON *json_of(const struct tool *f)
{
    return json_with(f, 0);
}

const cJSON *member(const cJSON *json, const char *name)
{
    const cJSON *found = cJSON_GetObjectItemCaseSensitive(json, name);

    if (!found)
        fail_msg("no member '%s'", name);
    return found;
}

/* ---- the shared tier ---- */

void start_server(struct tool *f, const char *const *args)
{
    assert_int_equal(redis_server_start(&f->server, args), 0);
    setenv("HOLDFAST_REDIS", f->server.address, 1);
}

const char *in_redis(struct tool *f, const char *key)
{
    static char text[256];

    return redis_server_text(&f->server, text, sizeof(text), "GET %s", key);
}
