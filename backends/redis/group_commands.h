/* A group of plain changes as commands, in the three ways in which it may go (groups.c). */
#ifndef HF_REDIS_GROUP_COMMANDS_H
#define HF_REDIS_GROUP_COMMANDS_H

#include "tier.h"

/* An item whose error says otherwise is no longer in. */
static inline bool hf__group_has(const struct hf_shared_item *item)
{
    return item->error.class == HF_SHARED_OK;
}

/* How many of the items are in; of a log's, how many it is to name; and how many logs have something to name. */
size_t hf__group_count_in(const struct hf_shared_item *items, size_t n);
size_t hf__group_log_count(const struct hf_shared_group *group, const struct hf_shared_log *log);
size_t hf__group_count_logs(const struct hf_shared_group *group);

/* The command that stores the first item from `*i` on that is in, and as many behind it as go with it: neighbours that are to be set
 * without a deadline, unless `singly`. `*i` moves to its first item; returns where those behind it begin, or `*i` when none is
 * left. */
size_t hf__group_command(const struct hf_shared_group *group, bool singly, size_t *i);
size_t hf__group_count_commands(const struct hf_shared_group *group, bool singly);

/* MULTI, these commands, one XADD for each log, EXEC. */
void hf__group_write_store(struct hf__command_writer *w, const struct hf__redis *tier,
                           const struct hf_shared_group *group, bool singly);

/* The script that looks at each key before it changes it. `whole`: with its text. */
void hf__group_write_guarded(struct hf__command_writer *w, const struct hf__redis *tier,
                             const struct hf_shared_group *group, bool whole);

/* MULTI, what makes values where nothing is, EXEC, whose answers are these. Only for a group of which hf__group_is_fresh(): all
 * its items are in, and are to be set, without a deadline, where nothing is. */
enum { HF__MAKE_LATCH, HF__MAKE_ALLOW, HF__MAKE_STORE, HF__MAKE_NAME, HF__MAKE_RESULTS };
bool hf__group_is_fresh(const struct hf_shared_group *group);
void hf__group_write_make(struct hf__command_writer *w, const struct hf__redis *tier,
                          const struct hf_shared_group *group);

/* How many guards an item may have. */
#define HF__GUARDS_MAX 8u

#endif
