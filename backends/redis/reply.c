/* Careful access to hiredis replies. */
#include "reply.h"

bool hf__reply_is_error(const redisReply *reply)
{
    return reply && reply->type == REDIS_REPLY_ERROR;
}

bool hf__reply_is_nil(const redisReply *reply)
{
    return reply && reply->type == REDIS_REPLY_NIL;
}

struct hf_slice hf__reply_text(const redisReply *reply)
{
    if (!reply || !reply->str ||
        (reply->type != REDIS_REPLY_STRING && reply->type != REDIS_REPLY_STATUS && reply->type != REDIS_REPLY_VERB))
        return hf__slice(NULL, 0);
    return hf__slice(reply->str, reply->len);
}

bool hf__reply_is_text(const redisReply *reply, const char *text)
{
    struct hf_slice s = hf__reply_text(reply);

    return s.data && hf__slice_eq(s, hf__slice_str(text));
}

bool hf__reply_is_array(const redisReply *reply, size_t n)
{
    return reply && reply->elements >= n &&
           (reply->type == REDIS_REPLY_ARRAY || reply->type == REDIS_REPLY_MAP || reply->type == REDIS_REPLY_SET);
}

bool hf__reply_error(const redisReply *reply, struct hf_shared_error *error)
{
    if (!hf__reply_is_error(reply))
        return false;
    hf__redis_classify(hf__slice(reply->str, reply->len), error);
    return true;
}

bool hf__parse_u64(struct hf_slice text, uint64_t *ret_number)
{
    const char *p = text.data;
    uint64_t number = 0;

    if (text.len == 0 || text.len > 20 || (p[0] == '0' && text.len > 1))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = (unsigned)(p[i] - '0');

        if (digit > 9 || number > (UINT64_MAX - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    *ret_number = number;
    return true;
}

bool hf__parse_i64(struct hf_slice text, int64_t *ret_number)
{
    const char *p = text.data;
    bool negative = text.len > 0 && p[0] == '-';
    uint64_t bound = (uint64_t)INT64_MAX + (negative ? 1 : 0);
    uint64_t number;

    if (negative)
        text = hf__slice(p + 1, text.len - 1);
    if (!hf__parse_u64(text, &number) || number > bound || (negative && number == 0))
        return false;
    *ret_number = negative ? (int64_t)(0 - number) : (int64_t)number;
    return true;
}

bool hf__reply_i64(const redisReply *reply, int64_t *ret_number)
{
    if (reply && reply->type == REDIS_REPLY_INTEGER) {
        *ret_number = reply->integer;
        return true;
    }
    return hf__parse_i64(hf__reply_text(reply), ret_number);
}

bool hf__reply_time_ms(const redisReply *reply, int64_t *ret_ms)
{
    int64_t s, us;

    if (!hf__reply_is_array(reply, 2) || !hf__reply_i64(reply->element[0], &s) ||
        !hf__reply_i64(reply->element[1], &us) || s < 0 || s > INT64_MAX / 2000 || us < 0 || us > 999999)
        return false;
    *ret_ms = s * 1000 + us / 1000;
    return true;
}

bool hf__reply_copy(const redisReply *reply, char *text, size_t size)
{
    struct hf_slice s = hf__reply_text(reply);

    text[0] = '\0';
    if (!s.data || s.len >= size || memchr(s.data, '\0', s.len))
        return false;
    memcpy(text, s.data, s.len);
    text[s.len] = '\0';
    return true;
}
