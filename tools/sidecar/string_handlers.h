/* Handlers of the string commands whose rows stand in cmd_string.c. */
#ifndef SIDECAR_STRING_HANDLERS_H
#define SIDECAR_STRING_HANDLERS_H

struct call;

/* cmd_set.c */
void cmd_set(struct call *call);
void cmd_setnx(struct call *call);
void cmd_setex(struct call *call);
void cmd_psetex(struct call *call);
void cmd_getset(struct call *call);
void cmd_mset(struct call *call);
void cmd_msetnx(struct call *call);

/* cmd_range.c */
void cmd_append(struct call *call);
void cmd_strlen(struct call *call);
void cmd_getrange(struct call *call);
void cmd_setrange(struct call *call);

/* cmd_counter.c */
void cmd_incr(struct call *call);
void cmd_decr(struct call *call);
void cmd_incrby(struct call *call);
void cmd_decrby(struct call *call);
void cmd_incrbyfloat(struct call *call);

#endif
