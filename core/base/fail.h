/* One sentence per failure, kept per thread: how every layer reports and how hf_errmsg() answers. */
#ifndef HF_FAIL_H
#define HF_FAIL_H

#include <holdfast.h>

/* Record the sentence for this thread and return `code`. The sentence names the thing, the value and what was
 * expected; it must not carry secrets or values. A control character in what it names is shown as '?'. */
int hf__fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Put "<prefix>: " before the sentence of this thread and return `code`: each layer adds where it was. */
int hf__fail_prefix(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same as hf__fail with ": <strerror(error_number)>" behind the sentence. */
int hf__fail_errno(int code, int error_number, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* What a failed call on a file means: HF_EFULL where the disk, a quota or the limit on the size of a file leaves no room, HF_ENOMEM,
 * else HF_EIO. */
int hf__code_of_errno(int error_number);

#define HF_ERRMSG_MAX 512

#endif
