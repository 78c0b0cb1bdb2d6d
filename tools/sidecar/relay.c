/* Writes elements of a reply as hiredis comes upon them, which is the order in which they stand in the reply. */
#include "relay.h"

#include <inttypes.h>
#include <stdio.h>

/* The first byte of each type on the wire. */
static const char signs[] = {
    [REDIS_REPLY_STRING] = '$', [REDIS_REPLY_ARRAY] = '*', [REDIS_REPLY_INTEGER] = ':', [REDIS_REPLY_NIL] = '_',
    [REDIS_REPLY_STATUS] = '+', [REDIS_REPLY_ERROR] = '-', [REDIS_REPLY_DOUBLE] = ',',  [REDIS_REPLY_BOOL] = '#',
    [REDIS_REPLY_MAP] = '%',    [REDIS_REPLY_SET] = '~',   [REDIS_REPLY_ATTR] = '|',    [REDIS_REPLY_PUSH] = '>',
    [REDIS_REPLY_BIGNUM] = '(', [REDIS_REPLY_VERB] = '=',
};

/* Where the element goes; NULL: nowhere. */
static struct reply *place(const redisReadTask *task)
{
    struct relay *relay = task->privdata;

    if (!task->parent) {
        relay->type = task->type;
        relay->drops = task->type == REDIS_REPLY_PUSH;
    }
    if (relay->drops || !relay->to)
        return NULL;
    if (relay->to->bytes.len > RELAY_MAX_BYTES)
        relay->to->failed = true;
    return relay->to;
}

/* hiredis takes NULL for a failed allocation. A reply remembers that by itself. */
static void *made(const redisReadTask *task)
{
    return task->privdata;
}

static void *line(const redisReadTask *task, const char *text, size_t len)
{
    struct reply *reply = place(task);

    if (reply) {
        reply_raw(reply, &signs[task->type], 1);
        reply_raw(reply, text, len);
        reply_raw(reply, "\r\n", 2);
    }
    return made(task);
}

static void *number(const redisReadTask *task, long long n)
{
    char text[24];

    return line(task, text, (size_t)snprintf(text, sizeof(text), "%lld", n));
}

static void *string(const redisReadTask *task, char *bytes, size_t len)
{
    struct reply *reply;

    if (task->type != REDIS_REPLY_STRING && task->type != REDIS_REPLY_VERB)
        return line(task, bytes, len);
    (void)number(task, (long long)len);
    reply = place(task);
    if (reply) {
        reply_raw(reply, bytes, len);
        reply_raw(reply, "\r\n", 2);
    }
    return made(task);
}

/* hiredis counts the elements of a map twice, and an attribute inside an array as one of its elements, which it is not. */
static void *aggregate(const redisReadTask *task, size_t n)
{
    bool pairs = task->type == REDIS_REPLY_MAP || task->type == REDIS_REPLY_ATTR;

    if (task->type == REDIS_REPLY_ATTR && task->parent)
        task->parent->elements++;
    return number(task, (long long)(pairs ? n / 2 : n));
}

static void *floating(const redisReadTask *task, double value, char *text, size_t len)
{
    (void)value; /* its digits are there */
    return line(task, text, len);
}

/* Of RESP2 the type tells whether a string or an array is missing. */
static void *nothing(const redisReadTask *task)
{
    return task->type == REDIS_REPLY_NIL ? line(task, "", 0) : number(task, -1);
}

static void *truth(const redisReadTask *task, int yes)
{
    return line(task, yes ? "t" : "f", 1);
}

static void release(void *object)
{
    (void)object; /* it is the relay */
}

redisReplyObjectFunctions relay_functions = {
    .createString = string,
    .createArray = aggregate,
    .createInteger = number,
    .createDouble = floating,
    .createNil = nothing,
    .createBool = truth,
    .freeObject = release,
};
