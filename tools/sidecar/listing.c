#include "listing.h"

#include "client.h"
#include "number.h"
#include "settings.h"
#include "space.h"
#include "upstream.h"

struct listing listing_of(const struct hf_bytes *answer)
{
    return (struct listing){.at = (const char *)answer->bytes, .end = (const char *)answer->bytes + answer->len};
}

/* The line behind `sign`, as a number. */
static bool take_line(struct listing *listing, char sign, int64_t *ret_number)
{
    size_t left = (size_t)(listing->end - listing->at);
    const char *line_end = left > 0 ? memchr(listing->at, '\r', left) : NULL;

    if (!line_end || listing->end - line_end < 2 || *listing->at != sign ||
        !number_parse(hf__slice(listing->at + 1, (size_t)(line_end - listing->at) - 1), ret_number))
        return false;
    listing->at = line_end + 2;
    return true;
}

bool listing_take_array(struct listing *listing, size_t *ret_n)
{
    int64_t n;

    if (!take_line(listing, '*', &n) || n < 0)
        return false;
    *ret_n = (size_t)n;
    return true;
}

bool listing_take_number(struct listing *listing, int64_t *ret_number)
{
    return take_line(listing, ':', ret_number);
}

bool listing_take_bulk(struct listing *listing, struct hf_slice *ret_bytes)
{
    int64_t len;

    if (!take_line(listing, '$', &len) || len < 0 || listing->end - listing->at < len + 2)
        return false;
    *ret_bytes = hf__slice(listing->at, (size_t)len);
    listing->at += len + 2;
    return true;
}

bool listing_shows(const struct call *call, struct hf_slice key)
{
    const struct user *user = call->user;

    return !hf__slice_starts_with(key, hf__slice_str(UPSTREAM_OWN_PREFIX)) && !space_is_ours(call, key) && user &&
           user_may_touch(user, key);
}

bool listing_filter(const struct call *call, struct listing *listing, struct reply *keys, size_t *ret_n)
{
    size_t n;

    if (!listing_take_array(listing, &n))
        return false;
    *ret_n = 0;
    for (size_t i = 0; i < n; i++) {
        struct hf_slice key;
        if (!listing_take_bulk(listing, &key))
            return false;
        if (!listing_shows(call, key))
            continue;
        reply_bulk(keys, key);
        ++*ret_n;
    }
    return true;
}
