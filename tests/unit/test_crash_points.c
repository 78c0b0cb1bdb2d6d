/* Crash points: a store is cut at every call that changes its disk and at every boundary of a checkpoint, and opened again.
 *
 * A whole store writes by the ledger, on a simulated disk for its journal and a real LMDB; segments are small, so that they
 * change, are used again and are removed. Before each call of the file layer that changes something, and before and after
 * each commit of LMDB, a picture is taken: the disk with all that is not synced, LMDB's file as of its last commit, and what
 * has been begun and acknowledged. Each picture is then cut in several ways (nothing survives but what was synced; kill -9;
 * any part of what was not synced, by a seed), opened, cut again inside that opening, and so on to a depth of three. Every
 * opening must show the account of all acknowledged operations and of none that was not begun, whole; must number on behind
 * everything that was given out; and what it has shown and is told afterwards must survive the next cut.
 *
 *     test_crash_points                             as one of the tests
 *     test_crash_points --seed S [--minutes N]      from this seed on, for so long; without --minutes: that seed alone
 *     ... --cuts N --operations N                   more power cuts at each point, longer runs */
#include "camera.h"
#include "fake_tier.h"
#include "scratch.h"

#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SEGMENT_BYTES (64u << 10) /* the least */
#define HOUR_MS 3600000           /* no checkpoint begins by itself */
#define DEPTH 3                   /* openings, each but the last one cut inside */
#define MORE 3                    /* operations after the last opening, before one more cut */
#define LIVES 4                   /* of the store that is filmed, each closed in the end */
#define AT_ONCE 6                 /* operations between two looks at the pictures */
#define CHECKPOINT_EVERY 24       /* operations */
#define DRAIN_MS 20000

#if defined(__SANITIZE_THREAD__)
#define POINT_STEP 17 /* a sanitizer is slow: one point in so many */
#elif defined(__SANITIZE_ADDRESS__)
#define POINT_STEP 7
#else
#define POINT_STEP 1
#endif

/* ---- fixture ---- */

/* One way to cut a point, under judgement. */
struct trial {
    struct fixture *f;
    const struct picture *point;
    unsigned way, depth;
    uint64_t random;
    bool damaged;         /* its openings must report damage */
    struct ledger ledger; /* of its openings */
    _Atomic uint64_t synced;
};

struct fixture {
    struct scratch scratch;
    char judged[96]; /* directory of the stores that are opened after a cut */
    uint64_t seed;
    unsigned n_cuts, n_operations; /* cuts by seed at a point; operations of a run */
    struct hf_options opts;
    bool shared; /* with a Redis, which is away */
    struct ledger ledger;
    _Atomic uint64_t synced;
    struct camera camera;
    struct trial trial;
    struct camera cut_camera,
        again_camera; /* of openings after a cut; here, so that they are closed after a failure, too */

    struct account account; /* after operation `at` */
    uint64_t at;
    unsigned points, recoveries, kinds[SIM_CALLS + 1];
    unsigned n_shorter; /* recoveries that found less than was begun: without any, nothing was put to the test */
};

static struct fixture *fixture_new(uint64_t seed)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    if (access("/dev/shm", W_OK) == 0) /* LMDB syncs, and the machine's disk is not the question here */
        setenv("TMPDIR", "/dev/shm", 0);
    scratch_make(&f->scratch);
    snprintf(f->judged, sizeof(f->judged), "%s/judged", f->scratch.dir);
    f->seed = seed;
    f->n_cuts = 3;
    f->n_operations = 160;
    f->opts = (struct hf_options){.sync_interval_ms = HOUR_MS,
                                  .segment_bytes = SEGMENT_BYTES,
                                  .max_disk_bytes = 16u << 20,
                                  .checkpoint_interval_ms = HOUR_MS};
    return f;
}

static int set_up(void **state)
{
    const char *seed = getenv("HOLDFAST_SEED");

    *state = fixture_new(seed ? strtoull(seed, NULL, 10) : 1);
    return 0;
}

/* Accepts a camera that never began. */
static void end_film(struct camera *c)
{
    if (!c->disk)
        return;
    (void)camera_close(c);
    camera_release(c);
}

static void fixture_free(struct fixture *f)
{
    end_film(&f->again_camera);
    end_film(&f->cut_camera);
    end_film(&f->camera);
    scratch_remove(&f->scratch);
    free(f);
}

static int tear_down(void **state)
{
    fixture_free(*state);
    return 0;
}

/* ---- judging ---- */

/* How a picture is cut, and what follows from it; the ways behind these are power cuts, with kills among them, by a seed. */
enum { CUT_ALL, CUT_KILL, CUT_KILL_THEN_ALL, CUT_SEEDS };

#define REJECT(t, format, ...)                                                                                     \
    fail_msg("HOLDFAST_SEED=%" PRIu64 ", point %u (%s), way %u, depth %u, %" PRIu64 " synced, %" PRIu64            \
             " acknowledged, %" PRIu64 " begun: " format,                                                          \
             (t)->f->seed, (t)->f->points, picture_kind_name((t)->point->kind), (t)->way, (t)->depth,              \
             (t)->point->synced, (t)->point->acked, (t)->point->begun, __VA_ARGS__)

static uint64_t least(const struct trial *t)
{
    return t->way == CUT_KILL || t->way == CUT_KILL_THEN_ALL ? t->point->acked : t->point->synced;
}

static void cut(struct trial *t, struct sim_disk *disk)
{
    bool last = t->depth > DEPTH;

    if (t->way == CUT_ALL || (t->way == CUT_KILL_THEN_ALL && last))
        sim_disk_power_cut_all(disk);
    else if (t->way < CUT_SEEDS || sim_random(&t->random) % 4 == 0)
        sim_disk_kill(disk);
    else
        sim_disk_power_cut(disk, sim_random(&t->random));
}

static struct trial *begin_trial(struct fixture *f, const struct picture *point, unsigned way)
{
    f->trial = (struct trial){.f = f,
                              .point = point,
                              .way = way,
                              .random = f->seed * 1000003 + f->points * 1009 + way,
                              .ledger.seed = f->seed};
    return &f->trial;
}

/* Cut what the picture shows, and open what is left of it; the camera films it. */
static void reopen(struct trial *t, const struct picture *p, struct camera *ret_camera)
{
    int rc;

    camera_init(ret_camera, t->f->judged, &t->ledger, &t->synced, p);
    cut(t, ret_camera->disk);
    picture_lay_out(p, t->f->judged);
    rc = camera_open(ret_camera, &t->f->opts, t->f->shared ? fake_redis_open : NULL);
    t->f->recoveries++;
    if (rc != 0)
        REJECT(t, "the store does not open: %s", hf_errmsg());
    if ((ret_camera->store->n_quarantined > 0) != t->damaged)
        REJECT(t, "damage is %s", t->damaged ? "not reported" : "reported");
    if (hf__journal_last_lsn(ret_camera->store->journal) < p->last_lsn)
        REJECT(t, "LSN %" PRIu64 " would be given out again", p->last_lsn);
}

/* The account after operation `number` of the run. */
static struct account account_at(struct fixture *f, uint64_t number)
{
    if (number < f->at) {
        f->account = (struct account){0};
        f->at = 0;
    }
    while (f->at < number)
        account_move(&f->account, f->seed, ++f->at);
    return f->account;
}

/* The store shows one of the accounts from `account`, which is that after `from`, to that after `to`; it is moved there. */
static uint64_t shows(struct trial *t, struct hf *store, struct account *account, uint64_t from, uint64_t to)
{
    struct account found;
    int64_t number;

    if (account_read(store, &found) != 0)
        REJECT(t, "%s", hf_errmsg());
    number = account_reach(account, t->f->seed, from, to, &found);
    if (number < 0)
        REJECT(t, "what the store holds is no account from %" PRIu64 " to %" PRIu64, from, to);
    return (uint64_t)number;
}

/* Redis comes, for the first time, and is sent all that is owed to it, once: it then holds what the store holds. */
static void settles(struct trial *t, struct hf *store)
{
    struct account account;

    assert_ok(account_read(store, &account));
    fake_redis_wipe();
    fake_redis_set_away(false);
    if (hf_drain(store, DRAIN_MS) != 0)
        REJECT(t, "what is owed is not sent: %s", hf_errmsg());
    if (!account_agrees(&account, fake_redis_holds))
        REJECT(t, "%s", "Redis does not hold what the store holds");
    fake_redis_set_away(true);
}

/* What was shown stays, and so does what is written now. */
static void goes_on(struct trial *t, struct camera *c, struct account account)
{
    bool synced = t->f->opts.durability == HF_DURABILITY_ALWAYS || t->way == CUT_KILL;
    uint64_t begun = t->point->begun, acked;
    struct picture now;
    struct camera *again = &t->f->again_camera;

    assert_ok(ledger_write(&t->ledger, c->store, begun + MORE));
    now = camera_now(c);
    assert_ok(camera_close(c));
    acked = synced && atomic_load(&t->ledger.acked) > begun ? atomic_load(&t->ledger.acked) : begun;
    for (uint64_t number = begun + 1; number <= acked; number++)
        account_move(&account, t->f->seed, number);
    t->depth = DEPTH + 1;
    reopen(t, &now, again);
    shows(t, again->store, &account, acked, begun + MORE);
    if (t->f->shared)
        settles(t, again->store);
    assert_ok(camera_close(again));
    camera_release(again);
    picture_release(&now);
}

/* One way to cut a point: openings, each cut inside, the last one gone on with. */
static void judge_way(struct trial *t)
{
    struct picture inside = {.disk = NULL}, next = {.disk = NULL};
    struct camera *c = &t->f->cut_camera;
    bool more = true;

    for (t->depth = 1; more; t->depth++) {
        struct account account = account_at(t->f, least(t));
        uint64_t number;
        atomic_store(&t->ledger.begun, t->point->begun);
        reopen(t, inside.disk ? &inside : t->point, c);
        number = shows(t, c->store, &account, least(t), t->point->begun);
        t->f->n_shorter += number < t->point->begun;
        more = t->depth < DEPTH && camera_take_out(c, sim_random(&t->random), &next);
        if (!more)
            goes_on(t, c, account);
        assert_ok(camera_close(c));
        camera_release(c);
        picture_release(&inside);
        inside = next;
        next = (struct picture){.disk = NULL};
    }
}

static void judge_point(struct fixture *f, const struct picture *p)
{
    f->points++;
    f->kinds[p->kind]++;
    for (unsigned way = 0; way < CUT_SEEDS + f->n_cuts; way++) {
        judge_way(begin_trial(f, p, way));
    }
}

/* Judge all that was filmed since the last time; with a Redis only when the store that was filmed cannot answer it. */
static void judge(struct fixture *f)
{
    static unsigned phase;
    struct picture p;

    if (f->shared && f->camera.store)
        return;
    for (size_t i = 0; camera_picture(&f->camera, i, &p); i++) {
        if (phase++ % POINT_STEP == 0)
            judge_point(f, &p);
    }
    camera_drop(&f->camera);
}

/* ---- the run ---- */

static void begin(struct fixture *f, enum hf_durability durability)
{
    f->opts.durability = durability;
    f->ledger.seed = f->seed;
    camera_init(&f->camera, f->scratch.store, &f->ledger,
                durability == HF_DURABILITY_ALWAYS ? &f->ledger.acked : &f->synced, NULL);
}

/* One life of the store, from opening to closing. */
static void live(struct fixture *f, uint64_t last)
{
    assert_ok(camera_open(&f->camera, &f->opts, f->shared ? fake_redis_open : NULL));
    judge(f);
    for (uint64_t number = f->ledger.begun; number < last;) {
        number = number + AT_ONCE < last ? number + AT_ONCE : last;
        assert_ok(ledger_write(&f->ledger, f->camera.store, number));
        judge(f);
        if (number % CHECKPOINT_EVERY < AT_ONCE) {
            assert_ok(hf_checkpoint(f->camera.store));
            f->synced = number;
            judge(f);
        }
    }
    assert_ok(camera_close(&f->camera));
    judge(f);
}

static void tell(const struct fixture *f)
{
    const char *between = "";

    print_message("seed %" PRIu64 ": %u crash points (", f->seed, f->points);
    for (unsigned kind = 0; kind <= SIM_CALLS; kind++) {
        if (f->kinds[kind] == 0)
            continue;
        print_message("%s%s %u", between, picture_kind_name(kind), f->kinds[kind]);
        between = ", ";
    }
    print_message("), %u recoveries, %u of them without what was not acknowledged, 0 acknowledged writes lost\n",
                  f->recoveries, f->n_shorter);
}

static void run(struct fixture *f, enum hf_durability durability)
{
    begin(f, durability);
    for (unsigned life = 1; life <= LIVES; life++) {
        live(f, f->n_operations * life / LIVES);
        f->synced = f->ledger.begun;
    }
    tell(f);
    assert_true(f->n_shorter > 0);
}

static void test_crash_points__no_acknowledged_write_is_lost_at_any_call(void **state)
{
    run(*state, HF_DURABILITY_ALWAYS);
}

static void test_crash_points__without_syncs_a_prefix_stays_that_holds_all_checkpoints(void **state)
{
    run(*state, HF_DURABILITY_NONE);
}

/* Increments and batches are among what is owed: they tell whether it was sent twice, or in halves. */
static void test_crash_points__what_is_owed_to_redis_reaches_it_once_after_any_cut(void **state)
{
    struct fixture *f = *state;

    f->shared = true;
    f->n_operations = 60;
    f->n_cuts = 2;
    f->opts.redis = "fake";
    f->opts.redis_timeout_ms = 50;
    f->opts.redis_backoff_max_ms = 5;
    fake_redis_start();
    fake_redis_set_away(true);
    run(f, HF_DURABILITY_ALWAYS);
    fake_redis_stop();
}

/* ---- damage ---- */

/* Flip a bit of the second group of the first file, which later groups claim: that is damage. */
static void damage(struct sim_disk *disk)
{
    size_t len;
    uint8_t *bytes = sim_disk_contents(disk, "journal", "00000001.seg", &len);

    assert_non_null(bytes);
    sim_disk_flip_bit(disk, "journal", "00000001.seg",
                      HF_SEGMENT_DATA_OFFSET + hf__get32(bytes + HF_SEGMENT_DATA_OFFSET + 4) + 20, 1);
    free(bytes);
}

/* The damaged file has just one copy in the quarantine, whole and under its final name. */
static void holds_evidence(struct trial *t, struct sim_disk *disk, const uint8_t *evidence, size_t len)
{
    const char *name = sim_disk_name(disk, "quarantine", 0);
    size_t copied = 0;
    uint8_t *copy = name ? sim_disk_contents(disk, "quarantine", name, &copied) : NULL;

    if (sim_disk_n_files(disk, "quarantine") != 1 || copied != len || memcmp(copy, evidence, len) != 0 ||
        strstr(name, ".part"))
        REJECT(t, "of %zu damaged bytes the quarantine holds %zu under the name '%s'", len, copied,
               name ? name : "");
    free(copy);
}

/* The opening of a damaged store, cut at every call. */
static void judge_evidence(struct fixture *f, struct camera *opening, const uint8_t *evidence, size_t len)
{
    struct picture p;

    for (size_t i = 0; camera_picture(opening, i, &p); i++) {
        f->points++;
        f->kinds[p.kind]++;
        for (unsigned way = 0; way < CUT_SEEDS + f->n_cuts; way++) {
            struct trial *t = begin_trial(f, &p, way);
            struct camera *c = &f->again_camera;
            struct account account;
            t->damaged = true;
            reopen(t, &p, c);
            if (account_read(c->store, &account) != 0)
                REJECT(t, "%s", hf_errmsg());
            holds_evidence(t, c->disk, evidence, len);
            assert_ok(camera_close(c));
            camera_release(c);
        }
    }
}

static void test_crash_points__the_evidence_of_damage_outlives_a_cut_of_the_opening_that_finds_it(void **state)
{
    struct fixture *f = *state;
    struct camera *opening = &f->cut_camera;
    struct picture p;
    uint8_t *evidence;
    size_t len;

    begin(f, HF_DURABILITY_ALWAYS);
    assert_ok(camera_open(&f->camera, &f->opts, f->shared ? fake_redis_open : NULL));
    assert_ok(ledger_write(&f->ledger, f->camera.store, 20));
    p = camera_now(&f->camera);
    damage(p.disk);
    evidence = sim_disk_contents(p.disk, "journal", "00000001.seg", &len);
    begin_trial(f, &p, CUT_KILL)->damaged = true;
    reopen(&f->trial, &p, opening);
    assert_ok(camera_close(opening));
    judge_evidence(f, opening, evidence, len);
    tell(f);
    assert_true(f->kinds[SIM_RENAME] > 0);
    free(evidence);
    picture_release(&p);
}

/* ---- by hand ---- */

static void usage(void)
{
    fprintf(stderr, "usage: test_crash_points [--seed S] [--minutes N] [--cuts N] [--operations N]\n");
    exit(4);
}

static uint64_t number_of(const char *text)
{
    char *end;
    uint64_t number = text ? strtoull(text, &end, 10) : 0;

    if (!text || *end)
        usage();
    return number;
}

static uint64_t long_seed = 1, long_minutes, long_cuts = 3, long_operations = 160;

static void long_one(enum hf_durability durability)
{
    struct fixture *f = fixture_new(long_seed);

    f->n_cuts = (unsigned)long_cuts;
    f->n_operations = (unsigned)long_operations;
    run(f, durability);
    fixture_free(f);
}

static void long_run(void **state)
{
    time_t end = time(NULL) + (time_t)long_minutes * 60;

    (void)state;
    do {
        long_one(HF_DURABILITY_ALWAYS);
        long_one(HF_DURABILITY_NONE);
        long_seed++;
    } while (time(NULL) < end);
}

static void read_arguments(char **args)
{
    for (; *args; args += 2) {
        if (strcmp(*args, "--seed") == 0)
            long_seed = number_of(args[1]);
        else if (strcmp(*args, "--minutes") == 0)
            long_minutes = number_of(args[1]);
        else if (strcmp(*args, "--cuts") == 0)
            long_cuts = number_of(args[1]);
        else if (strcmp(*args, "--operations") == 0)
            long_operations = number_of(args[1]);
        else
            usage();
    }
}

int main(int argc, char **argv)
{
#define T(name) cmocka_unit_test_setup_teardown(test_crash_points__##name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(no_acknowledged_write_is_lost_at_any_call),
        T(without_syncs_a_prefix_stays_that_holds_all_checkpoints),
        T(what_is_owed_to_redis_reaches_it_once_after_any_cut),
        T(the_evidence_of_damage_outlives_a_cut_of_the_opening_that_finds_it),
    };
    const struct CMUnitTest by_hand[] = {cmocka_unit_test(long_run)};

    (void)mallopt(M_MMAP_THRESHOLD, 1 << 30); /* disks are copied all the time: their memory need not come and go */
    (void)mallopt(M_TRIM_THRESHOLD, 1 << 30);

    if (argc == 1)
        return cmocka_run_group_tests(tests, NULL, NULL);
    read_arguments(argv + 1);
    return cmocka_run_group_tests(by_hand, NULL, NULL);
}
