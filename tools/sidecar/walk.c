#include "walk.h"

#include "client.h"
#include "glob.h"
#include "settings.h"
#include "server.h"
#include "space.h"

static bool matches(const struct walk *walk, struct hf_slice key)
{
    const struct user *user = walk->call->user;

    if (walk->pattern.len > 0 && !glob_match(walk->pattern, key))
        return false;
    if (walk->only_ours && !space_is_ours(walk->call, key))
        return false;
    return user->n_prefixes == 0 || user_may_touch(user, key);
}

/* Of those found until now, each with the same chance (xorshift, for what need not be secret). */
static bool is_picked(struct walk *walk)
{
    walk->picks ^= walk->picks << 13;
    walk->picks ^= walk->picks >> 7;
    walk->picks ^= walk->picks << 17;
    return walk->picks % walk->n_found == 0;
}

static int look_at(struct walk *walk, struct hf_slice key)
{
    bool found = matches(walk, key);

    walk->n_looked++;
    walk->n_found += found;
    if (walk->picks != 0 && !(found && is_picked(walk)))
        return 0;
    if (found && walk->picks == 0 && !walk->only_count)
        reply_bulk(&walk->found, key);
    hf__bytes_reset(&walk->last);
    return hf__bytes_append(&walk->last, key.data, key.len);
}

int walk_go(struct walk *walk, struct hf_slice after)
{
    struct hf_scan *scan = NULL;
    struct hf_slice key;
    int rc = hf_scan_open(walk->call->server->store, glob_prefix(walk->pattern), after, &scan);

    while (rc == 0 && walk->n_found < walk->max_found && walk->n_looked < walk->max_looked) {
        rc = hf_scan_next(scan, &key, NULL, NULL);
        if (rc == 0)
            rc = look_at(walk, key);
    }
    hf_scan_close(scan);
    walk->at_end = rc == HF_NOT_FOUND;
    return rc == HF_NOT_FOUND ? 0 : rc;
}

void walk_release(struct walk *walk)
{
    hf__bytes_release(&walk->last);
    reply_release(&walk->found);
}

struct walk walk_new(struct call *call, struct hf_slice pattern)
{
    return (struct walk){.call = call,
                         .pattern = pattern,
                         .found = space_answer(call),
                         .max_found = SIZE_MAX,
                         .max_looked = SIZE_MAX};
}

void walk_reply(struct walk *walk)
{
    reply_array(walk->call->reply, walk->n_found);
    reply_add(walk->call->reply, &walk->found);
}
