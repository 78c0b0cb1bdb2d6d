/* LMDB's list of free pages: which of them a transaction can take, and which of them lie beyond a page. */
#include "free_list.h"

#include "lmdb_fail.h"

#include <stdio.h>
#include <string.h>

/* LMDB's free list: transaction number -> count and page numbers, in the machine's byte order. */
#define FREE_DBI 0u

static size_t last_transaction(const struct hf__lmdb_env *env)
{
    MDB_envinfo info;

    (void)mdb_env_info(env->mdb, &info); /* fails only for a NULL argument */
    return info.me_last_txnid;
}

/* The least transaction number that a reader's line "<pid> <thread> <transaction>" shows; others show none. */
static int note_reader(const char *line, void *ctx)
{
    size_t *oldest = ctx;
    size_t number;

    if (sscanf(line, "%*d %*x %zu", &number) == 1 && number < *oldest)
        *oldest = number;
    return 0;
}

/* Call with each record of the free list: the pages, and the number of the transaction that freed them. */
typedef void free_fn(void *ctx, size_t freed_by, const MDB_val *pages);

static uint64_t count_pages(const MDB_val *pages)
{
    size_t count = 0;

    if (pages->mv_size >= sizeof(count))
        memcpy(&count, pages->mv_data, sizeof(count));
    return count < pages->mv_size / sizeof(count) ? count : 0;
}

static int each_free(const struct hf__lmdb_env *env, MDB_txn *mdb, free_fn *each, void *ctx)
{
    MDB_cursor *cursor;
    MDB_val key;
    MDB_val pages;
    int rc = mdb_cursor_open(mdb, FREE_DBI, &cursor);

    if (rc != 0)
        return hf__lmdb_fail(env, rc, "reading its free list");
    while ((rc = mdb_cursor_get(cursor, &key, &pages, MDB_NEXT)) == 0) {
        size_t freed_by = 0;

        if (key.mv_size == sizeof(freed_by))
            memcpy(&freed_by, key.mv_data, sizeof(freed_by));
        each(ctx, freed_by, &pages);
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : hf__lmdb_fail(env, rc, "reading its free list");
}

struct free_sum {
    size_t last;   /* number of the last transaction */
    size_t oldest; /* and of the oldest one that somebody reads */
    struct hf__lmdb_free pages;
};

static void add_free(void *ctx, size_t freed_by, const MDB_val *pages)
{
    struct free_sum *sum = ctx;

    if (freed_by < sum->oldest)
        sum->pages.obtainable += count_pages(pages);
    if (freed_by == sum->last)
        sum->pages.last += count_pages(pages);
}

int hf__lmdb_free_pages(const struct hf__lmdb_env *env, MDB_txn *mdb, struct hf__lmdb_free *ret_free)
{
    struct free_sum sum = {.last = last_transaction(env)};
    int rc;

    sum.oldest = sum.last;
    (void)mdb_reader_list(env->mdb, note_reader, &sum.oldest); /* returns what note_reader does */
    rc = each_free(env, mdb, add_free, &sum);
    if (rc == 0)
        *ret_free = sum.pages;
    return rc;
}

struct missing {
    uint64_t first; /* page that the file no longer holds */
    uint64_t free;  /* of those behind it */
};

static void add_missing(void *ctx, size_t freed_by, const MDB_val *pages)
{
    struct missing *sum = ctx;
    uint64_t n = count_pages(pages);

    (void)freed_by; /* when does not matter here */
    for (uint64_t i = 1; i <= n; i++) {
        size_t page;

        memcpy(&page, (const uint8_t *)pages->mv_data + i * sizeof(page), sizeof(page));
        sum->free += page >= sum->first;
    }
}

int hf__lmdb_free_beyond(const struct hf__lmdb_env *env, MDB_txn *mdb, uint64_t first_page, uint64_t *ret_pages)
{
    struct missing sum = {.first = first_page};
    int rc = each_free(env, mdb, add_missing, &sum);

    if (rc == 0)
        *ret_pages = sum.free;
    return rc;
}
