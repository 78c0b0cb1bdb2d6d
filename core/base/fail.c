/* The per-thread sentence of the last failure. */
#include "fail.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char sentence[HF_ERRMSG_MAX];

const char *hf_errmsg(void)
{
    return sentence;
}

/* Names come from outside, and whoever shows a sentence or logs it counts on one line. */
static void keep_to_one_line(void)
{
    for (char *p = sentence; *p; p++) {
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = '?';
    }
}

int hf__fail(int code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(sentence, sizeof(sentence), format, args);
    va_end(args);
    keep_to_one_line();
    return code;
}

int hf__fail_prefix(int code, const char *format, ...)
{
    char prefixed[2 * HF_ERRMSG_MAX + 2];
    va_list args;
    size_t n;

    va_start(args, format);
    vsnprintf(prefixed, HF_ERRMSG_MAX, format, args);
    va_end(args);
    n = strlen(prefixed);
    snprintf(prefixed + n, sizeof(prefixed) - n, ": %s", sentence);
    prefixed[HF_ERRMSG_MAX - 1] = '\0';
    memcpy(sentence, prefixed, HF_ERRMSG_MAX);
    keep_to_one_line();
    return code;
}

int hf__fail_errno(int code, int error_number, const char *format, ...)
{
    va_list args;
    size_t n;
    char text[128];

    va_start(args, format);
    vsnprintf(sentence, sizeof(sentence), format, args);
    va_end(args);
    n = strlen(sentence);
    snprintf(sentence + n, sizeof(sentence) - n, ": %s", strerror_r(error_number, text, sizeof(text)));
    keep_to_one_line();
    return code;
}

int hf__code_of_errno(int error_number)
{
    switch (error_number) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG: return HF_EFULL;
    case ENOMEM: return HF_ENOMEM;
    default: return HF_EIO;
    }
}

const char *hf_code_text(int code)
{
    switch (code) {
    case HF_OK: return "ok";
    case HF_NOT_FOUND: return "no such key";
#define X(name, number, text)                                                                                      \
    case name: return text;
        HF_CODE_MAP(X)
#undef X
    }
    return "unknown code";
}
