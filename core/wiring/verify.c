/* Examining a store's journal from outside, with the real files and the real local tier. */
#include "fail.h"
#include "inspect.h"
#include "lmdb_tier.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* What the local tier covers; 0 when there is none yet. */
static int read_covered(const char *dir, uint64_t *ret_lsn)
{
    struct hf_lmdb_options opts = {.read_only = true};
    struct hf_local_tier *tier;
    struct hf_local_snap *snap;
    int rc = hf__lmdb_open(dir, &opts, &tier);

    if (rc != 0)
        return rc == HF_NOT_FOUND ? 0 : rc;
    rc = tier->ops->snap_begin(tier, &snap);
    if (rc == 0) {
        *ret_lsn = tier->ops->snap_covered_lsn(snap);
        tier->ops->snap_end(snap);
    }
    tier->ops->close(tier);
    return rc;
}

int hf_journal_verify(const char *dir, int (*each)(void *ctx, const struct hf_journal_segment *segment), void *ctx)
{
    struct hf_file_layer *fs = hf__file_layer_real();
    uint64_t covered = 0;
    char path[4096];
    int rc, fd;

    if (snprintf(path, sizeof(path), "%s/journal", dir) >= (int)sizeof(path))
        return hf__fail(HF_EINVAL, "the directory's name is too long");
    fd = fs->open_dir(fs, path);
    if (fd == -ENOENT)
        return hf__fail(HF_NOT_FOUND, "there is no store in '%s'", dir);
    if (fd < 0)
        return hf__fail_errno(HF_EIO, -fd, "cannot open '%s'", path);
    rc = read_covered(dir, &covered);
    if (rc == 0)
        rc = hf__inspect(fs, fd, covered, each, ctx);
    fs->close(fs, fd);
    return rc;
}
