/* The rights of who has a session. */
#include "access.h"

#include "scratch.h"
#include "settings.h"

#include <arpa/inet.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

struct fixture {
    struct settings *settings;
    struct access *access;
};

static const struct sockaddr_in here = {.sin_family = AF_INET};

static void add_user(struct settings *settings, const char *name, const char *password, bool is_operator)
{
    struct user *user = &settings->users[settings->n_users++];

    *user = (struct user){.name = name, .has_password = true, .is_operator = is_operator};
    SHA256((const unsigned char *)password, strlen(password), user->digest);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    assert_ok(settings_load(NULL, &f->settings));
    add_user(f->settings, "ops", "secret", true);
    add_user(f->settings, "eve", "secret", false);
    assert_ok(access_new(f->settings, &f->access));
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    access_free(f->access);
    settings_release_ref(f->settings);
    free(f);
    return 0;
}

static enum access_answer begin(struct fixture *f, const char *name, const char *password, char *secret,
                                struct visitor *visitor)
{
    return access_begin(f->access, (const struct sockaddr *)&here, s_(name), s_(password), secret, visitor);
}

static void test_access__a_session_is_known_by_its_secret_alone(void **state)
{
    struct fixture *f = *state;
    char secret[SESSION_TOKEN_CHARS + 1], wrong[SESSION_TOKEN_CHARS + 1];
    struct visitor visitor, again;

    assert_int_equal(begin(f, "ops", "secret", secret, &visitor), ACCESS_GRANTED);
    assert_int_equal(strlen(secret), SESSION_TOKEN_CHARS);
    assert_string_not_equal(secret, visitor.token);
    assert_true(access_by_session(f->access, secret, &again));
    assert_string_equal(again.name, "ops");
    assert_string_equal(again.token, visitor.token);
    assert_true(again.may_look && again.may_change);
    for (size_t i = 0; i < SESSION_TOKEN_CHARS; i++) {
        strcpy(wrong, secret);
        wrong[i] = wrong[i] == '0' ? '1' : '0';
        assert_false(access_by_session(f->access, wrong, &again));
        assert_false(again.may_look || again.may_change);
    }
    assert_false(access_by_session(f->access, visitor.token, &again));
    assert_false(access_by_session(f->access, "", &again));
    strcpy(wrong, secret);
    wrong[SESSION_TOKEN_CHARS - 1] = '\0';
    assert_false(access_by_session(f->access, wrong, &again));
}

static void test_access__rights_are_those_of_the_settings_in_force(void **state)
{
    struct fixture *f = *state;
    char secret[SESSION_TOKEN_CHARS + 1];
    struct visitor visitor;

    assert_int_equal(begin(f, "ops", "secret", secret, &visitor), ACCESS_GRANTED);
    f->settings->users[1].is_operator = false;
    assert_true(access_by_session(f->access, secret, &visitor));
    assert_true(visitor.may_look && !visitor.may_change);
    f->settings->users[1].prefixes[f->settings->users[1].n_prefixes++] = "a:";
    assert_true(access_by_session(f->access, secret, &visitor));
    assert_false(visitor.may_look || visitor.may_change);
    f->settings->users[1].digest[0] ^= 1;
    assert_false(access_by_session(f->access, secret, &visitor));
    f->settings->users[1].digest[0] ^= 1;
    assert_false(access_by_session(f->access, secret, &visitor)); /* it has ended for good */
}

#define T(name) cmocka_unit_test_setup_teardown(test_access__##name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_session_is_known_by_its_secret_alone),
        T(rights_are_those_of_the_settings_in_force),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
