/* The Lua scripts, as text, and their digests. */
#include "scripts.h"

#include "shared_tier.h"

#include <assert.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

/* Out of memory, Redis lets a script write once its first write was one that frees.
 * KEYS: session. ARGV: token. */
static const char token_script[] = "redis.call('DEL', KEYS[1])\n"
                                   "return redis.call('SET', KEYS[1], ARGV[1])\n";

/* Append entries to a change log for fields (a letter with a distance, and a key, by turns) that stand in a list from one
 * index to another, a thousand names in each, for unpack() has a limit. A refused entry fails nothing: what it names has
 * been written. Gives the last entry's id, '' (nothing to name) or 'missing': there is no
 * such log, or something else under its name. */
static const char log_function[] =
    "local function log(key, max, node, last, fields, first, final)\n"
    "  local id = ''\n"
    "  for from = first, final, 2000 do\n"
    "    local to = math.min(from + 1999, final)\n"
    "    local got = redis.pcall('XADD', key, 'NOMKSTREAM', 'MAXLEN', '~', max, '*', 'n', node,\n"
    "                            'l', last, unpack(fields, from, to))\n"
    "    if type(got) ~= 'string' then return 'missing' end\n"
    "    id = got\n"
    "  end\n"
    "  return id\n"
    "end\n";

/* KEYS: session, one per item, one per log. No key stands for two items.
 * ARGV: token, node, number of items, number of logs, the longest value that any guard is of; per item: letter, its name
 * in the log, value, and but for 'n' (set where nothing is, without a deadline) deadline ('0': none) and what the key must
 * hold ('' for anything, '*' for any string or nothing, else digests, with '-' for nothing); per log: max, last LSN, its
 * first item (from 1), how many, the id behind which others may not have written ('': it is not looked at).
 * Answers {'F'} (not our token), {'L'} (others have, or there is too much to look at) or {'A', per log: id | '' |
 * 'missing', per item that was not applied: its index (from 0), why}, why being '' (it holds something else) or the
 * server's refusal.
 *
 * One call with many keys costs a third of as many calls: what is to be set where nothing is, or over what is known, goes
 * so first. What does not succeed in that way, for whatever reason, goes one by one, and has its own answer.
 *
 * A value is hashed only if it is no longer than what is known, and no more of them than keeps Redis waiting for some
 * hundredths of a second; what is left is looked at in another way. */
static const char guarded_script[] =
    "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {'F'} end\n"
    "local pcall, sha1hex, find, sub, min = redis.pcall, redis.sha1hex, string.find, string.sub, math.min\n"
    "local KEYS, ARGV = KEYS, ARGV\n"
    "local n, n_logs, longest, ops = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]\n"
    "local S, N = string.byte('sn', 1, 2)\n"
    "local byte, budget, place, done, why = string.byte, 8388608, {}, {}, {}\n"
    "local function fits(s, guards)\n"
    "  if s == false then return find(guards, '-', 1, true) end\n"
    "  if type(s) ~= 'string' then return false end\n"
    "  if #s > 4096 then\n"
    "    budget = budget - #s\n"
    "    if budget < 0 then return false end\n"
    "  end\n"
    "  return #s <= longest and find(guards, sha1hex(s), 1, true)\n"
    "end\n"
    "local fresh, known, at = {}, {}, 7\n"
    "for i = 1, n do\n"
    "  local op = byte(ops, i)\n"
    "  place[i] = at\n"
    "  if op == N then\n"
    "    fresh[#fresh + 1] = i\n"
    "    at = at + 2\n"
    "  else\n"
    "    if op == S and ARGV[at + 2] == '0' and #ARGV[at + 3] > 1 then known[#known + 1] = i end\n"
    "    at = at + 4\n"
    "  end\n"
    "end\n"
    "for i = 1, n_logs do\n"
    "  local after = ARGV[at + 5 * i - 1]\n"
    "  local entries = after ~= '' and pcall('XRANGE', KEYS[1 + n + i], '(' .. after, '+', 'COUNT', 100) or {}\n"
    "  for j = 1, #entries do\n"
    "    if j == 100 or entries[j][2][2] ~= ARGV[2] then return {'L'} end\n"
    "  end\n"
    "end\n"
    "local function store(command, items)\n"
    "  for first = 1, #items, 1000 do\n"
    "    local last, pairs, k = min(first + 999, #items), {}, 1\n"
    "    for j = first, last do\n"
    "      local i = items[j]\n"
    "      pairs[k], pairs[k + 1] = KEYS[1 + i], ARGV[place[i] + 1]\n"
    "      k = k + 2\n"
    "    end\n"
    "    local got = pcall(command, unpack(pairs))\n"
    "    if got == 1 or (type(got) == 'table' and got.ok) then\n"
    "      for j = first, last do done[items[j]] = true end\n"
    "    end\n"
    "  end\n"
    "end\n"
    "local function compare(items)\n"
    "  local same, keys = {}, {}\n"
    "  for first = 1, #items, 32 do\n"
    "    local last = min(first + 31, #items)\n"
    "    for j = first, last do keys[j - first + 1] = KEYS[1 + items[j]] end\n"
    "    local got = pcall('MGET', unpack(keys, 1, last - first + 1))\n"
    "    for j = first, last do\n"
    "      local i, s = items[j], got[j - first + 1]\n"
    "      if s and fits(s, ARGV[place[i] + 3]) then same[#same + 1] = i\n"
    "      elseif s then done[i] = '' end\n"
    "    end\n"
    "  end\n"
    "  return same\n"
    "end\n"
    "if #fresh > 0 then store('MSETNX', fresh) end\n"
    "if #known > 0 then store('MSET', compare(known)) end\n"
    "local function one(key, op, at)\n"
    "  local value, dead, guards = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]\n"
    "  if op == 'n' then return pcall('SET', key, value, 'NX') or '' end\n"
    "  if op == 's' and guards == '-' then return pcall('SET', key, value, 'PXAT', dead, 'NX') or '' end\n"
    "  if guards == '*' then\n"
    "    local got = pcall('STRLEN', key)\n"
    "    if type(got) == 'table' then return got end\n"
    "  elseif guards ~= '' and not fits(pcall('GET', key), guards) then return '' end\n"
    "  if op == 's' and dead == '0' then return pcall('SET', key, value) end\n"
    "  if op == 's' then return pcall('SET', key, value, 'PXAT', dead) end\n"
    "  if op == 'd' then return pcall('DEL', key) end\n"
    "  if op == 'e' then return pcall('PEXPIREAT', key, dead) end\n"
    "  return pcall('PERSIST', key)\n"
    "end\n"
    "for i = 1, n do\n"
    "  if done[i] ~= true then\n"
    "    local got = done[i] or one(KEYS[1 + i], sub(ops, i, i), place[i])\n"
    "    if got == '' then why[i] = ''\n"
    "    elseif type(got) == 'table' and got.err then why[i] = got.err end\n"
    "  end\n"
    "end\n"
    "local out = {'A'}\n"
    "for i = 1, n_logs do\n"
    "  local first, fields, k = tonumber(ARGV[at + 2]), {}, 1\n"
    "  for j = first, first + tonumber(ARGV[at + 3]) - 1 do\n"
    "    if not why[j] then\n"
    "      fields[k], fields[k + 1] = ARGV[place[j]], KEYS[1 + j]\n"
    "      k = k + 2\n"
    "    end\n"
    "  end\n"
    "  out[1 + i] = log(KEYS[1 + n + i], ARGV[at], ARGV[2], ARGV[at + 1], fields, 1, k - 1)\n"
    "  at = at + 5\n"
    "end\n"
    "for i = 1, n do\n"
    "  if why[i] then\n"
    "    out[#out + 1] = i - 1\n"
    "    out[#out + 1] = why[i]\n"
    "  end\n"
    "end\n"
    "return out\n";

/* KEYS: latch, one per log. ARGV: node, per log the id behind which others may not have written ('': it is not looked at).
 * Answers 1 (taken away) or 0 (others have written, or there is too much to look at). */
static const char allow_script[] =
    "for i = 2, #KEYS do\n"
    "  local entries = ARGV[i] ~= '' and redis.call('XRANGE', KEYS[i], '(' .. ARGV[i], '+', 'COUNT', 100) or {}\n"
    "  for j = 1, #entries do\n"
    "    if j == 100 or entries[j][2][2] ~= ARGV[1] then return 0 end\n"
    "  end\n"
    "end\n"
    "return redis.call('DEL', KEYS[1])\n";

/* KEYS: latch, one per log. ARGV: token, node; per log: max, last LSN, number of fields, the fields. Answers {} (nothing was
 * made) or per log its id or 'missing'. */
static const char name_script[] =
    "local made = redis.call('GET', KEYS[1]) == ARGV[1]\n"
    "redis.call('DEL', KEYS[1])\n"
    "local out, at = {}, 3\n"
    "for i = 2, made and #KEYS or 0 do\n"
    "  local n = tonumber(ARGV[at + 2])\n"
    "  out[i - 1] = log(KEYS[i], ARGV[at], ARGV[2], ARGV[at + 1], ARGV, at + 3, at + 2 + n)\n"
    "  at = at + 3 + n\n"
    "end\n"
    "return out\n";

/* Whole numbers of 64 bits as two parts of the same sign, hi * 10^10 + lo, each exact in a double.
 * parse() takes what Redis itself takes for an integer; add() gives nil when the sum does not fit. */
static const char integer_functions[] =
    "local function fits(h, l)\n"
    "  if h < 0 or l < 0 then\n"
    "    return h > -922337203 or (h == -922337203 and l >= -6854775808)\n"
    "  end\n"
    "  return h < 922337203 or (h == 922337203 and l <= 6854775807)\n"
    "end\n"
    "local function parse(s)\n"
    "  if s ~= '0' and not string.find(s, '^%-?[1-9]%d*$') then return nil end\n"
    "  local minus = string.sub(s, 1, 1) == '-'\n"
    "  local d = minus and string.sub(s, 2) or s\n"
    "  if #d > 19 then return nil end\n"
    "  local h = #d > 10 and tonumber(string.sub(d, 1, -11)) or 0\n"
    "  local l = tonumber(string.sub(d, -10))\n"
    "  if minus then h, l = -h, -l end\n"
    "  if not fits(h, l) then return nil end\n"
    "  return h, l\n"
    "end\n"
    "local function add(ah, al, bh, bl)\n"
    "  local h, l = ah + bh, al + bl\n"
    "  if l >= 10000000000 then h, l = h + 1, l - 10000000000\n"
    "  elseif l <= -10000000000 then h, l = h - 1, l + 10000000000 end\n"
    "  if h > 0 and l < 0 then h, l = h - 1, l + 10000000000\n"
    "  elseif h < 0 and l > 0 then h, l = h + 1, l - 10000000000 end\n"
    "  if not fits(h, l) then return nil end\n"
    "  return h, l\n"
    "end\n"
    "local function text(h, l)\n"
    "  local sign = (h < 0 or l < 0) and '-' or ''\n"
    "  h, l = math.abs(h), math.abs(l)\n"
    "  if h == 0 then return sign .. string.format('%.0f', l) end\n"
    "  return sign .. string.format('%.0f%010.0f', h, l)\n"
    "end\n"
    /* the text of a number that may be stored under a string key, else '?' */
    "local function stored(key)\n"
    "  if redis.call('STRLEN', key) > 20 then return '?' end\n"
    "  return redis.call('GET', key) or '?'\n"
    "end\n";

/* KEYS: session, mark, log (or the mark again), one per operation.
 * ARGV: token, previous mark ('0': absent), last, node, log max ('' for no log), number of operations; per
 * operation: letter, value or delta, deadline ('0': none), name in the log, what the key must hold ('' for anything, else
 * `digest:length,` for each value that will do, with '-' for nothing; only where no operation before it names the key).
 * Answers {'F'} (not our token), {'M', mark} (another mark; '0': none), {'B', index, text} (it cannot be
 * applied), {'C', index} (the key holds something else), {'D', '', ...} (was done before) or {'A', log id, ...}; per
 * operation a number, 'x' (expired) or '-'.
 *
 * The first pass writes nothing: `seen` holds what each key will hold by then: false (nothing), true (some string),
 * or its text. After that nothing can fail but the first write, for reasons that lie in the server; so all or
 * nothing. */
static const char lane_script[] =
    "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {'F'} end\n"
    "local n = tonumber(ARGV[6])\n"
    "local mark = redis.call('GET', KEYS[2]) or '0'\n"
    "if mark == ARGV[3] then\n"
    "  local out = {'D', ''}\n"
    "  for i = 1, n do\n"
    "    local now = '-'\n"
    "    if ARGV[2 + 5 * i] == 'i' and redis.call('TYPE', KEYS[3 + i]).ok == 'string' then\n"
    "      local s = stored(KEYS[3 + i])\n"
    "      if parse(s) then now = s end\n"
    "    end\n"
    "    out[2 + i] = now\n"
    "  end\n"
    "  return out\n"
    "end\n"
    "if mark ~= ARGV[2] then return {'M', mark} end\n"
    "local t = redis.call('TIME')\n"
    "local now = t[1] * 1000 + math.floor(t[2] / 1000)\n"
    "local function refused(key, ...)\n"
    "  return redis.acl_check_cmd and not redis.acl_check_cmd(select(1, ...), key, select(2, ...))\n"
    "end\n"
    "local noperm = 'NOPERM this user may not write all of the keys of this lane'\n"
    "if refused(KEYS[2], 'SET', '1') then return redis.error_reply(noperm) end\n"
    "local function holds(key, there, guards)\n"
    "  if not there then return string.find(guards, '-', 1, true) end\n"
    "  local n = ':' .. redis.call('STRLEN', key) .. ','\n"
    "  if not string.find(guards, n, 1, true) then return false end\n"
    "  return string.find(guards, redis.sha1hex(redis.call('GET', key)) .. n, 1, true)\n"
    "end\n"
    "local out, seen, creates = {'A', ''}, {}, {}\n"
    "for i = 1, n do\n"
    "  local key, at = KEYS[3 + i], 2 + 5 * i\n"
    "  local op, dead = ARGV[at], tonumber(ARGV[at + 2])\n"
    "  local gone = dead ~= 0 and dead <= now\n"
    "  local have = seen[key]\n"
    "  if have == nil then\n"
    "    local kind = redis.call('TYPE', key).ok\n"
    "    if kind ~= 'none' and kind ~= 'string' then\n"
    "      return {'B', tostring(i - 1), 'WRONGTYPE the key holds a ' .. kind}\n"
    "    end\n"
    "    have = kind == 'string'\n"
    "    local guards = ARGV[at + 4]\n"
    "    if guards ~= '' and not holds(key, have, guards) then return {'C', tostring(i - 1)} end\n"
    "  end\n"
    "  out[2 + i] = '-'\n"
    "  local no\n"
    "  if op == 's' then\n"
    "    no = refused(key, 'SET', '')\n"
    "    have = not gone and ARGV[at + 1]\n"
    "  elseif op == 'd' then\n"
    "    no = refused(key, 'DEL')\n"
    "    have = false\n"
    "  elseif op == 'e' then\n"
    "    no = refused(key, 'PEXPIREAT', '1')\n"
    "    if gone then have = false end\n"
    "  elseif op == 'p' then\n"
    "    no = refused(key, 'PERSIST')\n"
    "  elseif gone then\n"
    "    out[2 + i] = 'x'\n"
    "  else\n"
    "    no = refused(key, 'INCRBY', '1') or (dead ~= 0 and refused(key, 'PEXPIREAT', '1'))\n"
    "    if have == true then have = stored(key) end\n"
    "    local h, l = 0, 0\n"
    "    if have then h, l = parse(have) end\n"
    "    if not h then return {'B', tostring(i - 1), 'ERR value is not an integer or out of range'} end\n"
    "    h, l = add(h, l, parse(ARGV[at + 1]))\n"
    "    if not h then return {'B', tostring(i - 1), 'ERR increment or decrement would overflow'} end\n"
    "    creates[i] = not have\n"
    "    have = text(h, l)\n"
    "    out[2 + i] = have\n"
    "  end\n"
    "  if no then return redis.error_reply(noperm) end\n"
    "  seen[key] = have\n"
    "end\n"
    "local fields = {}\n"
    "for i = 1, n do\n"
    "  local key, at = KEYS[3 + i], 2 + 5 * i\n"
    "  local op, dead = ARGV[at], ARGV[at + 2]\n"
    "  if op == 's' then\n"
    "    if dead == '0' then redis.call('SET', key, ARGV[at + 1])\n"
    "    else redis.call('SET', key, ARGV[at + 1], 'PXAT', dead) end\n"
    "  elseif op == 'd' then redis.call('DEL', key)\n"
    "  elseif op == 'e' then redis.call('PEXPIREAT', key, dead)\n"
    "  elseif op == 'p' then redis.call('PERSIST', key)\n"
    "  elseif out[2 + i] ~= 'x' then\n"
    "    redis.call('INCRBY', key, ARGV[at + 1])\n"
    "    if creates[i] and dead ~= '0' then redis.call('PEXPIREAT', key, dead) end\n"
    "  end\n"
    "  if out[2 + i] ~= 'x' then\n"
    "    fields[#fields + 1] = ARGV[at + 3]\n"
    "    fields[#fields + 1] = key\n"
    "  end\n"
    "end\n"
    "redis.call('SET', KEYS[2], ARGV[3])\n"
    "if ARGV[5] ~= '' then out[2] = log(KEYS[3], ARGV[5], ARGV[4], ARGV[3], fields, 1, #fields) end\n"
    "return out\n";

/* KEYS: session, key, log (or the key again); to acquire also the fence counter and the holder's number.
 * ARGV: token, operation ('n' set if absent, 'c' compare and set, 'x' compare and delete, 't' compare and give a life,
 * 'g' get and delete, 'a' acquire), expected value, value, life in ms ('0' none, '-1' the one that is there), node, LSN,
 * log max ('' for no log), name in the log.
 * Answers {'F'} (not our token), an error (another type, no right), or {'Y' done | 'N' not, what the key held | nil,
 * PTTL, fencing number or '', log id}. What an expected value found is not repeated.
 *
 * What a lock is handed last is the key itself: if anything is refused before that, no lock was given, and a number that
 * was drawn for nobody does no harm. */
static const char decide_script[] =
    "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {'F'} end\n"
    "local key, op, expected, value, life = KEYS[2], ARGV[2], ARGV[3], ARGV[4], ARGV[5]\n"
    "local found = redis.pcall('GET', key)\n"
    "if type(found) == 'table' then return found end\n"
    "local clock = redis.call('TIME')\n"
    "local function dies()\n"
    "  return string.format('%.0f', clock[1] * 1000 + math.floor(clock[2] / 1000) + tonumber(life))\n"
    "end\n"
    "local function put(k, v)\n"
    "  if life == '0' then redis.call('SET', k, v)\n"
    "  elseif life == '-1' then redis.call('SET', k, v, 'KEEPTTL')\n"
    "  else redis.call('SET', k, v, 'PXAT', dies()) end\n"
    "end\n"
    "local function draw()\n"
    "  local last = tonumber(redis.call('GET', KEYS[4]) or '0')\n"
    "  local number = clock[1] * 1000000 + clock[2]\n"
    "  if not last or last >= 9007199254740991 then\n"
    "    return nil\n"
    "  end\n"
    "  if number <= last then number = last + 1 end\n"
    "  number = string.format('%.0f', number)\n"
    "  redis.call('SET', KEYS[4], number)\n"
    "  return number\n"
    "end\n"
    "local holds = found == expected\n"
    "if op == 'n' then holds = not found\n"
    "elseif op == 'g' then holds = found\n"
    "elseif op == 'a' then holds = not found or found == value end\n"
    "local fence, id = '', ''\n"
    "if holds then\n"
    "  if op == 'a' then\n"
    "    local number, owner = string.match(redis.call('GET', KEYS[5]) or '', '^(%d+) (.*)$')\n"
    "    fence = found and owner == value and number or draw()\n"
    "    if not fence then return redis.error_reply('ERR the fence counter holds no number') end\n"
    "    put(KEYS[5], fence .. ' ' .. value)\n"
    "  end\n"
    "  if op == 'x' or op == 'g' then redis.call('DEL', key)\n"
    "  elseif op ~= 't' then put(key, value)\n"
    "  elseif life == '0' then redis.call('PERSIST', key)\n"
    "  else redis.call('PEXPIREAT', key, dies()) end\n"
    "  if ARGV[8] ~= '' then id = log(KEYS[3], ARGV[8], ARGV[6], ARGV[7], {ARGV[9], key}, 1, 2) end\n"
    "  if op ~= 'g' then found = found and '' end\n"
    "end\n"
    "return {holds and 'Y' or 'N', found, redis.call('PTTL', key), fence, id}\n";

/* KEYS: key. Answers {value or nil, PTTL}, or the error of GET. Writes nothing. */
static const char fetch_script[] = "local value = redis.pcall('GET', KEYS[1])\n"
                                   "if type(value) == 'table' and value.err then return value end\n"
                                   "return {value, redis.call('PTTL', KEYS[1])}\n";

/* What is under each key: '' (nothing), 'v' and the value (a short one is sooner sent than hashed), 'd' with digest and
 * length, 'l' with the length of one that is not hashed unless asked for, or 't' with another type; 'o' before that
 * when the budget was used up. Where something is wanted of a string: {that, deadline or '', value or false}.
 * KEYS: keys. ARGV: a digit per key, what is wanted (1 digest, 2 value, 4 deadline), '' for nothing of any; the
 * budget. Writes nothing. One answer tells most: GETRANGE refuses other types and hands out short values whole. The
 * deadline is PEXPIRETIME's where there is that (Redis 7) and the user may. */
static const char examine_script[] =
    "local call, pcall, sha = redis.call, redis.pcall, redis.sha1hex\n"
    "local wants, left, served = ARGV[1], tonumber(ARGV[2]), false\n"
    "local absolute\n"
    "local function deadline(key)\n"
    "  if absolute == nil then\n"
    "    absolute = redis.acl_check_cmd and redis.acl_check_cmd('PEXPIRETIME', key) or false\n"
    "  end\n"
    "  if absolute then return call('PEXPIRETIME', key) end\n"
    "  local ttl = call('PTTL', key)\n"
    "  if ttl < 0 then return ttl end\n"
    "  local t = call('TIME')\n"
    "  return t[1] * 1000 + math.floor(t[2] / 1000) + ttl\n"
    "end\n"
    "local function more(key, head, s, n, want)\n"
    "  local at, value = '', false\n"
    "  if want >= 4 then at, want = deadline(key), want - 4 end\n"
    "  if want >= 2 or (want == 1 and n > 4096) then\n"
    "    if served and n > left then return {'o' .. head, at, false} end\n"
    "    served, left = true, left - n\n"
    "    if n > 4096 then s = call('GET', key) end\n"
    "    if want >= 2 then value = s else head = 'd' .. sha(s) .. n end\n"
    "  end\n"
    "  return {head, at, value}\n"
    "end\n"
    "local out = {}\n"
    "for i = 1, #KEYS do\n"
    "  local key = KEYS[i]\n"
    "  local s = pcall('GETRANGE', key, 0, 4096)\n"
    "  local head, n\n"
    "  if type(s) == 'table' then\n"
    "    if not string.find(s.err, '^WRONGTYPE') then return s end\n"
    "    head = 't' .. call('TYPE', key).ok\n"
    "  else\n"
    "    n = #s\n"
    "    if n > 4096 then\n"
    "      n = call('STRLEN', key)\n"
    "      head = 'l' .. n\n"
    "    elseif n > 128 then head = 'd' .. sha(s) .. n\n"
    "    elseif n > 0 or call('EXISTS', key) == 1 then head = 'v' .. s\n"
    "    else head, n = '', nil end\n"
    "  end\n"
    "  if n and wants ~= '' then\n"
    "    local want = tonumber(string.sub(wants, i, i))\n"
    "    if want > 0 then head = more(key, head, s, n, want) end\n"
    "  end\n"
    "  out[i] = head\n"
    "end\n"
    "return out\n";
static_assert(HF_EXAMINE_SMALL == 4096, "the script says it in figures");

/* So that no epoch is ever there without its log, unless the log was lost.
 * KEYS: epoch, log of the fresh epoch. ARGV: fresh epoch, node, '1' to make a log. Answers the epoch in force. */
static const char epoch_script[] =
    "local epoch = redis.call('GET', KEYS[1])\n"
    "if epoch then return epoch end\n"
    "redis.call('SET', KEYS[1], ARGV[1])\n"
    "if ARGV[3] == '1' then redis.call('XADD', KEYS[2], '*', 'n', ARGV[2], 'l', '0') end\n"
    "return ARGV[1]\n";

/* Each script is its parts, one after the other; C promises no longer literals than these. */
static const char *const parts[HF__N_SCRIPTS][4] = {
    [HF__SCRIPT_TOKEN] = {token_script},
    [HF__SCRIPT_LANE] = {integer_functions, log_function, lane_script},
    [HF__SCRIPT_GUARDED] = {log_function, guarded_script},
    [HF__SCRIPT_ALLOW] = {allow_script},
    [HF__SCRIPT_NAME] = {log_function, name_script},
    [HF__SCRIPT_FETCH] = {fetch_script},
    [HF__SCRIPT_EPOCH] = {epoch_script},
    [HF__SCRIPT_EXAMINE] = {examine_script},
    [HF__SCRIPT_DECIDE] = {log_function, decide_script},
};

static char *join(const char *const from[4])
{
    struct hf_bytes text = {0};
    int rc = 0;

    for (size_t i = 0; i < 4 && from[i] && rc == 0; i++)
        rc = hf__bytes_append(&text, from[i], strlen(from[i]));
    if (rc == 0)
        rc = hf__bytes_append(&text, "", 1);
    if (rc != 0)
        hf__bytes_release(&text);
    return (char *)text.bytes;
}

static void digest(const char *text, char sha[41])
{
    unsigned char bytes[SHA_DIGEST_LENGTH];

    SHA1((const unsigned char *)text, strlen(text), bytes);
    for (int i = 0; i < SHA_DIGEST_LENGTH; i++)
        snprintf(sha + 2 * i, 3, "%02x", bytes[i]);
}

int hf__scripts_init(struct hf__scripts *scripts)
{
    for (int i = 0; i < HF__N_SCRIPTS; i++) {
        scripts->text[i] = join(parts[i]);
        if (!scripts->text[i])
            return HF_ENOMEM; /* the buffer has said so */
        digest(scripts->text[i], scripts->sha[i]);
    }
    return 0;
}

void hf__scripts_release(struct hf__scripts *scripts)
{
    for (int i = 0; i < HF__N_SCRIPTS; i++)
        free(scripts->text[i]);
    *scripts = (struct hf__scripts){0};
}

void hf__script_begin(struct hf__command_writer *w, const struct hf__scripts *scripts, enum hf__script script,
                      bool whole, size_t n_keys, size_t n_args)
{
    hf__command(w, 3 + n_keys + n_args, whole ? "EVAL" : "EVALSHA");
    hf__arg_str(w, whole ? scripts->text[script] : scripts->sha[script]);
    hf__arg_u64(w, n_keys);
}
