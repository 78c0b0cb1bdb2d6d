/* A test's own directory and small helpers that most tests need. */
#ifndef HF_SCRATCH_H
#define HF_SCRATCH_H

#include <bytes.h>
#include <holdfast.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

struct scratch {
    char dir[64];   /* made by mkdtemp, removed with everything in it by scratch_remove */
    char store[80]; /* <dir>/store: not there yet */
};
void scratch_make(struct scratch *scratch);
void scratch_remove(struct scratch *scratch);

/* Bytes of a C string. */
struct hf_slice s_(const char *text);

/* Assert that a call returned 0, printing the sentence when it did not. */
#define assert_ok(call)                                                                                            \
    do {                                                                                                           \
        int rc_ = (call);                                                                                          \
        if (rc_ != 0)                                                                                              \
            fail_msg("%s returned %d: %s", #call, rc_, hf_errmsg());                                               \
    } while (0)
#define assert_code(code, call)                                                                                    \
    do {                                                                                                           \
        int rc_ = (call);                                                                                          \
        if (rc_ != (code))                                                                                         \
            fail_msg("%s returned %d (%s), expected %d", #call, rc_, hf_errmsg(), (code));                         \
    } while (0)
/* The sentence of the last failure holds this text. */
void assert_sentence(const char *part);

void put(struct hf *store, const char *key, const char *value);
/* NULL: the key must not be there. */
void assert_value(struct hf *store, const char *key, const char *value);

/* Wait, at most `ms`, until `condition` holds; it is asked every few milliseconds. Returns its last answer. */
bool wait_until(bool (*condition)(void *ctx), void *ctx, int ms);
bool wait_link(struct hf *store, enum hf_link_state state, int ms);

int64_t wall_ms(void);

#endif
