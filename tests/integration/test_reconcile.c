/* Reconciling with a real Redis: each cell of docs/reconcile-table.md, which is read from there; what the stores that
 * came before lost or forked in an outage; and input that Redis or a resolver refuses. */
#include "ignore.h"
#include "proxy.h"
#include "redis_server.h"
#include "scratch.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define BOUND_MS 20000
#define N_POLICIES 6
#define BASE_S 300
#define OURS_S 600
#define THEIRS_S 900
#define SHORT_MS 5000 /* a base's life that is to end in the outage, after all local changes were made */
#define BRIEF_MS 100  /* a local change's life that is to end in the outage */

/* ---- fixture: a server; stores, each behind a proxy of its own ---- */

struct node {
    struct scratch scratch;
    struct proxy *proxy;
    char address[112];
    struct hf_options opts;
    struct hf *store;
};

struct fixture {
    struct redis_server redis;
    struct node a, b;
    struct hf_namespace namespaces[N_POLICIES];
    pthread_mutex_t lock; /* guards what callbacks write: */
    struct cell *cells;
    size_t n_cells;
    int failures, asked; /* of the resolver: how often it is to fail yet, and was asked */
};

static const char *const policies[N_POLICIES] = {"newest", "remote", "local", "park", "merge-json", "callback"};

static const char *const prefixes[N_POLICIES] = {
    "newest:", "remote:", "local:", "park:", "merge-json:", "callback:"};

static void note_settled(void *ctx, const struct hf_settlement *settlement);
static int resolve(void *ctx, const struct hf_conflict *conflict, enum hf_winner *ret_winner,
                   struct hf_buf *ret_value);

static void init_node(struct fixture *f, struct node *node)
{
    scratch_make(&node->scratch);
    snprintf(node->address, sizeof(node->address), "%s", f->redis.address);
    node->opts = (struct hf_options){
        .redis = node->address,
        .segment_bytes = 1 << 20,
        .max_disk_bytes = 256 << 20,
        .redis_timeout_ms = 2000,
        .redis_backoff_max_ms = 40,
        .namespaces = f->namespaces,
        .n_namespaces = N_POLICIES,
        .resolve = resolve,
        .resolve_ctx = f,
    };
}

static void put_proxy_before(struct fixture *f, struct node *node)
{
    char path[96];

    snprintf(path, sizeof(path), "%s/proxy", node->scratch.dir);
    snprintf(node->address, sizeof(node->address), "unix://%s", path);
    node->proxy = proxy_start(path, f->redis.socket);
    assert_non_null(node->proxy);
}

static void open_node(struct node *node)
{
    assert_ok(hf_open(node->scratch.store, &node->opts, &node->store));
}

static struct hf_status status_of(const struct node *node)
{
    struct hf_status status;

    assert_ok(hf_status(node->store, &status));
    return status;
}

static void open_online(struct node *node)
{
    open_node(node);
    if (!wait_link(node->store, HF_LINK_ONLINE, BOUND_MS))
        fail_msg("the link is %s: %s", hf_link_text(status_of(node).link), status_of(node).link_reason);
}

static void close_node(struct node *node)
{
    struct hf *store = node->store;

    node->store = NULL;
    assert_ok(hf_close(store));
}

static void release_node(struct node *node)
{
    (void)hf_close(node->store); /* open still only after a failure, which has been told */
    proxy_stop(node->proxy);
    if (node->scratch.dir[0])
        scratch_remove(&node->scratch);
}

static int set_up_without_threads(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    if (!f || redis_server_start(&f->redis, NULL) != 0)
        return -1;
    pthread_mutex_init(&f->lock, NULL);
    for (int i = 0; i < N_POLICIES; i++)
        f->namespaces[i] = (struct hf_namespace){.prefix = prefixes[i],
                                                 .conflict = (enum hf_conflict_policy)(HF_CONFLICT_NEWEST + i)};
    init_node(f, &f->a);
    init_node(f, &f->b);
    f->a.opts.settled = note_settled;
    f->a.opts.settled_ctx = f;
    *state = f;
    return 0;
}

static int set_up(void **state)
{
    int rc = set_up_without_threads(state);

    if (rc == 0) {
        put_proxy_before(*state, &((struct fixture *)*state)->a);
        put_proxy_before(*state, &((struct fixture *)*state)->b);
    }
    return rc;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    release_node(&f->a);
    release_node(&f->b);
    redis_server_stop(&f->redis);
    pthread_mutex_destroy(&f->lock);
    free(f->cells);
    free(f);
    return 0;
}

/* ---- vocabulary ---- */

static void go_away(struct node *node)
{
    proxy_set_away(node->proxy, true);
    assert_true(wait_link(node->store, HF_LINK_OFFLINE, BOUND_MS));
}

static void come_back(struct node *node)
{
    proxy_set_away(node->proxy, false);
    assert_ok(hf_drain(node->store, BOUND_MS));
    assert_true(wait_link(node->store, HF_LINK_ONLINE, BOUND_MS));
}

/* What a plain client does. */
#define plain(f, ...) freeReplyObject(redis_server_command(&(f)->redis, __VA_ARGS__))

static void assert_redis(struct fixture *f, const char *key, const char *value)
{
    char text[256];

    assert_string_equal(redis_server_text(&f->redis, text, sizeof(text), "GET %s", key), value ? value : "(nil)");
}

/* So long that a write before and a write after have different times by both stores' clocks. */
static void let_time_pass(struct fixture *f)
{
    int64_t uncertainty_ms = status_of(&f->a).clock_uncertainty_ms;

    if (f->b.store)
        uncertainty_ms += status_of(&f->b).clock_uncertainty_ms;
    (void)poll(NULL, 0, (int)(2 * uncertainty_ms + 20));
}

static void set_for(struct hf *store, const char *key, const char *value, int64_t ttl_ms, struct hf_result *ret)
{
    assert_ok(hf_set(store, s_(key), s_(value), &(struct hf_set_options){.ttl_ms = ttl_ms}, ret));
}

/* ---- the table ---- */

enum local { LOCAL_SET, LOCAL_DELETE, LOCAL_EXPIRE, LOCAL_INCR, LOCAL_EXPIRED, N_LOCALS };
static const char *const locals[N_LOCALS] = {"set", "delete", "expire", "incr", "expired"};

enum remote {
    REMOTE_UNCHANGED,
    REMOTE_SET_BEFORE,
    REMOTE_SET_AFTER,
    REMOTE_DELETED_BEFORE,
    REMOTE_DELETED_AFTER,
    REMOTE_SAME,
    REMOTE_EXPIRED,
    REMOTE_OTHER_TYPE,
    REMOTE_WIPED,
    N_REMOTES
};
static const char *const remotes[N_REMOTES] = {"unchanged",      "set before",    "set after",
                                               "deleted before", "deleted after", "same value",
                                               "expired",        "other type",    "wiped"};

enum by { BY_NOBODY, BY_NODE, BY_PLAIN, N_BY };
static const char *const bys[N_BY] = {"nobody", "node", "plain"};

struct held {
    char value[24]; /* "": absent; "a hash" */
    int life_s;
};

struct cell {
    enum local local;
    enum remote remote;
    enum by by;
    int policy;
    bool stated; /* by the document: */
    char outcome[24];
    struct held there, here;
    int conflicts, parked;
    /* what was seen */
    char key[64];
    uint64_t lsn; /* of the local change */
    struct hf_settlement settled;
    int seen_conflicts, seen_parked;
    bool sides_are_wrong; /* the conflict log has other values than there were */
};

/* Who may have made this change. */
static bool is_by(enum remote remote, enum by by)
{
    switch (remote) {
    case REMOTE_UNCHANGED:
    case REMOTE_EXPIRED:
    case REMOTE_WIPED: return by == BY_NOBODY;
    case REMOTE_OTHER_TYPE: return by == BY_PLAIN;
    default: return by != BY_NOBODY;
    }
}

static void make_key(struct cell *cell)
{
    snprintf(cell->key, sizeof(cell->key), "%s%s.%s.%s", prefixes[cell->policy], locals[cell->local],
             remotes[cell->remote], bys[cell->by]);
    for (char *c = cell->key; *c; c++) {
        if (*c == ' ')
            *c = '-';
    }
}

/* Every combination; the document says how each ends. */
static void make_cells(struct fixture *f)
{
    f->cells = calloc((size_t)N_LOCALS * N_REMOTES * N_BY * N_POLICIES, sizeof(*f->cells));
    assert_non_null(f->cells);
    f->n_cells = 0;
    for (int i = 0; i < N_LOCALS * N_REMOTES * N_BY * N_POLICIES; i++) {
        struct cell cell = {.policy = i % N_POLICIES,
                            .by = (enum by)(i / N_POLICIES % N_BY),
                            .remote = (enum remote)(i / N_POLICIES / N_BY % N_REMOTES),
                            .local = (enum local)(i / N_POLICIES / N_BY / N_REMOTES)};
        if (!is_by(cell.remote, cell.by))
            continue;
        make_key(&cell);
        f->cells[f->n_cells++] = cell;
    }
}

#define N_COLUMNS 9

/* "| a | b |" into "a", "b". False: the line is no row of that many columns. */
static bool split(char *line, char *columns[N_COLUMNS])
{
    int n = 0;

    for (char *at = strchr(line, '|'); at; n++) {
        char *end = strchr(at + 1, '|');
        if (!end)
            break;
        *end = '\0';
        if (n == N_COLUMNS || at[1] != ' ' || end[-1] != ' ')
            return false;
        columns[n] = at + 2;
        end[-1] = '\0';
        at = end;
    }
    return n == N_COLUMNS;
}

/* "absent", "a hash", or "value, 600 s". */
static struct held read_held(const char *text)
{
    struct held held = {.life_s = 0};

    if (strcmp(text, "a hash") == 0)
        snprintf(held.value, sizeof(held.value), "%s", text);
    else if (strcmp(text, "absent") != 0 && sscanf(text, "%23[^,], %d s", held.value, &held.life_s) != 2)
        fail_msg("'%s' is neither 'absent', 'a hash' nor a value with its life", text);
    return held;
}

/* "every", or a list of names. */
static bool names_policy(const char *list, const char *policy)
{
    const char *at = strstr(list, policy);
    size_t n = strlen(policy);

    if (strcmp(list, "every") == 0)
        return true;
    return at && (at == list || at[-1] == ' ') && (at[n] == '\0' || at[n] == ',');
}

static bool row_is_about(char *const columns[N_COLUMNS], const struct cell *cell)
{
    bool either = strcmp(columns[2], "either") == 0 && cell->by != BY_NOBODY;

    return strcmp(columns[0], locals[cell->local]) == 0 && strcmp(columns[1], remotes[cell->remote]) == 0 &&
           (either || strcmp(columns[2], bys[cell->by]) == 0) && names_policy(columns[3], policies[cell->policy]);
}

static void read_row(struct fixture *f, char *const columns[N_COLUMNS])
{
    size_t n = 0;

    for (size_t i = 0; i < f->n_cells; i++) {
        struct cell *cell = &f->cells[i];
        if (!row_is_about(columns, cell))
            continue;
        if (cell->stated)
            fail_msg("docs/reconcile-table.md states %s twice", cell->key);
        cell->stated = true;
        snprintf(cell->outcome, sizeof(cell->outcome), "%s", columns[4]);
        cell->there = read_held(columns[5]);
        cell->here = read_held(columns[6]);
        cell->conflicts = atoi(columns[7]);
        cell->parked = atoi(columns[8]);
        n++;
    }
    if (n == 0)
        fail_msg("docs/reconcile-table.md: no cell is '%s', '%s', '%s', '%s'", columns[0], columns[1], columns[2],
                 columns[3]);
}

static void read_table(struct fixture *f)
{
    const char *source = getenv("HOLDFAST_SOURCE");
    char path[512], line[512], *columns[N_COLUMNS];
    FILE *file;

    make_cells(f);
    snprintf(path, sizeof(path), "%s/docs/reconcile-table.md", source ? source : ".");
    file = fopen(path, "r");
    if (!file)
        fail_msg("HOLDFAST_SOURCE does not name the source: %s", path);
    while (fgets(line, sizeof(line), file)) {
        if (split(line, columns) && strcmp(columns[0], "local") != 0)
            read_row(f, columns);
    }
    (void)fclose(file);
    for (size_t i = 0; i < f->n_cells; i++) {
        if (!f->cells[i].stated)
            fail_msg("docs/reconcile-table.md does not state %s", f->cells[i].key);
    }
}

/* ---- playing the cells ---- */

/* The text behind a name of the table. */
static const char *text_of(const struct cell *cell, const char *name)
{
    static const char *const json[][2] = {{"base", "{\"a\":1,\"b\":1}"},
                                          {"ours", "{\"a\":2,\"b\":1}"},
                                          {"theirs", "{\"a\":1,\"b\":3}"},
                                          {"merged", "{\"a\":2,\"b\":3}"}};

    for (size_t i = 0; i < 4 && strcmp(policies[cell->policy], "merge-json") == 0; i++) {
        if (strcmp(name, json[i][0]) == 0)
            return json[i][1];
    }
    return name;
}

static const char *base_text(const struct cell *cell)
{
    return cell->local == LOCAL_INCR ? "10" : text_of(cell, "base");
}

static void make_base(struct fixture *f, const struct cell *cell)
{
    struct hf_result r;

    set_for(f->a.store, cell->key, base_text(cell), cell->remote == REMOTE_EXPIRED ? SHORT_MS : BASE_S * 1000, &r);
    assert_true(r.shared);
}

static void change_here(struct fixture *f, struct cell *cell)
{
    struct hf_slice key = s_(cell->key);
    struct hf_result r;
    int64_t number;

    switch (cell->local) {
    case LOCAL_SET: set_for(f->a.store, cell->key, text_of(cell, "ours"), OURS_S * 1000, &r); break;
    case LOCAL_DELETE: assert_ok(hf_delete(f->a.store, key, &r)); break;
    case LOCAL_EXPIRE: assert_ok(hf_expire(f->a.store, key, OURS_S * 1000, &r)); break;
    case LOCAL_INCR: assert_ok(hf_incr(f->a.store, key, 5, &number, &r)); break;
    default: set_for(f->a.store, cell->key, text_of(cell, "ours"), BRIEF_MS, &r); break;
    }
    assert_true(r.pending);
    cell->lsn = r.lsn;
}

static void set_there(struct fixture *f, const struct cell *cell, const char *value)
{
    struct hf_result r = {.shared = true};

    if (cell->by == BY_NODE)
        set_for(f->b.store, cell->key, value, THEIRS_S * 1000, &r);
    else
        plain(f, "SET %s %s EX %d", cell->key, value, THEIRS_S);
    assert_true(r.shared);
}

static void delete_there(struct fixture *f, const struct cell *cell)
{
    if (cell->by == BY_NODE)
        (void)hf_delete(f->b.store, s_(cell->key), NULL); /* not held there is no reason not to */
    else
        plain(f, "DEL %s", cell->key);
}

static void same_there(struct fixture *f, const struct cell *cell)
{
    if (cell->local == LOCAL_DELETE)
        delete_there(f, cell);
    else if (cell->local == LOCAL_INCR)
        set_there(f, cell, "15");
    else
        set_there(f, cell, text_of(cell, cell->local == LOCAL_EXPIRE ? "base" : "ours"));
}

static void change_there(struct fixture *f, const struct cell *cell, bool after)
{
    switch (cell->remote) {
    case REMOTE_SET_BEFORE:
    case REMOTE_SET_AFTER:
        if (after == (cell->remote == REMOTE_SET_AFTER))
            set_there(f, cell, cell->local == LOCAL_INCR ? "100" : text_of(cell, "theirs"));
        break;
    case REMOTE_DELETED_BEFORE:
    case REMOTE_DELETED_AFTER:
        if (after == (cell->remote == REMOTE_DELETED_AFTER))
            delete_there(f, cell);
        break;
    case REMOTE_SAME:
        if (after)
            same_there(f, cell);
        break;
    case REMOTE_OTHER_TYPE:
        if (after)
            plain(f, "DEL %s", cell->key);
        if (after)
            plain(f, "HSET %s f v", cell->key);
        break;
    default: break;
    }
}

static bool is_over(void *ctx)
{
    struct fixture *f = ctx;
    struct hf_buf value;

    for (size_t i = 0; i < f->n_cells; i++) {
        const struct cell *cell = &f->cells[i];
        if (cell->remote == REMOTE_EXPIRED && redis_server_number(&f->redis, "EXISTS %s", cell->key) != 0)
            return false;
        if (cell->lsn && cell->local == LOCAL_EXPIRED && hf_get(f->a.store, s_(cell->key), &value, NULL) == 0) {
            hf_buf_release(&value);
            return false;
        }
    }
    return true;
}

/* ---- how a cell has ended ---- */

static struct cell *cell_of(struct fixture *f, struct hf_slice key)
{
    for (size_t i = 0; i < f->n_cells; i++) {
        if (hf__slice_eq(s_(f->cells[i].key), key))
            return &f->cells[i];
    }
    return NULL;
}

static void note_settled(void *ctx, const struct hf_settlement *settlement)
{
    struct fixture *f = ctx;
    struct cell *cell = cell_of(f, settlement->key);

    pthread_mutex_lock(&f->lock);
    if (cell)
        cell->settled = *settlement;
    pthread_mutex_unlock(&f->lock);
}

/* What a conflict must have kept of the local change. */
static bool is_ours(const struct cell *cell, const struct hf_side *side)
{
    if (cell->local == LOCAL_DELETE)
        return !side->present;
    return side->present &&
           hf__slice_eq(side->value, s_(cell->local == LOCAL_EXPIRE ? base_text(cell) : text_of(cell, "ours")));
}

static bool is_theirs(const struct cell *cell, const struct hf_side *side)
{
    if (cell->remote == REMOTE_DELETED_BEFORE || cell->remote == REMOTE_DELETED_AFTER)
        return !side->present;
    return side->present && hf__slice_eq(side->value, s_(text_of(cell, "theirs")));
}

static int note_conflict(void *ctx, const struct hf_conflict *conflict)
{
    struct cell *cell = cell_of(ctx, conflict->key);

    assert_non_null(cell);
    cell->seen_conflicts++;
    cell->sides_are_wrong |= !is_ours(cell, &conflict->ours) || !is_theirs(cell, &conflict->theirs);
    return 0;
}

static int note_parked(void *ctx, const struct hf_parked *entry)
{
    struct cell *cell = cell_of(ctx, entry->key);

    assert_non_null(cell);
    cell->seen_parked += entry->reason[0] != '\0' && !entry->in_doubt;
    return 0;
}

static bool life_is(long long life_ms, int stated_s)
{
    return life_ms <= stated_s * 1000LL + 50 && life_ms > (stated_s - BASE_S / 2) * 1000LL;
}

/* What Redis holds, as text; NULL when it is as stated. */
static const char *wrong_there(struct fixture *f, const struct cell *cell, char *text, size_t size)
{
    long long life_ms = redis_server_number(&f->redis, "PTTL %s", cell->key);
    char type[24];

    redis_server_text(&f->redis, type, sizeof(type), "TYPE %s", cell->key);
    if (strcmp(type, "none") == 0) {
        snprintf(text, size, "absent");
        return cell->there.value[0] ? text : NULL;
    }
    if (strcmp(type, "hash") == 0) {
        snprintf(text, size, "a hash");
        return strcmp(cell->there.value, text) != 0 ? text : NULL;
    }
    redis_server_text(&f->redis, text, size, "GET %s", cell->key);
    if (strcmp(text, text_of(cell, cell->there.value)) == 0 && life_is(life_ms, cell->there.life_s))
        return NULL;
    snprintf(text + strlen(text), size - strlen(text), ", %lld ms", life_ms);
    return text;
}

static const char *wrong_here(struct fixture *f, const struct cell *cell, char *text, size_t size)
{
    struct hf_buf value;
    int64_t life_ms = -1;
    bool same;

    if (hf_get(f->a.store, s_(cell->key), &value, NULL) != 0) {
        snprintf(text, size, "absent");
        return cell->here.value[0] ? text : NULL;
    }
    (void)hf_ttl(f->a.store, s_(cell->key), &life_ms, NULL);
    snprintf(text, size, "%.*s, %lld ms", (int)value.len, (char *)value.data, (long long)life_ms);
    same = hf__slice_eq(hf__slice(value.data, value.len), s_(text_of(cell, cell->here.value)));
    hf_buf_release(&value);
    return same && life_is(life_ms, cell->here.life_s) ? NULL : text;
}

/* Whether the cell ended as stated; all that is otherwise is printed. */
static bool ended_as_stated(struct fixture *f, struct cell *cell)
{
    char there_text[128], here_text[128];
    const char *there = wrong_there(f, cell, there_text, sizeof(there_text));
    const char *here = wrong_here(f, cell, here_text, sizeof(here_text));
    const char *outcome = hf_outcome_text(cell->settled.outcome);
    bool other_outcome = cell->settled.last_lsn != cell->lsn || strcmp(outcome, cell->outcome) != 0;
    bool other_logs = cell->seen_conflicts != cell->conflicts || cell->seen_parked != cell->parked;

    if (there)
        print_error("%s: Redis holds %s\n", cell->key, there);
    if (here)
        print_error("%s: here is %s\n", cell->key, here);
    if (other_outcome)
        print_error("%s: the outcome of %llu is '%s' of %llu\n", cell->key, (unsigned long long)cell->lsn, outcome,
                    (unsigned long long)cell->settled.last_lsn);
    if (other_logs)
        print_error("%s: %d conflicts, %d parked\n", cell->key, cell->seen_conflicts, cell->seen_parked);
    if (cell->sides_are_wrong)
        print_error("%s: the conflict log does not hold what there was\n", cell->key);
    return !there && !here && !other_outcome && !other_logs && !cell->sides_are_wrong;
}

/* Every copy that is not parked was compared, or came from Redis, on this connection. */
static bool all_are_verified(void *ctx)
{
    struct fixture *f = ctx;

    for (size_t i = 0; i < f->n_cells; i++) {
        const struct cell *cell = &f->cells[i];
        struct hf_result r;
        if (cell->parked || !cell->here.value[0])
            continue;
        if (hf_exists(f->a.store, s_(cell->key), &r) < 0 || r.origin != HF_ORIGIN_LOCAL_VERIFIED)
            return false;
    }
    return true;
}

static void check_cells(struct fixture *f)
{
    size_t wrong = 0;

    if (!wait_until(all_are_verified, f, BOUND_MS))
        print_error("not all copies are verified\n");
    assert_ok(hf_checkpoint(f->a.store)); /* the lists are of the local tier */
    assert_ok(hf_conflict_list(f->a.store, 0, note_conflict, f));
    assert_ok(hf_parked_list(f->a.store, note_parked, f));
    go_away(&f->a); /* only the local tier answers */
    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < f->n_cells; i++)
        wrong += !ended_as_stated(f, &f->cells[i]);
    pthread_mutex_unlock(&f->lock);
    print_message("%zu cells\n", f->n_cells);
    if (wrong > 0)
        fail_msg("%zu of %zu cells did not end as docs/reconcile-table.md states", wrong, f->n_cells);
}

/* Leave only the cells for which `wiped` holds: the server's restart meets all. */
static void keep_cells(struct fixture *f, bool wiped)
{
    size_t n = 0;

    for (size_t i = 0; i < f->n_cells; i++) {
        if ((f->cells[i].remote == REMOTE_WIPED) == wiped)
            f->cells[n++] = f->cells[i];
    }
    f->n_cells = n;
}

/* The keys of a short life come last. */
static void make_bases(struct fixture *f)
{
    for (int brief = 0; brief <= 1; brief++) {
        for (size_t i = 0; i < f->n_cells; i++) {
            if ((f->cells[i].remote == REMOTE_EXPIRED) == brief)
                make_base(f, &f->cells[i]);
        }
    }
}

static void change_all_there(struct fixture *f, bool after)
{
    for (size_t i = 0; i < f->n_cells; i++)
        change_there(f, &f->cells[i], after);
}

static void play_outage(struct fixture *f, bool reopen)
{
    make_bases(f);
    go_away(&f->a);
    change_all_there(f, false);
    let_time_pass(f);
    for (size_t i = 0; i < f->n_cells; i++)
        change_here(f, &f->cells[i]);
    let_time_pass(f);
    change_all_there(f, true);
    assert_true(wait_until(is_over, f, BOUND_MS));
    if (reopen) {
        close_node(&f->a);
        open_node(&f->a);
    }
}

static void test_reconcile__every_cell_of_the_table_ends_as_the_document_says(void **state)
{
    struct fixture *f = *state;

    read_table(f);
    keep_cells(f, false);
    open_online(&f->a);
    open_online(&f->b);
    play_outage(f, false);
    come_back(&f->a);
    check_cells(f);
}

static void test_reconcile__every_cell_ends_so_when_the_store_was_closed_meanwhile(void **state)
{
    struct fixture *f = *state;

    read_table(f);
    keep_cells(f, false);
    open_online(&f->a);
    open_online(&f->b);
    play_outage(f, true);
    come_back(&f->a);
    check_cells(f);
}

static void test_reconcile__every_cell_of_a_server_restarted_empty_ends_as_the_document_says(void **state)
{
    struct fixture *f = *state;

    read_table(f);
    keep_cells(f, true);
    open_online(&f->a);
    play_outage(f, false);
    redis_server_kill(&f->redis);
    assert_int_equal(redis_server_restart(&f->redis), 0);
    come_back(&f->a);
    check_cells(f);
}

/* ---- from one outage to the next ---- */

static struct hf_result result_of(struct node *node, const char *key)
{
    struct hf_result r;

    assert_ok(hf_exists(node->store, s_(key), &r));
    return r;
}

static bool is_verified(void *ctx)
{
    return result_of(ctx, "newest:k").origin == HF_ORIGIN_LOCAL_VERIFIED;
}

/* Written in an outage, stored with its row, and replayed. */
static void replay_one(struct fixture *f)
{
    go_away(&f->a);
    put(f->a.store, "newest:k", "first");
    assert_ok(hf_checkpoint(f->a.store));
    come_back(&f->a);
    assert_redis(f, "newest:k", "first");
}

static void test_reconcile__what_was_replayed_is_the_base_of_the_next_outage(void **state)
{
    struct fixture *f = *state;

    open_online(&f->a);
    replay_one(f);
    assert_true(result_of(&f->a, "newest:k").shared);
    go_away(&f->a);
    put(f->a.store, "newest:k", "second");
    plain(f, "SET newest:k theirs");
    come_back(&f->a);
    assert_value(f->a.store, "newest:k", "theirs");
    assert_int_equal(status_of(&f->a).settled_by[HF_OUTCOME_LOST], 1);
}

static void test_reconcile__what_was_replayed_is_given_back_to_a_server_restarted_empty(void **state)
{
    struct fixture *f = *state;

    open_online(&f->a);
    replay_one(f);
    assert_true(wait_until(is_verified, &f->a, BOUND_MS));
    redis_server_kill(&f->redis);
    assert_true(wait_link(f->a.store, HF_LINK_OFFLINE, BOUND_MS));
    assert_int_equal(redis_server_restart(&f->redis), 0);
    come_back(&f->a);
    assert_redis(f, "newest:k", "first");
}

static void test_reconcile__what_others_changed_while_the_store_was_closed_is_not_taken_for_verified(void **state)
{
    struct fixture *f = *state;

    open_online(&f->a);
    put(f->a.store, "newest:k", "ours");
    close_node(&f->a);
    plain(f, "SET newest:k theirs");
    open_online(&f->a);
    assert_true(wait_until(is_verified, &f->a, BOUND_MS));
    assert_value(f->a.store, "newest:k", "theirs");
}

static void set_many(struct node *node, int n)
{
    struct hf_batch *batch;
    char key[32];

    assert_ok(hf_batch_new(node->store, &batch));
    for (int i = 0; i < n; i++) {
        snprintf(key, sizeof(key), "newest:%04d", i);
        assert_ok(hf_batch_set(batch, s_(key), s_("ours"), NULL));
    }
    assert_ok(hf_batch_commit(batch, NULL));
    hf_batch_free(batch);
}

/* More copies than are compared at once: the walk goes on where it was, and leaves none out. */
static void test_reconcile__every_copy_is_compared_once_after_the_store_was_closed(void **state)
{
    enum { N_COPIES = 1500 };
    struct fixture *f = *state;

    open_online(&f->a);
    set_many(&f->a, N_COPIES);
    assert_ok(hf_drain(f->a.store, BOUND_MS));
    close_node(&f->a);
    open_online(&f->a);
    for (int waited_ms = 0; status_of(&f->a).revalidated < N_COPIES && waited_ms < BOUND_MS; waited_ms += 5)
        (void)poll(NULL, 0, 5);
    assert_int_equal(status_of(&f->a).revalidated, N_COPIES);
}

/* Each owes a row of its own, which the local tier knows. */
static void submit_many(struct node *node, int n)
{
    char key[32];

    for (int i = 0; i < n; i++) {
        snprintf(key, sizeof(key), "newest:%05d", i);
        assert_ok(hf_submit(node->store, &(struct hf_op){.kind = HF_OP_SET, .key = s_(key), .value = s_("v")},
                            ignore_result, NULL));
    }
    assert_ok(hf_checkpoint(node->store));
}

static bool is_tracked(struct fixture *f, bool tracked)
{
    redisReply *reply = redis_server_command(&f->redis, "INFO clients");
    bool is = reply && strstr(reply->str, tracked ? "tracking_clients:1" : "tracking_clients:0");

    freeReplyObject(reply);
    return is;
}

static bool is_replaying(void *ctx)
{
    struct hf_status status = status_of(ctx);

    return status.link == HF_LINK_REPLAYING && status.replayed_ops > 0;
}

/* What is verified is never an older one. */
static bool holds_later(void *ctx)
{
    struct node *node = ctx;
    struct hf_result r;
    struct hf_buf value;
    bool later;

    assert_ok(hf_get(node->store, s_("newest:k"), &value, &r));
    later = hf__slice_eq(hf__slice(value.data, value.len), s_("later"));
    hf_buf_release(&value);
    assert_true(later || r.origin != HF_ORIGIN_LOCAL_VERIFIED);
    return later && r.origin == HF_ORIGIN_LOCAL_VERIFIED;
}

static bool holds_last(void *ctx)
{
    struct node *node = ctx;
    struct hf_buf value;
    bool last;

    assert_ok(hf_get(node->store, s_("newest:k"), &value, NULL));
    last = hf__slice_eq(hf__slice(value.data, value.len), s_("last"));
    hf_buf_release(&value);
    return last;
}

/* While the rows go, Redis is not to tell of each of them: it tells nothing. */
static void test_reconcile__what_others_change_while_very_many_rows_go_is_found_behind_them(void **state)
{
    enum { N_ROWS = 10500, ROWS_A_SECOND = 10000 };
    struct fixture *f = *state;

    f->a.opts.replay_ops_per_s = ROWS_A_SECOND;
    open_online(&f->a);
    put(f->a.store, "newest:k", "ours");
    assert_true(wait_until(is_verified, &f->a, BOUND_MS));
    assert_true(is_tracked(f, true));
    go_away(&f->a);
    submit_many(&f->a, N_ROWS);
    proxy_set_away(f->a.proxy, false);
    assert_true(wait_until(is_replaying, &f->a, BOUND_MS));
    assert_true(is_tracked(f, false));
    plain(f, "SET newest:k later");
    assert_true(is_replaying(&f->a));
    assert_true(wait_link(f->a.store, HF_LINK_ONLINE, BOUND_MS));
    assert_true(is_tracked(f, true));
    assert_int_equal(status_of(&f->a).replayed_ops, N_ROWS);
    assert_true(wait_until(holds_later, &f->a, BOUND_MS));
    plain(f, "SET newest:k last");
    assert_true(wait_until(holds_last, &f->a, BOUND_MS));
}

static void test_reconcile__a_parked_change_is_neither_shared_nor_verified(void **state)
{
    struct fixture *f = *state;
    struct hf_result r;

    open_online(&f->a);
    put(f->a.store, "park:k", "base");
    put(f->a.store, "newest:k", "v");
    go_away(&f->a);
    put(f->a.store, "park:k", "ours");
    plain(f, "SET park:k theirs");
    come_back(&f->a);
    for (int i = 0; i < 2; i++) {
        assert_true(wait_until(is_verified, &f->a, BOUND_MS));
        assert_value(f->a.store, "park:k", "ours");
        r = result_of(&f->a, "park:k");
        assert_true(r.origin == HF_ORIGIN_LOCAL_UNVERIFIED && !r.shared && !r.pending);
        assert_redis(f, "park:k", "theirs");
        close_node(&f->a);
        open_online(&f->a);
    }
}

/* ---- what stores without reconciliation lost: eight acceptance cases ---- */

static void open_both(struct fixture *f)
{
    open_online(&f->a);
    open_online(&f->b);
}

struct wish {
    struct node *node;
    const char *key, *value; /* NULL: absent */
};

static bool is_fulfilled(void *ctx)
{
    struct wish *wish = ctx;
    struct hf_buf value = {0};
    int rc = hf_get(wish->node->store, s_(wish->key), &value, NULL);
    bool fulfilled = rc == HF_NOT_FOUND ? !wish->value
                                        : rc == 0 && wish->value &&
                                              hf__slice_eq(hf__slice(value.data, value.len), s_(wish->value));

    hf_buf_release(&value);
    return fulfilled;
}

static void await(struct node *node, const char *key, const char *value)
{
    struct wish wish = {node, key, value};

    if (!wait_until(is_fulfilled, &wish, BOUND_MS))
        assert_value(node->store, key, value);
}

static void test_reconcile__1_a_write_during_an_outage_is_seen_by_another_node_after_the_replay(void **state)
{
    struct fixture *f = *state;

    open_both(f);
    put(f->a.store, "newest:k", "old");
    await(&f->b, "newest:k", "old");
    go_away(&f->a);
    put(f->a.store, "newest:k", "new");
    put(f->a.store, "newest:other", "new");
    come_back(&f->a);
    await(&f->b, "newest:k", "new");
    await(&f->b, "newest:other", "new");
}

static void test_reconcile__2_a_delete_during_an_outage_does_not_resurrect(void **state)
{
    struct fixture *f = *state;

    open_both(f);
    put(f->a.store, "newest:k", "v");
    await(&f->b, "newest:k", "v");
    go_away(&f->b);
    go_away(&f->a);
    assert_ok(hf_delete(f->a.store, s_("newest:k"), NULL));
    come_back(&f->a);
    come_back(&f->b); /* it still held the value */
    await(&f->b, "newest:k", NULL);
    close_node(&f->a);
    open_online(&f->a);
    assert_value(f->a.store, "newest:k", NULL);
    assert_redis(f, "newest:k", NULL);
}

static void test_reconcile__3_a_newer_local_value_beats_an_older_one_in_redis(void **state)
{
    struct fixture *f = *state;

    open_both(f);
    put(f->a.store, "newest:k", "base");
    go_away(&f->a);
    put(f->b.store, "newest:k", "older");
    let_time_pass(f);
    put(f->a.store, "newest:k", "newer");
    come_back(&f->a);
    assert_redis(f, "newest:k", "newer");
    await(&f->b, "newest:k", "newer");
    assert_int_equal(status_of(&f->a).conflicts, 1);
}

static void test_reconcile__a_life_given_later_does_not_hide_when_the_value_was_written(void **state)
{
    struct fixture *f = *state;

    open_both(f);
    put(f->a.store, "newest:k", "base");
    go_away(&f->a);
    put(f->b.store, "newest:k", "older");
    let_time_pass(f);
    put(f->a.store, "newest:k", "newer");
    let_time_pass(f);
    assert_ok(hf_expire(f->b.store, s_("newest:k"), 60000, NULL));
    come_back(&f->a);
    assert_redis(f, "newest:k", "newer");
}

static void test_reconcile__4_a_counter_is_replayed_exactly_once_whatever_answer_is_lost(void **state)
{
    struct fixture *f = *state;
    char text[24];
    int64_t n;
    int expected = 0;

    open_online(&f->a);
    for (size_t fault = 1; fault <= 16; fault++) {
        go_away(&f->a);
        for (int i = 0; i < 3; i++, expected++)
            assert_ok(hf_incr(f->a.store, s_("newest:n"), 1, &n, NULL));
        proxy_drop_answer_of(f->a.proxy, fault);
        come_back(&f->a);
        proxy_drop_answer_of(f->a.proxy, 0);
        snprintf(text, sizeof(text), "%d", expected);
        assert_redis(f, "newest:n", text);
        assert_value(f->a.store, "newest:n", text);
    }
    assert_int_equal(status_of(&f->a).parked, 0);
}

static void test_reconcile__5_two_partitioned_nodes_never_both_own_a_lock_or_a_ticket(void **state)
{
    struct fixture *f = *state;
    struct hf_lock *lock, *other;
    struct hf_lock_info info;
    struct hf_buf value;

    open_both(f);
    put(f->a.store, "newest:ticket", "t");
    await(&f->b, "newest:ticket", "t");
    assert_ok(hf_lock_acquire(f->a.store, s_("newest:lock"), 400, 0, &lock));
    go_away(&f->a);
    assert_code(HF_NOT_DONE, hf_lock_acquire(f->b.store, s_("newest:lock"), 400, 0, &other));
    assert_ok(hf_lock_acquire(f->b.store, s_("newest:lock"), 60000, BOUND_MS, &other));
    hf_lock_info(lock, &info);
    assert_true(info.safe_ms <= 0); /* A knew that it was over before B got it */
    assert_ok(hf_get_and_delete(f->b.store, s_("newest:ticket"), &value, NULL));
    hf_buf_release(&value);
    go_away(&f->b);
    assert_code(HF_EOFFLINE, hf_get_and_delete(f->a.store, s_("newest:ticket"), &value, NULL));
    assert_code(HF_EOFFLINE, hf_lock_release(lock));
    assert_code(HF_EOFFLINE, hf_lock_acquire(f->a.store, s_("newest:lock"), 400, 0, &lock));
    come_back(&f->a);
    assert_code(HF_NOT_DONE, hf_lock_acquire(f->a.store, s_("newest:lock"), 400, 0, &lock));
    assert_code(HF_NOT_FOUND, hf_get_and_delete(f->a.store, s_("newest:ticket"), &value, NULL));
    come_back(&f->b);
    assert_ok(hf_lock_release(other));
}

#define RECORDS 400

/* Write records, each with its index entry in one batch, until killed. `written`: how many are acknowledged. */
static void write_records(const struct node *node, _Atomic int *written)
{
    char record[32], index[32];
    struct hf_batch *batch;
    struct hf *store;

    if (hf_open(node->scratch.store, &node->opts, &store) != 0 || !wait_link(store, HF_LINK_ONLINE, BOUND_MS) ||
        hf_batch_new(store, &batch) != 0)
        _exit(1);
    for (int i = *written; i < RECORDS; i++) {
        snprintf(record, sizeof(record), "newest:rec%d", i);
        snprintf(index, sizeof(index), "newest:idx%d", i);
        if (hf_batch_set(batch, s_(record), s_("r"), NULL) != 0 ||
            hf_batch_set(batch, s_(index), s_("i"), NULL) != 0 || hf_batch_commit(batch, NULL) != 0)
            _exit(2);
        atomic_store(written, i + 1);
    }
    (void)pause();
}

static bool has_written(void *ctx)
{
    _Atomic int *const *written = ctx; /* now, and the number that is waited for */

    return atomic_load(written[0]) >= atomic_load(written[1]);
}

/* Let a process write some records, and kill it in the midst. Before this one has threads. */
static void write_and_kill(struct fixture *f, _Atomic int *written, int some)
{
    _Atomic int enough = atomic_load(written) + some;
    _Atomic int *wait[] = {written, &enough};
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        write_records(&f->a, written);
    }
    assert_true(wait_until(has_written, wait, BOUND_MS));
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
}

static void test_reconcile__6_a_process_killed_between_record_and_index_leaves_no_drift(void **state)
{
    struct fixture *f = *state;
    _Atomic int *written = mmap(NULL, sizeof(*written), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char record[32], index[32], text[32];

    assert_true(written != MAP_FAILED);
    for (int i = 0; i < 6; i++)
        write_and_kill(f, written, 10 + 7 * i);
    open_online(&f->a);
    assert_ok(hf_drain(f->a.store, BOUND_MS));
    for (int i = 0; i < RECORDS; i++) {
        bool there, here;
        snprintf(record, sizeof(record), "newest:rec%d", i);
        snprintf(index, sizeof(index), "newest:idx%d", i);
        here = hf_exists(f->a.store, s_(record), NULL) == 0;
        assert_int_equal(here, hf_exists(f->a.store, s_(index), NULL) == 0);
        there = strcmp(redis_server_text(&f->redis, text, sizeof(text), "GET %s", record), "r") == 0;
        assert_int_equal(there,
                         strcmp(redis_server_text(&f->redis, text, sizeof(text), "GET %s", index), "i") == 0);
        assert_int_equal(here, there);
        assert_true(here || i >= *written);
    }
    assert_int_equal(status_of(&f->a).parked, 0);
    (void)munmap(written, sizeof(*written));
}

static void test_reconcile__7_a_server_restarted_empty_is_given_back_what_the_local_tier_holds(void **state)
{
    struct fixture *f = *state;
    char key[32], text[32];

    open_online(&f->a);
    for (int i = 0; i < 500; i++) {
        snprintf(key, sizeof(key), "%sk%d", prefixes[i % N_POLICIES], i);
        set_for(f->a.store, key, key, i % 2 ? 600000 : 0, NULL);
    }
    redis_server_kill(&f->redis);
    assert_true(wait_link(f->a.store, HF_LINK_OFFLINE, BOUND_MS));
    assert_int_equal(redis_server_restart(&f->redis), 0);
    come_back(&f->a);
    for (int i = 0; i < 500; i++) {
        snprintf(key, sizeof(key), "%sk%d", prefixes[i % N_POLICIES], i);
        assert_string_equal(redis_server_text(&f->redis, text, sizeof(text), "GET %s", key), key);
        if (i % 2)
            assert_in_range(redis_server_number(&f->redis, "PTTL %s", key), 500000, 600050);
        else
            assert_int_equal(redis_server_number(&f->redis, "PTTL %s", key), -1);
    }
    assert_int_equal(status_of(&f->a).conflicts, 0);
}

static bool is_gone(void *ctx)
{
    struct node *node = ctx;

    return hf_exists(node->store, s_("newest:brief"), NULL) == HF_NOT_FOUND;
}

static void test_reconcile__8_a_life_goes_on_during_the_outage(void **state)
{
    struct fixture *f = *state;
    int64_t set_ms, left_ms;

    open_online(&f->a);
    set_for(f->a.store, "newest:brief", "old", 60000, NULL);
    go_away(&f->a);
    set_ms = wall_ms();
    set_for(f->a.store, "newest:long", "v", 60000, NULL);
    set_for(f->a.store, "newest:brief", "v", 300, NULL);
    assert_true(wait_until(is_gone, &f->a, BOUND_MS));
    close_node(&f->a);
    open_node(&f->a);
    come_back(&f->a);
    left_ms = 60000 - (wall_ms() - set_ms);
    assert_in_range(redis_server_number(&f->redis, "PTTL newest:long"), left_ms - 2000, left_ms + 50);
    assert_redis(f, "newest:brief", NULL);
}

/* Only the life is changed, on either side or on both; -1 is none, 0 no change. */
static void test_reconcile__lives_changed_while_away_end_by_the_rule(void **state)
{
    static const struct {
        int base_s, ours_s, theirs_s, expected_s;
    } cases[] = {
        {300, -1, 0, -1},     {-1, 600, 0, 600},    {300, 600, 0, 600},  {900, 300, 0, 300}, /* ours alone holds */
        {300, 600, 900, 900}, {300, 900, 600, 900}, {-1, 600, 900, 900}, /* both: the longer one */
        {300, -1, 900, -1},   {300, 900, -1, -1},                        /* none is the longest */
    };
    enum { N = sizeof(cases) / sizeof(cases[0]) };
    struct fixture *f = *state;
    char keys[N][24];

    open_online(&f->a);
    for (int i = 0; i < N; i++) {
        snprintf(keys[i], sizeof(keys[i]), "newest:life%d", i);
        set_for(f->a.store, keys[i], "v", cases[i].base_s > 0 ? cases[i].base_s * 1000LL : 0, NULL);
    }
    go_away(&f->a);
    for (int i = 0; i < N; i++) {
        if (cases[i].ours_s < 0)
            assert_ok(hf_persist(f->a.store, s_(keys[i]), NULL));
        else
            assert_ok(hf_expire(f->a.store, s_(keys[i]), cases[i].ours_s * 1000LL, NULL));
        if (cases[i].theirs_s < 0)
            plain(f, "PERSIST %s", keys[i]);
        else if (cases[i].theirs_s > 0)
            plain(f, "EXPIRE %s %d", keys[i], cases[i].theirs_s);
    }
    come_back(&f->a);
    for (int i = 0; i < N; i++) {
        long long life_ms = redis_server_number(&f->redis, "PTTL %s", keys[i]);
        if (cases[i].expected_s < 0
                ? life_ms != -1
                : life_ms > cases[i].expected_s * 1000LL + 50 || life_ms < cases[i].expected_s * 1000LL - BOUND_MS)
            fail_msg("case %d: a life of %lld ms; expected %d s", i, life_ms, cases[i].expected_s);
    }
    assert_int_equal(status_of(&f->a).conflicts, 0);
}

/* ---- what Redis or a resolver refuses ---- */

/* One change of this key waits, with others around it, and comes to what it comes to. */
static void play_refused(struct fixture *f, const char *key)
{
    go_away(&f->a);
    put(f->a.store, "newest:before", "v");
    if (key)
        put(f->a.store, key, "ours");
    put(f->a.store, "newest:behind", "v");
    if (key)
        plain(f, "SET %s theirs", key);
    come_back(&f->a);
    assert_redis(f, "newest:before", "v");
    assert_redis(f, "newest:behind", "v");
}

static void let_resolver_fail(struct fixture *f, int times)
{
    pthread_mutex_lock(&f->lock);
    f->failures = times;
    pthread_mutex_unlock(&f->lock);
}

static int times_asked(struct fixture *f)
{
    int asked;

    pthread_mutex_lock(&f->lock);
    asked = f->asked;
    pthread_mutex_unlock(&f->lock);
    return asked;
}

static void test_reconcile__a_resolver_that_fails_is_asked_again(void **state)
{
    struct fixture *f = *state;

    open_online(&f->a);
    put(f->a.store, "callback:k", "base");
    let_resolver_fail(f, 3);
    play_refused(f, "callback:k");
    assert_redis(f, "callback:k", "decided");
    assert_int_equal(times_asked(f), 4);
    assert_int_equal(status_of(&f->a).conflicts, 1);
    assert_int_equal(status_of(&f->a).parked, 0);
}

static int die(void *ctx, const struct hf_conflict *conflict, enum hf_winner *ret_winner, struct hf_buf *ret_value)
{
    (void)ctx;
    (void)conflict;
    (void)ret_winner;
    (void)ret_value;
    (void)kill(getpid(), SIGKILL);
    return -1;
}

/* A process whose resolver brings it down. Before this one has threads. */
static void reconcile_and_die(struct node *node)
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        node->opts.resolve = die;
        if (hf_open(node->scratch.store, &node->opts, &node->store) == 0)
            (void)hf_drain(node->store, BOUND_MS);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* Written by a process that has ended before the next one is begun. */
static void put_and_close(struct node *node, const char *redis, const char *key, const char *value)
{
    node->opts.redis = redis;
    open_node(node);
    if (redis == node->address)
        assert_true(wait_link(node->store, HF_LINK_ONLINE, BOUND_MS));
    put(node->store, key, value);
    close_node(node);
    node->opts.redis = node->address;
}

static void test_reconcile__a_resolver_that_brings_the_process_down_is_asked_by_the_next(void **state)
{
    struct fixture *f = *state;

    put_and_close(&f->a, f->a.address, "callback:k", "base");
    put_and_close(&f->a, NULL, "callback:k", "ours");
    plain(f, "SET callback:k theirs");
    for (int i = 0; i < 2; i++)
        reconcile_and_die(&f->a);
    assert_redis(f, "callback:k", "theirs");
    open_online(&f->a);
    assert_ok(hf_drain(f->a.store, BOUND_MS));
    assert_redis(f, "callback:k", "decided");
    assert_int_equal(times_asked(f), 1);
    assert_int_equal(status_of(&f->a).conflicts, 1);
    assert_int_equal(status_of(&f->a).parked, 0);
}

static int copy_reason(void *ctx, const struct hf_parked *entry)
{
    snprintf(ctx, 160, "%s", entry->reason);
    return 0;
}

/* The only parked entry's reason. */
static const char *parked_reason(struct node *node, char text[160])
{
    assert_int_equal(status_of(node).parked, 1);
    assert_ok(hf_checkpoint(node->store));
    assert_ok(hf_parked_list(node->store, copy_reason, text));
    return text;
}

static void test_reconcile__a_resolver_that_always_fails_leaves_its_change_parked(void **state)
{
    struct fixture *f = *state;
    char reason[160];

    open_online(&f->a);
    put(f->a.store, "callback:k", "base");
    let_resolver_fail(f, 1000);
    play_refused(f, "callback:k");
    assert_string_equal(parked_reason(&f->a, reason), "the resolver of conflicts failed each time");
    assert_int_equal(times_asked(f), 16);
    assert_redis(f, "callback:k", "theirs");
    assert_value(f->a.store, "callback:k", "ours");
}

static void test_reconcile__a_key_of_another_type_is_parked_with_the_reason(void **state)
{
    struct fixture *f = *state;
    char reason[160];

    open_online(&f->a);
    put(f->a.store, "newest:k", "base");
    go_away(&f->a);
    put(f->a.store, "newest:k", "ours");
    put(f->a.store, "newest:fine", "v");
    plain(f, "DEL newest:k");
    plain(f, "RPUSH newest:k a b");
    come_back(&f->a);
    assert_memory_equal(parked_reason(&f->a, reason), "WRONGTYPE ", 10);
    assert_redis(f, "newest:fine", "v");
    assert_int_equal(redis_server_number(&f->redis, "LLEN newest:k"), 2);
}

/* From now on as a user with all rights but these. */
static void become_user_without(struct fixture *f, const char *refused)
{
    plain(f, "ACL SETUSER app on >secret ~* &* +@all %s", refused);
    f->a.opts.redis_user = "app";
    f->a.opts.redis_password = "secret";
}

/* The same, with the bookkeeping there already. */
static void open_as_user_without(struct fixture *f, const char *refused)
{
    open_online(&f->a);
    close_node(&f->a);
    become_user_without(f, refused);
    open_online(&f->a);
}

/* A megabyte and a byte, to a server that takes a megabyte. */
static void check_too_long(struct fixture *f, bool in_lane, const char *expected)
{
    struct hf_batch *batch;
    size_t n = (1 << 20) + 1;
    char *big = calloc(1, n), reason[160];

    assert_non_null(big);
    plain(f, "CONFIG SET proto-max-bulk-len 1048576");
    go_away(&f->a);
    assert_ok(hf_batch_new(f->a.store, &batch));
    assert_ok(hf_batch_set(batch, s_("newest:big"), hf__slice(big, n), NULL));
    if (in_lane)
        assert_ok(hf_batch_commit(batch, NULL));
    else
        assert_ok(hf_set(f->a.store, s_("newest:big"), hf__slice(big, n), NULL, NULL));
    hf_batch_free(batch);
    put(f->a.store, "newest:fine", "v");
    come_back(&f->a);
    if (!strstr(parked_reason(&f->a, reason), expected))
        fail_msg("it was parked because \"%s\"; expected \"%s\"", reason, expected);
    assert_redis(f, "newest:big", NULL);
    assert_redis(f, "newest:fine", "v");
    free(big);
}

static void test_reconcile__a_value_that_is_too_long_for_redis_is_parked_with_the_limit(void **state)
{
    struct fixture *f = *state;

    open_online(&f->a);
    check_too_long(f, false,
                   "a value of 1048577 bytes is longer than the server takes: proto-max-bulk-len is 1048576");
}

static void test_reconcile__a_batch_that_is_too_long_for_redis_is_parked_with_the_limit(void **state)
{
    struct fixture *f = *state;

    open_online(&f->a);
    check_too_long(f, true,
                   "a value of 1048577 bytes is longer than the server takes: proto-max-bulk-len is 1048576");
}

static void assert_held(struct node *node, const char *reason)
{
    char found[160];

    assert_true(wait_link(node->store, HF_LINK_HELD, BOUND_MS));
    snprintf(found, sizeof(found), "%s", status_of(node).link_reason);
    if (!strstr(found, reason))
        fail_msg("the link is held with \"%s\"; expected it to tell \"%s\"", found, reason);
}

static void test_reconcile__who_may_run_no_scripts_cannot_begin_a_history(void **state)
{
    struct fixture *f = *state;

    become_user_without(f, "-@scripting");
    open_node(&f->a);
    assert_held(&f->a, "NOPERM");
    put(f->a.store, "newest:k", "v");
    plain(f, "ACL SETUSER app +@scripting");
    assert_true(wait_link(f->a.store, HF_LINK_ONLINE, BOUND_MS));
    assert_ok(hf_drain(f->a.store, BOUND_MS));
    assert_redis(f, "newest:k", "v");
}

static void test_reconcile__a_user_who_may_run_no_scripts_is_served_by_single_commands(void **state)
{
    struct fixture *f = *state;

    open_as_user_without(f, "-@scripting");
    put(f->a.store, "newest:k", "base");
    play_refused(f, "newest:k");
    assert_redis(f, "newest:k", "theirs");
    assert_value(f->a.store, "newest:k", "theirs");
    assert_int_equal(status_of(&f->a).conflicts, 1);
    assert_int_equal(status_of(&f->a).parked, 0);
}

static void test_reconcile__decisions_of_a_user_who_may_run_no_scripts_fail_alone(void **state)
{
    struct fixture *f = *state;
    struct hf_result r;

    open_as_user_without(f, "-@scripting");
    assert_code(HF_EAUTH, hf_set_if_absent(f->a.store, s_("newest:k"), s_("v"), NULL, &r));
    assert_non_null(strstr(hf_errmsg(), "NOPERM this user has no permissions to run the 'eval"));
    assert_code(HF_NOT_FOUND, hf_exists(f->a.store, s_("newest:k"), NULL)); /* certainly not done */
    assert_ok(hf_set(f->a.store, s_("newest:other"), s_("v"), NULL, &r));
    assert_true(r.shared);
    assert_int_equal(status_of(&f->a).link, HF_LINK_ONLINE);
    assert_int_equal(status_of(&f->a).pending_keys, 0);
}

static void test_reconcile__increments_of_a_user_who_may_run_no_scripts_hold_the_link_with_the_reason(void **state)
{
    struct fixture *f = *state;
    int64_t n;

    open_as_user_without(f, "-@scripting");
    assert_ok(hf_incr(f->a.store, s_("newest:n"), 5, &n, NULL));
    assert_held(&f->a, "NOPERM");
    assert_int_equal(status_of(&f->a).parked, 0);
    plain(f, "ACL SETUSER app +@scripting");
    assert_true(wait_link(f->a.store, HF_LINK_ONLINE, BOUND_MS));
    assert_ok(hf_drain(f->a.store, BOUND_MS));
    assert_redis(f, "newest:n", "5");
}

/* More than a group of rows wait, and come to a Redis where no scripts may be run. A link that is held stays so. */
static void come_back_with_rows(struct fixture *f)
{
    char key[32];

    for (int i = 0; i < 300; i++) {
        snprintf(key, sizeof(key), "newest:%d", i);
        put(f->a.store, key, "v");
    }
    close_node(&f->a);
    f->a.opts.redis_backoff_max_ms = 60000;
    proxy_set_away(f->a.proxy, false);
    open_node(&f->a);
}

static void test_reconcile__many_rows_of_a_user_who_may_run_no_scripts_are_served(void **state)
{
    struct fixture *f = *state;

    open_as_user_without(f, "-@scripting");
    go_away(&f->a);
    come_back_with_rows(f);
    assert_true(wait_link(f->a.store, HF_LINK_ONLINE, BOUND_MS));
    assert_int_equal(status_of(&f->a).pending_keys, 0);
    assert_redis(f, "newest:299", "v");
}

/* The link is held for the increment, but not before all else was shared. */
static void test_reconcile__an_increment_that_holds_the_link_holds_no_rows_up(void **state)
{
    struct fixture *f = *state;
    int64_t n;

    open_as_user_without(f, "-@scripting");
    go_away(&f->a);
    assert_ok(hf_incr(f->a.store, s_("newest:n"), 5, &n, NULL));
    come_back_with_rows(f);
    assert_held(&f->a, "NOPERM");
    assert_int_equal(status_of(&f->a).pending_keys, 1);
    assert_redis(f, "newest:299", "v");
    assert_redis(f, "newest:n", NULL);
}

static void test_reconcile__a_key_that_the_user_may_not_touch_is_parked_with_the_reason(void **state)
{
    struct fixture *f = *state;
    char reason[160];

    open_online(&f->a);
    put(f->a.store, "remote:k", "base");
    close_node(&f->a);
    become_user_without(f, "resetkeys");
    plain(f, "ACL SETUSER app ~newest:* ~_hf:*");
    open_online(&f->a);
    go_away(&f->a);
    put(f->a.store, "remote:k", "ours");
    play_refused(f, NULL);
    assert_memory_equal(parked_reason(&f->a, reason), "NOPERM ", 7);
    assert_redis(f, "remote:k", "base");
    assert_value(f->a.store, "remote:k", "ours");
}

/* Whatever namespace is held for a loss is given back what it had. */
static bool decide_all(void *ctx)
{
    struct fixture *f = ctx;

    (void)hf_decide_loss(f->a.store, s_(""), HF_LOSS_RESEED);
    for (int i = 0; i < N_POLICIES; i++)
        (void)hf_decide_loss(f->a.store, s_(prefixes[i]), HF_LOSS_RESEED);
    return status_of(&f->a).link == HF_LINK_ONLINE;
}

static void test_reconcile__a_user_who_may_not_read_info_reconciles_all_the_same(void **state)
{
    struct fixture *f = *state;

    open_as_user_without(f, "-info");
    put(f->a.store, "newest:k", "base");
    play_refused(f, "newest:k");
    assert_redis(f, "newest:k", "theirs");
    /* Only whether the server was restarted cannot be known: then it counts as flushed. */
    go_away(&f->a);
    redis_server_kill(&f->redis);
    assert_int_equal(redis_server_restart(&f->redis), 0);
    become_user_without(f, "-info");
    proxy_set_away(f->a.proxy, false);
    assert_held(&f->a, "flushed");
    assert_true(wait_until(decide_all, f, BOUND_MS));
    assert_redis(f, "newest:k", "theirs");
}

/* ---- the resolver ---- */

static int resolve(void *ctx, const struct hf_conflict *conflict, enum hf_winner *ret_winner,
                   struct hf_buf *ret_value)
{
    struct fixture *f = ctx;
    bool fails;

    (void)conflict;
    pthread_mutex_lock(&f->lock);
    f->asked++;
    fails = f->failures > 0;
    f->failures -= fails;
    pthread_mutex_unlock(&f->lock);
    if (fails)
        return -1;
    *ret_winner = HF_WINNER_MERGED;
    ret_value->data = strdup("decided");
    ret_value->len = strlen("decided");
    return ret_value->data ? 0 : -1;
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(test_reconcile__##name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(every_cell_of_the_table_ends_as_the_document_says),
        T(every_cell_ends_so_when_the_store_was_closed_meanwhile),
        T(every_cell_of_a_server_restarted_empty_ends_as_the_document_says),
        T(what_was_replayed_is_the_base_of_the_next_outage),
        T(what_was_replayed_is_given_back_to_a_server_restarted_empty),
        T(what_others_changed_while_the_store_was_closed_is_not_taken_for_verified),
        T(every_copy_is_compared_once_after_the_store_was_closed),
        T(what_others_change_while_very_many_rows_go_is_found_behind_them),
        T(a_parked_change_is_neither_shared_nor_verified),
        T(1_a_write_during_an_outage_is_seen_by_another_node_after_the_replay),
        T(2_a_delete_during_an_outage_does_not_resurrect),
        T(3_a_newer_local_value_beats_an_older_one_in_redis),
        T(a_life_given_later_does_not_hide_when_the_value_was_written),
        T(4_a_counter_is_replayed_exactly_once_whatever_answer_is_lost),
        T(5_two_partitioned_nodes_never_both_own_a_lock_or_a_ticket),
        cmocka_unit_test_setup_teardown(test_reconcile__6_a_process_killed_between_record_and_index_leaves_no_drift,
                                        set_up_without_threads, tear_down),
        T(7_a_server_restarted_empty_is_given_back_what_the_local_tier_holds),
        T(8_a_life_goes_on_during_the_outage),
        T(lives_changed_while_away_end_by_the_rule),
        T(a_resolver_that_fails_is_asked_again),
        cmocka_unit_test_setup_teardown(
            test_reconcile__a_resolver_that_brings_the_process_down_is_asked_by_the_next, set_up_without_threads,
            tear_down),
        T(a_resolver_that_always_fails_leaves_its_change_parked),
        T(a_key_of_another_type_is_parked_with_the_reason),
        T(a_value_that_is_too_long_for_redis_is_parked_with_the_limit),
        T(a_batch_that_is_too_long_for_redis_is_parked_with_the_limit),
        T(who_may_run_no_scripts_cannot_begin_a_history),
        T(a_user_who_may_run_no_scripts_is_served_by_single_commands),
        T(decisions_of_a_user_who_may_run_no_scripts_fail_alone),
        T(increments_of_a_user_who_may_run_no_scripts_hold_the_link_with_the_reason),
        T(many_rows_of_a_user_who_may_run_no_scripts_are_served),
        T(an_increment_that_holds_the_link_holds_no_rows_up),
        T(a_key_that_the_user_may_not_touch_is_parked_with_the_reason),
        T(a_user_who_may_not_read_info_reconciles_all_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
