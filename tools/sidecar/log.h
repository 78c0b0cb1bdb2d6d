/* Log lines on standard error, as text or JSON. From any thread. No line shows a key, a value or a password. */
#ifndef SIDECAR_LOG_H
#define SIDECAR_LOG_H

#include <stdbool.h>

enum log_level { LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR };

void log_as_json(bool json);

/* One line: a sentence. Control characters are escaped. Of one place in the program (`topic`) at most LOG_PER_MINUTE lines
 * are written in a minute; the next one tells how many were left out. */
#define LOG_PER_MINUTE 60u
void log_line(enum log_level level, const char *topic, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
