/* Long keys as chains of chunks. */
#include "long_keys.h"

#include "seal.h"
#include "state.h"
#include "table.h"
#include "fail.h"

#include <assert.h>

#define NODE_BYTES 17u /* seal, id, uses */

static_assert(8 + HF__LMDB_CHUNK <= HF__LMDB_KEY_MAX, "a chunk and its parent's id fit into a key");

void hf__lmdb_link_init(struct hf__lmdb_link *link, uint64_t parent, struct hf_slice chunk)
{
    hf__put64be(link->bytes, parent);
    if (chunk.len > 0)
        memcpy(link->bytes + 8, chunk.data, chunk.len);
    link->len = 8 + chunk.len;
}

static struct hf_slice link_slice(const struct hf__lmdb_link *link)
{
    return hf__slice(link->bytes, link->len);
}

int hf__lmdb_node_decode(struct hf_slice link, struct hf_slice stored, struct hf__lmdb_node *ret_node)
{
    const uint8_t *at = stored.data;

    if (link.len <= 8 || link.len > 8 + HF__LMDB_CHUNK || stored.len != NODE_BYTES ||
        !hf__lmdb_sealed(link, stored))
        return hf__fail(HF_ECORRUPT, "a link of the local tier's long keys is damaged");
    *ret_node = (struct hf__lmdb_node){.id = hf__get64(at + 8), .uses = at[16]};
    return 0;
}

static int node_put(struct hf_local_txn *txn, enum hf__lmdb_table table, const struct hf__lmdb_link *link,
                    const struct hf__lmdb_node *node)
{
    uint8_t bytes[NODE_BYTES];

    hf__put64(bytes + 8, node->id);
    bytes[16] = node->uses;
    hf__lmdb_seal(link_slice(link), bytes, sizeof(bytes));
    return hf__lmdb_put(txn, table, link_slice(link), hf__slice(bytes, sizeof(bytes)));
}

/* ---- the way to a key ---- */

struct path {
    enum hf__lmdb_table table;
    struct hf_slice key;
    size_t n_levels; /* chunks of the key */
    size_t n_found;  /* nodes that are there, from the root's side */
    struct hf__lmdb_node nodes[HF__LMDB_LEVELS];
};

static void path_link(const struct path *path, size_t level, struct hf__lmdb_link *link)
{
    uint64_t parent = level == 0 ? HF__LMDB_ROOT : path->nodes[level - 1].id;
    size_t at = level * HF__LMDB_CHUNK;
    size_t rest = path->key.len - at;
    size_t len = rest < HF__LMDB_CHUNK ? rest : HF__LMDB_CHUNK;

    hf__lmdb_link_init(link, parent, hf__slice((const uint8_t *)path->key.data + at, len));
}

/* Follow the chain of `key` as far as it goes. */
static int path_find(struct hf_local_snap *snap, struct hf_slice key, enum hf__lmdb_use use, struct path *path)
{
    path->table = hf__lmdb_chunks_of(use);
    path->key = key;
    path->n_levels = (key.len + HF__LMDB_CHUNK - 1) / HF__LMDB_CHUNK;
    for (path->n_found = 0; path->n_found < path->n_levels; path->n_found++) {
        struct hf__lmdb_link link;
        struct hf_slice stored;
        int rc;

        path_link(path, path->n_found, &link);
        rc = hf__lmdb_get(snap, path->table, link_slice(&link), &stored);
        if (rc == HF_NOT_FOUND)
            return 0;
        if (rc == 0)
            rc = hf__lmdb_node_decode(link_slice(&link), stored, &path->nodes[path->n_found]);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static struct hf__lmdb_node *path_end(struct path *path)
{
    return path->n_found == path->n_levels ? &path->nodes[path->n_levels - 1] : NULL;
}

int hf__lmdb_long_find(struct hf_local_snap *snap, struct hf_slice key, enum hf__lmdb_use use, uint64_t *ret_id)
{
    struct path path;
    const struct hf__lmdb_node *end;
    int rc = path_find(snap, key, use, &path);

    if (rc != 0)
        return rc;
    end = path_end(&path);
    if (!end || !(end->uses & use))
        return HF_NOT_FOUND;
    *ret_id = end->id;
    return 0;
}

/* ---- care of the chain ---- */

static int path_put(struct hf_local_txn *txn, const struct path *path, size_t level)
{
    struct hf__lmdb_link link;

    path_link(path, level, &link);
    return node_put(txn, path->table, &link, &path->nodes[level]);
}

/* Make the nodes of the path that are missing. */
static int path_extend(struct hf_local_txn *txn, struct path *path)
{
    while (path->n_found < path->n_levels) {
        int rc;

        path->nodes[path->n_found] = (struct hf__lmdb_node){.id = txn->snap.state.next_node++};
        rc = path_put(txn, path, path->n_found);
        if (rc != 0)
            return rc;
        path->n_found++;
    }
    return 0;
}

int hf__lmdb_long_hold(struct hf_local_txn *txn, struct hf_slice key, enum hf__lmdb_use use, uint64_t *ret_id)
{
    struct path path;
    struct hf__lmdb_node *end;
    int rc = path_find(&txn->snap, key, use, &path);

    if (rc == 0)
        rc = path_extend(txn, &path);
    if (rc != 0)
        return rc;
    end = path_end(&path);
    if (!(end->uses & use)) {
        end->uses = (uint8_t)(end->uses | use);
        rc = path_put(txn, &path, path.n_levels - 1);
        if (rc != 0)
            return rc;
    }
    *ret_id = end->id;
    return 0;
}

static int has_children(struct hf_local_snap *snap, const struct path *path, size_t level, bool *ret_has)
{
    struct hf__lmdb_link first;
    struct hf_slice link;
    struct hf_slice stored;
    int rc;

    *ret_has = false;
    if (path->key.len < (level + 1) * HF__LMDB_CHUNK)
        return 0;
    hf__lmdb_link_init(&first, path->nodes[level].id, hf__slice(NULL, 0));
    rc = hf__lmdb_seek(snap, path->table, link_slice(&first), &link, &stored);
    if (rc == 0)
        *ret_has = hf__slice_starts_with(link, link_slice(&first));
    return rc < 0 ? rc : 0;
}

/* Remove the nodes that nobody needs, from the end of the path on. */
static int path_prune(struct hf_local_txn *txn, const struct path *path)
{
    for (size_t level = path->n_levels; level-- > 0 && path->nodes[level].uses == 0;) {
        struct hf__lmdb_link link;
        bool has;
        int rc = has_children(&txn->snap, path, level, &has);

        if (rc != 0 || has)
            return rc;
        path_link(path, level, &link);
        rc = hf__lmdb_del(txn, path->table, link_slice(&link));
        if (rc < 0)
            return rc;
    }
    return 0;
}

int hf__lmdb_long_drop(struct hf_local_txn *txn, struct hf_slice key, enum hf__lmdb_use use)
{
    struct path path;
    struct hf__lmdb_node *end;
    int rc = path_find(&txn->snap, key, use, &path);

    if (rc != 0)
        return rc;
    end = path_end(&path);
    if (!end || !(end->uses & use))
        return 0;
    end->uses = (uint8_t)(end->uses & ~(unsigned)use);
    rc = path_put(txn, &path, path.n_levels - 1);
    return rc == 0 ? path_prune(txn, &path) : rc;
}
