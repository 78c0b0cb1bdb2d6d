/* What the fuzz targets share. A target is a file fuzz_x.c with LLVMFuzzerTestOneInput(), declared by hf_fuzz() in
 * tests/fuzz/targets.cmake: replay_x runs it over its corpus with any compiler, fuzz_x is a libFuzzer, which `tools/fuzz` runs. */
#ifndef FUZZ_H
#define FUZZ_H

#include "bytes.h"

#include <stdlib.h>

/* Returns 0. What must hold and does not ends the process. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* For a binary format, whose corpus is not kept as files: write the i-th valid instance to `to`. Returns its length, at most `room`; 0:
 * there are no more. */
size_t fuzz_seed(unsigned i, uint8_t *to, size_t room);

/* What must hold, whatever the input is. */
#define FUZZ_REQUIRE(what) ((what) ? (void)0 : fuzz_fail(__FILE__, __LINE__, #what))
_Noreturn void fuzz_fail(const char *file, int line, const char *what);

/* That hf_errmsg() is one sentence that may be shown and logged. */
void fuzz_require_sentence(const char *text);

/* Both in memory of just that size, so that a sanitizer sees a byte too far; the caller frees it. */
uint8_t *fuzz_copy(const void *data, size_t len);
char *fuzz_text(const void *data, size_t len); /* with a NUL behind it */

/* Whether `inner` lies within `outer`. */
bool fuzz_lies_in(struct hf_slice inner, struct hf_slice outer);

/* The path of a file with these contents, until the next call. */
const char *fuzz_file(const void *data, size_t len);

/* ---- numbers and pieces out of the input; 0 and nothing behind its end ---- */

struct fuzz_input {
    const uint8_t *p;
    size_t left;
};
uint64_t fuzz_number(struct fuzz_input *in, unsigned n_bytes);
struct hf_slice fuzz_piece(struct fuzz_input *in, size_t len);
/* What stands before the next `mark`, which is taken, too. */
struct hf_slice fuzz_until(struct fuzz_input *in, char mark);

#endif
