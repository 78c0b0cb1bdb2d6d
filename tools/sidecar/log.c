/* Log lines. */
#include "log.h"

#include "bytes.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define SENTENCE_MAX 1024
#define TOPICS_MAX 32u /* the program has fewer; those beyond share the last one's count */

static const char *const level_names[] = {"info", "warning", "error"};

/* How much each topic has said in the minute at hand. */
struct topic {
    const char *name;
    int64_t minute;
    unsigned said, left_out;
};

static struct {
    pthread_mutex_t lock;
    bool json;
    struct topic topics[TOPICS_MAX];
} lines = {.lock = PTHREAD_MUTEX_INITIALIZER};

void log_as_json(bool json)
{
    pthread_mutex_lock(&lines.lock);
    lines.json = json;
    pthread_mutex_unlock(&lines.lock);
}

static struct topic *topic_of(const char *name)
{
    size_t i = 0;

    while (i < TOPICS_MAX - 1 && lines.topics[i].name && strcmp(lines.topics[i].name, name) != 0)
        i++;
    lines.topics[i].name = name;
    return &lines.topics[i];
}

/* False: this minute's lines are used up. */
static bool may_say(struct topic *topic, int64_t minute, unsigned *ret_left_out)
{
    *ret_left_out = 0;
    if (topic->minute != minute) {
        *ret_left_out = topic->left_out;
        *topic = (struct topic){.name = topic->name, .minute = minute};
    }
    if (topic->said == LOG_PER_MINUTE) {
        topic->left_out++;
        return false;
    }
    topic->said++;
    return true;
}

/* Printable ASCII that is safe in both formats, which escape alike. */
static const char *escape(const char *sentence, char *text, size_t size)
{
    size_t at = 0;

    for (; *sentence && at + 8 < size; sentence++) {
        if (*sentence == '"' || *sentence == '\\')
            text[at++] = '\\';
        if ((unsigned char)*sentence < ' ' || (unsigned char)*sentence > '~')
            at += (size_t)snprintf(text + at, size - at, "\\u%04x", (unsigned char)*sentence);
        else
            text[at++] = *sentence;
    }
    text[at] = '\0';
    return text;
}

static void write_line(enum log_level level, const char *topic, const char *sentence, const struct timespec *now)
{
    char escaped[2 * SENTENCE_MAX], line[2 * SENTENCE_MAX + 128], time[32];
    struct tm utc;
    int len;

    strftime(time, sizeof(time), "%Y-%m-%dT%H:%M:%S", gmtime_r(&now->tv_sec, &utc));
    escape(sentence, escaped, sizeof(escaped));
    if (lines.json)
        len = snprintf(line, sizeof(line),
                       "{\"time\":\"%s.%03ldZ\",\"level\":\"%s\",\"topic\":\"%s\",\"message\":\"%s\"}\n", time,
                       now->tv_nsec / 1000000, level_names[level], topic, escaped);
    else
        len = snprintf(line, sizeof(line), "%s.%03ldZ %s %s: %s\n", time, now->tv_nsec / 1000000,
                       level_names[level], topic, escaped);
    if (write(STDERR_FILENO, line, (size_t)len) < 0)
        return; /* there is nobody to tell */
}

void log_line(enum log_level level, const char *topic, const char *format, ...)
{
    char sentence[SENTENCE_MAX], note[64];
    struct timespec now;
    unsigned left_out;
    va_list args;

    va_start(args, format);
    vsnprintf(sentence, sizeof(sentence), format, args);
    va_end(args);
    clock_gettime(CLOCK_REALTIME, &now);
    pthread_mutex_lock(&lines.lock);
    if (may_say(topic_of(topic), now.tv_sec / 60, &left_out)) {
        snprintf(note, sizeof(note), "%u lines of this topic were left out", left_out);
        if (left_out > 0)
            write_line(LOG_LEVEL_WARNING, topic, note, &now);
        write_line(level, topic, sentence, &now);
    }
    pthread_mutex_unlock(&lines.lock);
}
