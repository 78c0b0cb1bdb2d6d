/* What Redis 7.0 does, and the local tier does not: where the keys are, and what is never passed on. */
#include "movable.h"
#include "upstream.h"
#include "words.h"

#include <strings.h>

#define ON COMMAND_PASSED_ON
#define ON_READ (COMMAND_PASSED_ON | COMMAND_READ)
#define NEVER COMMAND_NEVER_PASSED
#define ON_WRITE (COMMAND_PASSED_ON | COMMAND_WRITE)

/* ---- what is never passed on ---- */

static void refuse_operator(struct call *call)
{
    reply_error(call->reply, "ERR '%s' is never passed on: it is for the operator of Redis", call->command->name);
}

static void refuse_database(struct call *call)
{
    reply_error(call->reply, "ERR '%s' is never passed on: it needs a second database, and there is one",
                call->command->name);
}

static void refuse_sharded(struct call *call)
{
    reply_error(call->reply, "ERR '%s' is never passed on: use SUBSCRIBE and UNSUBSCRIBE", call->command->name);
}

static bool is_one_of(struct hf_slice word, const char *const *words)
{
    while (*words && !word_is(word, *words))
        words++;
    return *words != NULL;
}

/* Redis's users are looked at from here, and never changed. */
static void acl(struct call *call)
{
    static const char *const looks[] = {"cat",  "dryrun", "genpass", "getuser", "help",
                                        "list", "users",  "whoami",  NULL};

    if (is_one_of(call->argv[1], looks))
        upstream_pass(call);
    else
        refuse_operator(call);
}

/* The debugger would take over the connection. */
static void script(struct call *call)
{
    static const char *const passed[] = {"exists", "flush", "help", "kill", "load", NULL};

    if (is_one_of(call->argv[1], passed))
        upstream_pass(call);
    else
        refuse_operator(call);
}

/* ---- the table ---- */

/* name, handler (NULL: passed on), arity, flags, first, last and step of the keys, group, since, where else keys are */
const struct command passed_on_commands[] = {
    /* generic */
    {"dump", NULL, 2, ON_READ, 1, 1, 1, "generic", "2.6.0", NULL},
    {"migrate", refuse_operator, -6, NEVER | COMMAND_WRITE, 3, 3, 1, "generic", "2.6.0", NULL},
    {"move", refuse_database, 3, NEVER | COMMAND_WRITE, 1, 1, 1, "generic", "1.0.0", NULL},
    {"restore", NULL, -4, ON_WRITE, 1, 1, 1, "generic", "2.6.0", NULL},
    {"sort", NULL, -2, ON_WRITE, 1, 1, 1, "generic", "1.0.0", keys_of_sort},
    {"sort_ro", NULL, -2, ON_READ, 1, 1, 1, "generic", "7.0.0", keys_of_sort},
    {"wait", NULL, 3, ON | COMMAND_BLOCKING, 0, 0, 0, "generic", "3.0.0", NULL},
    /* string */
    {"lcs", NULL, -3, ON_READ, 1, 2, 1, "string", "7.0.0", NULL},
    /* bitmap */
    {"bitcount", NULL, -2, ON_READ, 1, 1, 1, "bitmap", "2.6.0", NULL},
    {"bitfield", NULL, -2, ON_WRITE, 1, 1, 1, "bitmap", "3.2.0", NULL},
    {"bitfield_ro", NULL, -2, ON_READ, 1, 1, 1, "bitmap", "6.0.0", NULL},
    {"bitop", NULL, -4, ON_WRITE, 2, -1, 1, "bitmap", "2.6.0", NULL},
    {"bitpos", NULL, -3, ON_READ, 1, 1, 1, "bitmap", "2.8.7", NULL},
    {"getbit", NULL, 3, ON_READ, 1, 1, 1, "bitmap", "2.2.0", NULL},
    {"setbit", NULL, 4, ON_WRITE, 1, 1, 1, "bitmap", "2.2.0", NULL},
    /* hash */
    {"hdel", NULL, -3, ON_WRITE, 1, 1, 1, "hash", "2.0.0", NULL},
    {"hexists", NULL, 3, ON_READ, 1, 1, 1, "hash", "2.0.0", NULL},
    {"hget", NULL, 3, ON_READ, 1, 1, 1, "hash", "2.0.0", NULL},
    {"hgetall", NULL, 2, ON_READ, 1, 1, 1, "hash", "2.0.0", NULL},
    {"hincrby", NULL, 4, ON_WRITE, 1, 1, 1, "hash", "2.0.0", NULL},
    {"hincrbyfloat", NULL, 4, ON_WRITE, 1, 1, 1, "hash", "2.6.0", NULL},
    {"hkeys", NULL, 2, ON_READ, 1, 1, 1, "hash", "2.0.0", NULL},
    {"hlen", NULL, 2, ON_READ, 1, 1, 1, "hash", "2.0.0", NULL},
    {"hmget", NULL, -3, ON_READ, 1, 1, 1, "hash", "2.0.0", NULL},
    {"hmset", NULL, -4, ON_WRITE, 1, 1, 1, "hash", "2.0.0", NULL},
    {"hrandfield", NULL, -2, ON_READ, 1, 1, 1, "hash", "6.2.0", NULL},
    {"hscan", NULL, -3, ON_READ, 1, 1, 1, "hash", "2.8.0", NULL},
    {"hset", NULL, -4, ON_WRITE, 1, 1, 1, "hash", "2.0.0", NULL},
    {"hsetnx", NULL, 4, ON_WRITE, 1, 1, 1, "hash", "2.0.0", NULL},
    {"hstrlen", NULL, 3, ON_READ, 1, 1, 1, "hash", "3.2.0", NULL},
    {"hvals", NULL, 2, ON_READ, 1, 1, 1, "hash", "2.0.0", NULL},
    /* list */
    {"blmove", NULL, 6, ON_WRITE | COMMAND_BLOCKING, 1, 2, 1, "list", "6.2.0", NULL},
    {"blmpop", NULL, -5, ON_WRITE | COMMAND_BLOCKING, 0, 0, 0, "list", "7.0.0", keys_counted_second},
    {"blpop", NULL, -3, ON_WRITE | COMMAND_BLOCKING, 1, -2, 1, "list", "2.0.0", NULL},
    {"brpop", NULL, -3, ON_WRITE | COMMAND_BLOCKING, 1, -2, 1, "list", "2.0.0", NULL},
    {"brpoplpush", NULL, 4, ON_WRITE | COMMAND_BLOCKING, 1, 2, 1, "list", "2.2.0", NULL},
    {"lindex", NULL, 3, ON_READ, 1, 1, 1, "list", "1.0.0", NULL},
    {"linsert", NULL, 5, ON_WRITE, 1, 1, 1, "list", "2.2.0", NULL},
    {"llen", NULL, 2, ON_READ, 1, 1, 1, "list", "1.0.0", NULL},
    {"lmove", NULL, 5, ON_WRITE, 1, 2, 1, "list", "6.2.0", NULL},
    {"lmpop", NULL, -4, ON_WRITE, 0, 0, 0, "list", "7.0.0", keys_counted_first},
    {"lpop", NULL, -2, ON_WRITE, 1, 1, 1, "list", "1.0.0", NULL},
    {"lpos", NULL, -3, ON_READ, 1, 1, 1, "list", "6.0.6", NULL},
    {"lpush", NULL, -3, ON_WRITE, 1, 1, 1, "list", "1.0.0", NULL},
    {"lpushx", NULL, -3, ON_WRITE, 1, 1, 1, "list", "2.2.0", NULL},
    {"lrange", NULL, 4, ON_READ, 1, 1, 1, "list", "1.0.0", NULL},
    {"lrem", NULL, 4, ON_WRITE, 1, 1, 1, "list", "1.0.0", NULL},
    {"lset", NULL, 4, ON_WRITE, 1, 1, 1, "list", "1.0.0", NULL},
    {"ltrim", NULL, 4, ON_WRITE, 1, 1, 1, "list", "1.0.0", NULL},
    {"rpop", NULL, -2, ON_WRITE, 1, 1, 1, "list", "1.0.0", NULL},
    {"rpoplpush", NULL, 3, ON_WRITE, 1, 2, 1, "list", "1.2.0", NULL},
    {"rpush", NULL, -3, ON_WRITE, 1, 1, 1, "list", "1.0.0", NULL},
    {"rpushx", NULL, -3, ON_WRITE, 1, 1, 1, "list", "2.2.0", NULL},
    /* set */
    {"sadd", NULL, -3, ON_WRITE, 1, 1, 1, "set", "1.0.0", NULL},
    {"scard", NULL, 2, ON_READ, 1, 1, 1, "set", "1.0.0", NULL},
    {"sdiff", NULL, -2, ON_READ, 1, -1, 1, "set", "1.0.0", NULL},
    {"sdiffstore", NULL, -3, ON_WRITE, 1, -1, 1, "set", "1.0.0", NULL},
    {"sinter", NULL, -2, ON_READ, 1, -1, 1, "set", "1.0.0", NULL},
    {"sintercard", NULL, -3, ON_READ, 0, 0, 0, "set", "7.0.0", keys_counted_first},
    {"sinterstore", NULL, -3, ON_WRITE, 1, -1, 1, "set", "1.0.0", NULL},
    {"sismember", NULL, 3, ON_READ, 1, 1, 1, "set", "1.0.0", NULL},
    {"smembers", NULL, 2, ON_READ, 1, 1, 1, "set", "1.0.0", NULL},
    {"smismember", NULL, -3, ON_READ, 1, 1, 1, "set", "6.2.0", NULL},
    {"smove", NULL, 4, ON_WRITE, 1, 2, 1, "set", "1.0.0", NULL},
    {"spop", NULL, -2, ON_WRITE, 1, 1, 1, "set", "1.0.0", NULL},
    {"srandmember", NULL, -2, ON_READ, 1, 1, 1, "set", "1.0.0", NULL},
    {"srem", NULL, -3, ON_WRITE, 1, 1, 1, "set", "1.0.0", NULL},
    {"sscan", NULL, -3, ON_READ, 1, 1, 1, "set", "2.8.0", NULL},
    {"sunion", NULL, -2, ON_READ, 1, -1, 1, "set", "1.0.0", NULL},
    {"sunionstore", NULL, -3, ON_WRITE, 1, -1, 1, "set", "1.0.0", NULL},
    /* sorted-set */
    {"bzmpop", NULL, -5, ON_WRITE | COMMAND_BLOCKING, 0, 0, 0, "sorted-set", "7.0.0", keys_counted_second},
    {"bzpopmax", NULL, -3, ON_WRITE | COMMAND_BLOCKING, 1, -2, 1, "sorted-set", "5.0.0", NULL},
    {"bzpopmin", NULL, -3, ON_WRITE | COMMAND_BLOCKING, 1, -2, 1, "sorted-set", "5.0.0", NULL},
    {"zadd", NULL, -4, ON_WRITE, 1, 1, 1, "sorted-set", "1.2.0", NULL},
    {"zcard", NULL, 2, ON_READ, 1, 1, 1, "sorted-set", "1.2.0", NULL},
    {"zcount", NULL, 4, ON_READ, 1, 1, 1, "sorted-set", "2.0.0", NULL},
    {"zdiff", NULL, -3, ON_READ, 0, 0, 0, "sorted-set", "6.2.0", keys_counted_first},
    {"zdiffstore", NULL, -4, ON_WRITE, 1, 1, 1, "sorted-set", "6.2.0", keys_stored_and_counted},
    {"zincrby", NULL, 4, ON_WRITE, 1, 1, 1, "sorted-set", "1.2.0", NULL},
    {"zinter", NULL, -3, ON_READ, 0, 0, 0, "sorted-set", "6.2.0", keys_counted_first},
    {"zintercard", NULL, -3, ON_READ, 0, 0, 0, "sorted-set", "7.0.0", keys_counted_first},
    {"zinterstore", NULL, -4, ON_WRITE, 1, 1, 1, "sorted-set", "2.0.0", keys_stored_and_counted},
    {"zlexcount", NULL, 4, ON_READ, 1, 1, 1, "sorted-set", "2.8.9", NULL},
    {"zmpop", NULL, -4, ON_WRITE, 0, 0, 0, "sorted-set", "7.0.0", keys_counted_first},
    {"zmscore", NULL, -3, ON_READ, 1, 1, 1, "sorted-set", "6.2.0", NULL},
    {"zpopmax", NULL, -2, ON_WRITE, 1, 1, 1, "sorted-set", "5.0.0", NULL},
    {"zpopmin", NULL, -2, ON_WRITE, 1, 1, 1, "sorted-set", "5.0.0", NULL},
    {"zrandmember", NULL, -2, ON_READ, 1, 1, 1, "sorted-set", "6.2.0", NULL},
    {"zrange", NULL, -4, ON_READ, 1, 1, 1, "sorted-set", "1.2.0", NULL},
    {"zrangebylex", NULL, -4, ON_READ, 1, 1, 1, "sorted-set", "2.8.9", NULL},
    {"zrangebyscore", NULL, -4, ON_READ, 1, 1, 1, "sorted-set", "1.0.5", NULL},
    {"zrangestore", NULL, -5, ON_WRITE, 1, 2, 1, "sorted-set", "6.2.0", NULL},
    {"zrank", NULL, 3, ON_READ, 1, 1, 1, "sorted-set", "2.0.0", NULL},
    {"zrem", NULL, -3, ON_WRITE, 1, 1, 1, "sorted-set", "1.2.0", NULL},
    {"zremrangebylex", NULL, 4, ON_WRITE, 1, 1, 1, "sorted-set", "2.8.9", NULL},
    {"zremrangebyrank", NULL, 4, ON_WRITE, 1, 1, 1, "sorted-set", "2.0.0", NULL},
    {"zremrangebyscore", NULL, 4, ON_WRITE, 1, 1, 1, "sorted-set", "1.2.0", NULL},
    {"zrevrange", NULL, -4, ON_READ, 1, 1, 1, "sorted-set", "1.2.0", NULL},
    {"zrevrangebylex", NULL, -4, ON_READ, 1, 1, 1, "sorted-set", "2.8.9", NULL},
    {"zrevrangebyscore", NULL, -4, ON_READ, 1, 1, 1, "sorted-set", "2.2.0", NULL},
    {"zrevrank", NULL, 3, ON_READ, 1, 1, 1, "sorted-set", "2.0.0", NULL},
    {"zscan", NULL, -3, ON_READ, 1, 1, 1, "sorted-set", "2.8.0", NULL},
    {"zscore", NULL, 3, ON_READ, 1, 1, 1, "sorted-set", "1.2.0", NULL},
    {"zunion", NULL, -3, ON_READ, 0, 0, 0, "sorted-set", "6.2.0", keys_counted_first},
    {"zunionstore", NULL, -4, ON_WRITE, 1, 1, 1, "sorted-set", "2.0.0", keys_stored_and_counted},
    /* geo */
    {"geoadd", NULL, -5, ON_WRITE, 1, 1, 1, "geo", "3.2.0", NULL},
    {"geodist", NULL, -4, ON_READ, 1, 1, 1, "geo", "3.2.0", NULL},
    {"geohash", NULL, -2, ON_READ, 1, 1, 1, "geo", "3.2.0", NULL},
    {"geopos", NULL, -2, ON_READ, 1, 1, 1, "geo", "3.2.0", NULL},
    {"georadius", NULL, -6, ON_WRITE, 1, 1, 1, "geo", "3.2.0", keys_of_radius},
    {"georadius_ro", NULL, -6, ON_READ, 1, 1, 1, "geo", "3.2.10", NULL},
    {"georadiusbymember", NULL, -5, ON_WRITE, 1, 1, 1, "geo", "3.2.0", keys_of_radius},
    {"georadiusbymember_ro", NULL, -5, ON_READ, 1, 1, 1, "geo", "3.2.10", NULL},
    {"geosearch", NULL, -7, ON_READ, 1, 1, 1, "geo", "6.2.0", NULL},
    {"geosearchstore", NULL, -8, ON_WRITE, 1, 2, 1, "geo", "6.2.0", NULL},
    /* hyperloglog */
    {"pfadd", NULL, -2, ON_WRITE, 1, 1, 1, "hyperloglog", "2.8.9", NULL},
    {"pfcount", NULL, -2, ON_READ, 1, -1, 1, "hyperloglog", "2.8.9", NULL},
    {"pfdebug", refuse_operator, 3, NEVER | COMMAND_WRITE, 2, 2, 1, "hyperloglog", "2.8.9", NULL},
    {"pfmerge", NULL, -2, ON_WRITE, 1, -1, 1, "hyperloglog", "2.8.9", NULL},
    {"pfselftest", refuse_operator, 1, NEVER, 0, 0, 0, "hyperloglog", "2.8.9", NULL},
    /* stream */
    {"xack", NULL, -4, ON_WRITE, 1, 1, 1, "stream", "5.0.0", NULL},
    {"xadd", NULL, -5, ON_WRITE, 1, 1, 1, "stream", "5.0.0", NULL},
    {"xautoclaim", NULL, -6, ON_WRITE, 1, 1, 1, "stream", "6.2.0", NULL},
    {"xclaim", NULL, -6, ON_WRITE, 1, 1, 1, "stream", "5.0.0", NULL},
    {"xdel", NULL, -3, ON_WRITE, 1, 1, 1, "stream", "5.0.0", NULL},
    {"xgroup", NULL, -2, ON, 0, 0, 0, "stream", "5.0.0", key_of_subcommand},
    {"xinfo", NULL, -2, ON, 0, 0, 0, "stream", "5.0.0", key_of_subcommand},
    {"xlen", NULL, 2, ON_READ, 1, 1, 1, "stream", "5.0.0", NULL},
    {"xpending", NULL, -3, ON_READ, 1, 1, 1, "stream", "5.0.0", NULL},
    {"xrange", NULL, -4, ON_READ, 1, 1, 1, "stream", "5.0.0", NULL},
    {"xread", NULL, -4, ON_READ | COMMAND_BLOCKING, 0, 0, 0, "stream", "5.0.0", keys_of_streams},
    {"xreadgroup", NULL, -7, ON_WRITE | COMMAND_BLOCKING, 0, 0, 0, "stream", "5.0.0", keys_of_streams},
    {"xrevrange", NULL, -4, ON_READ, 1, 1, 1, "stream", "5.0.0", NULL},
    {"xsetid", NULL, -3, ON_WRITE, 1, 1, 1, "stream", "5.0.0", NULL},
    {"xtrim", NULL, -4, ON_WRITE, 1, 1, 1, "stream", "5.0.0", NULL},
    /* scripting */
    {"eval", NULL, -3, ON | COMMAND_ANY_KEYS, 0, 0, 0, "scripting", "2.6.0", keys_of_script},
    {"eval_ro", NULL, -3, ON_READ | COMMAND_ANY_KEYS, 0, 0, 0, "scripting", "7.0.0", keys_of_script},
    {"evalsha", NULL, -3, ON | COMMAND_ANY_KEYS, 0, 0, 0, "scripting", "2.6.0", keys_of_script},
    {"evalsha_ro", NULL, -3, ON_READ | COMMAND_ANY_KEYS, 0, 0, 0, "scripting", "7.0.0", keys_of_script},
    {"fcall", NULL, -3, ON | COMMAND_ANY_KEYS, 0, 0, 0, "scripting", "7.0.0", keys_of_script},
    {"fcall_ro", NULL, -3, ON_READ | COMMAND_ANY_KEYS, 0, 0, 0, "scripting", "7.0.0", keys_of_script},
    {"function", NULL, -2, ON, 0, 0, 0, "scripting", "7.0.0", NULL},
    {"script", script, -2, ON, 0, 0, 0, "scripting", "2.6.0", NULL},
    /* pubsub */
    {"spublish", NULL, 3, ON, 1, 1, 1, "pubsub", "7.0.0", NULL},
    {"ssubscribe", refuse_sharded, -2, NEVER, 1, -1, 1, "pubsub", "7.0.0", NULL},
    {"sunsubscribe", refuse_sharded, -1, NEVER, 1, -1, 1, "pubsub", "7.0.0", NULL},
    /* server */
    {"acl", acl, -2, ON | COMMAND_ADMIN, 0, 0, 0, "server", "6.0.0", NULL},
    {"bgrewriteaof", refuse_operator, 1, NEVER, 0, 0, 0, "server", "1.0.0", NULL},
    {"bgsave", refuse_operator, -1, NEVER, 0, 0, 0, "server", "1.0.0", NULL},
    {"failover", refuse_operator, -1, NEVER, 0, 0, 0, "server", "6.2.0", NULL},
    {"lastsave", NULL, 1, ON, 0, 0, 0, "server", "1.0.0", NULL},
    {"latency", NULL, -2, ON | COMMAND_ADMIN, 0, 0, 0, "server", "2.8.13", NULL},
    {"lolwut", NULL, -1, ON_READ, 0, 0, 0, "server", "5.0.0", NULL},
    {"module", refuse_operator, -2, NEVER, 0, 0, 0, "server", "4.0.0", NULL},
    {"monitor", refuse_operator, 1, NEVER, 0, 0, 0, "server", "1.0.0", NULL},
    {"psync", refuse_operator, -3, NEVER, 0, 0, 0, "server", "2.8.0", NULL},
    {"replconf", refuse_operator, -1, NEVER, 0, 0, 0, "server", "3.0.0", NULL},
    {"replicaof", refuse_operator, 3, NEVER, 0, 0, 0, "server", "5.0.0", NULL},
    {"restore-asking", refuse_operator, -4, NEVER | COMMAND_WRITE, 1, 1, 1, "server", "3.0.0", NULL},
    {"save", refuse_operator, 1, NEVER, 0, 0, 0, "server", "1.0.0", NULL},
    {"shutdown", refuse_operator, -1, NEVER, 0, 0, 0, "server", "1.0.0", NULL},
    {"slaveof", refuse_operator, 3, NEVER, 0, 0, 0, "server", "1.0.0", NULL},
    {"slowlog", NULL, -2, ON | COMMAND_ADMIN, 0, 0, 0, "server", "2.2.12", NULL},
    {"swapdb", refuse_database, 3, NEVER | COMMAND_WRITE, 0, 0, 0, "server", "4.0.0", NULL},
    {"sync", refuse_operator, 1, NEVER, 0, 0, 0, "server", "1.0.0", NULL},
    {NULL, NULL, 0, 0, 0, 0, 0, NULL, NULL, NULL},
};
