/* The handler of the commands whose rows stand in cmd_scan.c, and which delete what those show. */
#ifndef SIDECAR_SCAN_HANDLERS_H
#define SIDECAR_SCAN_HANDLERS_H

struct call;

/* cmd_flush.c */
void cmd_flushdb(struct call *call); /* and FLUSHALL */

#endif
