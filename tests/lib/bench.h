/*
 * bench.h - prefork-bench as its user meets it: the built program, run against small
 * servers that live in threads of the test.
 *
 *     struct pf_peer peer = {.serve = pf_peer_serve_always};
 *     pf_peer_start(&peer);
 *     pf_bench_run(&bench, "-c 2 -n 200", &peer);
 *     pf_peer_stop(&peer);
 *     pf_bench_exits(&bench, 0);
 *     assert_int_equal(pf_bench_number(&bench, "totals", "ok"), 200);
 */
#ifndef PREFORK_TESTS_LIB_BENCH_H
#define PREFORK_TESTS_LIB_BENCH_H

#include "tests/lib/test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>

/* ---- a server that does as it is told -------------------------------------------- */

#define PF_PEER_CONNECTIONS_MAX 256
#define PF_PEER_BYTES_MAX       65536
#define PF_PEER_HELLO           "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

struct pf_peer;

/* Serve one connection, the index-th, in a thread of its own; returning closes it. */
typedef void pf_peer_serve_fn(struct pf_peer *peer, int fd, unsigned index);

struct pf_peer {
    pf_peer_serve_fn *serve;
    const char *answer; /* for those that answer always the same */
    int listener;
    uint16_t port; /* 0: a unix socket's */
    char url[160];
    pthread_t thread;
    atomic_uint connections, requests;
    int gate[2]; /* a pipe: lets one connection wait for another, or for the test */
    char request[PF_PEER_BYTES_MAX]; /* the first one; to be read when it has stopped */
};

/* On 127.0.0.1, or on a listening socket. */
void pf_peer_start(struct pf_peer *peer);
void pf_peer_start_on(struct pf_peer *peer, int listener);
void pf_peer_stop(struct pf_peer *peer);

/* A listening socket, or -1. */
int pf_peer_listen(int family, const struct sockaddr *address, socklen_t len);

/* Let so many pass the gate; wait there. */
void pf_peer_open_gate(struct pf_peer *peer, size_t count);
void pf_peer_pass_gate(struct pf_peer *peer);

/* Read one request without a body, and nothing of the next. False at the end. */
bool pf_peer_read_request(struct pf_peer *peer, int fd);
void pf_peer_say(int fd, const char *text);
void pf_peer_wait_for_end(int fd);

/* Answers each request with `answer`, or HELLO. */
void pf_peer_serve_always(struct pf_peer *peer, int fd, unsigned index);

/* Wait until the counter has come so far, or a deadline that no working program meets. */
void pf_peer_wait_until(atomic_uint *counter, unsigned least);

/* ---- the program ----------------------------------------------------------------- */

struct pf_bench { /* large */
    int status;
    char out[PF_PEER_BYTES_MAX], err[PF_PEER_BYTES_MAX];
    char json[8 * PF_PEER_BYTES_MAX]; /* of pf_bench_run() */
    pid_t pid;
    int out_fd, err_fd;
};

/* `line` is split at blanks; a word in it that stands between apostrophes may hold blanks.
 */
void pf_bench_start(struct pf_bench *bench, const char *line);

/* The same anew, of a peer whose process nobody looks at: options and its URL. */
void pf_bench_start_at(struct pf_bench *bench, const char *options,
                       const struct pf_peer *peer);

/* Collect its output until it ends; after the deadline it is killed and the test fails. */
void pf_bench_wait(struct pf_bench *bench);

/* Run it to its end with these options, and the peer's URL if there is one. Its own timeout
 * is set where no test waits for it: a slow machine is no error. It does not look for the
 * server's process, and its JSON is kept. */
void pf_bench_run(struct pf_bench *bench, const char *options, const struct pf_peer *peer);

/* A number of the JSON, in an object of that name; fails without it. NAN:
 * null. */
double pf_bench_number(const struct pf_bench *bench, const char *object, const char *name);

/* Is it a reason of a verdict, or does it hold one, that says the generator was kept from
 * running: it was late, stood still, or was busy all the time? */
bool pf_bench_blames_machine(const char *text);

/* It ended well (0), or says that the machine was too slow to measure anything on: 3, and
 * for that reason. */
void pf_bench_measured(const struct pf_bench *bench);
void pf_bench_exits(const struct pf_bench *bench, int status);
/* Stop a process, and wait until the kernel says that it is. */
void pf_bench_stop_process(pid_t pid);
void pf_bench_says(const char *text, const char *what);
void pf_bench_silent_about(const char *text, const char *what);

int64_t pf_bench_now_ms(void);

#endif
