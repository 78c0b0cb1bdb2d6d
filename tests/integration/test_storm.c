/* Several stores, one Redis, and everything that can go wrong, by a seed; afterwards every acknowledged write is accounted
 * for.
 *
 *     test_storm                             a few storms, as one of the tests
 *     test_storm --seed S [--minutes N]      from this seed on, one storm a seed, for so long; without --minutes: one
 *
 * More for a closer look: --seconds (of weather, each storm), --nodes, --no-kills, --no-redis-kills, --no-client, --keep,
 * --tell; --rollback: Redis comes back with older copies of its data, --wipe: with none. HOLDFAST_SEED sets the first seed of
 * the tests, which is 1. */
#include "scratch.h"
#include "storm.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TEST_MS 45000 /* no further storm begins after this: a minute in all */
#define TEST_STORMS 4 /* ... or after so many */
#define WEATHER_MS 8000
#define LOSS_TEST_MS 10000 /* the same where Redis loses data: half a minute for both tests */
#define LOSS_TEST_STORMS 2
#define LOSS_WEATHER_MS 5000

static int64_t elapsed_ms(const struct timespec *since)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (now.tv_sec - since->tv_sec) * 1000LL + (now.tv_nsec - since->tv_nsec) / 1000000;
}

static void tell(const struct storm_options *options, const struct storm_sums *sums, unsigned failures)
{
    printf("seed %" PRIu64
           ": %zu writes begun, %zu acknowledged, %zu settlements, %zu conflicts, %zu parked (%zu in doubt), "
           "%zu locks, %u lives, %u outages, %u ends of Redis, %u losses: %s\n",
           options->seed, sums->writes, sums->acked, sums->settled, sums->conflicts, sums->parked, sums->in_doubt,
           sums->holdings, sums->lives, sums->outages, sums->redis_kills, sums->losses,
           failures ? "FAILED" : "all accounted for");
    fflush(stdout);
}

/* Storms from options->seed on. Returns how many failed. */
static unsigned weather(struct storm_options *options, int64_t ms, unsigned storms)
{
    struct timespec start;
    unsigned failed = 0;

    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        struct storm_sums sums = {0};
        unsigned failures;

        printf("seed %" PRIu64 " ...\n", options->seed); /* told also when it never ends */
        fflush(stdout);
        failures = storm_run(options, &sums);
        tell(options, &sums, failures);
        failed += failures > 0;
        options->seed++;
    } while (--storms > 0 && elapsed_ms(&start) < ms && failed == 0);
    return failed;
}

static struct storm_options some_options(int weather_ms)
{
    const char *seed = getenv("HOLDFAST_SEED");

    return (struct storm_options){.seed = seed ? strtoull(seed, NULL, 10) : 1,
                                  .nodes = 3,
                                  .weather_ms = weather_ms,
                                  .kills = true,
                                  .redis_kills = true,
                                  .plain_client = true};
}

static void test_storm__every_acknowledged_write_is_accounted_for(void **state)
{
    struct storm_options options = some_options(WEATHER_MS);

    (void)state;
    assert_int_equal(weather(&options, TEST_MS, TEST_STORMS), 0);
}

static void test_storm__acknowledged_increments_outlive_rollbacks_of_redis(void **state)
{
    struct storm_options options = some_options(LOSS_WEATHER_MS);

    (void)state;
    options.losses = STORM_LOSS_ROLLBACK;
    options.kills = false; /* both at once is for long runs */
    assert_int_equal(weather(&options, LOSS_TEST_MS, LOSS_TEST_STORMS), 0);
}

static void test_storm__what_a_store_holds_outlives_the_loss_of_all_in_redis(void **state)
{
    struct storm_options options = some_options(LOSS_WEATHER_MS);

    (void)state;
    options.losses = STORM_LOSS_ALL;
    options.plain_client = false; /* what it wrote last nobody may have had a copy of */
    assert_int_equal(weather(&options, LOSS_TEST_MS, LOSS_TEST_STORMS), 0);
}

static void usage(void)
{
    fprintf(stderr,
            "usage: test_storm [--seed S] [--minutes N] [--seconds N] [--nodes N] [--no-kills] [--no-redis-kills]\n"
            "                  [--no-client] [--rollback] [--wipe] [--keep] [--tell]\n");
    exit(4);
}

static double number_of(const char *text)
{
    char *end;
    double number = text ? strtod(text, &end) : 0;

    if (!text || *end || number < 0)
        usage();
    return number;
}

static int long_form(char **args)
{
    struct storm_options options = some_options(WEATHER_MS);
    double minutes = 0;

    for (; *args; args++) {
        if (strcmp(*args, "--seed") == 0 && args[1])
            options.seed = strtoull(*++args, NULL, 10);
        else if (strcmp(*args, "--minutes") == 0)
            minutes = number_of(*++args);
        else if (strcmp(*args, "--seconds") == 0)
            options.weather_ms = (int)(1000 * number_of(*++args));
        else if (strcmp(*args, "--nodes") == 0)
            options.nodes = (unsigned)number_of(*++args);
        else if (strcmp(*args, "--no-kills") == 0)
            options.kills = false;
        else if (strcmp(*args, "--no-redis-kills") == 0)
            options.redis_kills = false;
        else if (strcmp(*args, "--no-client") == 0)
            options.plain_client = false;
        else if (strcmp(*args, "--rollback") == 0)
            options.losses |= STORM_LOSS_ROLLBACK;
        else if (strcmp(*args, "--wipe") == 0)
            options.losses |= STORM_LOSS_ALL;
        else if (strcmp(*args, "--keep") == 0)
            options.keep = true;
        else if (strcmp(*args, "--tell") == 0)
            options.tell = true;
        else
            usage();
    }
    if (options.nodes < 1 || options.nodes > STORM_NODES_MAX)
        usage();
    return weather(&options, (int64_t)(minutes * 60000), minutes > 0 ? UINT32_MAX : 1) ? 1 : 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_storm__every_acknowledged_write_is_accounted_for),
        cmocka_unit_test(test_storm__acknowledged_increments_outlive_rollbacks_of_redis),
        cmocka_unit_test(test_storm__what_a_store_holds_outlives_the_loss_of_all_in_redis),
    };

    return argc > 1 ? long_form(argv + 1) : cmocka_run_group_tests(tests, NULL, NULL);
}
