/* Hearing the link out, with a real Redis: after hf_hear no copy that a plain client has replaced counts as verified. */
#include "redis_server.h"
#include "scratch.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BOUND_MS 10000
#define ROUNDS 500

struct fixture {
    struct scratch scratch;
    struct redis_server redis;
    redisContext *foreign;
    struct hf_options opts;
    struct hf *store;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    scratch_make(&f->scratch);
    assert_int_equal(redis_server_start(&f->redis, NULL), 0);
    f->foreign = redisConnectUnix(f->redis.socket);
    assert_non_null(f->foreign);
    f->opts = (struct hf_options){.redis = f->redis.address, .max_disk_bytes = 256 << 20, .redis_timeout_ms = 2000};
    assert_ok(hf_open(f->scratch.store, &f->opts, &f->store));
    assert_true(wait_link(f->store, HF_LINK_ONLINE, BOUND_MS));
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    assert_ok(hf_close(f->store));
    redisFree(f->foreign);
    redis_server_stop(&f->redis);
    scratch_remove(&f->scratch);
    free(f);
    return 0;
}

/* A plain client sets the key, and has its answer. */
static void foreign_set(struct fixture *f, const char *key, const char *value)
{
    redisReply *reply = redisCommand(f->foreign, "SET %s %s", key, value);

    assert_non_null(reply);
    assert_int_equal(reply->type, REDIS_REPLY_STATUS);
    freeReplyObject(reply);
}

/* A copy is here that counts as verified; 0 when it holds this value. */
static bool is_verified(struct fixture *f, const char *key, char text[64])
{
    struct hf_result r;
    size_t len = 0;
    int rc = hf_try_get_into(f->store, s_(key), text, 63, &len, &r);

    text[rc == 0 ? len : 0] = '\0';
    return rc == 0 && r.origin == HF_ORIGIN_LOCAL_VERIFIED;
}

struct expected {
    struct fixture *f;
    const char *key, *value;
};

static bool is_verified_as(void *ctx)
{
    const struct expected *e = ctx;
    char text[64];

    return is_verified(e->f, e->key, text) && strcmp(text, e->value) == 0;
}

static void test_hear__a_copy_that_was_replaced_before_is_not_verified(void **state)
{
    struct fixture *f = *state;
    char value[16], text[64];

    put(f->store, "k", "0");
    for (int i = 1; i <= ROUNDS; i++) {
        struct expected e = {f, "k", value};
        snprintf(value, sizeof(value), "%d", i);
        foreign_set(f, "k", value);
        assert_ok(hf_hear(f->store, BOUND_MS));
        if (is_verified(f, "k", text))
            assert_string_equal(text, value);
        if (i % 10 == 0) /* the next one finds a verified copy again */
            assert_true(wait_until(is_verified_as, &e, BOUND_MS));
    }
}

/* ---- asking ---- */

static void foreign_delete(struct fixture *f, const char *key)
{
    freeReplyObject(redisCommand(f->foreign, "DEL %s", key));
}

/* Whatever became of the copy: what was replaced before is not told any more, and what was deleted is not added to. */
static void test_hear__who_asks_afterwards_is_told_what_the_plain_client_left(void **state)
{
    struct fixture *f = *state;
    char value[16], text[64];
    int64_t sum;
    size_t len;

    put(f->store, "k", "no number");
    for (int i = 1; i <= ROUNDS; i++) {
        snprintf(value, sizeof(value), "v%d", i);
        foreign_set(f, "k", value);
        assert_ok(hf_hear(f->store, BOUND_MS));
        assert_ok(hf_ask_into(f->store, s_("k"), text, sizeof(text), &len, NULL));
        assert_true(hf__slice_eq(hf__slice(text, len), s_(value)));
        foreign_delete(f, "k");
        assert_ok(hf_hear(f->store, BOUND_MS));
        assert_code(HF_NOT_FOUND, hf_ask_into(f->store, s_("k"), text, sizeof(text), &len, NULL));
        assert_ok(hf_incr(f->store, s_("k"), 1, &sum, NULL));
        assert_int_equal(sum, 1);
    }
}

/* ---- a copy that is made meanwhile ---- */

struct reader {
    pthread_t thread;
    struct hf *store;
    const char *key;
};

static void *read_through(void *arg)
{
    struct reader *r = arg;
    struct hf_buf value;

    if (hf_get(r->store, s_(r->key), &value, NULL) == 0)
        hf_buf_release(&value);
    return NULL;
}

/* A read asks Redis while the plain client sets the key anew: the older answer is no verified copy afterwards. */
static void test_hear__an_answer_that_was_overtaken_is_not_verified(void **state)
{
    struct fixture *f = *state;
    char key[24], text[64];

    for (int i = 0; i < ROUNDS; i++) {
        struct reader reader = {.store = f->store, .key = key};
        snprintf(key, sizeof(key), "fresh-%d", i);
        foreign_set(f, key, "old");
        assert_int_equal(pthread_create(&reader.thread, NULL, read_through, &reader), 0);
        for (volatile int spin = 0; spin < i * 200; spin++)
            ; /* the change meets the read at another moment each time */
        foreign_set(f, key, "new");
        assert_ok(hf_hear(f->store, BOUND_MS));
        pthread_join(reader.thread, NULL);
        if (is_verified(f, key, text))
            assert_string_equal(text, "new");
    }
}

static void test_hear__a_server_that_is_gone_is_told(void **state)
{
    struct fixture *f = *state;

    redis_server_kill(&f->redis);
    assert_true(wait_link(f->store, HF_LINK_OFFLINE, BOUND_MS));
    assert_code(HF_EOFFLINE, hf_hear(f->store, BOUND_MS));
}

#define T(name) cmocka_unit_test_setup_teardown(test_hear__##name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_copy_that_was_replaced_before_is_not_verified),
        T(who_asks_afterwards_is_told_what_the_plain_client_left),
        T(an_answer_that_was_overtaken_is_not_verified),
        T(a_server_that_is_gone_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
