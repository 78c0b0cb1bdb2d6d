/* Reconciling with a real Redis: each cell of docs/reconcile-table.md, which is read from there; what the stores that
 * came before lost or forked in an outage; and input that Redis or a resolver refuses. */
#include "proxy.h"
#include "redis_server.h"
#include "scratch.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BOUND_MS 8000
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
    char path[96], address[112];
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

static const char *const prefixes[N_POLICIES] = {"newest:", "remote:", "local:", "park:", "merge-json:", "callback:"};

static void note_settled(void *ctx, const struct hf_settlement *settlement);
static int resolve(void *ctx, const struct hf_conflict *conflict, enum hf_winner *ret_winner,
                   struct hf_buf *ret_value);

static void init_node(struct fixture *f, struct node *node)
{
    scratch_make(&node->scratch);
    snprintf(node->path, sizeof(node->path), "%s/proxy", node->scratch.dir);
    snprintf(node->address, sizeof(node->address), "unix://%s", node->path);
    node->proxy = proxy_start(node->path, f->redis.socket);
    assert_non_null(node->proxy);
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

static void open_node(struct node *node)
{
    assert_ok(hf_open(node->scratch.store, &node->opts, &node->store));
}

static void open_online(struct node *node)
{
    open_node(node);
    assert_true(wait_link(node->store, HF_LINK_ONLINE, BOUND_MS));
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

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    if (!f || redis_server_start(&f->redis, NULL) != 0)
        return -1;
    pthread_mutex_init(&f->lock, NULL);
    for (int i = 0; i < N_POLICIES; i++)
        f->namespaces[i] = (struct hf_namespace){
            .prefix = prefixes[i], .conflict = (enum hf_conflict_policy)(HF_CONFLICT_NEWEST + i)};
    init_node(f, &f->a);
    init_node(f, &f->b);
    f->a.opts.settled = note_settled;
    f->a.opts.settled_ctx = f;
    *state = f;
    return 0;
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

static struct hf_status status_of(const struct node *node)
{
    struct hf_status status;

    assert_ok(hf_status(node->store, &status));
    return status;
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
static const char *const remotes[N_REMOTES] = {"unchanged",     "set before", "set after", "deleted before",
                                               "deleted after", "same value", "expired",   "other type",
                                               "wiped"};

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
        if (hf_exists(f->a.store, s_(cell->key), &r) < 0 || r.origin != HF_ORIGIN_LOCAL_VERIFIED) {
            if (getenv("DBG")) print_error("%s origin %d\n", cell->key, r.origin);
            return false;}
    }
    return true;
}

static void check_cells(struct fixture *f)
{
    size_t wrong = 0;

    if (!wait_until(all_are_verified, f, BOUND_MS))
        {setenv("DBG", "1", 1); all_are_verified(f); unsetenv("DBG"); print_error("not all copies are verified %lu\n", status_of(&f->a).revalidated);}
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
        T(a_parked_change_is_neither_shared_nor_verified),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
