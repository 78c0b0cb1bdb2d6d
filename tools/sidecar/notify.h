/* Telling the service manager (systemd's protocol: one datagram to the socket that NOTIFY_SOCKET names). Without one, nothing
 * happens. */
#ifndef SIDECAR_NOTIFY_H
#define SIDECAR_NOTIFY_H

#include <stdint.h>

/* "READY=1", "STOPPING=1", "WATCHDOG=1", "STATUS=..." */
void notify_manager(const char *state);
/* How often the manager wants a sign of life, halved, so that one may be late; 0: it does not. */
uint64_t notify_watchdog_ms(void);

#endif
