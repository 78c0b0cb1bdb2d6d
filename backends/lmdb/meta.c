/* Small named values of the engine: cursors, epochs, the clock. */
#include "ops.h"
#include "seal.h"
#include "table.h"
#include "fail.h"

#define NAME_MAX_BYTES 500u /* a word and the longest prefix of a namespace, with room; LMDB allows 511 */

struct meta_key {
    uint8_t bytes[1 + NAME_MAX_BYTES];
    size_t len;
};

/* A dot before the name keeps the engine's values apart from the tier's own. */
static int meta_key(struct hf_slice name, struct meta_key *ret_key)
{
    if (name.len == 0 || name.len > NAME_MAX_BYTES)
        return hf__fail(HF_EINVAL, "local tier: a name of %zu bytes in meta, where 1 to %u are allowed", name.len,
                        NAME_MAX_BYTES);
    ret_key->bytes[0] = '.';
    memcpy(ret_key->bytes + 1, name.data, name.len);
    ret_key->len = 1 + name.len;
    return 0;
}

int hf__lmdb_meta_get(struct hf_local_snap *snap, struct hf_slice name, struct hf_slice *ret_value)
{
    struct meta_key key;
    struct hf_slice stored;
    char text[160];
    int rc = meta_key(name, &key);

    if (rc == 0)
        rc = hf__lmdb_get(snap, HF__LMDB_META, hf__slice(key.bytes, key.len), &stored);
    if (rc != 0)
        return rc;
    if (!hf__lmdb_sealed(hf__slice(key.bytes, key.len), stored))
        return hf__fail(HF_ECORRUPT, "the local tier's meta value \"%s\" is damaged",
                        hf__printable(name, text, sizeof(text)));
    *ret_value = hf__slice((const uint8_t *)stored.data + HF__LMDB_SEAL_BYTES, stored.len - HF__LMDB_SEAL_BYTES);
    return 0;
}

int hf__lmdb_meta_put(struct hf_local_txn *txn, struct hf_slice name, struct hf_slice value)
{
    struct meta_key key;
    void *to;
    int rc = meta_key(name, &key);

    if (rc != 0)
        return rc;
    if (value.len == 0) {
        rc = hf__lmdb_del(txn, HF__LMDB_META, hf__slice(key.bytes, key.len));
        return rc < 0 ? rc : 0;
    }
    rc = hf__lmdb_reserve(txn, HF__LMDB_META, hf__slice(key.bytes, key.len), HF__LMDB_SEAL_BYTES + value.len, &to);
    if (rc != 0)
        return rc;
    memcpy((uint8_t *)to + HF__LMDB_SEAL_BYTES, value.data, value.len);
    hf__lmdb_seal(hf__slice(key.bytes, key.len), to, HF__LMDB_SEAL_BYTES + value.len);
    return 0;
}
