/* The journal on a disk that fails, forgets and tears: what was acknowledged is there, the rest tells no lies. */
#include "journal.h"

#include "fail.h"
#include "sim_disk.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- fixture: a disk, a journal on it, and a log of everything that was ever appended ---- */

#define DIR "/journal"
#define QUARANTINE "/quarantine"
#define SEGMENT_BYTES (24u * 1024u)
#define LOG_MAX 65536
#define VALUE_MAX 300

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define FLIP_STEP 8 /* bytes; a sanitizer is slow */
#define SEEDS 4     /* power cuts of one kind */
#else
#define FLIP_STEP 1
#define SEEDS 24
#endif

struct made {
    uint64_t lsn;
    uint32_t seed; /* key and value follow from it */
    uint32_t value_bytes;
};

struct fixture {
    struct sim_disk *disk;
    int dir, quarantine;
    struct hf_journal_options opts;
    struct hf_journal *journal;

    pthread_mutex_t mutex; /* the log */
    struct made *log;      /* by LSN; entries of all lives of the journal */
    size_t n_log;
    uint64_t acked; /* highest LSN for which hf__journal_wait has returned 0 */
    uint32_t seed;

    /* What the last opening found. */
    struct hf_recovery r;
    uint64_t *got;
    size_t n_got;
    const char *wrong;
};

static int64_t no_time(void *ctx)
{
    (void)ctx;
    return 1700000000000;
}

static void no_progress(void *ctx)
{
    (void)ctx;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    f->log = malloc(LOG_MAX * sizeof(*f->log));
    f->got = malloc(LOG_MAX * sizeof(*f->got));
    assert_true(f->log && f->got);
    f->disk = sim_disk_new();
    f->opts = (struct hf_journal_options){
        .segment_bytes = SEGMENT_BYTES, .sync_interval_ms = 1, .now_ms = no_time, .progress = no_progress};
    pthread_mutex_init(&f->mutex, NULL);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    (void)hf__journal_close(f->journal);
    hf__recovery_release(&f->r);
    sim_disk_free(f->disk);
    pthread_mutex_destroy(&f->mutex);
    free(f->log);
    free(f->got);
    free(f);
    return 0;
}

/* ---- vocabulary: entries ---- */

static struct hf_entry entry_of(uint32_t seed, uint32_t value_bytes, char *key, uint8_t *value)
{
    snprintf(key, 32, "key-%u", seed);
    for (uint32_t i = 0; i < value_bytes; i++)
        value[i] = (uint8_t)(seed * 131 + i * 7);
    return (struct hf_entry){.op = HF_ENTRY_SET,
                             .type = 1,
                             .made_ms = seed,
                             .key = hf__slice_str(key),
                             .value = hf__slice(value, value_bytes)};
}

static int by_lsn(const void *a, const void *b)
{
    const struct made *x = a, *y = b;

    return (x->lsn > y->lsn) - (x->lsn < y->lsn);
}

static const struct made *logged(const struct fixture *f, uint64_t lsn)
{
    struct made key = {.lsn = lsn};

    return bsearch(&key, f->log, f->n_log, sizeof(*f->log), by_lsn);
}

/* Append one entry with a value of so many bytes; its LSN, or 0 with `*ret_rc` set. */
static uint64_t append_sized(struct fixture *f, uint32_t value_bytes, int *ret_rc)
{
    uint8_t *value = malloc(value_bytes + 1);
    struct hf_entry entry;
    char key[32];
    uint32_t seed;

    assert_non_null(value);
    pthread_mutex_lock(&f->mutex);
    seed = ++f->seed;
    pthread_mutex_unlock(&f->mutex);
    entry = entry_of(seed, value_bytes, key, value);
    *ret_rc = hf__journal_append(f->journal, &entry, 1);
    free(value);
    if (*ret_rc != 0)
        return 0;
    pthread_mutex_lock(&f->mutex);
    assert_true(f->n_log < LOG_MAX);
    f->log[f->n_log++] = (struct made){.lsn = entry.lsn, .seed = seed, .value_bytes = value_bytes};
    pthread_mutex_unlock(&f->mutex);
    return entry.lsn;
}

static uint64_t append(struct fixture *f)
{
    int rc;
    uint64_t lsn = append_sized(f, f->seed * 37 % VALUE_MAX, &rc);

    if (rc != 0)
        fail_msg("append: %d: %s", rc, hf_errmsg());
    return lsn;
}

/* Append `n` entries, which become one group, and wait for it. */
static uint64_t write_group(struct fixture *f, unsigned n)
{
    uint64_t lsn = 0;

    for (unsigned i = 0; i < n; i++)
        lsn = append(f);
    assert_int_equal(hf__journal_wait(f->journal, lsn), 0);
    f->acked = lsn;
    return lsn;
}

/* ---- vocabulary: opening and looking ---- */

static int take_entry(void *ctx, const struct hf_entry *entry)
{
    struct fixture *f = ctx;
    const struct made *made = logged(f, entry->lsn);
    struct hf_entry want;
    uint8_t *value;
    char key[32];

    if (!made)
        f->wrong = "an entry that was never appended";
    if (f->n_got > 0 && f->got[f->n_got - 1] >= entry->lsn)
        f->wrong = "an entry out of order";
    if (f->wrong || f->n_got == LOG_MAX)
        return -1000;
    value = malloc(made->value_bytes + 1);
    assert_non_null(value);
    want = entry_of(made->seed, made->value_bytes, key, value);
    if (!hf__slice_eq(entry->key, want.key) || !hf__slice_eq(entry->value, want.value) ||
        entry->made_ms != want.made_ms)
        f->wrong = "an entry with other contents";
    free(value);
    f->got[f->n_got++] = entry->lsn;
    return f->wrong ? -1000 : 0;
}

/* Open the journal on f->disk; the log is put in order for it. */
static int try_open(struct fixture *f)
{
    struct hf_file_layer *fs = sim_disk_layer(f->disk);

    qsort(f->log, f->n_log, sizeof(*f->log), by_lsn);
    hf__recovery_release(&f->r);
    f->r = (struct hf_recovery){0};
    f->n_got = 0;
    f->wrong = NULL;
    f->opts.fs = fs;
    f->opts.dir = f->dir = fs->open_dir(fs, DIR);
    f->opts.quarantine_dir = f->quarantine = fs->open_dir(fs, QUARANTINE);
    return hf__journal_open(&f->opts, take_entry, f, &f->r, &f->journal);
}

static void opens(struct fixture *f)
{
    int rc = try_open(f);

    if (rc != 0)
        fail_msg("open: %d: %s%s%s", rc, hf_errmsg(), f->wrong ? "; " : "", f->wrong ? f->wrong : "");
}

/* The process ends without a word; the disk stays with it. */
static void lose_journal(struct fixture *f)
{
    struct sim_disk *kept = sim_disk_clone(f->disk);

    sim_disk_heal(f->disk);
    (void)hf__journal_close(f->journal); /* what it still writes goes to the old disk */
    f->journal = NULL;
    sim_disk_free(f->disk);
    f->disk = kept;
}

static void power_cut(struct fixture *f, uint64_t seed)
{
    lose_journal(f);
    sim_disk_power_cut(f->disk, seed);
}

static void kill_process(struct fixture *f)
{
    lose_journal(f);
    sim_disk_kill(f->disk);
}

/* Whether `lsn` was handed out by the last opening. */
static bool got(const struct fixture *f, uint64_t lsn)
{
    size_t low = 0, high = f->n_got;

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (f->got[middle] < lsn)
            low = middle + 1;
        else
            high = middle;
    }
    return low < f->n_got && f->got[low] == lsn;
}

/* Everything of the log in (covered, acked] was found, and nothing is called damaged. */
static void found_all_acked(struct fixture *f, uint64_t seed)
{
    if (f->r.n_damage > 0)
        fail_msg("seed %llu: %llu to %llu are reported as lost", (unsigned long long)seed,
                 (unsigned long long)f->r.damage[0].from_lsn, (unsigned long long)f->r.damage[0].to_lsn);
    for (size_t i = 0; i < f->n_log; i++) {
        uint64_t lsn = f->log[i].lsn;
        if (lsn > f->opts.covered_lsn && lsn <= f->acked && !got(f, lsn))
            fail_msg("seed %llu: the acknowledged entry %llu is gone", (unsigned long long)seed,
                     (unsigned long long)lsn);
    }
}

/* Without a hole: what was found is what was appended, up to some entry. */
static void found_a_prefix(struct fixture *f, uint64_t seed)
{
    size_t at = 0;

    while (at < f->n_log && f->log[at].lsn <= f->opts.covered_lsn)
        at++;
    for (size_t i = 0; i < f->n_got; i++, at++) {
        if (at >= f->n_log || f->got[i] != f->log[at].lsn)
            fail_msg("seed %llu: the entries found have a hole before %llu", (unsigned long long)seed,
                     (unsigned long long)f->got[i]);
    }
}

static void forget_log(struct fixture *f)
{
    f->n_log = 0;
    f->acked = 0;
    f->opts.covered_lsn = f->opts.reserved_lsn = 0;
}

static void fresh_disk(struct fixture *f)
{
    (void)hf__journal_close(f->journal);
    f->journal = NULL;
    sim_disk_free(f->disk);
    f->disk = sim_disk_new();
    forget_log(f);
}

/* ---- the judgement that history 7 warns of ---- */

/* Whether some segment has a bad group with a valid one of the same life behind it. */
static bool bad_then_valid(struct fixture *f)
{
    struct hf_file_layer *fs = sim_disk_layer(f->disk);
    int dir = fs->open_dir(fs, DIR);
    struct hf_segment_list list = {0};
    bool found = false;

    assert_int_equal(hf__segment_list(fs, dir, &list), 0);
    for (size_t i = 0; i < list.n && list.segments[i].verdict == HF_SEGMENT_VALID; i++) {
        struct hf_segment_reader reader;
        struct hf_group_header header;
        const uint8_t *bytes;
        uint64_t offset = HF_SEGMENT_DATA_OFFSET, end = offset;
        assert_int_equal(hf__segment_reader_open(fs, dir, &list.segments[i], &reader), 0);
        while (hf__segment_group_after(&reader, &offset, &header, &bytes) == 0) {
            found |= offset != end;
            offset += header.bytes;
            end = offset;
        }
        hf__segment_reader_close(&reader);
    }
    hf__segment_list_release(&list);
    fs->close(fs, dir);
    return found;
}

/* ---- power cuts ---- */

/* The disk as it was before a sync, with which many power cuts are tried. */
struct camera {
    pthread_mutex_t mutex;
    struct sim_disk *disk;
    struct sim_disk *picture;
    enum sim_call kind; /* SIM_CALLS: any that changes something */
    unsigned skip;      /* calls before the one that is pictured */
};

static void take_picture(void *ctx, enum sim_call kind)
{
    struct camera *c = ctx;

    bool counts = c->kind == SIM_CALLS ? sim_call_changes(kind) : kind == c->kind;

    pthread_mutex_lock(&c->mutex);
    if (counts && !c->picture && c->skip-- == 0)
        c->picture = sim_disk_clone(c->disk);
    pthread_mutex_unlock(&c->mutex);
}

static bool pictured(struct camera *c)
{
    bool taken;

    pthread_mutex_lock(&c->mutex);
    taken = c->picture != NULL;
    pthread_mutex_unlock(&c->mutex);
    return taken;
}

/* History 7 (a). */
static void test_journal__a_power_cut_is_a_torn_tail_and_never_damage(void **state)
{
    struct fixture *f = *state;
    unsigned cuts = 0, torn = 0, scary = 0;

    for (unsigned n = 1; n <= 64; n += n < 8 ? 1 : 7) {
        struct camera camera = {.mutex = PTHREAD_MUTEX_INITIALIZER, .kind = SIM_SYNC};
        uint64_t before;
        fresh_disk(f);
        opens(f);
        for (unsigned i = 0; i < 5; i++)
            write_group(f, 1 + n % 5);
        before = f->acked;
        camera.disk = f->disk;
        sim_disk_set_hook(f->disk, take_picture, &camera);
        write_group(f, n); /* pictured before its sync: nothing of it is acknowledged then */
        sim_disk_set_hook(f->disk, NULL, NULL);
        hf__journal_close(f->journal);
        f->journal = NULL;
        assert_non_null(camera.picture);
        f->acked = before;
        for (uint64_t seed = 1; seed <= 40; seed++, cuts++) {
            sim_disk_free(f->disk);
            f->disk = sim_disk_clone(camera.picture);
            sim_disk_power_cut(f->disk, seed);
            opens(f);
            found_all_acked(f, seed);
            found_a_prefix(f, seed);
            torn += f->n_got < f->n_log;
            assert_int_equal(hf__journal_close(f->journal), 0);
            f->journal = NULL;
        }
        sim_disk_free(camera.picture);
    }
    /* Several unsynced groups in a row: there "bad, then valid" is the normal picture. */
    for (uint64_t seed = 1; seed <= 300; seed++, cuts++) {
        fresh_disk(f);
        f->opts.durability = HF_DURABILITY_NONE;
        opens(f);
        for (unsigned i = 0; i < 3; i++)
            write_group(f, 2);
        assert_int_equal(hf__journal_sync(f->journal, f->acked), 0);
        for (unsigned i = 0; i < 3 + seed % 14; i++)
            assert_int_equal(hf__journal_wait(f->journal, append(f)), 0);
        power_cut(f, seed);
        scary += bad_then_valid(f);
        opens(f);
        found_all_acked(f, seed);
        found_a_prefix(f, seed);
        torn += f->n_got < f->n_log;
    }
    print_message("%u power cuts, %u tore something, %u of 300 left a valid group behind a bad one\n", cuts, torn,
                  scary);
    assert_true(torn > 100);
    assert_true(scary > 100); /* the control: judged by "bad, then valid" these would be called damage */
}

/* A name that the process before has left unsynced is there, until the power fails. */
static void test_journal__what_a_killed_first_opening_has_left_is_durable_before_it_is_used(void **state)
{
    struct fixture *f = *state;
    unsigned call = 0;
    bool more = true;

    for (; more; call++) {
        struct camera camera = {.mutex = PTHREAD_MUTEX_INITIALIZER, .kind = SIM_CALLS, .skip = call};
        fresh_disk(f);
        camera.disk = f->disk;
        sim_disk_set_hook(f->disk, take_picture, &camera);
        opens(f);
        sim_disk_set_hook(f->disk, NULL, NULL);
        more = pictured(&camera);
        if (!more)
            break;
        fresh_disk(f);
        sim_disk_free(f->disk);
        f->disk = camera.picture;
        sim_disk_kill(f->disk);
        opens(f);
        write_group(f, 3);
        lose_journal(f);
        sim_disk_power_cut_all(f->disk);
        opens(f);
        found_all_acked(f, call);
    }
    print_message("%u kills, each with a power cut soon after\n", call);
    assert_true(call > 5);
}

/* History 7 (b). */
static void test_journal__a_group_that_was_cut_never_returns(void **state)
{
    struct fixture *f = *state;
    unsigned ghosts = 0;

    for (uint64_t seed = 1; seed <= 400; seed++) {
        uint64_t ghost, good;
        bool lurks;
        fresh_disk(f);
        f->opts.durability = HF_DURABILITY_NONE;
        opens(f);
        write_group(f, 3);
        assert_int_equal(hf__journal_sync(f->journal, f->acked), 0);
        write_group(f, 4);
        ghost = write_group(f, 1);
        f->acked = f->log[2].lsn;
        power_cut(f, seed);
        lurks = bad_then_valid(f); /* the control: the ghost's bytes are whole, and pass for its segment */
        ghosts += lurks;
        f->opts.durability = HF_DURABILITY_ALWAYS;
        opens(f);
        found_all_acked(f, seed);
        if (lurks && got(f, ghost))
            fail_msg("seed %llu: the ghost came at once", (unsigned long long)seed);
        lurks = !got(f, ghost);
        f->seed = 3; /* the same lengths again */
        write_group(f, 4);
        good = write_group(f, 1);
        for (unsigned again = 0; again < 3; again++) {
            if (again == 1)
                kill_process(f);
            else
                power_cut(f, seed + again);
            opens(f);
            assert_int_equal(f->r.n_damage, 0);
            if (lurks && got(f, ghost))
                fail_msg("seed %llu: the ghost came back", (unsigned long long)seed);
            assert_true(got(f, good));
        }
    }
    print_message("%u ghosts lay on 400 disks\n", ghosts);
    assert_true(ghosts > 20);
}

/* Cut the power before every single call that changes something, and see what each life finds. */
static void test_journal__a_power_cut_before_any_call_loses_nothing_and_gives_no_lsn_twice(void **state)
{
    struct fixture *f = *state;
    unsigned cuts = 0;

    for (unsigned skip = 0;; skip++) {
        static const enum sim_call kinds[] = {SIM_WRITE, SIM_SYNC, SIM_CREATE, SIM_SYNC_DIR, SIM_ALLOCATE};
        bool any = false;
        for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
            struct camera camera = {.mutex = PTHREAD_MUTEX_INITIALIZER, .kind = kinds[k], .skip = skip};
            uint64_t acked = 0, highest = 0, covered = 0, reserved = 0;
            fresh_disk(f);
            opens(f);
            camera.disk = f->disk;
            sim_disk_set_hook(f->disk, take_picture, &camera);
            for (unsigned i = 0; i < 24; i++) {
                uint64_t lsn;
                unsigned n = 1 + i * 5 % 9;
                for (unsigned e = 0; e < n; e++)
                    lsn = append(f);
                if (!pictured(&camera))
                    highest = lsn;
                assert_int_equal(hf__journal_wait(f->journal, lsn), 0);
                if (!pictured(&camera))
                    acked = lsn;
                if (i % 8 == 7) { /* a checkpoint */
                    if (!pictured(&camera)) {
                        covered = lsn;
                        reserved = hf__journal_reserved_lsn(f->journal);
                    }
                    hf__journal_release(f->journal, lsn);
                }
            }
            sim_disk_set_hook(f->disk, NULL, NULL);
            hf__journal_close(f->journal);
            f->journal = NULL;
            if (!camera.picture)
                continue;
            any = true;
            f->acked = acked;
            f->opts.covered_lsn = covered;
            f->opts.reserved_lsn = reserved;
            for (uint64_t seed = 1; seed <= 6; seed++, cuts++) {
                uint64_t lsn;
                size_t n = f->n_log;
                sim_disk_free(f->disk);
                f->disk = sim_disk_clone(camera.picture);
                if (seed == 1)
                    sim_disk_power_cut_all(f->disk);
                else if (seed == 2)
                    sim_disk_kill(f->disk);
                else
                    sim_disk_power_cut(f->disk, seed + 100 * skip);
                opens(f);
                found_all_acked(f, seed + 100 * skip);
                found_a_prefix(f, seed + 100 * skip);
                lsn = append(f);
                if (lsn <= highest || lsn <= f->r.last_lsn)
                    fail_msg("%s %u, seed %llu: LSN %llu is given out again", sim_call_name(kinds[k]), skip,
                             (unsigned long long)seed, (unsigned long long)lsn);
                assert_int_equal(hf__journal_wait(f->journal, lsn), 0);
                hf__journal_close(f->journal);
                f->journal = NULL;
                f->n_log = n;
            }
            sim_disk_free(camera.picture);
        }
        if (!any)
            break;
    }
    print_message("%u power cuts\n", cuts);
    assert_true(cuts > 200);
}

/* A store whose numbers only one file tells: the local tier knows the first reservation, and a number of the second one was
 * given out. That file is of no use in the next opening. */
static uint64_t make_useless_reservation(struct fixture *f)
{
    uint64_t highest;

    fresh_disk(f);
    f->opts.segment_bytes = SEGMENT_BYTES;
    opens(f);
    f->opts.covered_lsn = write_group(f, 3);
    f->opts.reserved_lsn = hf__journal_reserved_lsn(f->journal);
    kill_process(f);
    opens(f);
    highest = append(f);
    power_cut(f, 1);
    f->n_log = 3;
    f->opts.segment_bytes = 2 * SEGMENT_BYTES;
    return highest;
}

static void test_journal__a_power_cut_inside_an_opening_gives_no_lsn_twice(void **state)
{
    struct fixture *f = *state;
    bool any = true;
    unsigned cuts = 0;

    for (unsigned skip = 0; any; skip++) {
        struct camera camera = {.mutex = PTHREAD_MUTEX_INITIALIZER, .kind = SIM_CALLS, .skip = skip};
        uint64_t highest = make_useless_reservation(f);
        camera.disk = f->disk;
        sim_disk_set_hook(f->disk, take_picture, &camera);
        opens(f);
        sim_disk_set_hook(f->disk, NULL, NULL);
        any = pictured(&camera);
        for (uint64_t seed = 1; any && seed <= SEEDS; seed++, cuts++) {
            hf__journal_close(f->journal);
            sim_disk_free(f->disk);
            f->disk = sim_disk_clone(camera.picture);
            sim_disk_power_cut(f->disk, seed);
            opens(f);
            if (hf__journal_last_lsn(f->journal) < highest)
                fail_msg("call %u, seed %llu: LSN %llu would be given out again", skip, (unsigned long long)seed,
                         (unsigned long long)highest);
        }
        sim_disk_free(camera.picture);
    }
    print_message("%u power cuts\n", cuts);
    assert_true(cuts > 5 * SEEDS);
}

/* Open, write `n` entries into several files, close; the disk before the call, or NULL, and what was acknowledged by then. */
static struct sim_disk *picture_life(struct fixture *f, unsigned n, unsigned skip)
{
    struct camera camera = {.mutex = PTHREAD_MUTEX_INITIALIZER, .kind = SIM_CALLS, .skip = skip, .disk = f->disk};
    int rc;

    sim_disk_set_hook(f->disk, take_picture, &camera);
    opens(f);
    for (unsigned i = 0; i < n; i++) {
        uint64_t lsn = append_sized(f, SEGMENT_BYTES / 3, &rc);
        assert_int_equal(rc, 0);
        assert_int_equal(hf__journal_wait(f->journal, lsn), 0);
        if (!pictured(&camera))
            f->acked = lsn;
    }
    sim_disk_set_hook(f->disk, NULL, NULL);
    hf__journal_close(f->journal);
    f->journal = NULL;
    return camera.picture;
}

/* The disk is in the state of `from` again. */
static void back_to(struct fixture *f, struct sim_disk *from)
{
    sim_disk_free(f->disk);
    f->disk = sim_disk_clone(from);
}

/* Cut the life that follows a killed opening at each of its calls. */
static unsigned cut_life_after(struct fixture *f, struct sim_disk *killed)
{
    struct sim_disk *cut;
    unsigned cuts = 0;

    for (unsigned call = 0;; call++) {
        forget_log(f);
        back_to(f, killed);
        sim_disk_kill(f->disk);
        cut = picture_life(f, 6, call);
        if (!cut)
            return cuts;
        for (uint64_t seed = 1; seed <= SEEDS; seed++, cuts++) {
            back_to(f, cut);
            if (seed == 1)
                sim_disk_power_cut_all(f->disk);
            else
                sim_disk_power_cut(f->disk, seed);
            opens(f);
            found_all_acked(f, 1000 * call + seed);
            hf__journal_close(f->journal);
            f->journal = NULL;
        }
        sim_disk_free(cut);
    }
}

/* A killed process leaves files and names that are in the cache only: who uses them must see to it that they stay. */
static void test_journal__what_a_killed_opening_has_made_survives_a_power_cut_of_the_next(void **state)
{
    struct fixture *f = *state;
    struct sim_disk *killed;
    unsigned cuts = 0;

    for (unsigned call = 0;; call++) {
        fresh_disk(f);
        killed = picture_life(f, 0, call);
        if (!killed)
            break;
        cuts += cut_life_after(f, killed);
        sim_disk_free(killed);
    }
    print_message("%u power cuts\n", cuts);
    assert_true(cuts > 100 * SEEDS);
}

/* History 3: Redis may have seen any of them. */
static void test_journal__lsns_that_were_never_durable_are_not_given_out_again(void **state)
{
    static const enum hf_durability all[] = {HF_DURABILITY_NONE, HF_DURABILITY_INTERVAL, HF_DURABILITY_ALWAYS};
    struct fixture *f = *state;
    uint64_t highest = 0;
    unsigned cuts = 0;

    f->opts.sync_interval_ms = 3600 * 1000;
    for (uint64_t seed = 1; seed <= 60; seed++, cuts++) {
        uint64_t random = seed;
        unsigned n = seed % 10 == 0 ? 3000 : (unsigned)(sim_random(&random) % 40);
        f->opts.durability = all[seed % 3];
        opens(f);
        for (unsigned i = 0; i < n; i++) {
            uint64_t lsn = append(f);
            if (lsn <= highest)
                fail_msg("seed %llu: LSN %llu is given out again", (unsigned long long)seed,
                         (unsigned long long)lsn);
            highest = lsn;
            if (sim_random(&random) % 8 == 0)
                assert_int_equal(hf__journal_wait(f->journal, lsn), 0);
        }
        if (seed % 4 == 0)
            kill_process(f);
        else if (seed % 4 == 1)
            sim_disk_power_cut_all((lose_journal(f), f->disk));
        else
            power_cut(f, seed);
        f->n_log = 0; /* only numbers matter here */
        f->opts.covered_lsn = highest;
    }
    print_message("%u lives, the last LSN is %llu\n", cuts, (unsigned long long)highest);
}

/* 2^20 LSNs are reserved at a time: cross the bound, unsynced, and cut the power on both sides of it. */
static void test_journal__lsns_beyond_one_reservation_are_not_given_out_again(void **state)
{
    struct fixture *f = *state;
    static struct hf_entry batch[4096];
    uint64_t start, last = 0;

    for (size_t i = 0; i < 4096; i++)
        batch[i] = (struct hf_entry){.op = HF_ENTRY_DELETE, .key = hf__slice_str("k")};
    f->opts.durability = HF_DURABILITY_NONE;
    f->opts.segment_bytes = 16u << 20;
    opens(f);
    start = hf__journal_last_lsn(f->journal);
    while (last < start + (5u << 18)) {
        assert_int_equal(hf__journal_append(f->journal, batch, 4096), 0);
        last = batch[4095].lsn;
        if ((last - start) % (1u << 18) == 0) { /* 5 times */
            struct sim_disk *now = f->disk, *copy = sim_disk_clone(now);
            struct hf_file_layer *fs = sim_disk_layer(copy);
            struct hf_recovery r;
            sim_disk_power_cut_all(copy);
            assert_int_equal(hf__recover(fs, fs->open_dir(fs, DIR), 0, UINT64_MAX, NULL, NULL, &r), 0);
            assert_true(r.reserved_lsn >= last);
            assert_int_equal(r.n_damage, 0);
            hf__recovery_release(&r);
            sim_disk_free(copy);
        }
    }
}

static void test_journal__a_batch_larger_than_a_reservation_is_appended(void **state)
{
    struct fixture *f = *state;
    static const size_t sizes[] = {(1u << 19) + 1, (1u << 20) + 1};
    struct hf_entry *batch = malloc(sizes[1] * sizeof(*batch));

    assert_non_null(batch);
    for (size_t i = 0; i < sizes[1]; i++)
        batch[i] = (struct hf_entry){.op = HF_ENTRY_DELETE, .key = hf__slice_str("k")};
    opens(f);
    for (size_t k = 0; k < 2; k++) {
        assert_int_equal(hf__journal_append(f->journal, batch, sizes[0]), 0);
        assert_int_equal(hf__journal_append(f->journal, batch, sizes[k]), 0);
        assert_int_equal(hf__journal_wait(f->journal, batch[sizes[k] - 1].lsn), 0);
    }
    free(batch);
}

static void test_journal__a_batch_too_long_for_a_group_is_refused(void **state)
{
    struct fixture *f = *state;
    struct hf_entry batch[9];
    uint64_t last;

    for (size_t i = 0; i < 9; i++) /* 4.5 GiB that are never looked at */
        batch[i] =
            (struct hf_entry){.op = HF_ENTRY_SET, .key = hf__slice_str("k"), .value = hf__slice("v", HF_VALUE_MAX)};
    opens(f);
    last = hf__journal_last_lsn(f->journal);
    assert_int_equal(hf__journal_append(f->journal, batch, 9), HF_EINVAL);
    assert_int_equal(hf__journal_last_lsn(f->journal), last);
    write_group(f, 1);
}

/* ---- syncs and writes that fail ---- */

/* Write until something fails; entries whose wait returned 0 are acknowledged. 0: nothing failed in `n` groups. */
static int write_until_failure(struct fixture *f, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        int rc = 0;
        uint64_t lsn = 0;
        for (unsigned e = 0; e < 1 + i % 4 && rc == 0; e++) {
            uint64_t next = append_sized(f, f->seed * 37 % VALUE_MAX, &rc);
            lsn = rc == 0 ? next : lsn;
        }
        if (rc != 0)
            return rc;
        rc = hf__journal_wait(f->journal, lsn);
        if (rc != 0)
            return rc;
        f->acked = lsn;
    }
    return 0;
}

/* Sweep: the Nth call of a kind fails with `error`, until none fails. Afterwards the truth is on the disk. */
static void sweep_failures(struct fixture *f, enum sim_call kind, int error, size_t short_bytes, bool forever)
{
    unsigned stopped = 0;
    bool failed = true;

    f->opts.segment_bytes = 8192; /* so that segments change often */

    for (unsigned n = 1; failed; n++) {
        struct sim_disk *image;
        uint64_t lsn, found;
        int rc;
        fresh_disk(f);
        opens(f);
        sim_disk_fail(f->disk,
                      (struct sim_fault){
                          .kind = kind, .nth = n, .error = error, .forever = forever, .short_bytes = short_bytes});
        rc = write_until_failure(f, 40);
        failed = sim_disk_failed(f->disk) > 0;
        sim_disk_heal(f->disk);
        if (hf__journal_stopped(f->journal)) {
            int dummy;
            stopped++;
            assert_true(rc == HF_EUNKNOWN || rc == HF_ESTOPPED || rc == HF_EIO || rc == HF_EFULL);
            assert_int_equal(append_sized(f, 1, &dummy), 0);
            assert_int_equal(dummy, HF_ESTOPPED);
            assert_int_equal(hf__journal_wait(f->journal, hf__journal_last_lsn(f->journal) + 1), HF_EUNKNOWN);
            assert_int_equal(hf__journal_sync(f->journal, hf__journal_last_lsn(f->journal) + 1), HF_EUNKNOWN);
            assert_int_equal(hf__journal_wait(f->journal, f->acked), 0); /* what was acknowledged stays so */
        } else {
            assert_int_equal(write_until_failure(f, 5), 0); /* it was not the journal that suffered */
        }
        rc = hf__journal_close(f->journal);
        f->journal = NULL;
        assert_true(rc == 0 || rc == HF_ESTOPPED);

        /* The next life reads the disk, not what the cache pretends. */
        image = sim_disk_clone(f->disk);
        opens(f);
        found_all_acked(f, n);
        found_a_prefix(f, n);
        found = f->r.last_lsn;
        lsn = append(f);
        assert_true(lsn > found);
        power_cut(f, n);
        f->acked = found; /* what a recovery has shown is there for ever */
        opens(f);
        found_all_acked(f, n);
        assert_int_equal(hf__journal_close(f->journal), 0);
        f->journal = NULL;

        /* The same when the power goes at once. */
        sim_disk_free(f->disk);
        f->disk = image;
        sim_disk_power_cut(f->disk, n);
        f->acked = f->acked < found ? f->acked : 0;
        opens(f);
        assert_int_equal(f->r.n_damage, 0);
    }
    print_message("%s, %s%s: %u of the calls stopped the journal\n", sim_call_name(kind), strerror(error),
                  forever ? " for ever" : "", stopped);
    assert_true(stopped > 0 || (kind != SIM_SYNC && kind != SIM_WRITE));
}

static void test_journal__a_failed_sync_stops_it_and_what_was_acknowledged_is_on_the_disk(void **state)
{
    sweep_failures(*state, SIM_SYNC, EIO, 0, false);
    sweep_failures(*state, SIM_SYNC, ENOSPC, 0, true);
}

static void test_journal__a_failed_write_stops_it_and_what_was_acknowledged_is_on_the_disk(void **state)
{
    sweep_failures(*state, SIM_WRITE, EIO, 0, false);
    sweep_failures(*state, SIM_WRITE, EIO, 100, false);
    sweep_failures(*state, SIM_WRITE, ENOSPC, 700, true);
    sweep_failures(*state, SIM_WRITE, EIO, SIZE_MAX, false); /* it was written, and reported as not */
}

static void test_journal__the_failure_of_any_other_call_loses_nothing(void **state)
{
    static const enum sim_call kinds[] = {SIM_OPEN, SIM_CLOSE, SIM_SYNC_DIR, SIM_ALLOCATE, SIM_CREATE};

    for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++)
        sweep_failures(*state, kinds[k], EIO, 0, false);
}

/* Retry after a failed change of segment: two files must not get one number. */
static void test_journal__a_change_of_segment_that_failed_leaves_a_journal_that_opens(void **state)
{
    static const enum sim_call kinds[] = {SIM_WRITE, SIM_OPEN, SIM_SYNC_DIR, SIM_ALLOCATE, SIM_CREATE, SIM_SYNC};
    struct fixture *f = *state;
    unsigned sweeps = 0;

    for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
        bool failed = true;
        for (unsigned n = 1; failed; n++, sweeps++) {
            fresh_disk(f);
            opens(f);
            sim_disk_fail(f->disk,
                          (struct sim_fault){.kind = kinds[k], .nth = n, .error = EIO, .short_bytes = SIZE_MAX});
            for (unsigned i = 0; i < 40 && !hf__journal_stopped(f->journal); i++) {
                int rc;
                uint64_t lsn = append_sized(f, 2000, &rc);
                if (rc == 0 && hf__journal_wait(f->journal, lsn) == 0)
                    f->acked = lsn;
            }
            failed = sim_disk_failed(f->disk) > 0;
            kill_process(f);
            opens(f);
            found_all_acked(f, n);
        }
    }
    print_message("%u failures\n", sweeps);
}

static void test_journal__a_full_disk_refuses_and_changes_nothing_until_there_is_room(void **state)
{
    static const enum sim_call kinds[] = {SIM_ALLOCATE, SIM_CREATE};
    static const int errors[] = {ENOSPC, EDQUOT};
    struct fixture *f = *state;
    unsigned refused = 0;

    for (size_t k = 0; k < 4; k++) {
        bool failed = true;
        for (unsigned n = 1; failed; n++) {
            uint64_t last;
            struct hf_journal_stats stats;
            int rc;
            fresh_disk(f);
            opens(f);
            sim_disk_fail(f->disk, (struct sim_fault){
                                       .kind = kinds[k % 2], .nth = n, .error = errors[k / 2], .forever = true});
            rc = write_until_failure(f, 200);
            failed = rc != 0;
            if (!failed)
                break;
            assert_int_equal(rc, HF_EFULL);
            assert_non_null(strstr(hf_errmsg(), "journal segment"));
            last = hf__journal_last_lsn(f->journal);
            for (unsigned again = 0; again < 5; again++, refused++) {
                uint64_t lsn = append_sized(f, 5000, &rc);
                if (rc != 0) {
                    assert_int_equal(rc, HF_EFULL);
                    continue;
                }
                assert_int_equal(hf__journal_wait(f->journal, lsn), 0);
                f->acked = last = lsn; /* the thread had a spare under way: start over */
                again = 0;
            }
            assert_int_equal(hf__journal_last_lsn(f->journal), last);
            hf__journal_stats(f->journal, &stats); /* the journal's thread may be at its one attempt right now */
            assert_true(sim_disk_n_files(f->disk, DIR) <= stats.segments + 1);
            assert_false(hf__journal_stopped(f->journal));
            assert_int_equal(hf__journal_wait(f->journal, last), 0);
            sim_disk_heal(f->disk);
            assert_int_equal(write_until_failure(f, 30), 0);
            power_cut(f, n);
            opens(f);
            found_all_acked(f, n);
            found_a_prefix(f, n);
            if (n > 6) /* beyond, it is the same with more segments */
                break;
        }
    }
    print_message("%u appends were refused\n", refused);
    assert_true(refused > 40);
}

static void test_journal__an_opening_in_which_any_call_fails_can_be_repeated(void **state)
{
    struct fixture *f = *state;
    unsigned total = 0;

    for (int kind = SIM_LIST; kind < SIM_CALLS; kind++) {
        int rc = HF_EIO;
        bool failed = true;
        for (unsigned n = 1; failed; n++) {
            fresh_disk(f);
            opens(f);
            for (unsigned i = 0; i < 12; i++)
                write_group(f, 20);
            hf__journal_release(f->journal, f->log[60].lsn);
            power_cut(f, n);
            f->opts.covered_lsn = f->log[60].lsn;
            sim_disk_fail(f->disk, (struct sim_fault){.kind = (enum sim_call)kind,
                                                      .nth = n,
                                                      .error = EIO,
                                                      .short_bytes = n % 2 ? SIZE_MAX : 0});
            rc = try_open(f);
            failed = sim_disk_failed(f->disk) > 0;
            if (rc == 0) {
                found_all_acked(f, n);
            } else {
                assert_true(failed);
                assert_int_equal(rc, HF_EIO);
                assert_non_null(strstr(hf_errmsg(), "open journal: "));
                assert_int_equal(sim_disk_descriptors(f->disk), 2);
                f->journal = NULL;
                total++;
            }
            if (rc == 0)
                kill_process(f);
            sim_disk_kill(f->disk);
            opens(f);
            found_all_acked(f, n);
            found_a_prefix(f, n);
        }
    }
    print_message("%u openings failed\n", total);
    assert_true(total > 20);
}

/* ---- recycling ---- */

static void test_journal__released_segments_are_used_again_and_their_entries_never_return(void **state)
{
    struct fixture *f = *state;
    uint64_t most = 0;
    unsigned changes = 0;

    opens(f);
    for (unsigned round = 0; round < 400; round++) {
        write_group(f, 12);
        if (round % 20 == 19) {
            f->opts.covered_lsn = f->log[f->n_log - 150].lsn;
            f->opts.reserved_lsn = hf__journal_reserved_lsn(f->journal);
            hf__journal_release(f->journal, f->opts.covered_lsn);
        }
        if (sim_disk_n_files(f->disk, DIR) > most)
            most = sim_disk_n_files(f->disk, DIR);
        if (round % 50 == 49) {
            struct hf_journal_stats stats;
            hf__journal_stats(f->journal, &stats);
            assert_true(stats.first_lsn <= f->opts.covered_lsn + 1);
            assert_true(stats.segments <= 9);
            if (round % 100 == 49)
                power_cut(f, round);
            else
                kill_process(f);
            opens(f); /* its callback sees every LSN, in order and with the contents of that LSN */
            found_all_acked(f, round);
            assert_true(f->n_got <= 12 * 45);
            changes++;
        }
    }
    print_message("%zu entries, at most %llu files, %u lives\n", f->n_log, (unsigned long long)most, changes);
    assert_true(most > 2 && most <= 9);
}

static void test_journal__a_large_value_gets_a_segment_of_its_own_which_goes_with_it(void **state)
{
    struct fixture *f = *state;
    struct hf_journal_stats stats;
    int rc;

    opens(f);
    write_group(f, 4);
    for (unsigned i = 0; i < 3; i++) {
        f->acked = append_sized(f, 10 * SEGMENT_BYTES, &rc);
        assert_int_equal(rc, 0);
        assert_int_equal(hf__journal_wait(f->journal, f->acked), 0);
        write_group(f, 1);
    }
    hf__journal_stats(f->journal, &stats);
    assert_true(stats.bytes > 30 * SEGMENT_BYTES);
    kill_process(f);
    opens(f);
    found_all_acked(f, 0);
    found_a_prefix(f, 0);
    assert_int_equal(f->n_got, f->n_log);
    f->opts.covered_lsn = write_group(f, 1);
    hf__journal_release(f->journal, f->opts.covered_lsn);
    hf__journal_stats(f->journal, &stats);
    assert_true(stats.bytes <= 4 * SEGMENT_BYTES);
    assert_true(sim_disk_n_files(f->disk, DIR) <= 4);
    for (unsigned i = 0; i < sim_disk_n_files(f->disk, DIR); i++) {
        size_t len;
        free(sim_disk_contents(f->disk, DIR, sim_disk_name(f->disk, DIR, i), &len));
        assert_int_equal(len, SEGMENT_BYTES);
    }
}

/* The numbering begins far behind the history: a segment that was left without an entry must not claim what lies between. */
static void test_journal__a_segment_change_before_the_first_entry_of_a_life_is_no_damage(void **state)
{
    struct fixture *f = *state;
    int rc;

    for (unsigned lives = 1; lives < 4; lives++) {
        fresh_disk(f);
        opens(f);
        write_group(f, 3);
        for (unsigned i = 0; i < lives; i++) {
            kill_process(f);
            opens(f);
            f->acked = append_sized(f, 2 * SEGMENT_BYTES, &rc);
            assert_int_equal(rc, 0);
            assert_int_equal(hf__journal_wait(f->journal, f->acked), 0);
        }
        kill_process(f);
        opens(f);
        found_all_acked(f, lives);
        assert_int_equal(f->n_got, f->n_log);
    }
}

static void test_journal__a_clean_close_and_opening_loses_nothing_and_adds_no_files(void **state)
{
    struct fixture *f = *state;

    for (unsigned life = 0; life < 30; life++) {
        opens(f);
        assert_int_equal(f->n_got, f->n_log);
        found_all_acked(f, life);
        f->acked = append(f); /* closing writes and syncs it */
        assert_int_equal(hf__journal_close(f->journal), 0);
        f->journal = NULL;
        assert_int_equal(sim_disk_descriptors(f->disk), 2); /* the two directories */
        sim_disk_power_cut_all(f->disk);
    }
    opens(f);
    f->opts.covered_lsn = f->acked;
    hf__journal_release(f->journal, f->acked);
    assert_true(sim_disk_n_files(f->disk, DIR) <= 3);
}

/* ---- many threads ---- */

#define THREADS 16
#define EACH 60

struct gate {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    struct fixture *f;
    unsigned started;
    bool ended[THREADS];
    uint64_t lsn[THREADS]; /* what each thread has appended last */
};

/* A slow disk, told as steps: a sync ends when every thread that still runs has something to wait for. */
static void hold_sync(void *ctx, enum sim_call kind)
{
    struct gate *gate = ctx;

    if (kind != SIM_SYNC)
        return;
    pthread_mutex_lock(&gate->mutex);
    for (unsigned i = 0; i < THREADS; i++) {
        while (!gate->ended[i] && gate->lsn[i] <= hf__journal_durable_lsn(gate->f->journal))
            pthread_cond_wait(&gate->cond, &gate->mutex);
    }
    pthread_mutex_unlock(&gate->mutex);
}

static void note_thread(struct gate *gate, unsigned i, uint64_t lsn, bool ended)
{
    pthread_mutex_lock(&gate->mutex);
    gate->lsn[i] = lsn;
    gate->ended[i] = ended;
    pthread_cond_broadcast(&gate->cond);
    pthread_mutex_unlock(&gate->mutex);
}

static void *write_many(void *ctx)
{
    struct gate *gate = ctx;
    struct fixture *f = gate->f;
    unsigned me;

    pthread_mutex_lock(&gate->mutex);
    me = gate->started++;
    pthread_mutex_unlock(&gate->mutex);
    for (unsigned i = 0; i < EACH; i++) {
        int rc;
        uint64_t lsn = append_sized(f, 20, &rc);
        uint64_t exceptions[3] = {lsn, lsn + 1, lsn + 2};
        if (rc != 0)
            return "append failed";
        hf__journal_note_shared(f->journal, lsn, exceptions, i % 4);
        note_thread(gate, me, lsn, false);
        if (hf__journal_wait(f->journal, lsn) != 0)
            return "wait failed";
        if (hf__journal_durable_lsn(f->journal) < lsn || hf__journal_safe_lsn(f->journal) < lsn)
            return "not durable";
        pthread_mutex_lock(&f->mutex);
        if (lsn > f->acked)
            f->acked = lsn;
        pthread_mutex_unlock(&f->mutex);
    }
    note_thread(gate, me, 0, true);
    return NULL;
}

static void test_journal__one_sync_serves_many_threads_and_all_they_wrote_is_durable(void **state)
{
    struct fixture *f = *state;
    struct gate gate = {.mutex = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER, .f = f};
    struct hf_journal_stats stats;
    pthread_t threads[THREADS];
    unsigned syncs;

    f->opts.segment_bytes = 1u << 20; /* no change of segment: it would wait for a sync that waits for it */
    opens(f);
    syncs = sim_disk_count(f->disk, SIM_SYNC);
    sim_disk_set_hook(f->disk, hold_sync, &gate);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, &gate), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        void *problem = NULL;
        pthread_join(threads[i], &problem);
        if (problem)
            fail_msg("%s", (const char *)problem);
    }
    sim_disk_set_hook(f->disk, NULL, NULL);
    hf__journal_stats(f->journal, &stats);
    syncs = sim_disk_count(f->disk, SIM_SYNC) - syncs;
    print_message("%u entries, %llu groups, %u syncs\n", THREADS * EACH, (unsigned long long)stats.groups, syncs);
    assert_int_equal(f->n_log, THREADS * EACH);
    assert_true(syncs <= stats.syncs && 4 * stats.syncs < THREADS * EACH);
    lose_journal(f);
    sim_disk_power_cut_all(f->disk);
    opens(f);
    found_all_acked(f, 0);
    found_a_prefix(f, 0); /* its callback has checked that the order of the file is that of the LSNs */
    assert_int_equal(f->n_got, THREADS * EACH);
}

static void *write_one(void *ctx)
{
    struct gate *gate = ctx;
    unsigned me;
    uint64_t lsn;
    int rc;

    pthread_mutex_lock(&gate->mutex);
    me = gate->started++;
    pthread_mutex_unlock(&gate->mutex);
    lsn = append_sized(gate->f, 20, &rc);
    note_thread(gate, me, rc == 0 ? lsn : UINT64_MAX, false);
    rc = rc == 0 ? hf__journal_wait(gate->f->journal, lsn) : rc;
    return rc == HF_EUNKNOWN || rc == HF_ESTOPPED ? NULL : "it was told something else";
}

static void join_soon(pthread_t thread)
{
    struct timespec until;
    void *problem = NULL;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 10;
    if (pthread_timedjoin_np(thread, &problem, &until) != 0) {
        print_error("a thread still waits\n");
        _exit(1); /* while it does, nothing can be taken down */
    }
    if (problem)
        fail_msg("%s", (const char *)problem);
}

/* One leads; the others are in the next group, which nobody will lead. */
static void test_journal__a_failed_sync_is_told_to_all_who_wait(void **state)
{
    struct fixture *f = *state;

    for (unsigned round = 0; round < 20; round++) {
        struct gate gate = {.mutex = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER, .f = f};
        pthread_t threads[THREADS];
        opens(f);
        sim_disk_set_hook(f->disk, hold_sync, &gate);
        sim_disk_fail(f->disk, (struct sim_fault){.kind = SIM_SYNC, .nth = 1, .error = EIO});
        for (unsigned i = 0; i < THREADS; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, write_one, &gate), 0);
        for (unsigned i = 0; i < THREADS; i++)
            join_soon(threads[i]);
        sim_disk_set_hook(f->disk, NULL, NULL);
        sim_disk_heal(f->disk);
        lose_journal(f);
    }
}

/* ---- weaker durability ---- */

static void test_journal__what_was_waited_for_survives_a_kill_whatever_the_durability(void **state)
{
    static const enum hf_durability weak[] = {HF_DURABILITY_INTERVAL, HF_DURABILITY_NONE};
    struct fixture *f = *state;

    for (size_t i = 0; i < 2; i++) {
        fresh_disk(f);
        f->opts.durability = weak[i];
        f->opts.sync_interval_ms = 3600 * 1000;
        opens(f);
        for (unsigned round = 0; round < 60; round++)
            write_group(f, 1 + round % 7);
        kill_process(f);
        opens(f);
        found_all_acked(f, i);
        found_a_prefix(f, i);
        assert_int_equal(f->n_got, f->n_log);
        lose_journal(f); /* the opening has synced what it read */
        sim_disk_power_cut_all(f->disk);
        opens(f);
        found_all_acked(f, i);
    }
}

static void test_journal__what_was_synced_on_request_survives_a_power_cut_whatever_the_durability(void **state)
{
    struct fixture *f = *state;

    f->opts.durability = HF_DURABILITY_NONE;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        uint64_t lsn;
        fresh_disk(f);
        opens(f);
        lsn = write_group(f, (unsigned)(1 + seed));
        assert_int_equal(hf__journal_sync(f->journal, lsn), 0);
        assert_true(hf__journal_durable_lsn(f->journal) >= lsn);
        write_group(f, 9);
        f->acked = lsn;
        power_cut(f, seed);
        opens(f);
        found_all_acked(f, seed);
        found_a_prefix(f, seed);
    }
}

struct waiting {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    unsigned calls;
};

static void note_progress(void *ctx)
{
    struct waiting *w = ctx;

    pthread_mutex_lock(&w->mutex);
    w->calls++;
    pthread_cond_broadcast(&w->cond);
    pthread_mutex_unlock(&w->mutex);
}

static void test_journal__its_thread_syncs_at_the_interval_and_on_a_push(void **state)
{
    static const enum hf_durability both[] = {HF_DURABILITY_INTERVAL, HF_DURABILITY_ALWAYS};
    struct fixture *f = *state;
    struct waiting w = {.mutex = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};

    f->opts.progress = note_progress;
    f->opts.ctx = &w;
    for (size_t i = 0; i < 2; i++) {
        uint64_t lsn;
        fresh_disk(f);
        f->opts.durability = both[i];
        opens(f);
        lsn = append(f);
        if (both[i] == HF_DURABILITY_ALWAYS)
            hf__journal_push(f->journal); /* nobody waits for it */
        pthread_mutex_lock(&w.mutex);
        while (hf__journal_durable_lsn(f->journal) < lsn) /* the test's timeout is the limit */
            pthread_cond_wait(&w.cond, &w.mutex);
        pthread_mutex_unlock(&w.mutex);
        f->acked = lsn;
        lose_journal(f);
        sim_disk_power_cut_all(f->disk);
        opens(f);
        found_all_acked(f, i);
    }
    hf__journal_close(f->journal);
    f->journal = NULL;
}

static void test_journal__what_was_shared_is_told_to_the_next_life(void **state)
{
    struct fixture *f = *state;
    uint64_t exceptions[2], lsn;

    opens(f);
    write_group(f, 10);
    exceptions[0] = f->log[3].lsn;
    exceptions[1] = f->log[5].lsn;
    hf__journal_note_shared(f->journal, f->log[8].lsn, exceptions, 2);
    lsn = write_group(f, 1);
    power_cut(f, 1);
    opens(f);
    for (size_t i = 0; i <= 8; i++)
        assert_int_equal(hf__recovery_is_shared(&f->r, f->log[i].lsn), i != 3 && i != 5);
    assert_false(hf__recovery_is_shared(&f->r, f->log[9].lsn));
    assert_false(hf__recovery_is_shared(&f->r, lsn));
}

/* ---- damage ---- */

/* The name of the segment that holds most entries, and the offset of its second group. */
static void damage_second_group(struct fixture *f)
{
    size_t len;
    uint8_t *bytes = sim_disk_contents(f->disk, DIR, "00000001.seg", &len);

    assert_non_null(bytes);
    sim_disk_flip_bit(f->disk, DIR, "00000001.seg", HF_SEGMENT_DATA_OFFSET + hf__get32(bytes + 4096 + 4) + 20, 1);
    free(bytes);
}

static void make_damaged(struct fixture *f)
{
    fresh_disk(f);
    opens(f);
    for (unsigned i = 0; i < 5; i++)
        write_group(f, 3);
    kill_process(f);
    damage_second_group(f);
}

static void quarantine_holds(struct fixture *f, const uint8_t *bytes, size_t len)
{
    size_t copied = 0;
    uint8_t *copy;

    assert_int_equal(sim_disk_n_files(f->disk, QUARANTINE), 1);
    copy = sim_disk_contents(f->disk, QUARANTINE, sim_disk_name(f->disk, QUARANTINE, 0), &copied);
    assert_int_equal(copied, len);
    assert_memory_equal(copy, bytes, len);
    free(copy);
}

static void test_journal__a_damaged_segment_is_kept_byte_by_byte_and_the_loss_is_named(void **state)
{
    struct fixture *f = *state;
    size_t len;
    uint8_t *bytes;

    make_damaged(f);
    bytes = sim_disk_contents(f->disk, DIR, "00000001.seg", &len);
    opens(f);
    assert_int_equal(f->r.n_damage, 1);
    assert_int_equal(f->r.damage[0].from_lsn, f->log[3].lsn);
    assert_int_equal(f->r.damage[0].to_lsn, f->log[5].lsn);
    assert_int_equal(f->n_got, 12);
    lose_journal(f);
    sim_disk_power_cut_all(f->disk); /* the copy is durable */
    quarantine_holds(f, bytes, len);
    free(bytes);
}

/* A disk with one file of five groups, of which the last one is not claimed, and the end of what was written in it. */
static struct sim_disk *make_five_groups(struct fixture *f, uint64_t *ret_end)
{
    size_t len;
    uint8_t *bytes;

    fresh_disk(f);
    opens(f);
    for (unsigned i = 0; i < 5; i++)
        write_group(f, 3);
    kill_process(f);
    bytes = sim_disk_contents(f->disk, DIR, "00000001.seg", &len);
    while (len > 0 && bytes[len - 1] == 0)
        len--;
    free(bytes);
    *ret_end = len;
    return sim_disk_clone(f->disk);
}

/* Everything that is not reported as lost was found, but for a torn tail: the last group. What was behind an only header that is
 * bad, nobody can tell. */
static void accounts_for_all(struct fixture *f, uint64_t bit)
{
    size_t missing = f->n_log - f->n_got;

    if (bit < 8 * HF_SEGMENT_HEADER_BYTES) {
        assert_int_equal(f->r.n_damage, 1);
        assert_int_equal(f->n_got, 0);
        return;
    }
    if (f->r.n_damage == 0 && missing != 0 && missing != 3)
        fail_msg("bit %llu: %zu entries are missing, and nothing is reported", (unsigned long long)bit, missing);
    for (size_t i = 0; i < f->n_log; i++) {
        uint64_t lsn = f->log[i].lsn;
        bool reported = f->r.n_damage > 0 && lsn >= f->r.damage[0].from_lsn && lsn <= f->r.damage[0].to_lsn;
        if (reported ? got(f, lsn) : !got(f, lsn) && i < 12)
            fail_msg("bit %llu: entry %llu is %s", (unsigned long long)bit, (unsigned long long)lsn,
                     reported ? "found, and reported as lost" : "missing");
    }
}

static void test_journal__a_flipped_bit_is_quarantined_if_and_only_if_something_is_lost_by_it(void **state)
{
    struct fixture *f = *state;
    unsigned kept = 0, flips = 0;
    uint64_t end;
    struct sim_disk *sound = make_five_groups(f, &end);

    for (uint64_t bit = 0; bit < 8 * (end + 64); bit += 8 * FLIP_STEP + 1, flips++) {
        size_t len;
        uint8_t *bytes;
        sim_disk_free(f->disk);
        f->disk = sim_disk_clone(sound);
        sim_disk_flip_bit(f->disk, DIR, "00000001.seg", bit / 8, (unsigned)bit);
        bytes = sim_disk_contents(f->disk, DIR, "00000001.seg", &len);
        opens(f);
        accounts_for_all(f, bit);
        if (f->r.n_damage > 0)
            quarantine_holds(f, bytes, len);
        else
            assert_int_equal(sim_disk_n_files(f->disk, QUARANTINE), 0);
        kept += f->r.n_damage > 0;
        free(bytes);
        hf__journal_close(f->journal);
        f->journal = NULL;
    }
    sim_disk_free(sound);
    print_message("%u flips, %u quarantined\n", flips, kept);
    assert_true(kept > 0 && kept < flips);
}

static void test_journal__the_copy_is_whole_whatever_failed_while_it_was_made(void **state)
{
    static const enum sim_call kinds[] = {SIM_WRITE, SIM_SYNC, SIM_SYNC_DIR, SIM_CREATE, SIM_RENAME};
    struct fixture *f = *state;
    unsigned failures = 0;

    for (size_t k = 0; k < 2 * sizeof(kinds) / sizeof(kinds[0]); k++) {
        bool failed = true;
        for (unsigned n = 1; failed; n++) {
            size_t len;
            uint8_t *bytes;
            make_damaged(f);
            bytes = sim_disk_contents(f->disk, DIR, "00000001.seg", &len);
            sim_disk_fail(f->disk,
                          (struct sim_fault){.kind = kinds[k / 2], .nth = n, .error = ENOSPC, .short_bytes = 1000});
            if (try_open(f) == 0)
                lose_journal(f);
            failed = sim_disk_failed(f->disk) > 0 || f->journal;
            f->journal = NULL;
            failures++;
            failed = failed && n < 12;
            if (k % 2)
                sim_disk_power_cut(f->disk, n);
            else
                sim_disk_kill(f->disk);
            opens(f);
            quarantine_holds(f, bytes, len);
            free(bytes);
        }
    }
    print_message("%u failures\n", failures);
}

static void test_journal__a_bad_header_costs_no_number_and_the_file_is_kept(void **state)
{
    struct fixture *f = *state;

    for (uint64_t offset = 0; offset < HF_SEGMENT_HEADER_BYTES; offset++) {
        uint64_t highest;
        size_t len;
        uint8_t *bytes;
        fresh_disk(f);
        opens(f);
        write_group(f, 3);
        kill_process(f);
        opens(f);
        highest = write_group(f, 5); /* in the second file */
        kill_process(f);
        sim_disk_flip_bit(f->disk, DIR, "00000002.seg", offset, (unsigned)offset);
        bytes = sim_disk_contents(f->disk, DIR, "00000002.seg", &len);
        opens(f);
        if (f->r.n_damage == 0)
            fail_msg("byte %llu: no damage is reported", (unsigned long long)offset);
        assert_int_equal(f->n_got, 3);
        assert_true(append(f) > highest);
        quarantine_holds(f, bytes, len);
        free(bytes);
        f->acked = f->log[2].lsn;
        kill_process(f);
        opens(f); /* and it is over with that */
        found_all_acked(f, offset);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_journal__a_power_cut_is_a_torn_tail_and_never_damage),
        TEST(test_journal__what_a_killed_first_opening_has_left_is_durable_before_it_is_used),
        TEST(test_journal__a_group_that_was_cut_never_returns),
        TEST(test_journal__a_power_cut_before_any_call_loses_nothing_and_gives_no_lsn_twice),
        TEST(test_journal__a_power_cut_inside_an_opening_gives_no_lsn_twice),
        TEST(test_journal__what_a_killed_opening_has_made_survives_a_power_cut_of_the_next),
        TEST(test_journal__lsns_that_were_never_durable_are_not_given_out_again),
        TEST(test_journal__lsns_beyond_one_reservation_are_not_given_out_again),
        TEST(test_journal__a_batch_larger_than_a_reservation_is_appended),
        TEST(test_journal__a_batch_too_long_for_a_group_is_refused),
        TEST(test_journal__a_failed_sync_stops_it_and_what_was_acknowledged_is_on_the_disk),
        TEST(test_journal__a_failed_write_stops_it_and_what_was_acknowledged_is_on_the_disk),
        TEST(test_journal__the_failure_of_any_other_call_loses_nothing),
        TEST(test_journal__a_change_of_segment_that_failed_leaves_a_journal_that_opens),
        TEST(test_journal__a_full_disk_refuses_and_changes_nothing_until_there_is_room),
        TEST(test_journal__an_opening_in_which_any_call_fails_can_be_repeated),
        TEST(test_journal__released_segments_are_used_again_and_their_entries_never_return),
        TEST(test_journal__a_large_value_gets_a_segment_of_its_own_which_goes_with_it),
        TEST(test_journal__a_segment_change_before_the_first_entry_of_a_life_is_no_damage),
        TEST(test_journal__a_clean_close_and_opening_loses_nothing_and_adds_no_files),
        TEST(test_journal__one_sync_serves_many_threads_and_all_they_wrote_is_durable),
        TEST(test_journal__a_failed_sync_is_told_to_all_who_wait),
        TEST(test_journal__what_was_waited_for_survives_a_kill_whatever_the_durability),
        TEST(test_journal__what_was_synced_on_request_survives_a_power_cut_whatever_the_durability),
        TEST(test_journal__its_thread_syncs_at_the_interval_and_on_a_push),
        TEST(test_journal__what_was_shared_is_told_to_the_next_life),
        TEST(test_journal__a_damaged_segment_is_kept_byte_by_byte_and_the_loss_is_named),
        TEST(test_journal__a_flipped_bit_is_quarantined_if_and_only_if_something_is_lost_by_it),
        TEST(test_journal__the_copy_is_whole_whatever_failed_while_it_was_made),
        TEST(test_journal__a_bad_header_costs_no_number_and_the_file_is_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
