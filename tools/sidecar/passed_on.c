/* What Redis 7.0 does, and the local tier does not: where the keys are, and what is never passed on. */
#include "command.h"
#include "upstream.h"
#include "words.h"

#include <strings.h>

#define ON COMMAND_PASSED_ON
#define ON_READ (COMMAND_PASSED_ON | COMMAND_READ)
#define NEVER COMMAND_NEVER_PASSED
#define BLOCKING COMMAND_BLOCKING
#define MOVABLE COMMAND_MOVABLE_KEYS
#define ANY_KEYS COMMAND_ANY_KEYS
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

static void refuse_flushall(struct call *call)
{
    reply_error(call->reply, "ERR '%s' is never passed on: use FLUSHDB", call->command->name);
}

static void refuse_sharded(struct call *call)
{
    reply_error(call->reply, "ERR '%s' is never passed on: use SUBSCRIBE and UNSUBSCRIBE", call->command->name);
}

/* It is no cluster, and says so as Redis does, whether or not Redis can be asked. */
static void refuse_cluster(struct call *call)
{
    reply_error(call->reply, "ERR This instance has cluster support disabled");
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
    static const char *const looks[] = {"cat", "dryrun", "genpass", "getuser", "help", "list", "users", "whoami", NULL};

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

/* name, handler (NULL: passed on), arity, flags, first, last and step of the keys, group, since */
const struct command passed_on_commands[] = {
    /* generic */
    {"dump", NULL, 2, ON_READ, 1, 1, 1, "generic", "2.6.0"},
    {"migrate", refuse_operator, -6, NEVER | COMMAND_WRITE, 3, 3, 1, "generic", "2.6.0"},
    {"move", refuse_database, 3, NEVER | COMMAND_WRITE, 1, 1, 1, "generic", "1.0.0"},
    {"renamenx", NULL, 3, ON_WRITE, 1, 2, 1, "generic", "1.0.0"},
    {"restore", NULL, -4, ON_WRITE, 1, 1, 1, "generic", "2.6.0"},
    {"sort", NULL, -2, ON_WRITE | MOVABLE, 1, 1, 1, "generic", "1.0.0"},
    {"sort_ro", NULL, -2, ON_READ | MOVABLE, 1, 1, 1, "generic", "7.0.0"},
    {"wait", NULL, 3, ON | BLOCKING, 0, 0, 0, "generic", "3.0.0"},
    /* string */
    {"lcs", NULL, -3, ON_READ, 1, 2, 1, "string", "7.0.0"},
    {"substr", NULL, 4, ON_READ, 1, 1, 1, "string", "1.0.0"},
    /* bitmap */
    {"bitcount", NULL, -2, ON_READ, 1, 1, 1, "bitmap", "2.6.0"},
    {"bitfield", NULL, -2, ON_WRITE, 1, 1, 1, "bitmap", "3.2.0"},
    {"bitfield_ro", NULL, -2, ON_READ, 1, 1, 1, "bitmap", "6.0.0"},
    {"bitop", NULL, -4, ON_WRITE, 2, -1, 1, "bitmap", "2.6.0"},
    {"bitpos", NULL, -3, ON_READ, 1, 1, 1, "bitmap", "2.8.7"},
    {"getbit", NULL, 3, ON_READ, 1, 1, 1, "bitmap", "2.2.0"},
    {"setbit", NULL, 4, ON_WRITE, 1, 1, 1, "bitmap", "2.2.0"},
    /* hash */
    {"hdel", NULL, -3, ON_WRITE, 1, 1, 1, "hash", "2.0.0"},
    {"hexists", NULL, 3, ON_READ, 1, 1, 1, "hash", "2.0.0"},
    {"hget", NULL, 3, ON_READ, 1, 1, 1, "hash", "2.0.0"},
    {"hgetall", NULL, 2, ON_READ, 1, 1, 1, "hash", "2.0.0"},
    {"hincrby", NULL, 4, ON_WRITE, 1, 1, 1, "hash", "2.0.0"},
    {"hincrbyfloat", NULL, 4, ON_WRITE, 1, 1, 1, "hash", "2.6.0"},
    {"hkeys", NULL, 2, ON_READ, 1, 1, 1, "hash", "2.0.0"},
    {"hlen", NULL, 2, ON_READ, 1, 1, 1, "hash", "2.0.0"},
    {"hmget", NULL, -3, ON_READ, 1, 1, 1, "hash", "2.0.0"},
    {"hmset", NULL, -4, ON_WRITE, 1, 1, 1, "hash", "2.0.0"},
    {"hrandfield", NULL, -2, ON_READ, 1, 1, 1, "hash", "6.2.0"},
    {"hscan", NULL, -3, ON_READ, 1, 1, 1, "hash", "2.8.0"},
    {"hset", NULL, -4, ON_WRITE, 1, 1, 1, "hash", "2.0.0"},
    {"hsetnx", NULL, 4, ON_WRITE, 1, 1, 1, "hash", "2.0.0"},
    {"hstrlen", NULL, 3, ON_READ, 1, 1, 1, "hash", "3.2.0"},
    {"hvals", NULL, 2, ON_READ, 1, 1, 1, "hash", "2.0.0"},
    /* list */
    {"blmove", NULL, 6, ON_WRITE | BLOCKING, 1, 2, 1, "list", "6.2.0"},
    {"blmpop", NULL, -5, ON_WRITE | BLOCKING | MOVABLE, 0, 0, 0, "list", "7.0.0"},
    {"blpop", NULL, -3, ON_WRITE | BLOCKING, 1, -2, 1, "list", "2.0.0"},
    {"brpop", NULL, -3, ON_WRITE | BLOCKING, 1, -2, 1, "list", "2.0.0"},
    {"brpoplpush", NULL, 4, ON_WRITE | BLOCKING, 1, 2, 1, "list", "2.2.0"},
    {"lindex", NULL, 3, ON_READ, 1, 1, 1, "list", "1.0.0"},
    {"linsert", NULL, 5, ON_WRITE, 1, 1, 1, "list", "2.2.0"},
    {"llen", NULL, 2, ON_READ, 1, 1, 1, "list", "1.0.0"},
    {"lmove", NULL, 5, ON_WRITE, 1, 2, 1, "list", "6.2.0"},
    {"lmpop", NULL, -4, ON_WRITE | MOVABLE, 0, 0, 0, "list", "7.0.0"},
    {"lpop", NULL, -2, ON_WRITE, 1, 1, 1, "list", "1.0.0"},
    {"lpos", NULL, -3, ON_READ, 1, 1, 1, "list", "6.0.6"},
    {"lpush", NULL, -3, ON_WRITE, 1, 1, 1, "list", "1.0.0"},
    {"lpushx", NULL, -3, ON_WRITE, 1, 1, 1, "list", "2.2.0"},
    {"lrange", NULL, 4, ON_READ, 1, 1, 1, "list", "1.0.0"},
    {"lrem", NULL, 4, ON_WRITE, 1, 1, 1, "list", "1.0.0"},
    {"lset", NULL, 4, ON_WRITE, 1, 1, 1, "list", "1.0.0"},
    {"ltrim", NULL, 4, ON_WRITE, 1, 1, 1, "list", "1.0.0"},
    {"rpop", NULL, -2, ON_WRITE, 1, 1, 1, "list", "1.0.0"},
    {"rpoplpush", NULL, 3, ON_WRITE, 1, 2, 1, "list", "1.2.0"},
    {"rpush", NULL, -3, ON_WRITE, 1, 1, 1, "list", "1.0.0"},
    {"rpushx", NULL, -3, ON_WRITE, 1, 1, 1, "list", "2.2.0"},
    /* set */
    {"sadd", NULL, -3, ON_WRITE, 1, 1, 1, "set", "1.0.0"},
    {"scard", NULL, 2, ON_READ, 1, 1, 1, "set", "1.0.0"},
    {"sdiff", NULL, -2, ON_READ, 1, -1, 1, "set", "1.0.0"},
    {"sdiffstore", NULL, -3, ON_WRITE, 1, -1, 1, "set", "1.0.0"},
    {"sinter", NULL, -2, ON_READ, 1, -1, 1, "set", "1.0.0"},
    {"sintercard", NULL, -3, ON_READ | MOVABLE, 0, 0, 0, "set", "7.0.0"},
    {"sinterstore", NULL, -3, ON_WRITE, 1, -1, 1, "set", "1.0.0"},
    {"sismember", NULL, 3, ON_READ, 1, 1, 1, "set", "1.0.0"},
    {"smembers", NULL, 2, ON_READ, 1, 1, 1, "set", "1.0.0"},
    {"smismember", NULL, -3, ON_READ, 1, 1, 1, "set", "6.2.0"},
    {"smove", NULL, 4, ON_WRITE, 1, 2, 1, "set", "1.0.0"},
    {"spop", NULL, -2, ON_WRITE, 1, 1, 1, "set", "1.0.0"},
    {"srandmember", NULL, -2, ON_READ, 1, 1, 1, "set", "1.0.0"},
    {"srem", NULL, -3, ON_WRITE, 1, 1, 1, "set", "1.0.0"},
    {"sscan", NULL, -3, ON_READ, 1, 1, 1, "set", "2.8.0"},
    {"sunion", NULL, -2, ON_READ, 1, -1, 1, "set", "1.0.0"},
    {"sunionstore", NULL, -3, ON_WRITE, 1, -1, 1, "set", "1.0.0"},
    /* sorted-set */
    {"bzmpop", NULL, -5, ON_WRITE | BLOCKING | MOVABLE, 0, 0, 0, "sorted-set", "7.0.0"},
    {"bzpopmax", NULL, -3, ON_WRITE | BLOCKING, 1, -2, 1, "sorted-set", "5.0.0"},
    {"bzpopmin", NULL, -3, ON_WRITE | BLOCKING, 1, -2, 1, "sorted-set", "5.0.0"},
    {"zadd", NULL, -4, ON_WRITE, 1, 1, 1, "sorted-set", "1.2.0"},
    {"zcard", NULL, 2, ON_READ, 1, 1, 1, "sorted-set", "1.2.0"},
    {"zcount", NULL, 4, ON_READ, 1, 1, 1, "sorted-set", "2.0.0"},
    {"zdiff", NULL, -3, ON_READ | MOVABLE, 0, 0, 0, "sorted-set", "6.2.0"},
    {"zdiffstore", NULL, -4, ON_WRITE | MOVABLE, 1, 1, 1, "sorted-set", "6.2.0"},
    {"zincrby", NULL, 4, ON_WRITE, 1, 1, 1, "sorted-set", "1.2.0"},
    {"zinter", NULL, -3, ON_READ | MOVABLE, 0, 0, 0, "sorted-set", "6.2.0"},
    {"zintercard", NULL, -3, ON_READ | MOVABLE, 0, 0, 0, "sorted-set", "7.0.0"},
    {"zinterstore", NULL, -4, ON_WRITE | MOVABLE, 1, 1, 1, "sorted-set", "2.0.0"},
    {"zlexcount", NULL, 4, ON_READ, 1, 1, 1, "sorted-set", "2.8.9"},
    {"zmpop", NULL, -4, ON_WRITE | MOVABLE, 0, 0, 0, "sorted-set", "7.0.0"},
    {"zmscore", NULL, -3, ON_READ, 1, 1, 1, "sorted-set", "6.2.0"},
    {"zpopmax", NULL, -2, ON_WRITE, 1, 1, 1, "sorted-set", "5.0.0"},
    {"zpopmin", NULL, -2, ON_WRITE, 1, 1, 1, "sorted-set", "5.0.0"},
    {"zrandmember", NULL, -2, ON_READ, 1, 1, 1, "sorted-set", "6.2.0"},
    {"zrange", NULL, -4, ON_READ, 1, 1, 1, "sorted-set", "1.2.0"},
    {"zrangebylex", NULL, -4, ON_READ, 1, 1, 1, "sorted-set", "2.8.9"},
    {"zrangebyscore", NULL, -4, ON_READ, 1, 1, 1, "sorted-set", "1.0.5"},
    {"zrangestore", NULL, -5, ON_WRITE, 1, 2, 1, "sorted-set", "6.2.0"},
    {"zrank", NULL, 3, ON_READ, 1, 1, 1, "sorted-set", "2.0.0"},
    {"zrem", NULL, -3, ON_WRITE, 1, 1, 1, "sorted-set", "1.2.0"},
    {"zremrangebylex", NULL, 4, ON_WRITE, 1, 1, 1, "sorted-set", "2.8.9"},
    {"zremrangebyrank", NULL, 4, ON_WRITE, 1, 1, 1, "sorted-set", "2.0.0"},
    {"zremrangebyscore", NULL, 4, ON_WRITE, 1, 1, 1, "sorted-set", "1.2.0"},
    {"zrevrange", NULL, -4, ON_READ, 1, 1, 1, "sorted-set", "1.2.0"},
    {"zrevrangebylex", NULL, -4, ON_READ, 1, 1, 1, "sorted-set", "2.8.9"},
    {"zrevrangebyscore", NULL, -4, ON_READ, 1, 1, 1, "sorted-set", "2.2.0"},
    {"zrevrank", NULL, 3, ON_READ, 1, 1, 1, "sorted-set", "2.0.0"},
    {"zscan", NULL, -3, ON_READ, 1, 1, 1, "sorted-set", "2.8.0"},
    {"zscore", NULL, 3, ON_READ, 1, 1, 1, "sorted-set", "1.2.0"},
    {"zunion", NULL, -3, ON_READ | MOVABLE, 0, 0, 0, "sorted-set", "6.2.0"},
    {"zunionstore", NULL, -4, ON_WRITE | MOVABLE, 1, 1, 1, "sorted-set", "2.0.0"},
    /* geo */
    {"geoadd", NULL, -5, ON_WRITE, 1, 1, 1, "geo", "3.2.0"},
    {"geodist", NULL, -4, ON_READ, 1, 1, 1, "geo", "3.2.0"},
    {"geohash", NULL, -2, ON_READ, 1, 1, 1, "geo", "3.2.0"},
    {"geopos", NULL, -2, ON_READ, 1, 1, 1, "geo", "3.2.0"},
    {"georadius", NULL, -6, ON_WRITE | MOVABLE, 1, 1, 1, "geo", "3.2.0"},
    {"georadius_ro", NULL, -6, ON_READ, 1, 1, 1, "geo", "3.2.10"},
    {"georadiusbymember", NULL, -5, ON_WRITE | MOVABLE, 1, 1, 1, "geo", "3.2.0"},
    {"georadiusbymember_ro", NULL, -5, ON_READ, 1, 1, 1, "geo", "3.2.10"},
    {"geosearch", NULL, -7, ON_READ, 1, 1, 1, "geo", "6.2.0"},
    {"geosearchstore", NULL, -8, ON_WRITE, 1, 2, 1, "geo", "6.2.0"},
    /* hyperloglog */
    {"pfadd", NULL, -2, ON_WRITE, 1, 1, 1, "hyperloglog", "2.8.9"},
    {"pfcount", NULL, -2, ON_READ, 1, -1, 1, "hyperloglog", "2.8.9"},
    {"pfdebug", refuse_operator, 3, NEVER | COMMAND_WRITE, 2, 2, 1, "hyperloglog", "2.8.9"},
    {"pfmerge", NULL, -2, ON_WRITE, 1, -1, 1, "hyperloglog", "2.8.9"},
    {"pfselftest", refuse_operator, 1, NEVER, 0, 0, 0, "hyperloglog", "2.8.9"},
    /* stream */
    {"xack", NULL, -4, ON_WRITE, 1, 1, 1, "stream", "5.0.0"},
    {"xadd", NULL, -5, ON_WRITE, 1, 1, 1, "stream", "5.0.0"},
    {"xautoclaim", NULL, -6, ON_WRITE, 1, 1, 1, "stream", "6.2.0"},
    {"xclaim", NULL, -6, ON_WRITE, 1, 1, 1, "stream", "5.0.0"},
    {"xdel", NULL, -3, ON_WRITE, 1, 1, 1, "stream", "5.0.0"},
    {"xgroup", NULL, -2, ON | MOVABLE, 0, 0, 0, "stream", "5.0.0"},
    {"xinfo", NULL, -2, ON | MOVABLE, 0, 0, 0, "stream", "5.0.0"},
    {"xlen", NULL, 2, ON_READ, 1, 1, 1, "stream", "5.0.0"},
    {"xpending", NULL, -3, ON_READ, 1, 1, 1, "stream", "5.0.0"},
    {"xrange", NULL, -4, ON_READ, 1, 1, 1, "stream", "5.0.0"},
    {"xread", NULL, -4, ON_READ | BLOCKING | MOVABLE, 0, 0, 0, "stream", "5.0.0"},
    {"xreadgroup", NULL, -7, ON_WRITE | BLOCKING | MOVABLE, 0, 0, 0, "stream", "5.0.0"},
    {"xrevrange", NULL, -4, ON_READ, 1, 1, 1, "stream", "5.0.0"},
    {"xsetid", NULL, -3, ON_WRITE, 1, 1, 1, "stream", "5.0.0"},
    {"xtrim", NULL, -4, ON_WRITE, 1, 1, 1, "stream", "5.0.0"},
    /* scripting */
    {"eval", NULL, -3, ON | ANY_KEYS | MOVABLE, 0, 0, 0, "scripting", "2.6.0"},
    {"eval_ro", NULL, -3, ON_READ | ANY_KEYS | MOVABLE, 0, 0, 0, "scripting", "7.0.0"},
    {"evalsha", NULL, -3, ON | ANY_KEYS | MOVABLE, 0, 0, 0, "scripting", "2.6.0"},
    {"evalsha_ro", NULL, -3, ON_READ | ANY_KEYS | MOVABLE, 0, 0, 0, "scripting", "7.0.0"},
    {"fcall", NULL, -3, ON | ANY_KEYS | MOVABLE, 0, 0, 0, "scripting", "7.0.0"},
    {"fcall_ro", NULL, -3, ON_READ | ANY_KEYS | MOVABLE, 0, 0, 0, "scripting", "7.0.0"},
    {"function", NULL, -2, ON, 0, 0, 0, "scripting", "7.0.0"},
    {"script", script, -2, ON, 0, 0, 0, "scripting", "2.6.0"},
    /* pubsub */
    {"spublish", NULL, 3, ON, 1, 1, 1, "pubsub", "7.0.0"},
    {"ssubscribe", refuse_sharded, -2, NEVER, 1, -1, 1, "pubsub", "7.0.0"},
    {"sunsubscribe", refuse_sharded, -1, NEVER, 1, -1, 1, "pubsub", "7.0.0"},
    /* server */
    {"acl", acl, -2, ON | COMMAND_ADMIN, 0, 0, 0, "server", "6.0.0"},
    {"bgrewriteaof", refuse_operator, 1, NEVER, 0, 0, 0, "server", "1.0.0"},
    {"bgsave", refuse_operator, -1, NEVER, 0, 0, 0, "server", "1.0.0"},
    {"debug", refuse_operator, -2, NEVER, 0, 0, 0, "server", "1.0.0"},
    {"failover", refuse_operator, -1, NEVER, 0, 0, 0, "server", "6.2.0"},
    {"flushall", refuse_flushall, -1, NEVER | COMMAND_WRITE, 0, 0, 0, "server", "1.0.0"},
    {"lastsave", NULL, 1, ON, 0, 0, 0, "server", "1.0.0"},
    {"latency", NULL, -2, ON | COMMAND_ADMIN, 0, 0, 0, "server", "2.8.13"},
    {"module", refuse_operator, -2, NEVER, 0, 0, 0, "server", "4.0.0"},
    {"monitor", refuse_operator, 1, NEVER, 0, 0, 0, "server", "1.0.0"},
    {"psync", refuse_operator, -3, NEVER, 0, 0, 0, "server", "2.8.0"},
    {"replconf", refuse_operator, -1, NEVER, 0, 0, 0, "server", "3.0.0"},
    {"replicaof", refuse_operator, 3, NEVER, 0, 0, 0, "server", "5.0.0"},
    {"restore-asking", refuse_operator, -4, NEVER | COMMAND_WRITE, 1, 1, 1, "server", "3.0.0"},
    {"role", NULL, 1, ON, 0, 0, 0, "server", "2.8.12"},
    {"save", refuse_operator, 1, NEVER, 0, 0, 0, "server", "1.0.0"},
    {"shutdown", refuse_operator, -1, NEVER, 0, 0, 0, "server", "1.0.0"},
    {"slaveof", refuse_operator, 3, NEVER, 0, 0, 0, "server", "1.0.0"},
    {"slowlog", NULL, -2, ON | COMMAND_ADMIN, 0, 0, 0, "server", "2.2.12"},
    {"swapdb", refuse_database, 3, NEVER | COMMAND_WRITE, 0, 0, 0, "server", "4.0.0"},
    {"sync", refuse_operator, 1, NEVER, 0, 0, 0, "server", "1.0.0"},
    /* cluster */
    {"asking", refuse_cluster, 1, NEVER, 0, 0, 0, "cluster", "3.0.0"},
    {"cluster", refuse_cluster, -2, NEVER, 0, 0, 0, "cluster", "3.0.0"},
    {"readonly", refuse_cluster, 1, NEVER, 0, 0, 0, "cluster", "3.0.0"},
    {"readwrite", refuse_cluster, 1, NEVER, 0, 0, 0, "cluster", "3.0.0"},
    {NULL, NULL, 0, 0, 0, 0, 0, NULL, NULL},
};
