/* The process and the file system, under the names that every exporter has. */
#include "metrics.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

static void write_one(struct exposition *e, const char *name, const char *help, uint64_t value)
{
    exposition_family(e, name, "gauge", help);
    exposition_unsigned(e, "", NULL, value);
}

static uint64_t resident_bytes(void)
{
    unsigned long long size, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");

    if (file && fscanf(file, "%llu %llu", &size, &resident) != 2)
        resident = 0;
    if (file)
        fclose(file);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t n_open_files(void)
{
    DIR *dir = opendir("/proc/self/fd");
    uint64_t n = 0;

    if (!dir)
        return 0;
    while (readdir(dir))
        n++;
    closedir(dir);
    return n < 3 ? 0 : n - 3; /* ".", ".." and the one that was just opened */
}

static void write_usage(struct exposition *e)
{
    struct rusage usage;
    uint64_t us = 0;

    if (getrusage(RUSAGE_SELF, &usage) == 0)
        us = (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000u +
             (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
    exposition_family(e, "process_cpu_seconds_total", "counter", "Processor time used.");
    exposition_ns(e, "", NULL, us * 1000u);
}

static void write_files(struct exposition *e)
{
    struct rlimit limit;

    write_one(e, "process_open_fds", "Files and sockets that are open.", n_open_files());
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        write_one(e, "process_max_fds", "Their bound.", limit.rlim_cur);
}

/* What the store's own bound does not tell: a disk that others fill. */
static void write_file_system(const char *dir, struct exposition *e)
{
    struct statvfs fs;

    if (statvfs(dir, &fs) != 0)
        return;
    write_one(e, "holdfast_filesystem_free_bytes", "Free bytes of the store's file system.",
              (uint64_t)fs.f_bavail * fs.f_frsize);
    write_one(e, "holdfast_filesystem_size_bytes", "Its size.", (uint64_t)fs.f_blocks * fs.f_frsize);
}

void metrics_write_process(const char *dir, struct exposition *e)
{
    write_one(e, "process_resident_memory_bytes", "Memory in use.", resident_bytes());
    write_usage(e);
    write_files(e);
    write_file_system(dir, e);
}
