/* How Redis loses its data in a storm: by its append-only file, of which an older copy is put back, or none. What was lost is
 * kept beside it for the sceptic. */
#include "storm.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES 400

static int copy_file(const char *from, const char *to)
{
    char bytes[65536];
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = in < 0 ? -1 : open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ssize_t n = out < 0 ? -1 : 0;

    while (out >= 0 && (n = read(in, bytes, sizeof(bytes))) > 0) {
        if (write(out, bytes, (size_t)n) != n)
            abort(); /* a full disk is none of our weathers */
    }
    if (out >= 0)
        close(out);
    if (in >= 0)
        close(in);
    return n == 0 ? 0 : -1;
}

/* Without what is there already. An append-only file that grows meanwhile ends where it ends. */
static int copy_dir(const char *from, const char *to)
{
    DIR *dir = mkdir(to, 0700) == 0 ? opendir(from) : NULL;
    struct dirent *entry;
    int rc = dir ? 0 : -1;

    while (rc == 0 && (entry = readdir(dir))) {
        char a[PATH_BYTES], b[PATH_BYTES];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(a, sizeof(a), "%s/%.120s", from, entry->d_name);
        snprintf(b, sizeof(b), "%s/%.120s", to, entry->d_name);
        rc = copy_file(a, b);
    }
    if (dir)
        closedir(dir);
    return rc;
}

static void path_of(const struct redis_server *redis, const char *name, unsigned n, char path[static PATH_BYTES])
{
    snprintf(path, PATH_BYTES, "%s/%s%u", redis->dir, name, n);
}

int storm_loss_save(const struct redis_server *redis, unsigned n)
{
    char live[PATH_BYTES], saved[PATH_BYTES];

    snprintf(live, sizeof(live), "%s/appendonlydir", redis->dir);
    path_of(redis, "saved", n, saved);
    return copy_dir(live, saved);
}

int storm_loss_take(const struct redis_server *redis, unsigned n, unsigned saved_as)
{
    char live[PATH_BYTES], lost[PATH_BYTES], saved[PATH_BYTES];

    snprintf(live, sizeof(live), "%s/appendonlydir", redis->dir);
    path_of(redis, "lost", n, lost);
    path_of(redis, "saved", saved_as, saved);
    if (rename(live, lost) != 0)
        return -1;
    return saved_as == 0 ? 0 : copy_dir(saved, live);
}
