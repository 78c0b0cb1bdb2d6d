/* A walk over the long keys that a use refers to.
 *
 * It visits a node, then its children, then its next sibling. The current node is known by the bytes that lead to
 * it and the ids of its parents; the cursor is found again from them whenever it had to look elsewhere. */
#include "long_walk.h"

#include "table.h"
#include "fail.h"

/* Take over what the cursor shows as the current node on `level`. HF_NOT_FOUND: it belongs to another parent. */
static int take(struct hf__lmdb_long_walk *walk, size_t level, struct hf_slice link, struct hf_slice stored)
{
    const uint8_t *bytes = link.data;
    struct hf__lmdb_node node;
    int rc;

    if (link.len < 8 || hf__get64be(bytes) != walk->parents[level])
        return HF_NOT_FOUND;
    rc = hf__lmdb_node_decode(link, stored, &node);
    if (rc != 0)
        return rc;
    if (level * HF__LMDB_CHUNK + link.len - 8 > HF_KEY_MAX)
        return hf__fail(HF_ECORRUPT, "a chain of the local tier's long keys is longer than a key can be");
    memcpy(walk->key + level * HF__LMDB_CHUNK, bytes + 8, link.len - 8);
    walk->key_len = level * HF__LMDB_CHUNK + link.len - 8;
    walk->level = level;
    walk->node = node;
    walk->at_cursor = true;
    return 0;
}

static struct hf_slice own_chunk(const struct hf__lmdb_long_walk *walk)
{
    size_t at = walk->level * HF__LMDB_CHUNK;

    return hf__slice(walk->key + at, walk->key_len - at);
}

/* Make the first node of `level` whose chunk is `chunk` or greater the current one; with `skip_equal`, greater. */
static int seek(struct hf__lmdb_long_walk *walk, size_t level, struct hf_slice chunk, bool skip_equal)
{
    struct hf__lmdb_link from;
    struct hf_slice link;
    struct hf_slice stored;
    int rc;

    walk->at_cursor = false;
    hf__lmdb_link_init(&from, walk->parents[level], chunk);
    rc = hf__lmdb_cursor_seek(walk->snap, walk->cursor, hf__slice(from.bytes, from.len), &link, &stored);
    if (rc == 0 && skip_equal && hf__slice_eq(link, hf__slice(from.bytes, from.len)))
        rc = hf__lmdb_cursor_next(walk->snap, walk->cursor, &link, &stored);
    return rc == 0 ? take(walk, level, link, stored) : rc;
}

static int next_at_cursor(struct hf__lmdb_long_walk *walk)
{
    struct hf_slice link;
    struct hf_slice stored;
    int rc = hf__lmdb_cursor_next(walk->snap, walk->cursor, &link, &stored);

    walk->at_cursor = false;
    return rc == 0 ? take(walk, walk->level, link, stored) : rc;
}

/* The node behind the current one and all below it: its next sibling, or that of the nearest ancestor with one. */
static int move_past(struct hf__lmdb_long_walk *walk)
{
    int rc = HF_NOT_FOUND;

    if (walk->at_cursor)
        rc = next_at_cursor(walk);
    else
        rc = seek(walk, walk->level, own_chunk(walk), true);
    while (rc == HF_NOT_FOUND && walk->level > 0) {
        walk->level--;
        walk->key_len = (walk->level + 1) * HF__LMDB_CHUNK;
        rc = seek(walk, walk->level, own_chunk(walk), true);
    }
    return rc;
}

static bool may_have_children(const struct hf__lmdb_long_walk *walk)
{
    return walk->key_len == (walk->level + 1) * HF__LMDB_CHUNK && walk->level + 1 < HF__LMDB_LEVELS;
}

static int move_on(struct hf__lmdb_long_walk *walk)
{
    if (may_have_children(walk)) {
        int rc;

        walk->parents[walk->level + 1] = walk->node.id;
        rc = seek(walk, walk->level + 1, hf__slice(NULL, 0), false);
        if (rc != HF_NOT_FOUND)
            return rc;
    }
    return move_past(walk);
}

/* Follow `from` down as long as its chunks are there; then the current node is the first one not before it. */
static int place(struct hf__lmdb_long_walk *walk, struct hf_slice from)
{
    for (size_t level = 0;; level++) {
        const uint8_t *rest = (const uint8_t *)from.data + level * HF__LMDB_CHUNK;
        size_t rest_len = from.len - level * HF__LMDB_CHUNK;
        struct hf_slice chunk = hf__slice(rest, rest_len < HF__LMDB_CHUNK ? rest_len : HF__LMDB_CHUNK);
        int rc = seek(walk, level, chunk, false);

        if (rc == HF_NOT_FOUND && level > 0) /* all below the parent is before `from` */
            return move_past(walk);
        if (rc != 0)
            return rc;
        if (rest_len <= HF__LMDB_CHUNK || !hf__slice_eq(chunk, own_chunk(walk)))
            return 0;
        walk->parents[level + 1] = walk->node.id; /* the key that ends here is shorter, so before `from` */
    }
}

int hf__lmdb_long_walk_open(struct hf__lmdb_long_walk *walk, struct hf_local_snap *snap, enum hf__lmdb_use use,
                            struct hf_slice from)
{
    int rc;

    walk->snap = snap;
    walk->use = use;
    walk->level = 0;
    walk->parents[0] = HF__LMDB_ROOT;
    walk->placed = false;
    walk->yielded = false;
    walk->at_cursor = false;
    walk->cursor = NULL;
    rc = hf__lmdb_cursor_open(snap, hf__lmdb_chunks_of(use), &walk->cursor);
    if (rc != 0)
        return rc;
    rc = place(walk, from.len > 0 ? from : hf__slice("", 0));
    walk->placed = rc == 0;
    return rc < 0 ? rc : 0;
}

int hf__lmdb_long_walk_next(struct hf__lmdb_long_walk *walk, uint64_t *ret_id, struct hf_slice *ret_key)
{
    int rc = walk->placed ? 0 : HF_NOT_FOUND;

    while (rc == 0 && (walk->yielded || !(walk->node.uses & walk->use))) {
        rc = move_on(walk);
        walk->yielded = false;
    }
    walk->placed = rc == 0;
    if (rc != 0)
        return rc;
    walk->yielded = true;
    *ret_id = walk->node.id;
    *ret_key = hf__slice(walk->key, walk->key_len);
    return 0;
}

void hf__lmdb_long_walk_release(struct hf__lmdb_long_walk *walk)
{
    if (walk->cursor)
        mdb_cursor_close(walk->cursor);
    walk->cursor = NULL;
}
