/* The main job: Holdfast on real data, through kills and an outage of Redis, with everything compared at the end.
 *
 * The process that the user starts only guards: it makes the directory, lets a child do the job, and cleans up
 * whatever way that ends. All other processes die with the one that started them. */
#include "steps.h"
#include "story.h"
#include "writer.h"

#include <errno.h>
#include <ftw.h>
#include <inttypes.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define TIME_LIMIT_S 120
#define DIR_MAX 60 /* a Unix socket's path has 107 bytes */

static const char usage[] =
    "usage: holdfast-mainjob [--keep]\n"
    "\n"
    "Plays Holdfast's main job on the records of Debian's iso-codes, in a directory of its own: an import that\n"
    "is killed, a private redis-server, an outage with kills, the return and the reconciliation. Compares\n"
    "everything, and exits with 0 only if nothing was lost, wrong or resurrected. --keep leaves the directory.\n"
    "HOLDFAST_BIN names the holdfast tool; otherwise it is the one beside this program.\n";

/* ---- the job ---- */

static int find_programs(struct job *job)
{
    const char *tool = getenv("HOLDFAST_BIN");
    ssize_t n = readlink("/proc/self/exe", job->self, sizeof(job->self) - 1);
    char own[sizeof(job->self)];

    if (n < 0)
        return story_wrong("cannot find this program: %s", strerror(errno));
    job->self[n] = '\0';
    memcpy(own, job->self, sizeof(own));
    if (tool)
        snprintf(job->holdfast, sizeof(job->holdfast), "%s", tool);
    else
        snprintf(job->holdfast, sizeof(job->holdfast), "%.480s/holdfast", dirname(own));
    if (access(job->holdfast, X_OK) != 0)
        return story_wrong("there is no tool %s: %s", job->holdfast, strerror(errno));
    return 0;
}

static int run_steps(struct job *job)
{
    int rc = records_load(&job->records);

    if (rc == 0)
        rc = find_programs(job);
    if (rc != 0)
        return rc;
    story_say("Holdfast's main job, with %zu records of iso-codes, in %s", job->records.n, job->dir);
    rc = step_embedded(job);
    if (rc == 0)
        rc = step_online(job);
    if (rc == 0)
        rc = step_outage(job);
    if (rc == 0)
        rc = step_return(job);
    return rc;
}

/* The exit status. */
static int do_job(const char *dir)
{
    struct job job = {0};
    int64_t start_ms = story_clock_ms();
    int rc;

    snprintf(job.dir, sizeof(job.dir), "%s", dir);
    snprintf(job.store, sizeof(job.store), "%.200s/store", dir);
    server_init(&job.server, dir);
    rc = run_steps(&job);
    child_destroy(&job.server.child);
    if (rc == 0 && story_wrongs() == 0)
        story_say("PASS: %zu keys through an import, three kills, an outage and a replay: nothing lost, nothing "
                  "wrong, nothing resurrected (%.1f s)",
                  job.model.n, (double)(story_clock_ms() - start_ms) / 1000);
    else
        story_say("FAIL: %u things were wrong (%.1f s)", story_wrongs(),
                  (double)(story_clock_ms() - start_ms) / 1000);
    model_release(&job.model);
    records_release(&job.records);
    return rc == 0 && story_wrongs() == 0 ? 0 : 1;
}

/* ---- the guard ---- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void guarded_signals(sigset_t *ret_set)
{
    sigemptyset(ret_set);
    sigaddset(ret_set, SIGINT);
    sigaddset(ret_set, SIGTERM);
    sigaddset(ret_set, SIGHUP);
    sigaddset(ret_set, SIGCHLD);
}

static pid_t start_job(const char *dir, const sigset_t *signals)
{
    pid_t guard = getpid(), pid = fork();

    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != guard)
        _exit(1);
    sigprocmask(SIG_UNBLOCK, signals, NULL);
    signal(SIGPIPE, SIG_IGN); /* a writer that went away is found by what it did not report */
    exit(do_job(dir));
}

/* Wait for the job's end, a signal or the time limit. The reason to end the job, or NULL when it has ended. */
static const char *watch(pid_t job, const sigset_t *signals, int *ret_status)
{
    int64_t end_ms = story_clock_ms() + TIME_LIMIT_S * 1000;

    for (;;) {
        struct timespec left = {.tv_sec = (end_ms - story_clock_ms()) / 1000 + 1};
        int s = sigtimedwait(signals, NULL, &left);

        if (waitpid(job, ret_status, WNOHANG) == job)
            return NULL;
        if (s < 0 && errno == EAGAIN)
            return "the time limit has passed";
        if (s > 0 && s != SIGCHLD)
            return strsignal(s);
    }
}

/* Also what the job left behind: it has been told to die, and is ours to reap. */
static void reap_all(void)
{
    while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
        ;
}

static int guard(const char *dir, bool keep)
{
    const char *reason;
    sigset_t signals;
    int status = 0;
    pid_t job;

    guarded_signals(&signals);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    fflush(stdout);
    job = start_job(dir, &signals);
    reason = job < 0 ? strerror(errno) : watch(job, &signals, &status);
    if (reason && job > 0)
        kill(job, SIGKILL);
    reap_all();
    if (!keep && nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0)
        fprintf(stderr, "cannot remove %s: %s\n", dir, strerror(errno));
    if (!reason && WIFEXITED(status))
        return WEXITSTATUS(status);
    printf("FAIL: the job was ended: %s\n", reason ? reason : strsignal(WTERMSIG(status)));
    return 1;
}

static int make_dir(char *dir, size_t size)
{
    const char *base = getenv("TMPDIR");

    if (!base || strlen(base) > DIR_MAX)
        base = "/tmp";
    snprintf(dir, size, "%s/holdfast-mainjob.XXXXXX", base);
    if (mkdtemp(dir))
        return 0;
    fprintf(stderr, "holdfast-mainjob: cannot make a directory in %s: %s\n", base, strerror(errno));
    return 5;
}

int main(int argc, char **argv)
{
    bool keep = argc == 2 && strcmp(argv[1], "--keep") == 0;
    char dir[128];
    int status;

    if (argc > 1 && strcmp(argv[1], "--writer") == 0)
        return writer_main(argc - 2, argv + 2);
    if (argc == 2 && strcmp(argv[1], "--help") == 0)
        return fputs(usage, stdout) < 0 || fflush(stdout) != 0;
    if (argc > 1 && !keep) {
        fputs(usage, stderr);
        return 4;
    }
    status = make_dir(dir, sizeof(dir));
    return status == 0 ? guard(dir, keep) : status;
}
