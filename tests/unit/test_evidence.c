/* Evidence of loss against the table of docs/reconcile.md: every combination of what was known and what is found. */
#include "evidence.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* ---- every row of the table ---- */

static const char *const epochs[] = {"", "00112233445566778899aabbccddeeff", "ffeeddccbbaa99887766554433221100"};
static const char *const log_ids[] = {
    "", "0-0", "1700000000000-3", "1700000000000-4", "1700000000000-10", "1700000000001-0"};
static const uint64_t marks[] = {0, 7, 8};
static const enum hf_server_life lives[] = {HF_SERVER_UNKNOWN, HF_SERVER_SAME, HF_SERVER_RESTARTED};
#define N(array) (sizeof(array) / sizeof((array)[0]))

/* "" and "0-0" both say that there is no entry. */
static size_t place_of(size_t log_id)
{
    return log_id < 2 ? 0 : log_id;
}

static enum hf_evidence expect(size_t known_epoch, size_t found_epoch, size_t known_id, size_t found_id,
                               size_t known_mark, size_t found_mark, bool log_missing, enum hf_server_life life)
{
    bool mark_is_behind = marks[found_mark] != 0 && marks[found_mark] < marks[known_mark];

    if (known_epoch == 0) /* nothing is known to compare with */
        return HF_EVIDENCE_AS_KNOWN;
    if (found_epoch != known_epoch)
        return life == HF_SERVER_RESTARTED ? HF_EVIDENCE_EMPTIED : HF_EVIDENCE_FLUSHED;
    if (mark_is_behind)
        return HF_EVIDENCE_ROLLED_BACK;
    if (log_missing)
        return HF_EVIDENCE_LOG_LOST;
    return place_of(found_id) < place_of(known_id) ? HF_EVIDENCE_ROLLED_BACK : HF_EVIDENCE_AS_KNOWN;
}

static void test_evidence__every_combination_means_what_the_document_says(void **state)
{
    size_t sizes[] = {N(epochs), N(epochs), N(log_ids), N(log_ids), N(marks), N(marks), 2, N(lives)};
    size_t at[N(sizes)], n_cells = 1, seen[HF_EVIDENCE_LOG_LOST + 1] = {0};

    (void)state;
    for (size_t d = 0; d < N(sizes); d++)
        n_cells *= sizes[d];
    for (size_t cell = 0; cell < n_cells; cell++) {
        enum hf_evidence expected, evidence;
        struct hf_history known, found;
        size_t n = cell;
        for (size_t d = 0; d < N(sizes); n /= sizes[d], d++)
            at[d] = n % sizes[d];
        known = (struct hf_history){.epoch = epochs[at[0]], .log_id = log_ids[at[2]], .mark = marks[at[4]]};
        found = (struct hf_history){.epoch = epochs[at[1]], .log_id = log_ids[at[3]], .mark = marks[at[5]]};
        expected = expect(at[0], at[1], at[2], at[3], at[4], at[5], at[6] == 1, lives[at[7]]);
        evidence = hf__evidence(&known, &found, at[6] == 1, lives[at[7]]);
        if (evidence != expected)
            fail_msg("known '%s' '%s' %llu, found '%s' '%s' %llu, log missing %zu, life %d: %d, expected %d",
                     known.epoch, known.log_id, (unsigned long long)known.mark, found.epoch, found.log_id,
                     (unsigned long long)found.mark, at[6], (int)lives[at[7]], (int)evidence, (int)expected);
        seen[evidence]++;
    }
    print_message("%zu cells\n", n_cells);
    for (int e = HF_EVIDENCE_AS_KNOWN; e <= HF_EVIDENCE_LOG_LOST; e++)
        assert_true(seen[e] > 0 || e == HF_EVIDENCE_TRIMMED); /* that one shows only when the log is read */
}

/* ---- what follows ---- */

static void test_evidence__only_a_restarted_server_is_given_back_its_data_unasked(void **state)
{
    (void)state;
    for (int e = HF_EVIDENCE_AS_KNOWN; e <= HF_EVIDENCE_LOG_LOST; e++)
        assert_int_equal(hf__evidence_policy((enum hf_evidence)e, HF_LOSS_BY_EVIDENCE),
                         e == HF_EVIDENCE_EMPTIED ? HF_LOSS_RESEED : HF_LOSS_HOLD);
}

static void test_evidence__a_namespaces_own_policy_stands_above_the_evidence(void **state)
{
    static const enum hf_loss_policy policies[] = {HF_LOSS_RESEED, HF_LOSS_ADOPT, HF_LOSS_HOLD};

    (void)state;
    for (size_t i = 0; i < N(policies); i++) {
        assert_int_equal(hf__evidence_policy(HF_EVIDENCE_EMPTIED, policies[i]), policies[i]);
        assert_int_equal(hf__evidence_policy(HF_EVIDENCE_FLUSHED, policies[i]), policies[i]);
    }
}

/* ---- stream ids ---- */

static void test_evidence__stream_ids_are_ordered_as_numbers(void **state)
{
    static const char *const rising[] = {"",     "0-1",
                                         "0-2",  "0-10",
                                         "9-0",  "9-18446744073709551615",
                                         "10-0", "99",
                                         "99-1", "18446744073709551615-18446744073709551615"};

    (void)state;
    for (size_t i = 0; i < N(rising); i++) {
        for (size_t k = 0; k < N(rising); k++) {
            int order = hf__stream_id_compare(rising[i], rising[k]);
            assert_true(i < k ? order < 0 : i > k ? order > 0 : order == 0);
        }
    }
    assert_int_equal(hf__stream_id_compare("", "0-0"), 0);
    assert_int_equal(hf__stream_id_compare("99", "99-0"), 0);
}

static void test_evidence__a_stream_id_tells_its_milliseconds(void **state)
{
    (void)state;
    assert_int_equal(hf__stream_id_ms("1700000000123-4"), 1700000000123);
    assert_int_equal(hf__stream_id_ms("0-0"), 0);
    assert_int_equal(hf__stream_id_ms(""), 0);
}

static void test_evidence__every_evidence_has_a_text_of_its_own(void **state)
{
    (void)state;
    for (int e = HF_EVIDENCE_AS_KNOWN; e <= HF_EVIDENCE_LOG_LOST; e++) {
        assert_true(hf__evidence_text((enum hf_evidence)e)[0] != '\0');
        for (int other = HF_EVIDENCE_AS_KNOWN; other < e; other++)
            assert_string_not_equal(hf__evidence_text((enum hf_evidence)e),
                                    hf__evidence_text((enum hf_evidence)other));
    }
}

int main(void)
{
#define T(name) cmocka_unit_test(test_evidence__##name)
    const struct CMUnitTest tests[] = {
        T(every_combination_means_what_the_document_says),
        T(only_a_restarted_server_is_given_back_its_data_unasked),
        T(a_namespaces_own_policy_stands_above_the_evidence),
        T(stream_ids_are_ordered_as_numbers),
        T(a_stream_id_tells_its_milliseconds),
        T(every_evidence_has_a_text_of_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
