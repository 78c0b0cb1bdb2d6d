/* Handlers of the key commands whose rows stand in cmd_key.c. */
#ifndef SIDECAR_KEY_HANDLERS_H
#define SIDECAR_KEY_HANDLERS_H

struct call;

/* cmd_expire.c */
void cmd_expire(struct call *call); /* and PEXPIRE, EXPIREAT, PEXPIREAT */
void cmd_persist(struct call *call);
void cmd_ttl(struct call *call);
void cmd_pttl(struct call *call);
void cmd_expiretime(struct call *call);
void cmd_pexpiretime(struct call *call);

/* cmd_rename.c */
void cmd_rename(struct call *call);
void cmd_renamenx(struct call *call);
void cmd_copy(struct call *call);

#endif
