/* Times to live as commands give them, by Redis's rules, and the options around them. */
#ifndef SIDECAR_EXPIRY_H
#define SIDECAR_EXPIRY_H

#include "space.h"

/* ---- of SET, GETEX, SETEX and PSETEX ---- */

enum expiry_unit { EXPIRY_NONE, EXPIRY_EX, EXPIRY_PX, EXPIRY_EXAT, EXPIRY_PXAT };

struct expiry_options {
    bool nx, xx, get, keep_ttl, persist;
    enum expiry_unit unit;
    struct hf_slice number; /* of the unit */
};

/* The options of SET (`is_set`) or GETEX from argument `from` on. False: a syntax error is in `reply`. */
bool expiry_parse_options(const struct call *call, size_t from, bool is_set, struct reply *reply,
                          struct expiry_options *ret_options);

/* The deadline that a unit and its number mean, on the store's timeline; 0 for EXPIRY_NONE. False: an error is in `reply`. */
bool expiry_deadline(const struct call *call, const struct expiry_options *options, struct reply *reply,
                     int64_t *ret_deadline_ms);

/* ---- of EXPIRE and its like ---- */

/* "100", in this unit, from now or from 1970 on; may lie in the past. False: an error is in `reply`. */
bool expiry_when(const struct call *call, struct hf_slice number, enum expiry_unit unit, struct reply *reply,
                 int64_t *ret_when_ms);

/* `reply` gets "ERR invalid expire time in 'set' command". */
void expiry_invalid(const struct call *call, struct reply *reply);

#endif
