/* A private holdfastd for a test, and plain RESP conversations with it, or with a redis-server, byte by byte. */
#ifndef TEST_SIDECAR_PROCESS_H
#define TEST_SIDECAR_PROCESS_H

#include "scratch.h"

#include <sys/types.h>

#define SIDECAR_WAIT_MS 20000 /* for a reply, a start or an end, at the most */

struct sidecar_process {
    char store[96], socket[112], config[112]; /* the socket is in the store's directory */
    int port;                                 /* 0: none */
    const char *redis;                        /* address; NULL: none */
    pid_t pid;                                /* 0: not running */
};

/* Start one on a store below `dir` and wait until it answers. `config` is the text of a configuration file; NULL: none.
 * HOLDFASTD_BIN names the program. Fails the test when it does not come up. */
void sidecar_start(struct sidecar_process *sidecar, const char *dir, const char *redis, const char *config);
/* The same on a TCP port of 127.0.0.1, too. */
void sidecar_start_on(struct sidecar_process *sidecar, int port, const char *dir, const char *redis,
                      const char *config);
/* SIGTERM, and again on the same store. */
void sidecar_restart(struct sidecar_process *sidecar);
/* SIGTERM; fails the test when it does not end with status 0. Accepts one that does not run. */
void sidecar_stop(struct sidecar_process *sidecar);

/* Memory that a process holds. What it has freed counts for less only where this is true. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MEASURES_MEMORY false /* a sanitizer keeps what was freed */
#else
#define MEASURES_MEMORY true
#endif
long resident_kib(pid_t pid);

/* holdfastd with these arguments, in the words of a shell, must end with this status, and its output hold `part`. */
void assert_says(const char *arguments, int status, const char *part);

/* ---- a connection ---- */

struct talk {
    int fd;
    struct hf_bytes in; /* what has arrived */
    size_t at;          /* of the next reply */
    struct hf_bytes text;
};

void talk_open(struct talk *talk, const char *socket);
void talk_close(struct talk *talk);
/* Send a command; nothing is read. */
void talk_send(struct talk *talk, size_t argc, const struct hf_slice *argv);
/* The bytes of the next reply, borrowed until the next call. Fails the test when it does not come. */
struct hf_slice talk_reply(struct talk *talk);

/* The same with '|' for each end of line: "$1|x|". */
const char *talk_text(struct talk *talk);

/* Send a command of words between spaces, "" for an empty one, and return its reply as talk_text(). */
const char *talk_ask(struct talk *talk, const char *words);
/* Fails the test when the reply is another one. */
void talk_expect(struct talk *talk, const char *words, const char *expected);

/* Whether the sidecar's link is online, or not; for wait_until(), with the struct talk. */
bool talk_is_online(void *talk);
bool talk_is_offline(void *talk);

#endif
