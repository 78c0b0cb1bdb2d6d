/* Wrong passwords by address, on a clock that is moved by hand. */
#include "failures.h"

#include "scratch.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fixture {
    struct failures failures;
    int64_t now_ms;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    f->now_ms = 1000000;
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    free(*state);
    return 0;
}

static struct sockaddr_storage address(const char *text)
{
    struct sockaddr_storage found = {.ss_family = strchr(text, ':') ? AF_INET6 : AF_INET};

    if (found.ss_family == AF_INET)
        assert_int_equal(inet_pton(AF_INET, text, &((struct sockaddr_in *)&found)->sin_addr), 1);
    else
        assert_int_equal(inet_pton(AF_INET6, text, &((struct sockaddr_in6 *)&found)->sin6_addr), 1);
    return found;
}

static bool may_try(struct fixture *f, const char *from)
{
    struct sockaddr_storage at = address(from);

    return failures_count(&f->failures, (struct sockaddr *)&at, f->now_ms);
}

static void take_back(struct fixture *f, const char *from)
{
    struct sockaddr_storage at = address(from);

    failures_take_back(&f->failures, (struct sockaddr *)&at);
}

static void fail_often(struct fixture *f, const char *from)
{
    for (int i = 0; i < FAILURES_MAX; i++)
        assert_true(may_try(f, from));
    assert_false(may_try(f, from));
}

static void test_failures__an_address_has_ten_at_once_and_then_one_in_a_while(void **state)
{
    struct fixture *f = *state;

    fail_often(f, "10.0.0.1");
    f->now_ms += FAILURES_EVERY_MS - 1;
    assert_false(may_try(f, "10.0.0.1"));
    f->now_ms += 1;
    assert_true(may_try(f, "10.0.0.1"));
    assert_false(may_try(f, "10.0.0.1"));
    f->now_ms += 1000ll * FAILURES_EVERY_MS;
    fail_often(f, "10.0.0.1");
}

static void test_failures__a_right_password_counts_for_nothing(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 10 * FAILURES_MAX; i++) {
        assert_true(may_try(f, "10.0.0.1"));
        take_back(f, "10.0.0.1");
    }
    fail_often(f, "10.0.0.1");
}

static void test_failures__addresses_do_not_wait_for_each_other(void **state)
{
    struct fixture *f = *state;

    fail_often(f, "10.0.0.1");
    assert_true(may_try(f, "10.0.0.2"));
    assert_true(may_try(f, "2001:db8::1"));
    assert_true(may_try(f, "::1"));
    assert_false(may_try(f, "::ffff:10.0.0.1")); /* the same one */
}

static void test_failures__one_ipv6_host_counts_as_one(void **state)
{
    struct fixture *f = *state;

    fail_often(f, "2001:db8:1:2::1");
    assert_false(may_try(f, "2001:db8:1:2:ffff::9"));
    assert_true(may_try(f, "2001:db8:1:3::1"));
}

static void test_failures__many_addresses_do_not_grow_without_bound(void **state)
{
    struct fixture *f = *state;
    char text[32];

    fail_often(f, "10.0.0.1");
    for (unsigned i = 0; i < 4 * FAILURES_ADDRESSES; i++) {
        snprintf(text, sizeof(text), "10.1.%u.%u", i / 256, i % 256);
        assert_true(may_try(f, text));
    }
    assert_false(may_try(f, "10.0.0.1")); /* who owes most is remembered longest */
}

#define T(name) cmocka_unit_test_setup_teardown(test_failures__##name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(an_address_has_ten_at_once_and_then_one_in_a_while),
        T(a_right_password_counts_for_nothing),
        T(addresses_do_not_wait_for_each_other),
        T(one_ipv6_host_counts_as_one),
        T(many_addresses_do_not_grow_without_bound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
