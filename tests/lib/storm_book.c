/* What was recorded: lines of text, one for each event, and Redis's append-only file. */
#include "storm.h"

#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- writing ---- */

static const char *or_dash(const char *text)
{
    return text[0] ? text : "-";
}

int64_t storm_now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

void storm_record_put(int fd, struct storm_record *r)
{
    char line[STORM_TEXT_MAX + STORM_KEY_MAX + 256];
    int n;

    r->at_us = storm_now_us();
    n = snprintf(line, sizeof(line), "%lld %u %u %c %u %c %s %s %lld %llu %llu %d %u .\n", (long long)r->at_us,
                 r->writer, r->life, (char)r->what, r->id, r->op ? r->op : '-', or_dash(r->key), or_dash(r->text),
                 (long long)r->number, (unsigned long long)r->lsn, (unsigned long long)r->lsn2, r->rc, r->flags);
    if (write(fd, line, (size_t)n) != n)
        abort(); /* without its record nothing can be judged */
}

/* ---- reading ---- */

static void *grown(void *all, size_t n, size_t *capacity, size_t size)
{
    if (n < *capacity)
        return all;
    *capacity = *capacity ? 2 * *capacity : 4096;
    all = realloc(all, *capacity * size);
    if (!all)
        abort();
    return all;
}

struct storm_applied *storm_book_apply(struct storm_book *book, char op, unsigned group)
{
    struct storm_applied *a;

    book->applied = grown(book->applied, book->n_applied, &book->applied_capacity, sizeof(*book->applied));
    a = &book->applied[book->n_applied++];
    *a = (struct storm_applied){.op = op, .group = group};
    return a;
}

void storm_book_lose(struct storm_book *book, size_t from)
{
    for (size_t i = from; i < book->n_applied; i++)
        book->applied[i].lost = true;
}

static bool parse(const char *line, struct storm_record *r)
{
    long long at, number;
    unsigned long long lsn, lsn2;
    char what, end;
    int n = sscanf(line, "%lld %u %u %c %u %c %31s %255s %lld %llu %llu %d %u %c", &at, &r->writer, &r->life, &what,
                   &r->id, &r->op, r->key, r->text, &number, &lsn, &lsn2, &r->rc, &r->flags, &end);

    r->at_us = at;
    r->what = (enum storm_what)what;
    r->number = number;
    r->lsn = lsn;
    r->lsn2 = lsn2;
    if (n == 14 && strcmp(r->key, "-") == 0)
        r->key[0] = '\0';
    if (n == 14 && strcmp(r->text, "-") == 0)
        r->text[0] = '\0';
    return n == 14;
}

int storm_book_read_log(struct storm_book *book, const char *path)
{
    char line[STORM_TEXT_MAX + STORM_KEY_MAX + 256];
    FILE *in = fopen(path, "r");

    if (!in)
        return -1;
    while (fgets(line, sizeof(line), in)) {
        book->records = grown(book->records, book->n_records, &book->records_capacity, sizeof(*book->records));
        memset(&book->records[book->n_records], 0, sizeof(*book->records));
        if (parse(line, &book->records[book->n_records]))
            book->n_records++;
    }
    fclose(in);
    return 0;
}

static int by_time(const void *a, const void *b)
{
    int64_t x = ((const struct storm_record *)a)->at_us, y = ((const struct storm_record *)b)->at_us;

    return (x > y) - (x < y);
}

void storm_book_sort(struct storm_book *book)
{
    qsort(book->records, book->n_records, sizeof(*book->records), by_time);
    for (size_t i = 0; i < book->n_records; i++) {
        const struct storm_record *r = &book->records[i];
        if (r->what == STORM_OPENED && r->writer < STORM_NODES_MAX)
            snprintf(book->nodes[r->writer], sizeof(book->nodes[0]), "%.32s", r->text);
    }
}

void storm_book_release(struct storm_book *book)
{
    free(book->records);
    free(book->applied);
    *book = (struct storm_book){0};
}

/* ---- Redis's append-only file ---- */

#define ARGS_MAX 2200 /* an entry of a change log names up to 1,000 changes */

struct command {
    struct {
        const char *bytes;
        size_t len;
    } args[ARGS_MAX];
    size_t n;
};

/* A number behind `letter`, and the end of its line. NULL: the file ends here. */
static const char *number(const char *at, const char *end, char letter, size_t *ret)
{
    if (at >= end || *at != letter)
        return NULL;
    *ret = strtoull(at + 1, NULL, 10);
    at = memchr(at, '\n', (size_t)(end - at));
    return at ? at + 1 : NULL;
}

static const char *next_command(const char *at, const char *end, struct command *c)
{
    size_t n, len;

    while (at < end && *at == '#') {
        at = memchr(at, '\n', (size_t)(end - at));
        if (!at++)
            return NULL;
    }
    at = number(at, end, '*', &n);
    for (c->n = 0; at && c->n < n; c->n++) {
        at = number(at, end, '$', &len);
        if (!at || c->n >= ARGS_MAX || (size_t)(end - at) < len + 2)
            return NULL;
        c->args[c->n].bytes = at;
        c->args[c->n].len = len;
        at += len + 2;
    }
    return at;
}

static bool is(const struct command *c, size_t i, const char *text)
{
    return i < c->n && c->args[i].len == strlen(text) && strncasecmp(c->args[i].bytes, text, c->args[i].len) == 0;
}

static void copy(const struct command *c, size_t i, char *to, size_t size)
{
    size_t len = i < c->n ? c->args[i].len : 0;

    if (len >= size)
        len = size - 1;
    if (len > 0)
        memcpy(to, c->args[i].bytes, len);
    to[len] = '\0';
}

static int64_t integer(const struct command *c, size_t i)
{
    char text[32];

    copy(c, i, text, sizeof(text));
    return strtoll(text, NULL, 10);
}

static struct storm_applied *add(struct storm_book *book, char op, const struct command *c, size_t key,
                                 unsigned group)
{
    struct storm_applied *a = storm_book_apply(book, op, group);

    copy(c, key, a->key, sizeof(a->key));
    return a;
}

/* XADD <log> [NOMKSTREAM] [MAXLEN ~ n] <id> n <node> l <lsn> <name> <key> ... */
static void add_log_entry(struct storm_book *book, const struct command *c, unsigned group)
{
    size_t i = 2;
    uint64_t last;
    char node[33];

    while (i + 3 < c->n && !(is(c, i, "n") && is(c, i + 2, "l")))
        i++;
    if (i + 3 >= c->n)
        return;
    copy(c, i + 1, node, sizeof(node));
    last = (uint64_t)integer(c, i + 3);
    for (i += 4; i + 1 < c->n; i += 2) {
        struct storm_applied *a = add(book, 'x', c, i + 1, group);
        char name[64];

        copy(c, i, name, sizeof(name));
        a->lsn = last - strtoull(name + 1, NULL, 10);
        snprintf(a->text, sizeof(a->text), "%s", name);
        memcpy(a->node, node, sizeof(node));
    }
}

static void add_set(struct storm_book *book, const struct command *c, unsigned group)
{
    struct storm_applied *a = add(book, 's', c, 1, group);

    storm_value_text(c->args[2].bytes, c->args[2].len, a->text);
    for (size_t i = 3; i + 1 < c->n; i++) {
        if (is(c, i, "PXAT"))
            a->number = integer(c, i + 1);
    }
}

static void add_command(struct storm_book *book, const struct command *c, unsigned *group, bool *in_transaction)
{
    if (!*in_transaction)
        ++*group;
    if (is(c, 0, "MULTI"))
        *in_transaction = true;
    else if (is(c, 0, "EXEC"))
        *in_transaction = false;
    else if (is(c, 0, "SET") && c->n >= 3)
        add_set(book, c, *group);
    else if (is(c, 0, "DEL") || is(c, 0, "UNLINK"))
        (void)add(book, 'd', c, 1, *group);
    else if (is(c, 0, "PEXPIREAT"))
        add(book, 'e', c, 1, *group)->number = integer(c, 2);
    else if (is(c, 0, "PERSIST"))
        (void)add(book, 'p', c, 1, *group);
    else if (is(c, 0, "INCRBY") || is(c, 0, "DECRBY"))
        add(book, 'i', c, 1, *group)->number = is(c, 0, "INCRBY") ? integer(c, 2) : -integer(c, 2);
    else if (is(c, 0, "FLUSHALL"))
        storm_book_lose(book, 0);
    else if (is(c, 0, "XADD"))
        add_log_entry(book, c, *group);
}

static char *read_file(const char *path, size_t *ret_len)
{
    FILE *in = fopen(path, "r");
    char *bytes = NULL;
    long len;

    *ret_len = 0;
    if (in && fseek(in, 0, SEEK_END) == 0 && (len = ftell(in)) > 0 && (bytes = malloc((size_t)len))) {
        rewind(in);
        *ret_len = fread(bytes, 1, (size_t)len, in);
    }
    if (in)
        fclose(in);
    return bytes;
}

static void read_appended(struct storm_book *book, const char *path, unsigned *group)
{
    static struct command c;
    bool in_transaction = false;
    size_t len;
    char *bytes = read_file(path, &len);

    for (const char *at = bytes; at && (at = next_command(at, bytes + len, &c));)
        add_command(book, &c, group, &in_transaction);
    free(bytes);
}

static int read_all(struct storm_book *book, const char *redis_dir, const char *name, unsigned *group)
{
    char pattern[160];
    glob_t found;

    snprintf(pattern, sizeof(pattern), "%s/%s/*.incr.aof", redis_dir, name);
    if (glob(pattern, 0, NULL, &found) != 0)
        return -1;
    for (size_t i = 0; i < found.gl_pathc; i++)
        read_appended(book, found.gl_pathv[i], group);
    globfree(&found);
    return 0;
}

int storm_book_read_appended(struct storm_book *book, const char *redis_dir)
{
    unsigned group = 0;

    (void)read_all(book, redis_dir, "lost*", &group);
    storm_book_lose(book, 0);
    return read_all(book, redis_dir, "appendonlydir", &group);
}

/* ---- stories ---- */

static const char *outcome_text(int outcome)
{
    static const char *const texts[] = {
#define X(name, text) text,
        HF_OUTCOME_MAP(X)
#undef X
    };

    return outcome >= 0 && outcome < HF_N_OUTCOMES ? texts[outcome] : "?";
}

void storm_record_tell(const struct storm_record *r, FILE *out)
{
    char who[16];

    snprintf(who, sizeof(who), r->writer < STORM_NODES_MAX ? "node %u.%u" : "client", r->writer, r->life);
    fprintf(out, "  %10.3f %-9s %c", (double)r->at_us / 1e6, who, (char)r->what);
    if (r->op != '-')
        fprintf(out, " %u%c", r->id, r->op);
    fprintf(out, " %s %s number %lld lsn %llu..%llu rc %d%s%s%s%s%s", r->key, r->text, (long long)r->number,
            (unsigned long long)r->lsn, (unsigned long long)r->lsn2, r->rc,
            r->flags & STORM_SHARED ? " shared" : "", r->flags & STORM_PENDING ? " pending" : "",
            r->flags & STORM_DURABLE ? " durable" : "", r->flags & STORM_TENTATIVE ? " tentative" : "",
            r->flags & STORM_IN_DOUBT ? " in doubt" : "");
    if (r->what == STORM_SETTLED)
        fprintf(out, " (%s)", outcome_text(r->rc));
    fprintf(out, "\n");
}

static bool concerns(const struct storm_record *r, const char *key)
{
    bool batch = r->op == 'b' && strncmp(r->key, key, strlen(r->key)) == 0;

    return r->what == STORM_WEATHER || r->what == STORM_OPENED || batch || strcmp(r->key, key) == 0;
}

static void tell_applied(const struct storm_book *book, const char *key, size_t n_last, FILE *out)
{
    size_t from = book->n_applied, n = 0;

    while (from > 0 && n < n_last)
        n += strcmp(book->applied[--from].key, key) == 0;
    fprintf(out, "  Redis did to %s, in order:\n", key);
    for (size_t i = from; i < book->n_applied; i++) {
        const struct storm_applied *a = &book->applied[i];
        if (strcmp(a->key, key) == 0)
            fprintf(out, "    [%u] %c %s number %lld%s%.6s lsn %llu%s\n", a->group, a->op, a->text,
                    (long long)a->number, a->node[0] ? " node " : "", a->node, (unsigned long long)a->lsn,
                    a->lost ? " (lost)" : "");
    }
}

void storm_book_tell(const struct storm_book *book, const char *key, size_t n_last, FILE *out)
{
    size_t from = book->n_records, n = 0;

    while (from > 0 && n < n_last) {
        const struct storm_record *r = &book->records[--from];
        n += r->what != STORM_WEATHER && r->what != STORM_OPENED && concerns(r, key);
    }
    for (size_t i = from; i < book->n_records; i++) {
        if (concerns(&book->records[i], key))
            storm_record_tell(&book->records[i], out);
    }
    tell_applied(book, key, n_last, out);
    for (size_t i = 0; i < STORM_NODES_MAX; i++)
        fprintf(out, "%s node %zu is %.6s", i ? "," : " ", i, book->nodes[i]);
    fprintf(out, "\n");
}
