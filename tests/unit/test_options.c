/* Options that a store is opened with: policies reach the namespace, and what cannot work is refused in one sentence. */
#include "scratch.h"

#include "store.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* ---- fixture: a directory without a store ---- */

static int setup(void **state)
{
    struct scratch *scratch = calloc(1, sizeof(*scratch));

    if (!scratch)
        return -1;
    scratch_make(scratch);
    *state = scratch;
    return 0;
}

static int teardown(void **state)
{
    scratch_remove(*state);
    free(*state);
    return 0;
}

/* ---- vocabulary ---- */

static int decide_nothing(void *ctx, const struct hf_conflict *conflict, enum hf_winner *ret_winner,
                          struct hf_buf *ret_value)
{
    (void)ctx;
    (void)conflict;
    (void)ret_winner;
    (void)ret_value;
    return -1;
}

/* Opening is refused with exactly this sentence. */
static void refused(struct scratch *scratch, const struct hf_options *opts, const char *sentence)
{
    struct hf *store = NULL;

    assert_code(HF_EINVAL, hf_open(scratch->store, opts, &store));
    assert_string_equal(hf_errmsg(), sentence);
    assert_null(store);
}

static void refused_namespace(struct scratch *scratch, struct hf_namespace ns, const char *sentence)
{
    const struct hf_options opts = {.namespaces = &ns, .n_namespaces = 1, .max_disk_bytes = 64u << 20};

    refused(scratch, &opts, sentence);
}

static const char node[] = "00000000000000000000000000000000";

/* ---- what cannot work ---- */

static void test_options__callback_needs_a_function_to_ask(void **state)
{
    const struct hf_namespace ns = {.prefix = "doc:", .conflict = HF_CONFLICT_CALLBACK};
    struct hf_options opts = {.namespaces = &ns, .n_namespaces = 1, .max_disk_bytes = 64u << 20};
    struct scratch *scratch = *state;
    struct hf *store;

    refused(
        scratch, &opts,
        "namespace 'doc:' has conflict policy 'callback' and the options have no resolve function; expected one "
        "to ask");
    assert_int_not_equal(access(scratch->store, F_OK), 0); /* before anything is made */
    opts.resolve = decide_nothing;
    assert_ok(hf_open(scratch->store, &opts, &store));
    assert_ok(hf_close(store));
    opts.resolve = NULL;
    opts.read_only = true; /* nobody is asked */
    assert_ok(hf_open(scratch->store, &opts, &store));
    assert_ok(hf_close(store));
    opts.read_only = false;
    opts.look_only = true;
    assert_ok(hf_open(scratch->store, &opts, &store));
    assert_ok(hf_close(store));
}

static void test_options__policies_that_undo_one_another_are_refused(void **state)
{
    refused_namespace(
        *state, (struct hf_namespace){.prefix = "p", .writers = HF_WRITERS_HOLDFAST, .change_log_off = true},
        "namespace 'p' has writers 'holdfast' and no change log, which is what tells what other nodes wrote; "
        "expected a change log or other writers");
    refused_namespace(*state, (struct hf_namespace){.prefix = "p", .outage = HF_OUTAGE_REFUSE, .tentative = true},
                      "namespace 'p' has outage 'refuse' and is tentative; expected one of them: what is refused "
                      "during an outage cannot be decided during it");
}

static void test_options__values_outside_their_enums_are_refused(void **state)
{
    static const struct {
        struct hf_namespace ns;
        const char *sentence;
    } cases[] = {
        {{.prefix = "p", .write_mode = 3}, "namespace 'p' has write_mode 3; expected a value of its enum, 0 to 2"},
        {{.prefix = "p", .read_mode = 2}, "namespace 'p' has read_mode 2; expected a value of its enum, 0 to 1"},
        {{.prefix = "p", .conflict = 6}, "namespace 'p' has conflict 6; expected a value of its enum, 0 to 5"},
        {{.prefix = "p", .writers = 3}, "namespace 'p' has writers 3; expected a value of its enum, 0 to 2"},
        {{.prefix = "p", .outage = 3}, "namespace 'p' has outage 3; expected a value of its enum, 0 to 2"},
        {{.prefix = "p", .on_loss = 4}, "namespace 'p' has on_loss 4; expected a value of its enum, 0 to 3"},
        {{.prefix = "p", .unknown_time = 2},
         "namespace 'p' has unknown_time 2; expected a value of its enum, 0 to 1"},
    };

    for (size_t i = 0; i < LENGTH(cases); i++)
        refused_namespace(*state, cases[i].ns, cases[i].sentence);
}

static void test_options__namespaces_that_cannot_be_told_apart_or_kept_are_refused(void **state)
{
    const struct hf_namespace twins[] = {{.prefix = "a"}, {.prefix = "b\n"}, {.prefix = "b\n"}};
    const struct hf_options opts = {
        .namespaces = twins, .n_namespaces = LENGTH(twins), .max_disk_bytes = 64u << 20};
    char prefix[258];

    memset(prefix, 'p', sizeof(prefix) - 1);
    prefix[sizeof(prefix) - 1] = '\0';
    refused_namespace(*state, (struct hf_namespace){.prefix = NULL},
                      "namespace 0 has no prefix; \"\" is the one of all other keys");
    refused_namespace(*state, (struct hf_namespace){.prefix = prefix},
                      "namespace 0 has a prefix of 257 bytes; at most 256 are allowed");
    refused_namespace(*state, (struct hf_namespace){.prefix = "p", .default_ttl_ms = -1},
                      "namespace 'p' has a default TTL of -1 ms; expected 0 to 3155760000000");
    refused(*state, &opts, "two namespaces have the prefix 'b?'"); /* a sentence stays on its line */
}

static void test_options__a_store_needs_a_directory(void **state)
{
    static const char *const names[] = {NULL, ""};
    struct hf *store = NULL;

    (void)state;
    for (size_t i = 0; i < LENGTH(names); i++) {
        assert_code(HF_EINVAL, hf_open(names[i], NULL, &store));
        assert_string_equal(hf_errmsg(), "a store needs a directory");
    }
}

static void test_options__bounds_outside_their_range_are_refused(void **state)
{
    refused(*state, &(struct hf_options){.max_value_bytes = HF_VALUE_MAX + 1ull},
            "max_value is 536870913 bytes; at most 536870912 are possible");
    refused(*state, &(struct hf_options){.segment_bytes = 5000},
            "segment_bytes is 5000; expected a multiple of 4096 from 65536 to 1 GiB");
    refused(*state, &(struct hf_options){.max_disk_bytes = 1000},
            "max_disk is 1000 bytes; expected 1 MiB to 16 TiB");
    refused(*state, &(struct hf_options){.max_disk_bytes = (16ull << 40) + 1},
            "max_disk is 17592186044417 bytes; expected 1 MiB to 16 TiB");
    refused(*state, &(struct hf_options){.pending_max_age_ms = -1},
            "pending_max_age_ms is -1 ms; expected 0 or more");
    refused(*state, &(struct hf_options){.pending_policy = 3},
            "pending_policy is 3; expected a value of its enum, 0 to 2");
    refused(*state, &(struct hf_options){.replay_delay_max_ms = -5},
            "replay_delay_max_ms is -5 ms; expected 0 or more");
}

/* ---- what arrives ---- */

static void test_options__bounds_have_their_defaults(void **state)
{
    const struct hf_options opts = {.max_disk_bytes = 64u << 20};
    struct scratch *scratch = *state;
    struct hf *store;

    assert_ok(hf_open(scratch->store, &opts, &store));
    assert_int_equal(store->opts.pending_max, HF_PENDING_MAX_DEFAULT);
    assert_int_equal(store->opts.pending_max_bytes, 32u << 20);
    assert_int_equal(store->opts.pending_max_age_ms, 0);
    assert_int_equal(store->opts.conflict_log_max, HF_CONFLICT_LOG_MAX_DEFAULT);
    assert_int_equal(store->opts.conflict_log_max_bytes, 16u << 20);
    assert_int_equal(store->opts.parked_max, HF_PARKED_MAX_DEFAULT);
    assert_int_equal(store->opts.replay_ops_per_s, 0);
    assert_ok(hf_close(store));
}

static void test_options__bounds_that_are_given_stay(void **state)
{
    const struct hf_options opts = {
        .max_disk_bytes = 64u << 20,
        .pending_max = 1,
        .pending_max_bytes = 2,
        .conflict_log_max = 3,
        .conflict_log_max_bytes = 4,
        .parked_max = 5,
    };
    struct scratch *scratch = *state;
    struct hf *store;

    assert_ok(hf_open(scratch->store, &opts, &store));
    assert_int_equal(store->opts.pending_max, 1);
    assert_int_equal(store->opts.pending_max_bytes, 2);
    assert_int_equal(store->opts.conflict_log_max, 3);
    assert_int_equal(store->opts.conflict_log_max_bytes, 4);
    assert_int_equal(store->opts.parked_max, 5);
    assert_ok(hf_close(store));
}

static void test_options__policies_reach_their_namespace(void **state)
{
    static const struct hf_namespace all[] = {
        {.prefix = "a:",
         .conflict = HF_CONFLICT_PARK,
         .writers = HF_WRITERS_HOLDFAST,
         .outage = HF_OUTAGE_LOCAL,
         .on_loss = HF_LOSS_ADOPT,
         .unknown_time = HF_UNKNOWN_TIME_HIDE,
         .tentative = true,
         .keep_no_replaced = true},
    };
    struct hf_ns_table table;
    const struct hf_ns *ns;

    (void)state;
    assert_ok(hf__ns_table_init(&table, all, LENGTH(all), node));
    ns = hf__ns_of(&table, s_("a:1"));
    assert_int_equal(ns->conflict, HF_CONFLICT_PARK);
    assert_int_equal(ns->writers, HF_WRITERS_HOLDFAST);
    assert_int_equal(ns->outage, HF_OUTAGE_LOCAL);
    assert_int_equal(ns->on_loss, HF_LOSS_ADOPT);
    assert_int_equal(ns->unknown_time, HF_UNKNOWN_TIME_HIDE);
    assert_true(ns->tentative && !ns->keep_replaced && ns->with_log);
    ns = hf__ns_of(&table, s_("other")); /* with every default */
    assert_int_equal(ns->conflict, HF_CONFLICT_NEWEST);
    assert_int_equal(ns->writers, HF_WRITERS_ANY);
    assert_true(!ns->tentative && ns->keep_replaced && ns->with_log);
    hf__ns_table_release(&table);
}

static void test_options__a_node_that_writes_alone_keeps_no_change_log(void **state)
{
    static const struct hf_namespace all[] = {
        {.prefix = "alone:", .writers = HF_WRITERS_THIS_NODE, .change_log_max = 500},
        {.prefix = "off:", .change_log_off = true},
        {.prefix = "on:", .writers = HF_WRITERS_ANY},
    };
    struct hf_ns_table table;

    (void)state;
    assert_ok(hf__ns_table_init(&table, all, LENGTH(all), node));
    assert_false(hf__ns_of(&table, s_("alone:1"))->with_log);
    assert_false(hf__ns_of(&table, s_("off:1"))->with_log);
    assert_true(hf__ns_of(&table, s_("on:1"))->with_log);
    hf__ns_table_release(&table);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_options__callback_needs_a_function_to_ask),
        CASE(test_options__policies_that_undo_one_another_are_refused),
        CASE(test_options__values_outside_their_enums_are_refused),
        CASE(test_options__namespaces_that_cannot_be_told_apart_or_kept_are_refused),
        CASE(test_options__a_store_needs_a_directory),
        CASE(test_options__bounds_outside_their_range_are_refused),
        CASE(test_options__bounds_have_their_defaults),
        CASE(test_options__bounds_that_are_given_stay),
        CASE(test_options__policies_reach_their_namespace),
        CASE(test_options__a_node_that_writes_alone_keeps_no_change_log),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
