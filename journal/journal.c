/* Append, group commit, segment changes and recycling. See journal.h for the roles, docs/journal-format.md for the
 * bytes. */
#include "journal.h"

#include "deadline.h"
#include "fail.h"
#include "quarantine.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

/* LSNs are reserved this many at a time: at 200,000 writes a second a header must move the reservation on only every
 * few seconds, and 2^64 outlasts 10^13 crashes. */
#define RESERVE_LSNS (1u << 20)
/* A buffer beyond this makes appenders wait for the disk: bounds memory and the length of one write. */
#define BUFFER_SOFT_BYTES (4u << 20)
/* Who waits for others to come and share its sync does so no longer than this. */
#define PATIENCE_MAX_US 1000
/* ... and only for so few. Where there are more, those who have come keep the disk busy while the others work. */
#define PATIENT_MAX 4
/* Free segments kept for reuse. */
#define SPARE_MAX 2

struct hf_journal {
    struct hf_journal_options opts;
    uint8_t id[HF_JOURNAL_ID_BYTES];
    pthread_mutex_t mutex; /* everything below that is not atomic */
    pthread_cond_t done;   /* a leader has finished */
    pthread_cond_t work;   /* the journal's thread has something to do */
    pthread_t thread;
    bool thread_runs, closing, pushed;

    /* The open group: HF_GROUP_HEADER_BYTES of room, then entries. */
    struct hf_bytes open;
    uint32_t open_entries;
    uint64_t open_first_lsn;
    unsigned waiting;     /* threads that wait for it */
    unsigned expected;    /* ... as many waited for the last one */
    bool patient;         /* one of them waits for the others to come */
    uint64_t taken_lsn;   /* the last one of the group that was taken last */
    int64_t patience_us;  /* half of what it took */
    struct hf_bytes busy; /* the leader's */
    uint64_t busy_need;   /* bytes that it takes at the most; `busy` itself is looked at by the leader only */
    bool leading;         /* a leader is at work */
    bool changing;        /* ... and puts another segment in place: nothing may be appended */

    /* Numbering. safe <= written <= last; durable <= written. */
    _Atomic uint64_t last_lsn, written_lsn, durable_lsn, safe_lsn;
    uint64_t history_lsn;      /* of the last entry: an opening gives out numbers from far behind it on */
    uint64_t reserved_claimed; /* in headers written */
    uint64_t reserved_durable; /* in headers synced: LSNs are given out up to here */
    uint64_t wanted_lsns;      /* of a batch that waits for a reservation */
    _Atomic int failed;        /* errno of the failure that stopped the journal */

    /* Sharing, as headers repeat it. */
    uint64_t shared_lsn;
    uint64_t exceptions[HF_GROUP_EXCEPTIONS_MAX];
    uint32_t n_exceptions;

    /* The current segment. */
    struct hf_segment current;
    int fd;
    uint64_t offset;
    bool unsynced; /* written and not synced */

    /* Older segments whose entries the local tier may lack, by number; and free ones. */
    struct hf_segment *live;
    size_t n_live, live_capacity;
    struct hf_segment spare[SPARE_MAX];
    size_t n_spare;
    bool spare_failed; /* the thread could not make one: not tried again before the next segment */

    uint64_t groups, syncs;
};

/* ---- helpers ---- */

static int stopped_error(struct hf_journal *j)
{
    return hf__fail_errno(HF_ESTOPPED, atomic_load(&j->failed),
                          "the journal has stopped after a failed write or sync; reopen the store");
}

static void stop(struct hf_journal *j, int negative_errno)
{
    int none = 0;

    (void)atomic_compare_exchange_strong(&j->failed, &none, -negative_errno);
}

static void reset_open(struct hf_journal *j)
{
    j->open.len = HF_GROUP_HEADER_BYTES;
    j->open_entries = 0;
}

/* Bytes that a group with these entries takes at the most. */
static uint64_t group_need(uint64_t entry_bytes)
{
    return HF_GROUP_HEADER_BYTES + entry_bytes + 8ull * HF_GROUP_EXCEPTIONS_MAX;
}

static uint64_t room_left(const struct hf_journal *j)
{
    return j->current.file_bytes - j->offset;
}

/* ---- leading: one group to the disk ---- */

/* One spare is made ahead, so that no writer waits for a new file. */
static bool wants_spare(const struct hf_journal *j)
{
    return j->n_spare == 0 && !j->spare_failed && j->offset > j->current.file_bytes / 2;
}

static void end_leading(struct hf_journal *j)
{
    j->leading = false;
    j->patient = false; /* who was may have ended with this group, and not know it yet */
    pthread_cond_broadcast(&j->done);
    if (wants_spare(j))
        pthread_cond_signal(&j->work);
}

/* After one large value the buffers need not stay large. */
static void trim_buffer(struct hf_bytes *buffer)
{
    uint8_t *smaller;

    if (buffer->capacity <= 2 * BUFFER_SOFT_BYTES)
        return;
    smaller = realloc(buffer->bytes, BUFFER_SOFT_BYTES);
    if (!smaller)
        return;
    buffer->bytes = smaller;
    buffer->capacity = BUFFER_SOFT_BYTES;
}

static bool wants_reservation(const struct hf_journal *j)
{
    uint64_t left = j->reserved_claimed - j->last_lsn;

    return left < RESERVE_LSNS / 2 || left < j->wanted_lsns;
}

/* Take the open group and write its header fields. Called with the lock, leading. */
static void take_group(struct hf_journal *j, struct hf_group_header *header, uint64_t *exceptions)
{
    struct hf_bytes taken = j->open;

    if (wants_reservation(j))
        j->reserved_claimed = j->last_lsn + j->wanted_lsns + RESERVE_LSNS;
    j->wanted_lsns = 0;
    *header = (struct hf_group_header){
        .first_lsn = j->open_entries > 0 ? j->open_first_lsn : j->last_lsn + 1,
        .n_entries = j->open_entries,
        .n_exceptions = j->n_exceptions,
        .durable_lsn = j->durable_lsn,
        .shared_lsn = j->shared_lsn,
        .reserved_lsn = j->reserved_claimed,
    };
    memcpy(exceptions, j->exceptions, sizeof(*exceptions) * j->n_exceptions);
    if (j->open_entries > 0) {
        j->taken_lsn = j->last_lsn;
        j->expected = j->waiting;
        j->waiting = 0;
    }
    j->open = j->busy;
    j->busy = taken;
    j->busy_need = group_need(taken.len - HF_GROUP_HEADER_BYTES);
    reset_open(j);
}

/* Write the taken group at the end of the current segment. Without the lock, leading. */
static int write_group(struct hf_journal *j, struct hf_group_header *header, const uint64_t *exceptions)
{
    struct hf_file_layer *fs = j->opts.fs;
    uint64_t salt = hf__group_salt(j->id, j->current.header.number, j->offset);

    header->written_ms = j->opts.now_ms(j->opts.ctx);
    hf__group_seal(header, exceptions, header->n_exceptions, &j->busy, salt);
    return fs->write(fs, j->fd, j->busy.bytes, j->busy.len, j->offset);
}

static int64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000ll + now.tv_nsec / 1000;
}

/* Write what is buffered as one group and, if asked, sync. Called with the lock, leading; returns with the lock.
 * 0 or a negative errno, after which the journal has stopped. */
static int lead_group(struct hf_journal *j, bool sync)
{
    struct hf_file_layer *fs = j->opts.fs;
    uint64_t exceptions[HF_GROUP_EXCEPTIONS_MAX];
    struct hf_group_header header = {.reserved_lsn = j->reserved_claimed};
    uint64_t last = j->last_lsn;
    int64_t began_us, took_us;
    bool has_group = j->open_entries > 0 || (wants_reservation(j) && group_need(0) <= room_left(j));
    int rc = -atomic_load(&j->failed);

    if (rc != 0)
        return rc;
    if (has_group)
        take_group(j, &header, exceptions);
    pthread_mutex_unlock(&j->mutex);
    began_us = now_us();
    if (has_group)
        rc = write_group(j, &header, exceptions);
    if (rc == 0 && sync && (has_group || j->unsynced))
        rc = fs->sync(fs, j->fd);
    took_us = now_us() - began_us;
    pthread_mutex_lock(&j->mutex);
    if (rc != 0) {
        stop(j, rc);
        return rc;
    }
    if (has_group)
        j->offset += j->busy.len;
    trim_buffer(&j->busy);
    j->unsynced = !sync && (has_group || j->unsynced);
    j->patience_us = took_us / 2 < PATIENCE_MAX_US ? took_us / 2 : PATIENCE_MAX_US;
    j->groups += has_group;
    j->syncs += sync;
    j->written_lsn = last;
    j->current.last_lsn = last > j->current.last_lsn ? last : j->current.last_lsn;
    if (sync) {
        j->durable_lsn = last;
        j->reserved_durable = header.reserved_lsn;
    }
    j->safe_lsn = j->opts.durability == HF_DURABILITY_ALWAYS ? j->durable_lsn : j->written_lsn;
    return 0;
}

/* Lead one group and tell everybody. Called and returns with the lock, nobody leading. */
static int lead(struct hf_journal *j, bool sync)
{
    int rc;

    j->leading = true;
    rc = lead_group(j, sync);
    end_leading(j);
    pthread_mutex_unlock(&j->mutex);
    j->opts.progress(j->opts.ctx);
    pthread_mutex_lock(&j->mutex);
    return rc;
}

/* ---- segments ---- */

/* Take a spare of at least `bytes`. With the lock. */
static bool take_spare(struct hf_journal *j, uint64_t bytes, struct hf_segment *ret_segment)
{
    for (size_t i = 0; i < j->n_spare; i++) {
        if (j->spare[i].file_bytes >= bytes) {
            *ret_segment = j->spare[i];
            j->spare[i] = j->spare[--j->n_spare];
            return true;
        }
    }
    return false;
}

static bool keep_spare(struct hf_journal *j, const struct hf_segment *segment)
{
    /* Of a bad header the number is not known: the file is not used again, lest its groups pass under it. */
    if (j->n_spare == SPARE_MAX || segment->file_bytes != j->opts.segment_bytes ||
        segment->verdict == HF_SEGMENT_BAD)
        return false;
    j->spare[j->n_spare++] = *segment;
    return true;
}

static void keep_or_unlink(struct hf_journal *j, const struct hf_segment *segment)
{
    if (!keep_spare(j, segment))
        (void)j->opts.fs->unlink(j->opts.fs, j->opts.dir, segment->name); /* a file too many does no harm */
}

static uint64_t segment_size_for(const struct hf_journal *j, uint64_t entry_bytes)
{
    uint64_t need = (HF_SEGMENT_DATA_OFFSET + group_need(entry_bytes) + 4095) & ~4095ull;

    return need > j->opts.segment_bytes ? need : j->opts.segment_bytes;
}

static int keep_live(struct hf_journal *j, const struct hf_segment *segment)
{
    if (j->n_live == j->live_capacity) {
        size_t capacity = j->live_capacity ? 2 * j->live_capacity : 16;
        struct hf_segment *grown = realloc(j->live, capacity * sizeof(*grown));
        if (!grown)
            return hf__fail(HF_ENOMEM, "out of memory: a list of %zu journal segments", capacity);
        j->live = grown;
        j->live_capacity = capacity;
    }
    j->live[j->n_live++] = *segment;
    return 0;
}

static struct hf_segment_header next_header(struct hf_journal *j, uint64_t file_bytes)
{
    struct hf_segment_header header = {
        .number = j->current.header.number + 1,
        .first_lsn = j->last_lsn + 1,
        .follows_lsn = j->history_lsn,
        .reserved_lsn = j->reserved_claimed,
        .durable_lsn = j->durable_lsn,
        .file_bytes = file_bytes,
        .written_ms = j->opts.now_ms(j->opts.ctx),
    };

    memcpy(header.id, j->id, sizeof(header.id));
    return header;
}

/* The old segment is synced before another takes its place: a later durable LSN speaks for it, too.
 * Leading, with the lock, which is given up meanwhile. */
static int finish_segment(struct hf_journal *j)
{
    int rc;

    if (!j->unsynced)
        return 0;
    pthread_mutex_unlock(&j->mutex);
    rc = j->opts.fs->sync(j->opts.fs, j->fd);
    pthread_mutex_lock(&j->mutex);
    if (rc != 0) {
        stop(j, rc);
        return stopped_error(j);
    }
    j->unsynced = false;
    j->durable_lsn = j->written_lsn;
    j->reserved_durable = j->reserved_claimed;
    return 0;
}

/* A spare, or a new file. Leading, with the lock, which is given up meanwhile. */
static int obtain_segment(struct hf_journal *j, uint64_t bytes, struct hf_segment *ret_segment)
{
    int rc;

    if (take_spare(j, bytes, ret_segment))
        return 0;
    pthread_mutex_unlock(&j->mutex);
    rc = hf__segment_create(j->opts.fs, j->opts.dir, bytes, ret_segment);
    pthread_mutex_lock(&j->mutex);
    return rc;
}

/* Go on in a new segment with room for one group of `entry_bytes`. Leading, with the lock, nothing buffered. */
static int change_segment(struct hf_journal *j, uint64_t entry_bytes)
{
    struct hf_segment next;
    struct hf_segment_header header;
    int fd, rc = obtain_segment(j, segment_size_for(j, entry_bytes), &next);

    if (rc != 0)
        return rc;
    rc = finish_segment(j);
    if (rc == 0)
        rc = keep_live(j, &j->current);
    if (rc != 0)
        return rc;
    header = next_header(j, next.file_bytes);
    fd = hf__segment_start(j->opts.fs, j->opts.dir, &next, &header);
    if (fd < 0) {
        j->n_live--;
        if (next.verdict == HF_SEGMENT_BAD) /* a second file must not get a number that this one may bear */
            stop(j, -EIO);
        else
            keep_or_unlink(j, &next);
        return fd;
    }
    j->opts.fs->close(j->opts.fs, j->fd);
    j->fd = fd;
    j->current = next;
    j->offset = HF_SEGMENT_DATA_OFFSET;
    j->unsynced = true;
    j->spare_failed = false;
    return 0;
}

/* The same with the roles around it. */
static int lead_change(struct hf_journal *j, uint64_t entry_bytes)
{
    int rc;

    assert(j->open_entries == 0 && "the buffer belongs to the old segment");
    j->leading = true;
    j->changing = true;
    rc = change_segment(j, entry_bytes);
    j->changing = false;
    end_leading(j);
    return rc;
}

/* ---- appending ---- */

/* Whether entries can join the open group now: its group fits behind the one being written. */
static bool has_room(const struct hf_journal *j, uint64_t bytes, size_t n)
{
    uint64_t ahead = j->leading ? j->busy_need : 0;
    uint64_t need = group_need(j->open.len - HF_GROUP_HEADER_BYTES + bytes);

    if (j->changing || j->last_lsn + n > j->reserved_durable || ahead + need > room_left(j))
        return false;
    return j->open_entries == 0 || j->open.len + bytes <= BUFFER_SOFT_BYTES;
}

/* Wait for room, or make it. With the lock. */
static int make_room(struct hf_journal *j, uint64_t bytes, size_t n)
{
    bool sync = j->opts.durability == HF_DURABILITY_ALWAYS;

    while (atomic_load(&j->failed) == 0) {
        bool short_of_lsns = j->last_lsn + n > j->reserved_durable;
        int rc = 0;
        if (has_room(j, bytes, n))
            return 0;
        if (short_of_lsns && n > j->wanted_lsns)
            j->wanted_lsns = n;
        if (j->leading)
            pthread_cond_wait(&j->done, &j->mutex);
        else if (short_of_lsns && (j->open_entries > 0 || group_need(0) <= room_left(j)))
            (void)lead(j, true); /* a failure is seen in j->failed, here and below */
        else if (j->open_entries > 0)
            (void)lead(j, sync);
        else
            rc = lead_change(j, bytes);
        if (rc != 0)
            return rc;
    }
    return stopped_error(j);
}

int hf__journal_append(struct hf_journal *j, struct hf_entry *entries, size_t n)
{
    uint64_t bytes = 0;
    int rc;

    for (size_t i = 0; i < n; i++)
        bytes += hf__entry_size(&entries[i]);
    if (bytes > UINT32_MAX - 8192)
        return hf__fail(HF_EINVAL, "%zu entries of %" PRIu64 " bytes: a group's length has 32 bits", n, bytes);
    pthread_mutex_lock(&j->mutex);
    rc = make_room(j, bytes, n);
    if (rc == 0)
        rc = hf__bytes_reserve(&j->open, bytes + 8 * HF_GROUP_EXCEPTIONS_MAX);
    if (rc == 0) {
        uint64_t lsn = j->last_lsn;
        if (j->open_entries == 0)
            j->open_first_lsn = lsn + 1;
        for (size_t i = 0; i < n; i++) {
            entries[i].lsn = ++lsn;
            hf__entry_encode(&entries[i], &j->open);
        }
        j->open_entries += (uint32_t)n;
        j->last_lsn = j->history_lsn = lsn;
    }
    pthread_mutex_unlock(&j->mutex);
    return rc;
}

/* ---- waiting ---- */

/* As many as waited for the last group are likely to come again at once: one sync for all of them is cheaper than two, of
 * which the second one waits for the first. */
static bool is_early(const struct hf_journal *j)
{
    return j->expected <= PATIENT_MAX && j->waiting < j->expected;
}

/* False when nobody came in time. */
static bool wait_for_others(struct hf_journal *j)
{
    struct timespec until;
    int rc;

    hf__deadline_in_us(&until, j->patience_us);
    j->patient = true;
    rc = pthread_cond_timedwait(&j->done, &j->mutex, &until);
    j->patient = false;
    return rc != ETIMEDOUT;
}

static int wait_for(struct hf_journal *j, const _Atomic uint64_t *reached, uint64_t lsn, bool sync)
{
    bool in_time = sync;
    int rc = 0;

    if (atomic_load_explicit(reached, memory_order_acquire) >= lsn)
        return 0;
    pthread_mutex_lock(&j->mutex);
    j->waiting += lsn > j->taken_lsn;
    while (*reached < lsn && rc == 0) {
        if (atomic_load(&j->failed) != 0)
            rc = hf__fail_errno(HF_EUNKNOWN, atomic_load(&j->failed),
                                "the journal could not write or sync entry %" PRIu64 ", and has stopped", lsn);
        else if (j->leading || (j->patient && is_early(j)))
            pthread_cond_wait(&j->done, &j->mutex);
        else if (in_time && lsn > j->taken_lsn && is_early(j))
            in_time = wait_for_others(j);
        else
            (void)lead(j, sync); /* a failure is seen in j->failed */
    }
    pthread_mutex_unlock(&j->mutex);
    return rc;
}

int hf__journal_wait(struct hf_journal *j, uint64_t lsn)
{
    return wait_for(j, &j->safe_lsn, lsn, j->opts.durability == HF_DURABILITY_ALWAYS);
}

int hf__journal_sync(struct hf_journal *j, uint64_t lsn)
{
    return wait_for(j, &j->durable_lsn, lsn, true);
}

void hf__journal_push(struct hf_journal *j)
{
    pthread_mutex_lock(&j->mutex);
    j->pushed = true;
    pthread_cond_signal(&j->work);
    pthread_mutex_unlock(&j->mutex);
}

/* ---- the journal's thread ---- */

/* With the lock, which is given up meanwhile. */
static void prepare_spare(struct hf_journal *j)
{
    struct hf_segment spare;
    int rc;

    pthread_mutex_unlock(&j->mutex);
    rc = hf__segment_create(j->opts.fs, j->opts.dir, j->opts.segment_bytes, &spare);
    pthread_mutex_lock(&j->mutex);
    if (rc != 0)
        j->spare_failed = true; /* the writer that needs the room meets the error again, and reports it */
    else if (j->n_spare < SPARE_MAX)
        j->spare[j->n_spare++] = spare;
    else
        (void)j->opts.fs->unlink(j->opts.fs, j->opts.dir, spare.name); /* a free file too many does no harm */
}

/* Wait for work; `*due` is set when the interval has passed. */
static void wait_for_work(struct hf_journal *j, struct timespec *next_sync, bool *due)
{
    if (j->opts.durability != HF_DURABILITY_INTERVAL) {
        pthread_cond_wait(&j->work, &j->mutex);
    } else if (pthread_cond_timedwait(&j->work, &j->mutex, next_sync) == ETIMEDOUT) {
        hf__deadline_in(next_sync, j->opts.sync_interval_ms);
        *due = true;
    }
}

static void *journal_main(void *arg)
{
    struct hf_journal *j = arg;
    struct timespec next_sync;
    bool due = false;

    pthread_setname_np(pthread_self(), "hf-journal");
    hf__deadline_in(&next_sync, j->opts.sync_interval_ms);
    pthread_mutex_lock(&j->mutex);
    while (!j->closing) {
        bool work = (j->pushed || due) && atomic_load(&j->failed) == 0;
        if (work && j->leading) {
            pthread_cond_wait(&j->done, &j->mutex);
        } else if (work) {
            bool sync = due || j->opts.durability == HF_DURABILITY_ALWAYS;
            j->pushed = due = false;
            if (j->open_entries > 0 || (sync && j->unsynced))
                (void)lead(j, sync); /* a failure is seen in j->failed */
        } else if (wants_spare(j)) {
            prepare_spare(j);
        } else {
            wait_for_work(j, &next_sync, &due);
        }
    }
    pthread_mutex_unlock(&j->mutex);
    return NULL;
}

/* ---- opening and closing ---- */

static int drop_one(void *ctx, const char *name)
{
    const struct hf_journal *j = ctx;
    int fd = j->opts.fs->open(j->opts.fs, j->opts.dir, name, false, false);

    if (fd < 0)
        return 0;
    j->opts.fs->drop_cache(j->opts.fs, fd);
    j->opts.fs->close(j->opts.fs, fd);
    return 0;
}

/* After a failed sync the cache shows what the disk never got: recovery must not build on it. */
static void drop_caches(struct hf_journal *j)
{
    (void)j->opts.fs->list(j->opts.fs, j->opts.dir, drop_one, j); /* recovery meets the error again */
}

/* What was read may never have been synced by the process that wrote it. */
static int sync_segment(struct hf_journal *j, const struct hf_segment *segment)
{
    int rc, fd = j->opts.fs->open(j->opts.fs, j->opts.dir, segment->name, true, false);

    if (fd < 0)
        return hf__file_fail(fd, "cannot open journal segment", segment->name);
    rc = j->opts.fs->sync(j->opts.fs, fd);
    j->opts.fs->close(j->opts.fs, fd);
    return rc == 0 ? 0 : hf__file_fail(rc, "cannot sync journal segment", segment->name);
}

/* Live, spare, or of no use. */
static int adopt_segment(struct hf_journal *j, const struct hf_segment *segment)
{
    bool live = segment->verdict == HF_SEGMENT_VALID && segment->last_lsn > j->opts.covered_lsn;
    int rc;

    if (!live && !keep_spare(j, segment))
        return 0;
    rc = sync_segment(j, segment);
    return rc == 0 && live ? keep_live(j, segment) : rc;
}

/* Take over what recovery found; names and sizes, too, may be in the cache only. */
static int adopt_segments(struct hf_journal *j, const struct hf_recovery *r)
{
    int rc = j->opts.fs->sync_dir(j->opts.fs, j->opts.dir);

    if (rc != 0)
        return hf__file_fail(rc, "cannot sync", "the journal directory");
    for (size_t i = 0; i < r->list.n && rc == 0; i++)
        rc = adopt_segment(j, &r->list.segments[i]);
    return rc;
}

static bool is_among(const struct hf_segment *segments, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(segments[i].name, name) == 0)
            return true;
    }
    return false;
}

/* What is of no use goes only now that the new header is durable: a crash in between could take the last word on which
 * numbers were given out. */
static void unlink_useless(struct hf_journal *j, const struct hf_recovery *r)
{
    for (size_t i = 0; i < r->list.n; i++) {
        const char *name = r->list.segments[i].name;
        if (!is_among(&j->current, 1, name) && !is_among(j->live, j->n_live, name) &&
            !is_among(j->spare, j->n_spare, name))
            (void)j->opts.fs->unlink(j->opts.fs, j->opts.dir, name); /* a file too many does no harm */
    }
}

static int make_id(struct hf_journal *j, const struct hf_recovery *r)
{
    if (r->list.n > 0 && r->list.segments[0].verdict == HF_SEGMENT_VALID) {
        memcpy(j->id, r->list.segments[0].header.id, sizeof(j->id));
        return 0;
    }
    if (getrandom(j->id, sizeof(j->id), 0) != sizeof(j->id))
        return hf__fail_errno(HF_EIO, errno, "cannot make a journal id");
    return 0;
}

/* The first segment of this opening: durable before any LSN is given out. */
static int start_first(struct hf_journal *j, const struct hf_recovery *r)
{
    struct hf_file_layer *fs = j->opts.fs;
    struct hf_segment segment;
    struct hf_segment_header header;
    int rc = 0;

    if (!take_spare(j, j->opts.segment_bytes, &segment))
        rc = hf__segment_create(fs, j->opts.dir, j->opts.segment_bytes, &segment);
    if (rc != 0)
        return rc;
    j->reserved_claimed = j->last_lsn + RESERVE_LSNS;
    j->current.header.number = r->max_number;
    header = next_header(j, segment.file_bytes);
    j->fd = hf__segment_start(fs, j->opts.dir, &segment, &header);
    if (j->fd < 0)
        return j->fd;
    rc = fs->sync(fs, j->fd);
    if (rc != 0)
        return hf__file_fail(rc, "cannot sync journal segment", segment.name);
    j->reserved_durable = j->reserved_claimed;
    j->current = segment;
    j->offset = HF_SEGMENT_DATA_OFFSET;
    return 0;
}

static void journal_free(struct hf_journal *j)
{
    if (j->fd >= 0)
        j->opts.fs->close(j->opts.fs, j->fd);
    hf__bytes_release(&j->open);
    hf__bytes_release(&j->busy);
    free(j->live);
    pthread_mutex_destroy(&j->mutex);
    pthread_cond_destroy(&j->done);
    pthread_cond_destroy(&j->work);
    free(j);
}

static struct hf_journal *journal_new(const struct hf_journal_options *opts)
{
    struct hf_journal *j = calloc(1, sizeof(*j));

    if (!j)
        return NULL;
    j->opts = *opts;
    j->fd = -1;
    pthread_mutex_init(&j->mutex, NULL);
    hf__cond_init(&j->done);
    hf__cond_init(&j->work);
    return j;
}

/* Where the numbers stand after recovery. */
static void set_numbers(struct hf_journal *j, const struct hf_recovery *r)
{
    uint64_t last = r->reserved_lsn > j->opts.reserved_lsn ? r->reserved_lsn : j->opts.reserved_lsn;

    j->history_lsn = r->last_lsn;
    j->last_lsn = last;
    j->written_lsn = last;
    j->durable_lsn = last;
    j->safe_lsn = last;
    j->shared_lsn = r->shared_lsn;
    j->n_exceptions = r->n_exceptions;
    memcpy(j->exceptions, r->exceptions, sizeof(j->exceptions));
}

int hf__journal_open(const struct hf_journal_options *opts, hf_entry_fn *replay, void *replay_ctx,
                     struct hf_recovery *ret_recovery, struct hf_journal **ret_journal)
{
    struct hf_recovery r = {0};
    struct hf_journal *j = journal_new(opts);
    int rc;

    if (!j)
        return hf__fail(HF_ENOMEM, "out of memory: the journal");
    drop_caches(j);
    rc = hf__recover(opts->fs, opts->dir, opts->covered_lsn, UINT64_MAX, replay, replay_ctx, &r);
    if (rc == 0)
        rc = hf__quarantine_damaged(opts->fs, opts->dir, opts->quarantine_dir, &r);
    if (rc == 0)
        rc = make_id(j, &r);
    if (rc == 0)
        rc = hf__bytes_reserve(&j->open, group_need(0));
    if (rc == 0)
        rc = hf__bytes_reserve(&j->busy, group_need(0));
    if (rc == 0)
        rc = adopt_segments(j, &r);
    if (rc == 0) {
        reset_open(j);
        set_numbers(j, &r);
        rc = start_first(j, &r);
    }
    if (rc == 0)
        unlink_useless(j, &r);
    if (rc == 0 && (rc = pthread_create(&j->thread, NULL, journal_main, j)) != 0)
        rc = hf__fail_errno(HF_ENOMEM, rc, "cannot start the journal's thread");
    if (rc != 0) {
        hf__recovery_release(&r);
        journal_free(j);
        return hf__fail_prefix(rc, "open journal");
    }
    j->thread_runs = true;
    *ret_recovery = r;
    *ret_journal = j;
    return 0;
}

int hf__journal_close(struct hf_journal *j)
{
    int rc = 0;

    if (!j)
        return 0;
    pthread_mutex_lock(&j->mutex);
    while (j->leading)
        pthread_cond_wait(&j->done, &j->mutex);
    if (atomic_load(&j->failed) == 0 && (j->open_entries > 0 || j->unsynced))
        (void)lead(j, true);
    if (atomic_load(&j->failed) != 0)
        rc = stopped_error(j);
    j->closing = true;
    pthread_cond_signal(&j->work);
    pthread_mutex_unlock(&j->mutex);
    pthread_join(j->thread, NULL);
    journal_free(j);
    return rc;
}

/* ---- what others ask and tell ---- */

uint64_t hf__journal_safe_lsn(const struct hf_journal *j)
{
    return atomic_load(&j->safe_lsn); /* in one order with what those who wait for it have announced */
}

uint64_t hf__journal_durable_lsn(const struct hf_journal *j)
{
    return atomic_load_explicit(&j->durable_lsn, memory_order_acquire);
}

uint64_t hf__journal_last_lsn(const struct hf_journal *j)
{
    return atomic_load_explicit(&j->last_lsn, memory_order_acquire);
}

bool hf__journal_stopped(const struct hf_journal *j)
{
    return atomic_load(&j->failed) != 0;
}

uint64_t hf__journal_reserved_lsn(struct hf_journal *j)
{
    uint64_t reserved;

    pthread_mutex_lock(&j->mutex);
    reserved = j->reserved_claimed;
    pthread_mutex_unlock(&j->mutex);
    return reserved;
}

void hf__journal_note_shared(struct hf_journal *j, uint64_t shared_lsn, const uint64_t *exceptions,
                             uint32_t n_exceptions)
{
    assert(n_exceptions <= HF_GROUP_EXCEPTIONS_MAX);
    pthread_mutex_lock(&j->mutex);
    j->shared_lsn = shared_lsn;
    j->n_exceptions = n_exceptions;
    if (n_exceptions > 0)
        memcpy(j->exceptions, exceptions, n_exceptions * sizeof(*exceptions));
    pthread_mutex_unlock(&j->mutex);
}

void hf__journal_release(struct hf_journal *j, uint64_t covered_lsn)
{
    size_t kept = 0;

    pthread_mutex_lock(&j->mutex);
    for (size_t i = 0; i < j->n_live; i++) {
        if (j->live[i].last_lsn > covered_lsn)
            j->live[kept++] = j->live[i];
        else
            keep_or_unlink(j, &j->live[i]);
    }
    j->n_live = kept;
    j->opts.covered_lsn = covered_lsn;
    pthread_mutex_unlock(&j->mutex);
}

void hf__journal_stats(struct hf_journal *j, struct hf_journal_stats *ret_stats)
{
    struct hf_journal_stats s = {0};

    pthread_mutex_lock(&j->mutex);
    s.first_lsn = j->n_live > 0 ? j->live[0].header.first_lsn : j->current.header.first_lsn;
    s.last_lsn = j->last_lsn;
    s.durable_lsn = j->durable_lsn;
    s.segments = j->n_live + 1 + j->n_spare;
    s.bytes = j->current.file_bytes;
    for (size_t i = 0; i < j->n_live; i++)
        s.bytes += j->live[i].file_bytes;
    for (size_t i = 0; i < j->n_spare; i++)
        s.bytes += j->spare[i].file_bytes;
    s.groups = j->groups;
    s.syncs = j->syncs;
    pthread_mutex_unlock(&j->mutex);
    *ret_stats = s;
}
