/* What shows the sidecar to operators: counters, health and HTTP, put together for main(). */
#ifndef SIDECAR_MONITOR_H
#define SIDECAR_MONITOR_H

#include "bytes.h"

struct monitor;
struct server;
struct settings;

/* Plugs itself into `server`, after server_init(), and listens when the settings name a port. `options`: what the store was opened
 * with; stays until monitor_stop(). `settings` stays until monitor_stop() or monitor_reconfigure(). */
int monitor_start(struct server *server, const struct settings *settings, const struct hf_options *options,
                  const char *dir, struct monitor **ret_monitor);

/* ---- on the loop thread ---- */

/* Once a second. Without it the loop counts as stuck. */
void monitor_second(struct monitor *monitor);
/* The server's listeners are open. */
void monitor_started(struct monitor *monitor);
void monitor_stopping(struct monitor *monitor);
/* Other settings are in force: who may log in. Afterwards the old ones are not used any more. */
void monitor_reconfigure(struct monitor *monitor, const struct settings *settings);

/* After the loop has ended, before the store is closed. Accepts NULL. */
void monitor_stop(struct monitor *monitor);

#endif
