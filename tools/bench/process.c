/* What this process costs the system. */
#include "process.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* The number behind `format` in the first line that has it. */
static uint64_t read_number(const char *path, const char *format)
{
    FILE *file = fopen(path, "r");
    char line[256];
    uint64_t number = 0;

    while (file && fgets(line, sizeof(line), file) && sscanf(line, format, &number) != 1)
        ;
    if (file)
        fclose(file);
    return number;
}

double process_anonymous_mib(void)
{
    return (double)read_number("/proc/self/status", "RssAnon: %" SCNu64) / 1024;
}

uint64_t process_written_bytes(void)
{
    return read_number("/proc/self/io", "write_bytes: %" SCNu64);
}

uint64_t process_sleeps(void)
{
    DIR *threads = opendir("/proc/self/task");
    struct dirent *entry;
    uint64_t sleeps = 0;
    char path[64];

    while (threads && (entry = readdir(threads))) {
        if (atoi(entry->d_name) <= 0)
            continue;
        snprintf(path, sizeof(path), "/proc/self/task/%d/status", atoi(entry->d_name));
        sleeps += read_number(path, "voluntary_ctxt_switches: %" SCNu64);
    }
    if (threads)
        closedir(threads);
    return sleeps;
}
