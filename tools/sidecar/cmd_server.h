/* The files of the commands about the server: their handlers, and lines of text. */
#ifndef SIDECAR_CMD_SERVER_H
#define SIDECAR_CMD_SERVER_H

#include "call.h"

void cmd_client(struct call *call);
void cmd_command(struct call *call);
void cmd_info(struct call *call);

/* Append a formatted text of at most 1 KiB. */
void text_append(struct hf_bytes *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Reply with it as a verbatim string, and release it. */
void text_reply(struct reply *reply, struct hf_bytes *out);

#endif
