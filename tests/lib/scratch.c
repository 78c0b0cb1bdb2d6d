/* A test's own directory and small helpers. */
#include "scratch.h"

#include <ftw.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void scratch_make(struct scratch *scratch)
{
    const char *tmp = getenv("TMPDIR");

    snprintf(scratch->dir, sizeof(scratch->dir), "%s/hf-test-XXXXXX", tmp && strlen(tmp) < 40 ? tmp : "/tmp");
    assert_non_null(mkdtemp(scratch->dir));
    snprintf(scratch->store, sizeof(scratch->store), "%s/store", scratch->dir);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void scratch_remove(struct scratch *scratch)
{
    (void)nftw(scratch->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS); /* what stays only takes room in /tmp */
}

struct hf_slice s_(const char *text)
{
    return (struct hf_slice){.data = text, .len = strlen(text)};
}

void assert_sentence(const char *part)
{
    if (!strstr(hf_errmsg(), part))
        fail_msg("the sentence is \"%s\"; expected it to hold \"%s\"", hf_errmsg(), part);
}

void put(struct hf *store, const char *key, const char *value)
{
    assert_ok(hf_set(store, s_(key), s_(value), NULL, NULL));
}

void assert_value(struct hf *store, const char *key, const char *value)
{
    struct hf_buf got = {0};
    int rc = hf_get(store, s_(key), &got, NULL);

    if (!value) {
        if (rc == 0)
            fail_msg("'%s' is '%.*s'; expected nothing", key, (int)got.len, (char *)got.data);
        assert_int_equal(rc, HF_NOT_FOUND);
        return;
    }
    if (rc != 0)
        fail_msg("get '%s' returned %d: %s; expected '%s'", key, rc, hf_errmsg(), value);
    if (got.len != strlen(value) || memcmp(got.data, value, got.len) != 0)
        fail_msg("'%s' is '%.*s'; expected '%s'", key, (int)got.len, (char *)got.data, value);
    hf_buf_release(&got);
}

int64_t wall_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

bool wait_until(bool (*condition)(void *ctx), void *ctx, int ms)
{
    int64_t end = wall_ms() + ms;

    while (!condition(ctx)) {
        if (wall_ms() >= end)
            return false;
        (void)poll(NULL, 0, 2);
    }
    return true;
}

struct link_wait {
    struct hf *store;
    enum hf_link_state state;
};

static bool link_is(void *ctx)
{
    struct link_wait *w = ctx;
    struct hf_status status;

    return hf_status(w->store, &status) == 0 && status.link == w->state;
}

bool wait_link(struct hf *store, enum hf_link_state state, int ms)
{
    struct link_wait w = {.store = store, .state = state};

    return wait_until(link_is, &w, ms);
}
