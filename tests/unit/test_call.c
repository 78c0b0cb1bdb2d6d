/* Replies that must wait: held for a sync, answered later, a worker's; busy keys; and what ends while they wait. The server runs in
 * this process, on a loop that the test turns; the commands and the store's durability are the test's own. */
#include "call.h"

#include "client.h"
#include "command.h"
#include "later.h"
#include "number.h"
#include "server.h"
#include "settings.h"
#include "wire.h"

#include "scratch.h"

#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <uv.h>

#define CLIENTS_MAX 8
#define WAIT_MS 10000
#define QUIET_TURNS 50 /* in which an answer that must not come would have come */

/* ---- the store's durability ---- */

static struct {
    uint64_t durable_lsn;
    struct {
        hf_done_fn *done;
        void *ctx;
    } waits[8];
    unsigned n_waits;
    unsigned asked;   /* calls of hf_when_durable */
    unsigned waited;  /* calls of hf_wait_durable */
    int code;         /* of the latter ... */
    uint64_t took_ns; /* and how long each took */
    uint64_t late_ns; /* and all of them */
} disk;

#define VERY_SLOW_MS 1000 /* the loop leaves syncs to others */

bool __wrap_hf_is_durable(struct hf *store, uint64_t lsn);
int __wrap_hf_when_durable(struct hf *store, uint64_t lsn, hf_done_fn *done, void *ctx);
int __wrap_hf_wait_durable(struct hf *store, uint64_t lsn);
uint64_t __real_uv_hrtime(void);
uint64_t __wrap_uv_hrtime(void);

uint64_t __wrap_uv_hrtime(void)
{
    return __real_uv_hrtime() + disk.late_ns;
}

bool __wrap_hf_is_durable(struct hf *store, uint64_t lsn)
{
    (void)store;
    return lsn <= disk.durable_lsn;
}

int __wrap_hf_when_durable(struct hf *store, uint64_t lsn, hf_done_fn *done, void *ctx)
{
    (void)store;
    (void)lsn;
    assert_true(disk.n_waits < sizeof(disk.waits) / sizeof(*disk.waits));
    disk.waits[disk.n_waits].done = done;
    disk.waits[disk.n_waits++].ctx = ctx;
    disk.asked++;
    return 0;
}

int __wrap_hf_wait_durable(struct hf *store, uint64_t lsn)
{
    (void)store;
    disk.waited++;
    disk.late_ns += disk.took_ns;
    if (disk.code == 0)
        disk.durable_lsn = lsn;
    return disk.code;
}

static void sync_ends(uint64_t lsn, int code)
{
    struct hf_result result = {.code = code};
    unsigned n = disk.n_waits;

    assert_true(n > 0);
    disk.n_waits = 0;
    disk.durable_lsn = lsn;
    for (unsigned i = 0; i < n; i++)
        disk.waits[i].done(disk.waits[i].ctx, &result);
}

/* ---- commands ---- */

static struct later *laters[CLIENTS_MAX];
static size_t n_laters;
static unsigned n_ran; /* commands that were begun */
static sem_t work_may_end;

/* HELD lsn, and as a write: its reply is the number. */
static void held(struct call *call)
{
    int64_t lsn;

    assert_true(number_parse(call->argv[1], &lsn));
    n_ran++;
    reply_integer(call->reply, lsn);
    call_hold(call, (uint64_t)lsn);
}

static void now(struct call *call)
{
    n_ran++;
    reply_bulk(call->reply, call->argv[1]);
}

static void later(struct call *call)
{
    n_ran++;
    laters[n_laters++] = call_later(call);
}

static void at_work(struct call *call)
{
    sem_wait(&work_may_end);
    reply_bulk(call->reply, call->argv[2]);
}

/* WORK key text */
static void work(struct call *call)
{
    n_ran++;
    call_work(call, at_work, NULL);
}

/* MARK key text */
static void mark(struct call *call)
{
    n_ran++;
    reply_bulk(call->reply, call->argv[2]);
}

/* CLAIM text key: a key that the table does not tell of. */
static void claim(struct call *call)
{
    if (!call_claim(call, &call->argv[2], 1))
        return;
    n_ran++;
    reply_bulk(call->reply, call->argv[1]);
}

/* ALONE key: what is passed on, and claims its key. */
static void alone(struct call *call)
{
    if (!call_claim(call, &call->argv[1], 1))
        return;
    n_ran++;
    laters[n_laters++] = call_later_alone(call);
}

const struct command holdfast_commands[] = {
    {.name = "alone", .run = alone, .arity = 2},
    {.name = "held", .run = held, .arity = 2, .flags = COMMAND_READ},
    {.name = "heldwrite", .run = held, .arity = 2, .flags = COMMAND_WRITE},
    {.name = "now", .run = now, .arity = 2},
    {.name = "later", .run = later, .arity = 1},
    {.name = "work", .run = work, .arity = 3, .first_key = 1, .last_key = 1, .key_step = 1},
    {.name = "mark", .run = mark, .arity = 3, .first_key = 1, .last_key = 1, .key_step = 1},
    {.name = "claim", .run = claim, .arity = 3},
    {0},
};

/* ---- the server ---- */

struct fixture {
    struct scratch scratch;
    char socket[96];
    uv_loop_t loop;
    struct settings *settings;
    struct server server;
    struct wire wires[CLIENTS_MAX];
    bool loop_ended;
};

static void turn(struct fixture *f)
{
    if (uv_run(&f->loop, UV_RUN_NOWAIT) == 0)
        f->loop_ended = true;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    scratch_make(&f->scratch);
    snprintf(f->socket, sizeof(f->socket), "%s/socket", f->scratch.dir);
    memset(&disk, 0, sizeof(disk));
    n_laters = 0;
    n_ran = 0;
    sem_init(&work_may_end, 0, 0);
    assert_int_equal(uv_loop_init(&f->loop), 0);
    assert_ok(settings_load(NULL, &f->settings));
    f->settings->port = 0;
    f->settings->unixsocket = f->socket;
    assert_ok(server_init(&f->server, &f->loop, NULL, f->settings));
    assert_ok(server_start(&f->server));
    f->server.slow_ms = VERY_SLOW_MS;
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        f->wires[i].fd = -1;
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < CLIENTS_MAX; i++)
        sem_post(&work_may_end); /* also those that a failed test has left at work */
    server_stop(&f->server, 0);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    if (disk.n_waits > 0)
        sync_ends(disk.durable_lsn, 0);
    server_release(&f->server);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        if (f->wires[i].fd >= 0)
            wire_close(&f->wires[i]);
    }
    settings_release_ref(f->settings);
    sem_destroy(&work_may_end);
    scratch_remove(&f->scratch);
    free(f);
    return 0;
}

static void say(struct fixture *f, size_t i, const char *text)
{
    if (f->wires[i].fd < 0)
        wire_open(&f->wires[i], f->socket);
    wire_say(&f->wires[i], text);
    for (int k = 0; k < 5; k++)
        turn(f);
}

/* Turn the loop until something can be read: how much was; 0: the end. */
static size_t next_bytes(struct fixture *f, size_t i, char *bytes, size_t size)
{
    int64_t end_ms = wall_ms() + WAIT_MS;
    ssize_t n;

    for (;;) {
        turn(f);
        n = recv(f->wires[i].fd, bytes, size, MSG_DONTWAIT);
        if (n >= 0)
            return (size_t)n;
        assert_int_equal(errno, EAGAIN);
        if (wall_ms() > end_ms)
            fail_msg("client %zu heard nothing for %d ms", i, WAIT_MS);
    }
}

static void hear(struct fixture *f, size_t i, const char *text)
{
    size_t len = strlen(text), at = 0, n;
    char got[512];

    while (at < len) {
        n = next_bytes(f, i, got, len - at < sizeof(got) ? len - at : sizeof(got));
        if (n == 0 || memcmp(got, text + at, n) != 0)
            fail_msg("client %zu heard \"%.*s\" after %zu bytes; expected \"%s\"", i, (int)n, got, at, text);
        at += n;
    }
}

static void hear_end(struct fixture *f, size_t i)
{
    char got[64];

    assert_int_equal(next_bytes(f, i, got, sizeof(got)), 0);
}

static void hear_nothing(struct fixture *f, size_t i)
{
    char got[64];

    for (int k = 0; k < QUIET_TURNS; k++)
        turn(f);
    if (recv(f->wires[i].fd, got, sizeof(got), MSG_DONTWAIT) >= 0)
        fail_msg("client %zu heard something", i);
}

static void let_work_end(struct fixture *f)
{
    sem_post(&work_may_end);
    turn(f);
}

/* ---- held ---- */

static void test_call__a_held_reply_waits_for_its_sync_and_those_behind_it_with_it(void **state)
{
    struct fixture *f = *state;

    say(f, 0, "NOW a\r\nHELD 5\r\nNOW b\r\nHELD 3\r\nNOW c\r\n");
    say(f, 1, "NOW d\r\n");
    hear(f, 0, "$1\r\na\r\n");
    hear(f, 1, "$1\r\nd\r\n");
    hear_nothing(f, 0);
    assert_int_equal(n_ran, 6);
    sync_ends(4, 0);
    hear_nothing(f, 0);
    disk.durable_lsn = 5;
    say(f, 1, "HELD 6\r\n");
    sync_ends(6, 0);
    hear(f, 0, ":5\r\n$1\r\nb\r\n:3\r\n$1\r\nc\r\n");
    hear(f, 1, ":6\r\n");
}

static void test_call__what_is_durable_is_not_held(void **state)
{
    struct fixture *f = *state;

    disk.durable_lsn = 7;
    say(f, 0, "HELD 7\r\nHELD 1\r\n");
    hear(f, 0, ":7\r\n:1\r\n");
    assert_int_equal(disk.asked, 0);
}

static void test_call__one_sync_is_asked_for_by_all_of_a_turn(void **state)
{
    struct fixture *f = *state;

    say(f, 0, "NOW a\r\n");
    say(f, 1, "NOW a\r\n");
    wire_say(&f->wires[0], "HELD 1\r\nHELD 2\r\nHELD 3\r\n");
    say(f, 1, "HELD 4\r\nHELD 5\r\n");
    assert_int_equal(disk.asked, 1);
    sync_ends(5, 0);
    hear(f, 0, "$1\r\na\r\n:1\r\n:2\r\n:3\r\n");
    hear(f, 1, "$1\r\na\r\n:4\r\n:5\r\n");
}

/* HELD, HELDWRITE and NOW a, when the sync of the first two has failed. */
static const char all_failed[] =
    "-STOPPED the sync of the journal failed, and the store has stopped\r\n"
    "-INDOUBT the sync of the journal failed, and the store has stopped\r\n$1\r\na\r\n";

static void test_call__a_sync_that_fails_makes_errors_of_what_is_held(void **state)
{
    struct fixture *f = *state;

    say(f, 0, "HELD 1\r\nHELDWRITE 2\r\nNOW a\r\n");
    sync_ends(0, HF_ESTOPPED);
    hear(f, 0, all_failed);
}

static void test_call__on_a_quick_disk_all_of_a_turn_share_one_sync_of_the_loop(void **state)
{
    struct fixture *f = *state;

    f->server.slow_ms = 0;
    say(f, 0, "NOW a\r\n");
    say(f, 1, "NOW a\r\n");
    wire_say(&f->wires[0], "HELD 1\r\nHELD 2\r\nNOW b\r\n");
    say(f, 1, "HELD 4\r\n");
    assert_int_equal(disk.waited, 1);
    assert_int_equal(disk.asked, 0);
    hear(f, 0, "$1\r\na\r\n:1\r\n:2\r\n$1\r\nb\r\n");
    hear(f, 1, "$1\r\na\r\n:4\r\n");
}

/* Readers do not wait for a writer's disk. */
static void test_call__where_somebody_reads_nobody_waits_on_the_loop(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < 3; i++)
        say(f, i, "NOW a\r\n");
    f->server.slow_ms = 0;
    wire_say(&f->wires[0], "HELD 1\r\n");
    wire_say(&f->wires[1], "NOW b\r\n");
    say(f, 2, "NOW c\r\n");
    assert_int_equal(disk.waited, 0);
    assert_int_equal(disk.asked, 1);
    wire_say(&f->wires[1], "HELD 2\r\n"); /* those whose sync is under way do not speak for it */
    say(f, 2, "NOW d\r\n");
    assert_int_equal(disk.waited, 0);
    assert_int_equal(disk.asked, 2);
    sync_ends(2, 0);
    hear(f, 0, "$1\r\na\r\n:1\r\n");
    hear(f, 1, "$1\r\na\r\n$1\r\nb\r\n:2\r\n");
}

static void test_call__a_slow_disk_is_not_waited_for_on_the_loop(void **state)
{
    struct fixture *f = *state;
    unsigned n = 0;
    uint64_t slow_ms;
    char line[32];

    f->server.slow_ms = 0;
    disk.took_ns = 30000000;
    while (disk.asked == 0 && n < 100) {
        snprintf(line, sizeof(line), "HELD %u\r\n", ++n);
        say(f, 0, line);
    }
    assert_in_range(disk.waited, 2, 8); /* one that is a little slow among quick ones is nothing */
    sync_ends(n, 0);
    disk.took_ns = 0;
    slow_ms = f->server.slow_ms--; /* as each second: one is tried */
    for (unsigned waited = disk.waited, i = 0; i < 10; i++) {
        snprintf(line, sizeof(line), "HELD %u\r\n", ++n);
        say(f, 0, line);
        assert_int_equal(disk.waited, waited + i + 1);
    }
    assert_int_equal(f->server.slow_ms, slow_ms - 11);
}

static void test_call__a_sync_of_the_loop_that_fails_makes_errors_of_what_is_held(void **state)
{
    struct fixture *f = *state;

    f->server.slow_ms = 0;
    disk.code = HF_ESTOPPED;
    say(f, 0, "HELD 1\r\nHELDWRITE 2\r\nNOW a\r\n");
    hear(f, 0, all_failed);
}

/* ---- later ---- */

static void test_call__answers_that_come_later_leave_in_order(void **state)
{
    struct fixture *f = *state;

    say(f, 0, "LATER\r\nNOW a\r\nLATER\r\nNOW b\r\n");
    assert_int_equal(n_ran, 4);
    reply_integer(later_reply(laters[1]), 2);
    later_done(laters[1]);
    hear_nothing(f, 0);
    reply_integer(later_reply(laters[0]), 1);
    later_done(laters[0]);
    hear(f, 0, ":1\r\n$1\r\na\r\n:2\r\n$1\r\nb\r\n");
}

static void test_call__an_answer_can_come_after_its_client_has_gone(void **state)
{
    struct fixture *f = *state;

    say(f, 0, "LATER\r\nHELD 1\r\n");
    assert_non_null(later_client(laters[0]));
    client_close(f->server.clients);
    hear_end(f, 0);
    assert_null(later_client(laters[0]));
    reply_integer(later_reply(laters[0]), 1);
    later_done(laters[0]);
    sync_ends(1, 0);
    turn(f);
}

static void test_call__a_message_comes_behind_the_replies_before_it(void **state)
{
    struct fixture *f = *state;
    struct reply message = {.proto = 2};

    say(f, 0, "LATER\r\n");
    reply_integer(&message, 9);
    client_push(f->server.clients, &message);
    assert_null(message.bytes.bytes);
    say(f, 0, "NOW a\r\n");
    hear_nothing(f, 0);
    reply_integer(later_reply(laters[0]), 1);
    later_done(laters[0]);
    hear(f, 0, ":1\r\n:9\r\n$1\r\na\r\n");
}

/* ---- workers and busy keys ---- */

static void test_call__the_next_command_waits_for_a_worker(void **state)
{
    struct fixture *f = *state;

    say(f, 0, "WORK k a\r\nNOW b\r\nMARK k c\r\n");
    say(f, 1, "NOW x\r\n");
    hear(f, 1, "$1\r\nx\r\n");
    hear_nothing(f, 0);
    assert_int_equal(n_ran, 2);
    let_work_end(f);
    hear(f, 0, "$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n");
}

static void test_call__others_wait_for_a_busy_key_in_order_and_other_keys_go_on(void **state)
{
    struct fixture *f = *state;

    say(f, 0, "WORK k a\r\n");
    say(f, 1, "WORK k b\r\nNOW c\r\n");
    say(f, 2, "MARK k d\r\n");
    say(f, 3, "MARK j e\r\nCLAIM g k\r\n");
    hear(f, 3, "$1\r\ne\r\n");
    hear_nothing(f, 1);
    hear_nothing(f, 2);
    let_work_end(f);
    hear(f, 0, "$1\r\na\r\n");
    hear_nothing(f, 1);
    hear_nothing(f, 2);
    hear_nothing(f, 3);
    let_work_end(f);
    hear(f, 1, "$1\r\nb\r\n$1\r\nc\r\n");
    hear(f, 2, "$1\r\nd\r\n");
    hear(f, 3, "$1\r\ng\r\n");
    assert_int_equal(f->server.claims.n_keys, 0);
}

static void test_call__who_waits_for_a_key_and_goes_makes_room(void **state)
{
    struct fixture *f = *state;

    say(f, 0, "WORK k a\r\n");
    say(f, 1, "MARK k b\r\n");
    say(f, 2, "MARK k c\r\n");
    client_close(f->server.clients->next); /* client 1 */
    hear_end(f, 1);
    let_work_end(f);
    hear(f, 2, "$1\r\nc\r\n");
    assert_int_equal(n_ran, 2);
}

/* Its held reply keeps its memory for a while, and that must not keep the key. */
static void test_call__who_waits_for_a_key_and_a_sync_and_goes_makes_room(void **state)
{
    struct fixture *f = *state;

    say(f, 0, "WORK k a\r\n");
    say(f, 1, "HELD 1\r\nMARK k b\r\n");
    say(f, 2, "MARK k c\r\n");
    client_close(f->server.clients->next); /* client 1 */
    hear_end(f, 1);
    let_work_end(f);
    hear(f, 2, "$1\r\nc\r\n");
}

static void test_call__what_is_passed_on_gives_its_key_back_with_its_answer(void **state)
{
    struct fixture *f = *state;

    say(f, 0, "ALONE k\r\n");
    say(f, 1, "MARK k b\r\n");
    hear_nothing(f, 0);
    hear_nothing(f, 1);
    reply_integer(later_reply(laters[0]), 1);
    later_done(laters[0]);
    hear(f, 1, "$1\r\nb\r\n");
    hear(f, 0, ":1\r\n");
    say(f, 0, "ALONE k\r\n");
    client_close(server_client(&f->server, 1));
    say(f, 1, "MARK k c\r\n");
    hear(f, 1, "$1\r\nc\r\n");
    later_done(laters[1]);
}

static void test_call__the_work_of_a_client_that_has_gone_still_holds_its_key(void **state)
{
    struct fixture *f = *state;

    say(f, 0, "WORK k a\r\n");
    client_close(f->server.clients);
    hear_end(f, 0);
    say(f, 1, "MARK k b\r\n");
    hear_nothing(f, 1);
    let_work_end(f);
    hear(f, 1, "$1\r\nb\r\n");
}

static void test_call__who_has_closed_his_half_gets_what_a_worker_says(void **state)
{
    struct fixture *f = *state;

    say(f, 0, "WORK k a\r\nNOW b\r\nLATER\r\n");
    wire_half_close(&f->wires[0]);
    hear_nothing(f, 0);
    let_work_end(f);
    hear(f, 0, "$1\r\na\r\n$1\r\nb\r\n");
    hear_nothing(f, 0);
    reply_integer(later_reply(laters[0]), 1);
    later_done(laters[0]);
    hear(f, 0, ":1\r\n");
    hear_end(f, 0);
}

/* ---- limits and the end ---- */

static void test_call__who_reads_no_messages_is_closed_at_the_limit(void **state)
{
    struct fixture *f = *state;
    struct reply message = {.proto = 2};
    size_t sent = 0;

    f->settings->output_max = 1 << 20;
    f->server.value_max = 0;
    say(f, 0, "NOW a\r\n");
    say(f, 1, "NOW b\r\n");
    while (f->server.n_clients == 2 && sent < 100) {
        memset(reply_bulk_reserve(&message, 100000), 'x', 100000);
        client_push(server_client(&f->server, 1), &message);
        turn(f);
        sent++;
    }
    assert_in_range(sent, 10, 20);
    say(f, 1, "NOW c\r\n");
    hear(f, 1, "$1\r\nb\r\n$1\r\nc\r\n");
}

static void test_call__a_stop_waits_for_what_is_owed(void **state)
{
    struct fixture *f = *state;

    say(f, 0, "NOW z\r\n");
    say(f, 0, "HELD 1\r\nWORK k a\r\nNOW b\r\n");
    server_stop(&f->server, 60000);
    hear(f, 0, "$1\r\nz\r\n");
    hear_nothing(f, 0);
    sync_ends(1, 0);
    let_work_end(f);
    hear(f, 0, ":1\r\n$1\r\na\r\n$1\r\nb\r\n");
    hear_end(f, 0);
    for (int i = 0; i < QUIET_TURNS && !f->loop_ended; i++)
        turn(f);
    assert_true(f->loop_ended);
}

static void test_call__a_stop_has_an_end(void **state)
{
    struct fixture *f = *state;

    say(f, 0, "LATER\r\n");
    server_stop(&f->server, 1);
    hear_end(f, 0);
    later_done(laters[0]);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_call__##name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_held_reply_waits_for_its_sync_and_those_behind_it_with_it),
        TEST(what_is_durable_is_not_held),
        TEST(one_sync_is_asked_for_by_all_of_a_turn),
        TEST(a_sync_that_fails_makes_errors_of_what_is_held),
        TEST(on_a_quick_disk_all_of_a_turn_share_one_sync_of_the_loop),
        TEST(where_somebody_reads_nobody_waits_on_the_loop),
        TEST(a_slow_disk_is_not_waited_for_on_the_loop),
        TEST(a_sync_of_the_loop_that_fails_makes_errors_of_what_is_held),
        TEST(answers_that_come_later_leave_in_order),
        TEST(an_answer_can_come_after_its_client_has_gone),
        TEST(a_message_comes_behind_the_replies_before_it),
        TEST(the_next_command_waits_for_a_worker),
        TEST(others_wait_for_a_busy_key_in_order_and_other_keys_go_on),
        TEST(who_waits_for_a_key_and_goes_makes_room),
        TEST(who_waits_for_a_key_and_a_sync_and_goes_makes_room),
        TEST(what_is_passed_on_gives_its_key_back_with_its_answer),
        TEST(the_work_of_a_client_that_has_gone_still_holds_its_key),
        TEST(who_has_closed_his_half_gets_what_a_worker_says),
        TEST(who_reads_no_messages_is_closed_at_the_limit),
        TEST(a_stop_waits_for_what_is_owed),
        TEST(a_stop_has_an_end),
    };

    setenv("UV_THREADPOOL_SIZE", "8", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
