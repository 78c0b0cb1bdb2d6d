/* Parts of values. */
#include "command.h"
#include "number.h"
#include "replies.h"
#include "server.h"
#include "string_handlers.h"
#include "update.h"

/* Make room for a value of `len` bytes that begins with the old one and is zeroes behind it. NULL: it is too long, or there is no
 * memory; that is the answer. */
static uint8_t *extend(const struct call *call, const struct value *old, uint64_t len, struct update *update)
{
    struct hf_bytes *made = &update->made;

    if (len > call->server->value_max) {
        reply_too_long(&update->answer);
        return NULL;
    }
    if (hf__bytes_reserve(made, (size_t)len + 1) != 0) { /* also the empty value has a place */
        reply_error(&update->answer, "ERR out of memory: a value of %llu bytes", (unsigned long long)len);
        return NULL;
    }
    if (old->bytes.len > 0)
        memcpy(made->bytes, old->bytes.data, old->bytes.len);
    memset(made->bytes + old->bytes.len, 0, (size_t)len - old->bytes.len);
    made->len = (size_t)len;
    return made->bytes;
}

/* The value that was made, with the TTL of the old one. */
static void set_made(const struct value *old, struct update *update)
{
    update->op = (struct hf_op){.kind = HF_OP_SET,
                                .value = hf__slice(update->made.bytes, update->made.len),
                                .set = {.keep_ttl = old->live}};
    reply_integer(&update->answer, (int64_t)update->made.len);
}

static void decide_append(const struct call *call, const struct value *old, struct update *update)
{
    struct hf_slice more = call->argv[2];
    uint8_t *bytes = extend(call, old, (uint64_t)old->bytes.len + more.len, update);

    if (!bytes)
        return;
    if (more.len > 0)
        memcpy(bytes + old->bytes.len, more.data, more.len);
    set_made(old, update);
}

/* APPEND key value */
void cmd_append(struct call *call)
{
    space_update(call, call->argv[1], decide_append);
}

/* STRLEN key */
void cmd_strlen(struct call *call)
{
    struct value value;

    if (!space_look(call, call->argv[1], &value))
        return;
    if (value.other_type)
        reply_wrong_type(call->reply);
    else
        reply_integer(call->reply, value.live ? (int64_t)value.len : 0);
}

/* The bytes from `from` to `to`, both counted from the end when negative, and both within. */
static struct hf_slice cut(struct hf_slice bytes, int64_t from, int64_t to)
{
    int64_t len = (int64_t)bytes.len;

    if (from < 0 && to < 0 && from > to)
        return hf__slice(NULL, 0);
    from = from < 0 ? from + len : from;
    to = to < 0 ? to + len : to;
    from = from < 0 ? 0 : from;
    to = to < 0 ? 0 : to >= len ? len - 1 : to;
    if (from > to || len == 0)
        return hf__slice(NULL, 0);
    return hf__slice((const uint8_t *)bytes.data + from, (size_t)(to - from + 1));
}

/* GETRANGE key start end; SUBSTR is its old name */
void cmd_getrange(struct call *call)
{
    struct value value;
    int64_t from, to;

    if (!number_parse(call->argv[2], &from) || !number_parse(call->argv[3], &to))
        reply_not_an_integer(call->reply);
    else if (space_read(call, call->argv[1], &value))
        reply_bulk(call->reply, cut(value.bytes, from, to));
}

static void decide_setrange(const struct call *call, const struct value *old, struct update *update)
{
    struct hf_slice part = call->argv[3];
    uint64_t end;
    int64_t offset;
    uint8_t *bytes;

    (void)number_parse(call->argv[2], &offset);
    if (part.len == 0) {
        reply_integer(&update->answer, (int64_t)old->bytes.len);
        return;
    }
    end = (uint64_t)offset + part.len;
    bytes = extend(call, old, end > old->bytes.len ? end : old->bytes.len, update);
    if (!bytes)
        return;
    memcpy(bytes + offset, part.data, part.len);
    set_made(old, update);
}

/* SETRANGE key offset value */
void cmd_setrange(struct call *call)
{
    int64_t offset;

    if (!number_parse(call->argv[2], &offset))
        reply_not_an_integer(call->reply);
    else if (offset < 0)
        reply_error(call->reply, "ERR offset is out of range");
    else
        space_update(call, call->argv[1], decide_setrange);
}
