/*
 * server.h - a real prefork-server for a test: started, talked to, stopped, its words kept.
 *
 * Each server gets a port that the kernel picks and a directory of its own for its control
 * socket. Everything that waits has a deadline (PF_TEST_DEADLINE_S) and fails the test.
 */
#ifndef PREFORK_TESTS_LIB_SERVER_H
#define PREFORK_TESTS_LIB_SERVER_H

#include "tests/lib/test.h"

#include <stdbool.h>
#include <sys/types.h>

struct pf_test_server {
    pid_t pid;
    int output; /* its standard output and error, in one pipe */
    int port;
    pid_t workers[64]; /* as the banner tells them; see pf_test_server_workers() */
    int cpus[64];      /* -1: not pinned */
    unsigned worker_count;
    bool drain_limit; /* it was started with --drain-timeout */
    char control[128];
    char directory[64];
    char text[1 << 20]; /* what it has said so far */
    size_t text_len;
};

/* Start the built prefork-server with these arguments (NULL-terminated) and --bind
 * 127.0.0.1:0 in front; returns when its banner is complete. */
void pf_test_server_start(struct pf_test_server *server, const char *const args[]);

/* Start another program of the build, such as "tests/apps/faulty", with these arguments and
 * no others; returns when its banner is complete. */
void pf_test_program_start(struct pf_test_server *server, const char *program,
                           const char *const args[]);

/* The same without waiting for the banner, and, if `under` is not NULL, under a program
 * with arguments of its own (NULL-terminated), which WRAP gives way to. */
void pf_test_program_spawn(struct pf_test_server *server, const char *const under[],
                           const char *program, const char *const args[]);

/* Wait for the banner of a program that was spawned. */
void pf_test_server_read_banner(struct pf_test_server *server);

/* Run it to its end, with no address of ours; returns its exit status. Its words are in
 * server->text. For command lines that are wrong. */
int pf_test_server_run(struct pf_test_server *server, const char *const args[]);

/* Read what it says until `text` is in it, from byte `from` of server->text on. */
void pf_test_server_expect(struct pf_test_server *server, size_t from, const char *text);

/* Read what it has said by now, without waiting: one that is never read from would block.
 */
void pf_test_server_listen(struct pf_test_server *server);

/* Wait for its end; returns the exit status, or 128 + signal. Then no worker may remain. It
 * fails the test if the server came to its drain limit without having been given one: with
 * nothing that holds it up it stops long before. */
int pf_test_server_wait(struct pf_test_server *server);

/* Send the signal, then wait as above. */
int pf_test_server_stop(struct pf_test_server *server, int signal_number);

/* Kill the master, and return when it has ended; it is not reaped yet: wait as above. */
void pf_test_server_kill(struct pf_test_server *server);

/* The pids of the server's children as /proc tells them now; returns how many. */
unsigned pf_test_children(pid_t parent, pid_t *pids, unsigned max);

/* A connected socket; blocking, with a receive timeout of the deadline. */
int pf_test_connect(int port);

/* Send all of it. Returns 0, or -1 with errno (EPIPE, ECONNRESET). */
int pf_test_send(int fd, const void *data, size_t len);
int pf_test_send_text(int fd, const char *text);

/* Read until the peer closes, at most len - 1 bytes, and add a NUL. Returns the count, or
 * -1 with errno. */
ssize_t pf_test_read_all(int fd, char *text, size_t len);

/* Read one HTTP response with a Content-Length; the same results. 0: closed before a byte.
 */
ssize_t pf_test_read_response(int fd, char *text, size_t len);

#endif
