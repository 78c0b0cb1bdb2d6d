/* One connection to Redis on the loop: looked up, dialled, secured and greeted; then bytes go out and replies come in.
 *
 *   remote_open ──► looking up ──► dialling ──► securing ──► greeting ──► ready
 *                   (a name)      (address after address)   (HELLO, SELECT)
 *
 * Up to `ready` it has the connect timeout. What ends it is told by `gone`, once; then it is closed.
 *
 * hiredis reads, writes and parses through a plain non-blocking context, for the reasons that backends/redis/connection.h
 * gives. Everything here belongs to the loop thread. */
#ifndef SIDECAR_REMOTE_H
#define SIDECAR_REMOTE_H

#include "address.h"
#include "tls.h"

#include <hiredis/hiredis.h>
#include <uv.h>

/* Where, as whom, and how long. */
struct remote_settings {
    struct hf__redis_address address; /* with user and password as overridden */
    SSL_CTX *tls;                     /* for rediss:// */
    int connect_timeout_ms, reply_timeout_ms;
};

/* From the options of the store, which must name an address. 0, HF_ECONFIG or HF_ENOMEM. */
int remote_settings_init(const struct hf_options *options, struct remote_settings *ret_settings);
void remote_settings_release(struct remote_settings *settings); /* accepts zeroed ones */

struct remote;
struct remote_events {
    void (*ready)(void *ctx); /* it may be sent to */
    void (*reply)(void *ctx,
                  void *reply); /* one answer or push, borrowed; what it is, the reader's functions decide */
    void (*gone)(void *ctx, const char *why); /* it could not be opened, or it broke */
};

/* Begin to open one. `settings` and `events` must stay. Returns NULL without memory; else `ready` or `gone` follows, not from within
 * this call. */
struct remote *remote_open(uv_loop_t *loop, const struct remote_settings *settings, int proto,
                           const struct remote_events *events, void *ctx);
/* Nothing is told any more. It is gone when the loop has come to it. Accepts NULL. */
void remote_close(struct remote *remote);

/* From `ready` on: have replies made by these functions, with `privdata` in their tasks; until then, and without this, they are
 * redisReply. */
void remote_read_with(struct remote *remote, redisReplyObjectFunctions *functions, void *privdata);

/* Queue bytes, which are copied; they leave before the loop waits. HF_ENOMEM. */
int remote_send(struct remote *remote, const void *bytes, size_t len);

/* From now on: `gone` when for so long no byte came or went; 0: it may take as long as it likes. */
void remote_expect(struct remote *remote, int timeout_ms);

#endif
