/* The console's page and what it loads. The table is made by the build from tools/sidecar/console/ (tools/cmake/embed.cmake). */
#ifndef SIDECAR_CONSOLE_FILES_H
#define SIDECAR_CONSOLE_FILES_H

#include <stddef.h>

struct console_file {
    const char *name; /* "console.css" */
    const unsigned char *bytes;
    size_t len;
};

/* Up to one without a name. */
extern const struct console_file console_files[];

#endif
