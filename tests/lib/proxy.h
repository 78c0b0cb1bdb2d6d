/* A proxy between two unix sockets that can hold bytes back, as a network may: for histories in which an old
 * connection's request arrives late. */
#ifndef TEST_PROXY_H
#define TEST_PROXY_H

#include <stdbool.h>
#include <stddef.h>

struct proxy;

/* Listen on `path` and pass connections on to the unix socket `server_path`, on a thread of its own.
 * NULL after telling why on stderr. */
struct proxy *proxy_start(const char *path, const char *server_path);
/* Accepts NULL. Bytes still held are lost. */
void proxy_stop(struct proxy *proxy);

/* Keep every request from now on, of the connections that are there now; of those also the server's side stays open
 * when the client closes. Connections that come later are passed on. */
void proxy_hold(struct proxy *proxy);
/* Hold a connection from the first piece on in which `text` occurs, once; NULL: never. Borrowed until then. */
void proxy_hold_at(struct proxy *proxy, const char *text);
/* Keep the server's answers on a connection from the first request on in which `text` occurs, once; the request is
 * passed on. To the client the server has frozen. What was kept counts as unheard. */
void proxy_swallow_at(struct proxy *proxy, const char *text);
/* Pass on what is held, in order. */
void proxy_release(struct proxy *proxy);
/* Close the clients' sides of all connections that are held: to them the connection is dead. */
void proxy_cut_clients(struct proxy *proxy);

/* Wait until at least `n` bytes are held; false after `timeout_ms`. */
bool proxy_wait_held(struct proxy *proxy, size_t n, int timeout_ms);
/* Wait until the server has answered at least `n` bytes to clients that are gone; false after `timeout_ms`. */
bool proxy_wait_unheard(struct proxy *proxy, size_t n, int timeout_ms);

/* While away, connections are closed as soon as they are made; those that stand when it goes are closed. */
void proxy_set_away(struct proxy *proxy, bool away);

/* ---- one fault at an exchange ---- */

/* An exchange is what clients send until the server answers, together with that answer; they are counted from 1 from
 * the call on, over all connections. One fault at a time; n == 0: none, which only counts. */

/* The n-th request is executed by the server, but its answer is swallowed and then the connection closed. */
void proxy_drop_answer_of(struct proxy *proxy, size_t n);
/* The n-th request is held as by proxy_hold and its client's side closed: proxy_release lets it arrive late. */
void proxy_delay_request_of(struct proxy *proxy, size_t n);
/* Exchanges that were begun since. */
size_t proxy_exchanges(struct proxy *proxy);

/* ---- slow, and cut in the midst ---- */

/* Every request reaches the server so much later, also when its client is gone by then; 0: at once again. */
void proxy_set_delay(struct proxy *proxy, int ms);
/* Wait until the server has executed all that is late of clients that are gone; false after `timeout_ms`. */
bool proxy_wait_orphans(struct proxy *proxy, int timeout_ms);

/* Of the requests, or of the answers, only the next `n` bytes are passed on; instead of the one behind them its connection is
 * closed on both sides, once. */
void proxy_cut_requests_after(struct proxy *proxy, size_t n);
void proxy_cut_answers_after(struct proxy *proxy, size_t n);
/* Whether that has happened; if not, it will not happen any more. */
bool proxy_end_cut(struct proxy *proxy);

/* Send these bytes to every client, as if the server had. */
void proxy_inject(struct proxy *proxy, const char *bytes);

#endif
