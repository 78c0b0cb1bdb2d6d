/* The LMDB environment of one store: making it, opening it, what it says about itself. */
#include "env.h"

#include "file_length.h"
#include "lmdb_fail.h"
#include "state.h"
#include "bytes.h"
#include "fail.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SLOT_BYTES 128 /* of lock.mdb for a reader, at the most; its header takes no more than one */

static const char *const table_names[HF__LMDB_TABLES] = {
#define X(name, text) [name] = text,
    HF__LMDB_TABLE_MAP(X)
#undef X
};

/* ---- small parts ---- */

static int join(const char *dir, const char *name, char **ret_path)
{
    size_t size = strlen(dir) + strlen(name) + 2;
    char *path = malloc(size);

    if (!path)
        return hf__fail(HF_ENOMEM, "out of memory: a path of %zu bytes", size);
    snprintf(path, size, "%s/%s", dir, name);
    *ret_path = path;
    return 0;
}

static int sync_dir(const struct hf__lmdb_env *env, const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = 0;

    if (fd < 0 || fsync(fd) != 0)
        rc = hf__lmdb_fail_errno(env, errno, "syncing the directory");
    if (fd >= 0)
        close(fd);
    return rc;
}

static MDB_envinfo info_of(const struct hf__lmdb_env *env)
{
    MDB_envinfo info;

    (void)mdb_env_info(env->mdb, &info); /* fails only for a NULL argument */
    return info;
}

void hf__lmdb_env_clear_dead(const struct hf__lmdb_env *env)
{
    int n_dead;

    (void)mdb_reader_check(env->mdb, &n_dead); /* if it fails, what needs the room will say so */
}

uint64_t hf__lmdb_env_end_pages(const struct hf__lmdb_env *env)
{
    uint64_t used = info_of(env).me_last_pgno + 1;

    return used < env->map_pages ? env->map_pages - used : 0;
}

/* ---- mapping ---- */

static int check_options(const struct hf_lmdb_options *opts)
{
    if (!opts->read_only && opts->map_bytes < HF_LMDB_MAP_MIN)
        return hf__fail(HF_EINVAL, "local tier: a map of %llu bytes, where at least %llu are needed",
                        (unsigned long long)opts->map_bytes, (unsigned long long)HF_LMDB_MAP_MIN);
    if (!opts->read_only && opts->map_bytes > SIZE_MAX / 2)
        return hf__fail(HF_EINVAL, "local tier: a map of %llu bytes is more than this machine can address",
                        (unsigned long long)opts->map_bytes);
    return 0;
}

static int note_sizes(struct hf__lmdb_env *env)
{
    MDB_stat stat;
    int rc = mdb_env_stat(env->mdb, &stat);

    if (rc != 0)
        return hf__lmdb_fail(env, rc, "asking for the page size");
    env->page_bytes = stat.ms_psize;
    env->map_pages = info_of(env).me_mapsize / env->page_bytes;
    if (mdb_env_get_maxkeysize(env->mdb) < (int)HF__LMDB_KEY_MAX)
        return hf__fail(HF_EVERSION, "local tier %s: this liblmdb was built for keys of %d bytes, %u are needed",
                        env->path, mdb_env_get_maxkeysize(env->mdb), HF__LMDB_KEY_MAX);
    return 0;
}

/* LMDB maps a sparse file for its readers' slots: a page of it that the disk has no room for would end the process. The blocks
 * are taken here, the length is LMDB's affair. */
static int reserve_slots(const struct hf__lmdb_env *env, unsigned max_readers)
{
    char *file = NULL;
    int fd, rc = join(env->path, "lock.mdb", &file);

    if (rc != 0)
        return rc;
    fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    free(file);
    if (fd < 0)
        return hf__lmdb_fail_errno(env, errno, "making lock.mdb");
    if (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, SLOT_BYTES * (off_t)(max_readers + 1)) != 0 && errno != EOPNOTSUPP)
        rc = hf__lmdb_fail_errno(env, errno, "making room for its readers");
    close(fd);
    return rc;
}

/* The owner sets the size of the map; a reader takes what the meta page says. */
static int map(struct hf__lmdb_env *env, const struct hf_lmdb_options *opts)
{
    uint64_t os_page = (uint64_t)sysconf(_SC_PAGESIZE);
    unsigned flags = MDB_NOTLS | (opts->read_only ? MDB_RDONLY : 0);
    int rc = opts->read_only ? 0 : reserve_slots(env, opts->max_readers);

    if (rc != 0)
        return rc;
    rc = mdb_env_create(&env->mdb);
    if (rc == 0)
        rc = mdb_env_set_maxdbs(env->mdb, HF__LMDB_TABLES);
    if (rc == 0)
        rc = mdb_env_set_maxreaders(env->mdb, opts->max_readers);
    if (rc == 0 && !opts->read_only)
        rc = mdb_env_set_mapsize(env->mdb, (size_t)((opts->map_bytes + os_page - 1) / os_page * os_page));
    if (rc == 0)
        rc = mdb_env_open(env->mdb, env->path, flags, 0600);
    if (rc != 0)
        return hf__lmdb_fail(env, rc, "opening");
    env->read_only = opts->read_only;
    return note_sizes(env);
}

int hf__lmdb_env_remap(struct hf__lmdb_env *env)
{
    int rc = mdb_env_set_mapsize(env->mdb, 0);

    if (rc != 0)
        return hf__lmdb_fail(env, rc, "mapping the grown file");
    return note_sizes(env);
}

void hf__lmdb_env_release(struct hf__lmdb_env *env)
{
    if (env->mdb)
        mdb_env_close(env->mdb);
    free(env->path);
    *env = (struct hf__lmdb_env){0};
}

/* ---- tables and format ---- */

static int check_format(struct hf__lmdb_env *env, MDB_txn *mdb)
{
    MDB_val name = {.mv_data = "format", .mv_size = 6};
    MDB_val value;
    uint32_t format;
    int rc = mdb_get(mdb, env->dbi[HF__LMDB_META], &name, &value);

    if (rc != 0)
        return hf__lmdb_fail(env, rc, "reading its format number");
    if (value.mv_size != 4)
        return hf__fail(HF_ECORRUPT, "local tier %s: its format number has %zu bytes instead of 4", env->path,
                        value.mv_size);
    format = hf__get32(value.mv_data);
    if (format != HF__LMDB_FORMAT)
        return hf__fail(HF_EVERSION, "local tier %s holds format %u, this version reads %u", env->path, format,
                        HF__LMDB_FORMAT);
    return 0;
}

static int store_meta(const struct hf__lmdb_env *env, MDB_txn *mdb, const char *name, void *bytes, size_t len)
{
    MDB_val key = {.mv_data = (void *)name, .mv_size = strlen(name)};
    MDB_val value = {.mv_data = bytes, .mv_size = len};
    int rc = mdb_put(mdb, env->dbi[HF__LMDB_META], &key, &value, 0);

    return rc == 0 ? 0 : hf__lmdb_fail(env, rc, "storing what an empty one holds");
}

static int put_format(const struct hf__lmdb_env *env, MDB_txn *mdb)
{
    struct hf__lmdb_state empty = {.next_node = 1};
    uint8_t format[4];
    uint8_t state[HF__LMDB_STATE_BYTES];
    int rc;

    hf__put32(format, HF__LMDB_FORMAT);
    rc = store_meta(env, mdb, "format", format, sizeof(format));
    if (rc != 0)
        return rc;
    hf__lmdb_state_encode(&empty, state);
    return store_meta(env, mdb, HF__LMDB_STATE_NAME, state, sizeof(state));
}

/* `meta` comes first: another format need not have the other tables. */
static int open_tables(struct hf__lmdb_env *env, MDB_txn *mdb, bool create)
{
    for (int i = 0; i < HF__LMDB_TABLES; i++) {
        int rc = mdb_dbi_open(mdb, table_names[i], create ? MDB_CREATE : 0, &env->dbi[i]);

        if (rc != 0)
            return hf__lmdb_fail(env, rc, table_names[i]);
        if (i != HF__LMDB_META)
            continue;
        rc = create ? put_format(env, mdb) : check_format(env, mdb);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* The handles of tables last longer than the transaction only if it is committed. */
static int with_tables(struct hf__lmdb_env *env, bool create)
{
    MDB_txn *mdb;
    int rc = mdb_txn_begin(env->mdb, NULL, create ? 0 : MDB_RDONLY, &mdb);

    if (rc != 0)
        return hf__lmdb_fail(env, rc, "beginning to open its tables");
    rc = open_tables(env, mdb, create);
    if (rc != 0) {
        mdb_txn_abort(mdb);
        return rc;
    }
    rc = mdb_txn_commit(mdb);
    return rc == 0 ? 0 : hf__lmdb_fail(env, rc, "opening its tables");
}

/* ---- making and opening ---- */

/* Returns 0, HF_NOT_FOUND when there is no environment directory, or HF_ECORRUPT for anything else than one with a
 * regular file in it: LMDB would wait at a FIFO, and put a new file in the place of one that was lost. */
static int check_files(const struct hf__lmdb_env *env)
{
    struct stat st;
    char *file = NULL;
    int rc;

    if (lstat(env->path, &st) != 0) {
        if (errno != ENOENT)
            return hf__lmdb_fail_errno(env, errno, "looking for it");
        return hf__fail(HF_NOT_FOUND, "local tier %s does not exist", env->path);
    }
    if (!S_ISDIR(st.st_mode))
        return hf__fail(HF_ECORRUPT, "local tier %s is not a directory", env->path);
    rc = join(env->path, "data.mdb", &file);
    if (rc != 0)
        return rc;
    if (lstat(file, &st) != 0)
        rc = errno == ENOENT ? hf__fail(HF_ECORRUPT, "local tier %s: data.mdb is missing", env->path)
                             : hf__lmdb_fail_errno(env, errno, "looking for data.mdb");
    else if (!S_ISREG(st.st_mode))
        rc = hf__fail(HF_ECORRUPT, "local tier %s: data.mdb is not a regular file", env->path);
    else if (st.st_size == 0)
        rc = hf__fail(HF_ECORRUPT, "local tier %s: data.mdb is empty", env->path);
    free(file);
    return rc;
}

/* Remove what a crash left of an environment being made. */
static void clear_leftover(const char *path)
{
    static const char *const names[] = {"data.mdb", "lock.mdb"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char *file;

        if (join(path, names[i], &file) != 0)
            return;
        (void)unlink(file); /* what stays makes mkdir or the rename fail, and that is reported */
        free(file);
    }
    (void)rmdir(path);
}

/* Make the environment under another name, so that it appears whole or not at all. */
static int make(const char *dir, const char *path, const struct hf_lmdb_options *opts)
{
    struct hf__lmdb_env fresh = {0};
    int rc = join(dir, "lmdb.new", &fresh.path);

    if (rc != 0)
        return rc;
    clear_leftover(fresh.path);
    if (mkdir(fresh.path, 0700) != 0)
        rc = hf__lmdb_fail_errno(&fresh, errno, "making the directory");
    if (rc == 0)
        rc = map(&fresh, opts);
    if (rc == 0)
        rc = with_tables(&fresh, true);
    if (rc != 0)
        goto done;
    mdb_env_close(fresh.mdb);
    fresh.mdb = NULL;
    rc = sync_dir(&fresh, fresh.path);
    if (rc == 0 && rename(fresh.path, path) != 0)
        rc = hf__lmdb_fail_errno(&fresh, errno, "giving it its name");
    if (rc == 0)
        rc = sync_dir(&fresh, dir);
done:
    hf__lmdb_env_release(&fresh);
    return rc;
}

int hf__lmdb_env_open(struct hf__lmdb_env *env, const char *dir, const struct hf_lmdb_options *opts)
{
    int rc = check_options(opts);

    if (rc == 0)
        rc = join(dir, "lmdb", &env->path);
    if (rc == 0)
        rc = check_files(env);
    if (rc == HF_NOT_FOUND && !opts->read_only) {
        rc = make(dir, env->path, opts);
        if (rc == 0)
            rc = check_files(env);
    }
    if (rc == 0)
        rc = map(env, opts);
    if (rc == 0)
        rc = hf__lmdb_length_check(env);
    if (rc == 0)
        rc = with_tables(env, false);
    if (rc == 0)
        hf__lmdb_env_clear_dead(env);
    return rc;
}
