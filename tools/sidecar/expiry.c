#include "expiry.h"

#include "command.h"
#include "number.h"
#include "replies.h"
#include "words.h"

void expiry_invalid(const struct call *call, struct reply *reply)
{
    reply_error(reply, "ERR invalid expire time in '%s' command", call->command->name);
}

/* ---- options ---- */

/* One that stands alone. False: it is none, or does not go with the others. */
static bool take_flag(struct expiry_options *o, struct hf_slice word, bool is_set)
{
    bool *flag = NULL;

    if (is_set && word_is(word, "nx") && !o->xx)
        flag = &o->nx;
    else if (is_set && word_is(word, "xx") && !o->nx)
        flag = &o->xx;
    else if (is_set && word_is(word, "get"))
        flag = &o->get;
    else if (is_set && word_is(word, "keepttl") && o->unit == EXPIRY_NONE)
        flag = &o->keep_ttl;
    else if (!is_set && word_is(word, "persist") && o->unit == EXPIRY_NONE)
        flag = &o->persist;
    if (flag)
        *flag = true;
    return flag != NULL;
}

static enum expiry_unit unit_of(struct hf_slice word)
{
    static const char *const names[] = {
        [EXPIRY_EX] = "ex", [EXPIRY_PX] = "px", [EXPIRY_EXAT] = "exat", [EXPIRY_PXAT] = "pxat"};

    for (int unit = EXPIRY_EX; unit <= EXPIRY_PXAT; unit++) {
        if (word_is(word, names[unit]))
            return (enum expiry_unit)unit;
    }
    return EXPIRY_NONE;
}

/* A unit and the number behind it; the same unit may come again. */
static bool take_unit(struct expiry_options *o, struct hf_slice word, const struct hf_slice *number)
{
    enum expiry_unit unit = unit_of(word);

    if (unit == EXPIRY_NONE || !number || o->keep_ttl || o->persist || (o->unit != EXPIRY_NONE && o->unit != unit))
        return false;
    o->unit = unit;
    o->number = *number;
    return true;
}

bool expiry_parse_options(const struct call *call, size_t from, bool is_set, struct reply *reply,
                          struct expiry_options *ret_options)
{
    struct expiry_options options = {0};

    for (size_t i = from; i < call->argc; i++) {
        if (take_flag(&options, call->argv[i], is_set))
            continue;
        if (!take_unit(&options, call->argv[i], i + 1 < call->argc ? &call->argv[i + 1] : NULL)) {
            reply_syntax_error(reply);
            return false;
        }
        i++;
    }
    *ret_options = options;
    return true;
}

/* ---- times ---- */

static bool in_seconds(enum expiry_unit unit)
{
    return unit == EXPIRY_EX || unit == EXPIRY_EXAT;
}

static bool from_now(enum expiry_unit unit)
{
    return unit == EXPIRY_EX || unit == EXPIRY_PX;
}

/* False: it does not fit, or lies further ahead than the store takes. */
static bool to_deadline(const struct call *call, int64_t number, enum expiry_unit unit, int64_t *ret_when_ms)
{
    int64_t now_ms = space_now_ms(call), when_ms = number;

    if (in_seconds(unit) && __builtin_mul_overflow(when_ms, 1000, &when_ms))
        return false;
    if (from_now(unit) && __builtin_add_overflow(when_ms, now_ms, &when_ms))
        return false;
    *ret_when_ms = when_ms;
    return when_ms <= now_ms + HF_TTL_MAX_MS;
}

bool expiry_deadline(const struct call *call, const struct expiry_options *options, struct reply *reply,
                     int64_t *ret_deadline_ms)
{
    int64_t number, when_ms = 0;

    if (options->unit != EXPIRY_NONE) {
        if (!number_parse(options->number, &number)) {
            reply_not_an_integer(reply);
            return false;
        }
        if (number <= 0 || !to_deadline(call, number, options->unit, &when_ms) || when_ms <= 0) {
            expiry_invalid(call, reply);
            return false;
        }
    }
    *ret_deadline_ms = when_ms;
    return true;
}

bool expiry_when(const struct call *call, struct hf_slice number, enum expiry_unit unit, struct reply *reply,
                 int64_t *ret_when_ms)
{
    int64_t parsed;

    if (!number_parse(number, &parsed)) {
        reply_not_an_integer(reply);
        return false;
    }
    if (!to_deadline(call, parsed, unit, ret_when_ms)) {
        expiry_invalid(call, reply);
        return false;
    }
    return true;
}
