/* The three-way merge of JSON: a table of cases, what is refused, and laws that hold for random documents. */
#include <bytes.h>
#include <holdfast.h>

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

/* ---- vocabulary ---- */

/* NULL for `base`: not known. The caller frees the text. */
static char *merge(const char *base, const char *ours, const char *theirs, enum hf_winner prefer)
{
    struct hf_slice b = base ? hf__slice_str(base) : hf__slice(NULL, 0);
    struct hf_buf merged;
    int rc = hf_merge_json(base ? &b : NULL, hf__slice_str(ours), hf__slice_str(theirs), prefer, &merged);

    if (rc != 0)
        fail_msg("merge of %s, %s, %s returned %d: %s", base ? base : "(none)", ours, theirs, rc, hf_errmsg());
    return merged.data;
}

static enum hf_winner other(enum hf_winner side)
{
    return side == HF_WINNER_OURS ? HF_WINNER_THEIRS : HF_WINNER_OURS;
}

static bool same_value(const char *a, const char *b)
{
    cJSON *x = cJSON_Parse(a), *y = cJSON_Parse(b);
    bool same = cJSON_Compare(x, y, true);

    cJSON_Delete(x);
    cJSON_Delete(y);
    return same;
}

/* ---- the table ---- */

static const struct {
    const char *what, *base, *ours, *theirs;
    const char *if_ours, *if_theirs; /* with this side preferred; if_theirs NULL: the same */
} cases[] = {
    {"nothing changed", "{\"a\":1}", "{\"a\":1}", "{\"a\":1}", "{\"a\":1}", NULL},
    {"empty objects", "{}", "{}", "{}", "{}", NULL},
    {"ours changed", "{\"a\":1,\"b\":1}", "{\"a\":2,\"b\":1}", "{\"a\":1,\"b\":1}", "{\"a\":2,\"b\":1}", NULL},
    {"theirs changed", "{\"a\":1,\"b\":1}", "{\"a\":1,\"b\":1}", "{\"a\":2,\"b\":1}", "{\"a\":2,\"b\":1}", NULL},
    {"each changed another member", "{\"a\":1,\"b\":1}", "{\"a\":2,\"b\":1}", "{\"a\":1,\"b\":3}",
     "{\"a\":2,\"b\":3}", NULL},
    {"both changed alike", "{\"a\":1}", "{\"a\":2}", "{\"a\":2}", "{\"a\":2}", NULL},
    {"both changed differently", "{\"a\":1}", "{\"a\":2}", "{\"a\":3}", "{\"a\":2}", "{\"a\":3}"},
    {"both added members", "{}", "{\"o\":1}", "{\"t\":1}", "{\"o\":1,\"t\":1}", NULL},
    {"both added the same name", "{}", "{\"a\":1}", "{\"a\":2}", "{\"a\":1}", "{\"a\":2}"},
    {"ours deleted", "{\"a\":1,\"b\":1}", "{\"b\":1}", "{\"a\":1,\"b\":1}", "{\"b\":1}", NULL},
    {"theirs deleted", "{\"a\":1,\"b\":1}", "{\"a\":1,\"b\":1}", "{\"b\":1}", "{\"b\":1}", NULL},
    {"both deleted", "{\"a\":1}", "{}", "{}", "{}", NULL},
    {"ours deleted what theirs changed", "{\"a\":1}", "{}", "{\"a\":2}", "{}", "{\"a\":2}"},
    {"theirs deleted what ours changed", "{\"a\":1}", "{\"a\":2}", "{}", "{\"a\":2}", "{}"},
    {"objects go member by member", "{\"o\":{\"x\":1,\"y\":1}}", "{\"o\":{\"x\":2,\"y\":1}}",
     "{\"o\":{\"x\":1,\"y\":3}}", "{\"o\":{\"x\":2,\"y\":3}}", NULL},
    {"a deletion inside an object", "{\"o\":{\"x\":1,\"y\":1}}", "{\"o\":{\"y\":1}}", "{\"o\":{\"x\":1,\"y\":2}}",
     "{\"o\":{\"y\":2}}", NULL},
    {"an object deleted here and changed inside there", "{\"o\":{\"x\":1}}", "{}", "{\"o\":{\"x\":2}}", "{}",
     "{\"o\":{\"x\":2}}"},
    {"objects added by both", "{}", "{\"o\":{\"x\":1,\"z\":1}}", "{\"o\":{\"y\":1,\"z\":2}}",
     "{\"o\":{\"x\":1,\"z\":1,\"y\":1}}", "{\"o\":{\"x\":1,\"z\":2,\"y\":1}}"},
    {"objects where the base had a number", "{\"o\":1}", "{\"o\":{\"x\":1}}", "{\"o\":{\"y\":1}}",
     "{\"o\":{\"x\":1,\"y\":1}}", NULL},
    {"an object against a number", "{}", "{\"o\":{\"x\":1}}", "{\"o\":1}", "{\"o\":{\"x\":1}}", "{\"o\":1}"},
    {"arrays are taken whole", "{\"l\":[1,2]}", "{\"l\":[1,2,3]}", "{\"l\":[0,1,2]}", "{\"l\":[1,2,3]}",
     "{\"l\":[0,1,2]}"},
    {"an array changed by one", "{\"l\":[1,{\"x\":1}]}", "{\"l\":[1,{\"x\":1}]}", "{\"l\":[1,{\"x\":2}]}",
     "{\"l\":[1,{\"x\":2}]}", NULL},
    {"a longer array is another one", "{\"l\":[1]}", "{\"l\":[1]}", "{\"l\":[1,2]}", "{\"l\":[1,2]}", NULL},
    {"null is a value", "{\"a\":1}", "{\"a\":null}", "{\"a\":1}", "{\"a\":null}", NULL},
    {"false is not null", "{\"a\":null}", "{\"a\":null}", "{\"a\":false}", "{\"a\":false}", NULL},
    {"a string is no number", "{\"a\":1}", "{\"a\":1}", "{\"a\":\"1\"}", "{\"a\":\"1\"}", NULL},
    {"spaces and order change nothing", "{\"o\":{\"x\":1,\"y\":2}}", "{ \"o\" :\t{\"y\":2,\n\"x\":1 } }",
     "{\"o\":1}", "{\"o\":1}", NULL},
    {"escapes change nothing", "{\"a\":\"A\\u00e9\"}", "{\"a\":\"\\u0041\303\251\"}", "{\"a\":\"x\"}",
     "{\"a\":\"x\"}", NULL},
    {"an escaped name is the name", "{\"a\":1}", "{\"\\u0061\":1}", "{\"a\":2}", "{\"a\":2}", NULL},
    {"names differ by case", "{\"a\":1}", "{\"a\":1,\"A\":2}", "{\"a\":3}", "{\"a\":3,\"A\":2}", NULL},
    {"an empty name is a name", "{}", "{\"\":1}", "{\"a\":1}", "{\"\":1,\"a\":1}", NULL},
    {"ours' order, then theirs' new ones", "{\"b\":1}", "{\"c\":1,\"b\":1,\"a\":1}", "{\"z\":1,\"b\":2,\"y\":1}",
     "{\"c\":1,\"b\":2,\"a\":1,\"z\":1,\"y\":1}", NULL},
    {"no base: what differs goes to the preferred side", NULL, "{\"a\":1,\"b\":1}", "{\"a\":2,\"b\":1}",
     "{\"a\":1,\"b\":1}", "{\"a\":2,\"b\":1}"},
    {"no base: so does what only one side has", NULL, "{\"a\":1,\"o\":1}", "{\"a\":1,\"t\":1}", "{\"a\":1,\"o\":1}",
     "{\"a\":1,\"t\":1}"},
    {"no base: also inside", NULL, "{\"o\":{\"x\":1,\"y\":1}}", "{\"o\":{\"x\":1,\"z\":1}}",
     "{\"o\":{\"x\":1,\"y\":1}}", "{\"o\":{\"x\":1,\"z\":1}}"},
    {"long integers stay", "{\"n\":1}", "{\"n\":9007199254740993}", "{\"n\":1,\"m\":18446744073709551615}",
     "{\"n\":9007199254740993,\"m\":18446744073709551615}", NULL},
    {"neighbours beyond 2^53 differ", "{\"n\":9007199254740992}", "{\"n\":9007199254740992}",
     "{\"n\":9007199254740993}", "{\"n\":9007199254740993}", NULL},
    {"long decimals stay", "{}", "{\"n\":0.1000000000000000000000000000000000000000000000000000000000000000000001}",
     "{\"m\":[-0.0,1e999,1E-2,{\"x\":3.10}]}",
     "{\"n\":0.1000000000000000000000000000000000000000000000000000000000000000000001,"
     "\"m\":[-0.0,1e999,1E-2,{\"x\":3.10}]}",
     NULL},
    {"numbers are their text", "{\"n\":1.0}", "{\"n\":1}", "{\"n\":1.0}", "{\"n\":1}", NULL},
    {"digits in strings and names are no numbers", "{\"1\":\"2\",\"n\":3}", "{\"1\":\"2\",\"n\":3}",
     "{\"1\":\"-4\\\"5\",\"n\":6}", "{\"1\":\"-4\\\"5\",\"n\":6}", NULL},
    {"beyond the first plane", "{}", "{\"\360\237\230\200\":\"\\ud83d\\ude00\"}", "{}",
     "{\"\360\237\230\200\":\"\360\237\230\200\"}", NULL},
};

static void assert_merged(const char *what, const char *base, const char *ours, const char *theirs,
                          enum hf_winner prefer, const char *expected)
{
    char *merged = merge(base, ours, theirs, prefer);

    if (strcmp(merged, expected) != 0)
        fail_msg("%s: merged to %s, expected %s", what, merged, expected);
    free(merged);
}

static void test_merge__by_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *if_theirs = cases[i].if_theirs ? cases[i].if_theirs : cases[i].if_ours;

        assert_merged(cases[i].what, cases[i].base, cases[i].ours, cases[i].theirs, HF_WINNER_OURS,
                      cases[i].if_ours);
        assert_merged(cases[i].what, cases[i].base, cases[i].ours, cases[i].theirs, HF_WINNER_THEIRS, if_theirs);
    }
}

/* ---- what is refused ---- */

#define TEXT(literal)                                                                                              \
    {                                                                                                              \
        .data = (literal), .len = sizeof(literal) - 1                                                              \
    }

static const struct {
    struct hf_slice text;
    const char *sentence;
} refused[] = {
    {TEXT(""), "not JSON"},
    {TEXT(" "), "not JSON"},
    {TEXT("1"), "no object"},
    {TEXT("[]"), "no object"},
    {TEXT("null"), "no object"},
    {TEXT("{"), "not JSON"},
    {TEXT("{\"a\":1,}"), "not JSON"},
    {TEXT("{\"a\":1}x"), "not JSON"},
    {TEXT("{\"a\":1}{}"), "not JSON"},
    {TEXT("{\"a\":1}\0"), "at byte 7: a byte that no JSON text holds"},
    {TEXT("{\"a\"\0:1}"), "at byte 4: a byte that no JSON text holds"},
    {TEXT("{\"a\":\"x\0y\"}"), "at byte 7: a string that"},
    {TEXT("{\"a\":\"x\\u0000y\"}"), "at byte 7: a string that"},
    {TEXT("{\"a\\u0000\":1}"), "at byte 3: a string that"},
    {TEXT("{\"a\":\"\\u00g0\"}"), "a string that"},
    {TEXT("{\"a\":\"\\u00"), "a string that"},
    {TEXT("{\"a\":\"\\"), "a string that"},
    {TEXT("{\"a\":\"x"), "a string that"},
    {TEXT("{\"a\":\"\t\"}"), "a string that"},
    {TEXT("{\"a\":\"\\x\"}"), "not JSON"},
    {TEXT("{\"a\":\"\\ud800\"}"), "not JSON"},
    {TEXT("{\"a\":\"\377\"}"), "at byte 6: a string that"},
    {TEXT("{\"a\":\"\300\200\"}"), "a string that"},     /* an overlong NUL */
    {TEXT("{\"a\":\"\355\240\200\"}"), "a string that"}, /* a surrogate */
    {TEXT("{\"a\":\"\364\220\200\200\"}"), "a string that"},
    {TEXT("{\"a\":\"\342\202"), "a string that"},
    {TEXT("\357\273\277{}"), "at byte 0: a byte that no JSON text holds"},
    {TEXT("{\"a\":NaN}"), "not JSON"},
    {TEXT("{\"a\":Infinity}"), "not JSON"},
    {TEXT("{\"a\":-Infinity}"), "not a number"},
    {TEXT("{\"a\":01}"), "at byte 5: not a number"},
    {TEXT("{\"a\":1.}"), "not a number"},
    {TEXT("{\"a\":.5}"), "not JSON"},
    {TEXT("{\"a\":+1}"), "not JSON"},
    {TEXT("{\"a\":1e}"), "not a number"},
    {TEXT("{\"a\":-}"), "not a number"},
    {TEXT("{\"a\":1-2}"), "not a number"},
    {TEXT("{\"a\":0x10}"), "not JSON"},
    {TEXT("{\"a\":[1 2]}"), "not JSON"},
    {TEXT("{\"a\":1,\"b\":2,\"a\":1}"), "the member 'a' twice"},
    {TEXT("{\"x\":[{\"b\":1,\"\\u0062\":2}]}"), "the member 'b' twice"},
};

static void assert_refused(const struct hf_slice *base, struct hf_slice ours, struct hf_slice theirs,
                           const char *who, const char *sentence)
{
    struct hf_buf merged = {.data = (void *)&merged, .len = 1};
    int rc = hf_merge_json(base, ours, theirs, HF_WINNER_OURS, &merged);

    if (rc != HF_EINVAL || !strstr(hf_errmsg(), sentence) || !strstr(hf_errmsg(), who))
        fail_msg("returned %d: %s; expected HF_EINVAL naming '%s' and '%s'", rc, hf_errmsg(), who, sentence);
    assert_true(merged.data == (void *)&merged && merged.len == 1);
}

static void test_merge__what_could_not_be_kept_is_refused_by_name(void **state)
{
    struct hf_slice good = hf__slice_str("{}");

    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        assert_refused(&good, refused[i].text, good, "ours", refused[i].sentence);
        assert_refused(NULL, good, refused[i].text, "theirs", refused[i].sentence);
        assert_refused(&refused[i].text, good, good, "base", refused[i].sentence);
    }
}

static void test_merge__a_preference_that_is_no_side_is_refused(void **state)
{
    struct hf_slice good = hf__slice_str("{}");
    struct hf_buf merged;

    (void)state;
    assert_int_equal(hf_merge_json(NULL, good, good, HF_WINNER_MERGED, &merged), HF_EINVAL);
    assert_non_null(strstr(hf_errmsg(), "prefer"));
}

/* {"a":{"a":...{}...}} */
static char *nested(size_t depth)
{
    char *text = malloc(6 * depth + 3), *at = text;

    assert_non_null(text);
    for (size_t i = 1; i < depth; i++)
        at += sprintf(at, "{\"a\":");
    at += sprintf(at, "{}");
    for (size_t i = 1; i < depth; i++)
        *at++ = '}';
    *at = '\0';
    return text;
}

static void test_merge__nesting_is_bounded(void **state)
{
    char *deep = nested(CJSON_NESTING_LIMIT), *deeper = nested(CJSON_NESTING_LIMIT + 1);
    char *merged = merge("{}", deep, "{\"a\":{}}", HF_WINNER_THEIRS);

    (void)state;
    assert_true(strcmp(merged, deep) == 0);
    assert_refused(NULL, hf__slice_str(deep), hf__slice_str(deeper), "theirs", "nested too deeply");
    free(merged);
    free(deep);
    free(deeper);
}

/* ---- laws ---- */

static uint64_t random_state;

static unsigned pick(unsigned n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)((random_state >> 33) % n);
}

static cJSON *random_value(unsigned depth);

static cJSON *random_object(unsigned depth)
{
    cJSON *object = cJSON_CreateObject();
    char name[2] = "a";

    for (unsigned i = 0; i < 5; i++, name[0]++) {
        if (pick(3) != 0)
            cJSON_AddItemToObject(object, name, random_value(depth));
    }
    return object;
}

static cJSON *random_value(unsigned depth)
{
    cJSON *array;

    switch (depth > 0 ? pick(6) : pick(3)) {
    case 0: return cJSON_CreateNumber(pick(3));
    case 1: return cJSON_CreateString(pick(2) ? "x" : "\"1\\");
    case 2: return cJSON_CreateNull();
    case 3:
        array = cJSON_CreateArray();
        for (unsigned n = pick(3); n > 0; n--)
            cJSON_AddItemToArray(array, random_value(depth - 1));
        return array;
    default: return random_object(depth - 1);
    }
}

static void change_somewhat(cJSON *object, unsigned depth)
{
    for (char name[2] = "a"; name[0] < 'f'; name[0]++) {
        cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

        if (cJSON_IsObject(item) && pick(2))
            change_somewhat(item, depth - 1);
        else if (pick(4) == 0)
            cJSON_DeleteItemFromObjectCaseSensitive(object, name);
        else if (item && pick(4) == 0)
            cJSON_ReplaceItemInObjectCaseSensitive(object, name, random_value(depth));
        else if (!item && pick(4) == 0)
            cJSON_AddItemToObject(object, name, random_value(depth));
    }
}

/* A document that has something to do with `from`. */
static char *random_text(const cJSON *from)
{
    cJSON *tree = from && pick(8) ? cJSON_Duplicate(from, true) : random_object(3);
    char *text;

    change_somewhat(tree, 3);
    text = cJSON_PrintUnformatted(tree);
    cJSON_Delete(tree);
    return text;
}

/* Either may be NULL: not there. */
static bool same(const cJSON *a, const cJSON *b)
{
    return a && b ? cJSON_Compare(a, b, true) : a == b;
}

static bool is_lawful(const cJSON *base, const cJSON *ours, const cJSON *theirs, const cJSON *merged,
                      const cJSON *preferred)
{
    if (cJSON_IsObject(ours) && cJSON_IsObject(theirs)) {
        bool lawful = cJSON_IsObject(merged);

        for (char name[2] = "a"; name[0] < 'f'; name[0]++)
            lawful = lawful && is_lawful(cJSON_GetObjectItemCaseSensitive(base, name),
                                         cJSON_GetObjectItemCaseSensitive(ours, name),
                                         cJSON_GetObjectItemCaseSensitive(theirs, name),
                                         cJSON_GetObjectItemCaseSensitive(merged, name),
                                         cJSON_GetObjectItemCaseSensitive(preferred, name));
        return lawful;
    }
    if (same(ours, theirs) || same(theirs, base))
        return same(merged, ours);
    return same(ours, base) ? same(merged, theirs) : same(merged, preferred);
}

static void check_laws(uint64_t seed, const char *base, const char *ours, const char *theirs, enum hf_winner prefer)
{
    char *merged = merge(base, ours, theirs, prefer), *turned = merge(base, theirs, ours, other(prefer));
    char *alone = merge(base, ours, ours, prefer), *quiet = merge(base, base, theirs, prefer);
    char *quiet_there = merge(base, ours, base, prefer), *baseless = merge(NULL, ours, theirs, prefer);
    char *baseless_turned = merge(NULL, theirs, ours, other(prefer));
    cJSON *trees[] = {cJSON_Parse(base), cJSON_Parse(ours), cJSON_Parse(theirs), cJSON_Parse(merged)};

    if (!is_lawful(trees[0], trees[1], trees[2], trees[3], trees[prefer == HF_WINNER_OURS ? 1 : 2]))
        fail_msg("seed %" PRIu64 ": %s, %s, %s merged to %s", seed, base, ours, theirs, merged);
    if (!same_value(merged, turned) || !same_value(baseless, baseless_turned))
        fail_msg("seed %" PRIu64 ": %s, %s, %s is not symmetric: %s, %s", seed, base, ours, theirs, merged, turned);
    if (!same_value(alone, ours) || !same_value(quiet, theirs) || !same_value(quiet_there, ours))
        fail_msg("seed %" PRIu64 ": %s, %s, %s: an unchanged side counts", seed, base, ours, theirs);
    if (!same_value(baseless, prefer == HF_WINNER_OURS ? ours : theirs))
        fail_msg("seed %" PRIu64 ": %s, %s without base became %s", seed, ours, theirs, baseless);
    for (size_t i = 0; i < 4; i++)
        cJSON_Delete(trees[i]);
    for (size_t i = 0; i < 7; i++)
        free((char *[]){merged, turned, alone, quiet, quiet_there, baseless, baseless_turned}[i]);
}

static void test_merge__laws_hold_for_random_documents(void **state)
{
    uint64_t seed = (uint64_t)time(NULL);

    (void)state;
    print_message("seed %" PRIu64 "\n", seed);
    for (unsigned i = 0; i < 3000; i++, seed++) {
        char *base, *ours, *theirs;
        cJSON *tree;

        random_state = seed;
        base = random_text(NULL);
        tree = cJSON_Parse(base);
        ours = random_text(tree);
        theirs = random_text(tree);
        check_laws(seed, base, ours, theirs, pick(2) ? HF_WINNER_OURS : HF_WINNER_THEIRS);
        cJSON_Delete(tree);
        free(base);
        free(ours);
        free(theirs);
    }
}

/* 100,000 members: walking a list for each of them would take minutes. */
static void test_merge__many_members_take_no_long_time(void **state)
{
    size_t n = 100000, size = n * 16 + 3;
    char *text = malloc(size), *at = text, *merged;
    time_t start = time(NULL);

    (void)state;
    assert_non_null(text);
    *at++ = '{';
    for (size_t i = 0; i < n; i++)
        at += sprintf(at, "%s\"m%06zu\":%zu", i ? "," : "", i, i % 10);
    strcpy(at, "}");
    merged = merge("{}", text, text, HF_WINNER_OURS);
    assert_true(strcmp(merged, text) == 0);
    assert_true(time(NULL) - start < 20);
    free(merged);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_merge__by_the_table),
        cmocka_unit_test(test_merge__what_could_not_be_kept_is_refused_by_name),
        cmocka_unit_test(test_merge__a_preference_that_is_no_side_is_refused),
        cmocka_unit_test(test_merge__nesting_is_bounded),
        cmocka_unit_test(test_merge__laws_hold_for_random_documents),
        cmocka_unit_test(test_merge__many_members_take_no_long_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
