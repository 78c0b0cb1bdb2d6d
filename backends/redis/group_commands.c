/* What is written for a group. docs/redis-bookkeeping.md shows the commands. */
#include "group_commands.h"

#include <stdio.h>

static const char op_letters[] = {
    [HF_SHARED_SET] = 's',
    [HF_SHARED_DELETE] = 'd',
    [HF_SHARED_EXPIRE] = 'e',
    [HF_SHARED_PERSIST] = 'p',
};

/* ---- which items are still in ---- */

size_t hf__group_count_in(const struct hf_shared_item *items, size_t n)
{
    size_t count = 0;

    for (size_t i = 0; i < n; i++)
        count += hf__group_has(&items[i]);
    return count;
}

static const struct hf_shared_item *log_items(const struct hf_shared_group *group, const struct hf_shared_log *log)
{
    return group->items + log->first_item;
}

size_t hf__group_log_count(const struct hf_shared_group *group, const struct hf_shared_log *log)
{
    return log->key.len > 0 ? hf__group_count_in(log_items(group, log), log->n_items) : 0;
}

size_t hf__group_count_logs(const struct hf_shared_group *group)
{
    size_t n = 0;

    for (size_t i = 0; i < group->n_logs; i++)
        n += hf__group_log_count(group, &group->logs[i]) > 0;
    return n;
}

/* ---- storing ---- */

static bool is_immortal(const struct hf_shared_item *item)
{
    return item->op == HF_SHARED_SET && item->deadline_ms == 0;
}

size_t hf__group_command(const struct hf_shared_group *group, bool singly, size_t *i)
{
    const struct hf_shared_item *items = group->items;
    size_t end;

    while (*i < group->n_items && !hf__group_has(&items[*i]))
        ++*i;
    if (*i == group->n_items)
        return *i;
    end = *i + 1;
    while (!singly && is_immortal(&items[*i]) && end < group->n_items &&
           (is_immortal(&items[end]) || !hf__group_has(&items[end])))
        end++;
    return end;
}

size_t hf__group_count_commands(const struct hf_shared_group *group, bool singly)
{
    size_t count = 0, i = 0, end;

    while ((end = hf__group_command(group, singly, &i)) > i) {
        count++;
        i = end;
    }
    return count;
}

static void write_item(struct hf__command_writer *w, const struct hf_shared_item *item)
{
    switch (item->op) {
    case HF_SHARED_SET:
        hf__command(w, item->deadline_ms ? 5 : 3, "SET");
        hf__arg(w, item->key);
        hf__arg(w, item->value);
        if (item->deadline_ms) {
            hf__arg_str(w, "PXAT");
            hf__arg_i64(w, item->deadline_ms);
        }
        break;
    case HF_SHARED_EXPIRE:
        hf__command(w, 3, "PEXPIREAT");
        hf__arg(w, item->key);
        hf__arg_i64(w, item->deadline_ms);
        break;
    case HF_SHARED_PERSIST:
        hf__command(w, 2, "PERSIST");
        hf__arg(w, item->key);
        break;
    default:
        hf__command(w, 2, "DEL");
        hf__arg(w, item->key);
        break;
    }
}

/* One command with many values costs Redis, and whoever reads its answers, less than as many commands. */
static void write_values(struct hf__command_writer *w, const struct hf_shared_item *items, size_t n)
{
    hf__command(w, 1 + 2 * hf__group_count_in(items, n), "MSET");
    for (size_t i = 0; i < n; i++) {
        if (!hf__group_has(&items[i]))
            continue;
        hf__arg(w, items[i].key);
        hf__arg(w, items[i].value);
    }
}

static uint64_t last_lsn(const struct hf_shared_group *group, const struct hf_shared_log *log)
{
    const struct hf_shared_item *items = log_items(group, log);
    uint64_t last = 0;

    for (size_t i = 0; i < log->n_items; i++) {
        if (hf__group_has(&items[i]) && items[i].lsn > last)
            last = items[i].lsn;
    }
    return last;
}

/* "s3", "s3@1700000000000" or "s3@1700000000000~12": the operation, how far its LSN is behind the entry's, when a
 * replayed one was made, and how far that may be wrong. */
static void write_name(struct hf__command_writer *w, const struct hf_shared_item *item, uint64_t last)
{
    char name[3 * HF__DECIMAL_MAX + 4] = {op_letters[item->op]};
    size_t n = 1 + hf__put_decimal(name + 1, last - item->lsn);

    if (item->made_ms > 0) {
        name[n++] = '@';
        n += hf__put_decimal(name + n, (uint64_t)item->made_ms);
    }
    if (item->made_ms > 0 && item->uncertainty_ms > 0) {
        name[n++] = '~';
        n += hf__put_decimal(name + n, (uint64_t)item->uncertainty_ms);
    }
    hf__arg(w, hf__slice(name, n));
}

/* A name and its key for each item. */
static void write_fields(struct hf__command_writer *w, const struct hf_shared_group *group,
                         const struct hf_shared_log *log)
{
    const struct hf_shared_item *items = log_items(group, log);
    uint64_t last = last_lsn(group, log);

    for (size_t i = 0; i < log->n_items; i++) {
        if (!hf__group_has(&items[i]))
            continue;
        write_name(w, &items[i], last);
        hf__arg(w, items[i].key);
    }
}

static uint32_t log_max(const struct hf_shared_log *log)
{
    return log->max_entries ? log->max_entries : HF_CHANGE_LOG_MAX_DEFAULT;
}

static void write_log(struct hf__command_writer *w, const struct hf__redis *tier,
                      const struct hf_shared_group *group, const struct hf_shared_log *log)
{
    hf__command(w, 11 + 2 * hf__group_log_count(group, log), "XADD");
    hf__arg(w, log->key);
    hf__arg_str(w, "NOMKSTREAM");
    hf__arg_str(w, "MAXLEN");
    hf__arg_str(w, "~");
    hf__arg_u64(w, log_max(log));
    hf__arg_str(w, "*");
    hf__arg_str(w, "n");
    hf__arg_str(w, tier->settings.node);
    hf__arg_str(w, "l");
    hf__arg_u64(w, last_lsn(group, log));
    write_fields(w, group, log);
}

void hf__group_write_store(struct hf__command_writer *w, const struct hf__redis *tier,
                           const struct hf_shared_group *group, bool singly)
{
    size_t first = 0, end;

    hf__command(w, 1, "MULTI");
    while ((end = hf__group_command(group, singly, &first)) > first) {
        if (end > first + 1)
            write_values(w, group->items + first, end - first);
        else
            write_item(w, &group->items[first]);
        first = end;
    }
    for (size_t i = 0; i < group->n_logs; i++) {
        if (hf__group_log_count(group, &group->logs[i]) > 0)
            write_log(w, tier, group, &group->logs[i]);
    }
    hf__command(w, 1, "EXEC");
}

/* ---- guarding ---- */

#define DIGEST_BYTES sizeof(((struct hf_shared_guard *)NULL)->digest)

/* What the item's key must hold: digests, one behind the other, with '-' for nothing; or `otherwise`: "*" for no other
 * type than string, "" for anything. */
static void write_guards(struct hf__command_writer *w, const struct hf_shared_item *item, const char *otherwise)
{
    static const char hex[] = "0123456789abcdef";
    char text[HF__GUARDS_MAX * 2 * DIGEST_BYTES];
    size_t n = 0;

    if (item->n_guards == 0) {
        hf__arg_str(w, otherwise);
        return;
    }

    for (size_t i = 0; i < item->n_guards; i++) {
        const struct hf_shared_guard *guard = &item->guards[i];
        if (guard->absent)
            text[n++] = '-';
        for (size_t k = 0; !guard->absent && k < DIGEST_BYTES; k++) {
            text[n++] = hex[guard->digest[k] >> 4];
            text[n++] = hex[guard->digest[k] & 15];
        }
    }
    hf__arg(w, hf__slice(text, n));
}

/* The commonest of all: a value without a deadline, where nothing is. */
static bool is_fresh(const struct hf_shared_item *item)
{
    return item->op == HF_SHARED_SET && item->deadline_ms == 0 && item->n_guards == 1 && item->guards[0].absent;
}

/* `last`: of the log that the item is in; 0: in none. */
static void write_guarded_item(struct hf__command_writer *w, const struct hf_shared_item *item, uint64_t last,
                               bool guarded)
{
    if (last > 0)
        write_name(w, item, last);
    else
        hf__arg_str(w, "");
    hf__arg(w, item->op == HF_SHARED_SET ? item->value : hf__slice("", 0));
    if (is_fresh(item))
        return;
    hf__arg_i64(w, item->deadline_ms);
    write_guards(w, item, guarded ? "*" : "");
}

/* A letter for each item. */
static void write_guarded_ops(struct hf__command_writer *w, const struct hf_shared_group *group, size_t n)
{
    struct hf_bytes letters = {0};

    if (hf__bytes_reserve(&letters, n) != 0)
        w->rc = HF_ENOMEM;
    for (size_t i = 0; i < group->n_items && w->rc == 0; i++) {
        if (hf__group_has(&group->items[i]))
            letters.bytes[letters.len++] =
                (uint8_t)(is_fresh(&group->items[i]) ? 'n' : op_letters[group->items[i].op]);
    }
    hf__arg(w, hf__slice(letters.bytes, letters.len));
    hf__bytes_release(&letters);
}

/* The logs' runs of items follow each other; what no log has may stand between them. */
static void write_guarded_items(struct hf__command_writer *w, const struct hf_shared_group *group)
{
    const struct hf_shared_log *log = group->logs, *end = group->logs + group->n_logs;
    uint64_t last = 0;

    for (size_t i = 0; i < group->n_items; i++) {
        while (log < end && i >= log->first_item + log->n_items)
            log++;
        if (log < end && i == log->first_item)
            last = last_lsn(group, log);
        if (hf__group_has(&group->items[i]))
            write_guarded_item(w, &group->items[i], log < end && i >= log->first_item ? last : 0, group->guarded);
    }
}

/* The id behind which others may not have written; "": they may. */
static void write_after(struct hf__command_writer *w, const struct hf_shared_log *log)
{
    hf__arg_str(w, !log->after_id ? "" : !log->after_id[0] ? "0-0" : log->after_id);
}

static void write_guarded_log(struct hf__command_writer *w, const struct hf_shared_group *group,
                              const struct hf_shared_log *log)
{
    hf__arg_u64(w, log_max(log));
    hf__arg_u64(w, last_lsn(group, log));
    hf__arg_u64(w, 1 + hf__group_count_in(group->items, log->first_item));
    hf__arg_u64(w, hf__group_log_count(group, log));
    write_after(w, log);
}

static void write_guarded_keys(struct hf__command_writer *w, const struct hf_shared_group *group)
{
    for (size_t i = 0; i < group->n_items; i++) {
        if (hf__group_has(&group->items[i]))
            hf__arg(w, group->items[i].key);
    }
    for (size_t i = 0; i < group->n_logs; i++) {
        if (hf__group_log_count(group, &group->logs[i]) > 0)
            hf__arg(w, group->logs[i].key);
    }
}

static size_t count_item_args(const struct hf_shared_group *group)
{
    size_t n = 0;

    for (size_t i = 0; i < group->n_items; i++) {
        if (hf__group_has(&group->items[i]))
            n += is_fresh(&group->items[i]) ? 2 : 4;
    }
    return n;
}

static uint64_t longest_guard(const struct hf_shared_group *group)
{
    uint64_t longest = 0;

    for (size_t i = 0; i < group->n_items; i++) {
        for (size_t k = 0; k < group->items[i].n_guards; k++) {
            if (group->items[i].guards[k].len > longest)
                longest = group->items[i].guards[k].len;
        }
    }
    return longest;
}

void hf__group_write_guarded(struct hf__command_writer *w, const struct hf__redis *tier,
                             const struct hf_shared_group *group, bool whole)
{
    size_t n = hf__group_count_in(group->items, group->n_items), n_logs = hf__group_count_logs(group);

    hf__script_begin(w, &tier->settings.scripts, HF__SCRIPT_GUARDED, whole, 1 + n + n_logs,
                     6 + count_item_args(group) + 5 * n_logs);
    hf__arg_str(w, tier->conn.session_key);
    write_guarded_keys(w, group);
    hf__arg_str(w, tier->conn.token);
    hf__arg_str(w, tier->settings.node);
    hf__arg_u64(w, n);
    hf__arg_u64(w, n_logs);
    hf__arg_u64(w, longest_guard(group));
    write_guarded_ops(w, group, n);
    write_guarded_items(w, group);
    for (size_t i = 0; i < group->n_logs; i++) {
        if (hf__group_log_count(group, &group->logs[i]) > 0)
            write_guarded_log(w, group, &group->logs[i]);
    }
}

/* ---- making ---- */

bool hf__group_is_fresh(const struct hf_shared_group *group)
{
    for (size_t i = 0; i < group->n_items; i++) {
        if (!is_fresh(&group->items[i]) || !hf__group_has(&group->items[i]))
            return false;
    }
    return hf__group_count_logs(group) == group->n_logs;
}

static void write_latch(struct hf__command_writer *w, const struct hf__redis *tier)
{
    char latch[sizeof(tier->conn.session_key) + sizeof(":latch")];

    snprintf(latch, sizeof(latch), "%s:latch", tier->conn.session_key);
    hf__arg_str(w, latch);
}

/* `script` with the latch and the logs as keys. */
static void write_log_script(struct hf__command_writer *w, const struct hf__redis *tier,
                             const struct hf_shared_group *group, enum hf__script script, size_t n_args)
{
    hf__script_begin(w, &tier->settings.scripts, script, true, 1 + group->n_logs, n_args);
    write_latch(w, tier);
    for (size_t i = 0; i < group->n_logs; i++)
        hf__arg(w, group->logs[i].key);
}

static void write_allow(struct hf__command_writer *w, const struct hf__redis *tier,
                        const struct hf_shared_group *group)
{
    hf__command(w, 3, "SET");
    write_latch(w, tier);
    hf__arg_str(w, "");
    write_log_script(w, tier, group, HF__SCRIPT_ALLOW, 1 + group->n_logs);
    hf__arg_str(w, tier->settings.node);
    for (size_t i = 0; i < group->n_logs; i++)
        write_after(w, &group->logs[i]);
}

static void write_make(struct hf__command_writer *w, const struct hf__redis *tier,
                       const struct hf_shared_group *group)
{
    hf__command(w, 3 + 2 * group->n_items, "MSETNX");
    write_latch(w, tier);
    hf__arg_str(w, tier->conn.token);
    for (size_t i = 0; i < group->n_items; i++) {
        hf__arg(w, group->items[i].key);
        hf__arg(w, group->items[i].value);
    }
}

static void write_names(struct hf__command_writer *w, const struct hf__redis *tier,
                        const struct hf_shared_group *group)
{
    size_t n = 0;

    for (size_t i = 0; i < group->n_logs; i++)
        n += 3 + 2 * group->logs[i].n_items;
    write_log_script(w, tier, group, HF__SCRIPT_NAME, 2 + n);
    hf__arg_str(w, tier->conn.token);
    hf__arg_str(w, tier->settings.node);
    for (size_t i = 0; i < group->n_logs; i++) {
        hf__arg_u64(w, log_max(&group->logs[i]));
        hf__arg_u64(w, last_lsn(group, &group->logs[i]));
        hf__arg_u64(w, 2 * group->logs[i].n_items);
        write_fields(w, group, &group->logs[i]);
    }
}

void hf__group_write_make(struct hf__command_writer *w, const struct hf__redis *tier,
                          const struct hf_shared_group *group)
{
    hf__command(w, 1, "MULTI");
    write_allow(w, tier, group);
    write_make(w, tier, group);
    write_names(w, tier, group);
    hf__command(w, 1, "EXEC");
}
