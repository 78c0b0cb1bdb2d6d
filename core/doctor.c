/* The doctor gathers: the store's own status, what the machine says, and what the server says when it can be asked. */
#include "fail.h"
#include "findings.h"
#include "link.h"
#include "link_ask.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* ---- the server ---- */

static void ask_server(struct hf *store, struct hf_doctor_facts *facts)
{
    facts->has_shared_tier = store->link != NULL;
    if (!facts->has_shared_tier)
        return;
    facts->asked = hf__ask_facts(store, &facts->shared) == 0;
    if (!facts->asked)
        snprintf(facts->why_not, sizeof(facts->why_not), "%s", hf_errmsg());
}

/* ---- the directory ---- */

struct walk {
    struct hf_doctor_facts *facts;
    int fd;
    const char *folder; /* "journal/", "" */
};

static int look_at_mode(void *ctx, const char *name)
{
    struct walk *w = ctx;
    struct hf_doctor_facts *facts = w->facts;
    struct stat st;

    if (fstatat(w->fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || (st.st_mode & 077) == 0 || S_ISLNK(st.st_mode))
        return 0; /* a segment may have been recycled meanwhile */
    if (facts->n_open_files++ == 0) {
        snprintf(facts->open_file, sizeof(facts->open_file), "%s%s", w->folder, name);
        facts->open_file_mode = (unsigned)st.st_mode & 07777;
    }
    return 0;
}

static void look_into(struct hf *store, struct hf_doctor_facts *facts, int fd, const char *folder)
{
    struct walk w = {.facts = facts, .fd = fd, .folder = folder};

    (void)store->parts.fs->list(store->parts.fs, fd, look_at_mode, &w); /* what cannot be listed is not open */
}

static void look_at_modes(struct hf *store, struct hf_doctor_facts *facts)
{
    int lmdb_fd = openat(store->dir_fd, "lmdb", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;

    if (fstat(store->dir_fd, &st) == 0)
        facts->dir_mode = (unsigned)st.st_mode & 07777;
    look_into(store, facts, store->dir_fd, "");
    look_into(store, facts, store->journal_fd, "journal/");
    look_into(store, facts, store->quarantine_fd, "quarantine/");
    if (lmdb_fd >= 0) {
        look_into(store, facts, lmdb_fd, "lmdb/");
        close(lmdb_fd);
    }
}

static void look_at_disk(struct hf *store, struct hf_doctor_facts *facts)
{
    struct statvfs fs;

    facts->disk_known = fstatvfs(store->dir_fd, &fs) == 0;
    if (facts->disk_known)
        facts->free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
}

/* ---- all of it ---- */

int hf_doctor(struct hf *store, int (*each)(void *ctx, const struct hf_finding *finding), void *ctx)
{
    struct hf_doctor_facts facts = {0};
    int rc = hf_status(store, &facts.status);

    if (rc != 0)
        return rc;
    facts.durability = store->opts.durability;
    facts.sync_interval_ms = store->opts.sync_interval_ms;
    facts.max_value_bytes = store->opts.max_value_bytes;
    facts.segment_bytes = store->opts.segment_bytes;
    facts.wall_ahead_ms = store->parts.clock->wall_ms(store->parts.clock) - hf__now_ms(store);
    ask_server(store, &facts);
    look_at_modes(store, &facts);
    look_at_disk(store, &facts);
    return hf__findings(&facts, each, ctx);
}
