/*
 * swarm.h - many clients at once for a test, and an account of how each connection ended.
 *
 *     struct pf_swarm_options options = {.port = server.port, .connections = 32,
 *                                        .request = "pid\n", .greeting = true};
 *     pf_swarm *swarm = pf_swarm_new(&options);
 *     while (...) {
 *         pf_swarm_run(swarm, 100);
 *         kill(...);
 *     }
 *     assert_int_equal(pf_swarm_finish(swarm), 0);
 *     assert_int_equal(pf_swarm_counts(swarm)->refused, 0);
 *     pf_swarm_free(swarm);
 *
 * A closed loop: each client connects, asks, reads the answer, closes, and begins again, as
 * long as pf_swarm_run() runs. One thread, a poller of its own, not the loop under test.
 *
 * QUEUED OR ACCEPTED. The server must never lose a connection that it has not accepted,
 * and nothing tells a client whether it was. So the server's program says it, twice: it
 * counts each connection under the client's port in a file shared with the test, before
 * anything else (pf_swarm_records()), and then sends the byte A, the greeting. A connection
 * lost without either was in the queue; or its process was killed in the few instructions
 * between accept4(2) and the count. Where that must be told apart too, stop the process
 * before it is killed, and let pf_swarm_mark() ask the kernel which connections it holds.
 */
#ifndef PREFORK_TESTS_LIB_SWARM_H
#define PREFORK_TESTS_LIB_SWARM_H

#include "tests/lib/test.h"

#include <stdbool.h>
#include <sys/types.h>

typedef struct pf_swarm pf_swarm;

/* Called with each whole answer: a line without its end, or head and body of HTTP. */
typedef void pf_swarm_answer_fn(const char *text, void *arg);

struct pf_swarm_options {
    int port;             /* on 127.0.0.1 */
    unsigned connections; /* at a time */
    unsigned long total;  /* connections in all; 0: no limit */
    const char *request;  /* borrowed */
    bool greeting;        /* A comes first; the answer is a line. Otherwise it is HTTP */
    unsigned requests;    /* on each connection, HTTP only; 0: one */
    pf_swarm_answer_fn *on_answer;
    void *arg;
};

/* Every connection that was attempted ends in one of these, or is still open. */
struct pf_swarm_counts {
    unsigned long attempted;
    unsigned long refused;       /* ECONNREFUSED: nobody listened */
    unsigned long not_connected; /* any other error of connect(2), no free port included */
    unsigned long lost_queued;   /* reset or closed without a sign that it was accepted */
    unsigned long
        lost_accepted;         /* the same, but recorded or marked: died with its worker */
    unsigned long lost_asking; /* greeted, or HTTP: reset or closed before an answer */
    unsigned long served;      /* all its requests answered */
    unsigned long answers;
    unsigned long errors;      /* of these, HTTP with a status of 400 or more */
    long long longest_wait_us; /* from connect(2) to the first byte, the open ones too */
};

/*
 * Where the server's program counts what it accepts: one uint32_t for each client port, in
 * a file that PF_TEST_RECORDS names to the programs started from now on. Free with
 * pf_swarm_records_end(). Needed by every swarm with a greeting.
 */
void pf_swarm_records(void);
void pf_swarm_records_end(void);

/* options is copied. Fails the test if there is no memory. */
pf_swarm *pf_swarm_new(const struct pf_swarm_options *options);

/* Go on for so many milliseconds, or until `total` connections have ended. Returns how many
 * are open now. */
unsigned pf_swarm_run(pf_swarm *swarm, int ms);

/* Begin no connection any more, and wait until all open ones have ended, at most
 * PF_TEST_DEADLINE_S. Returns how many are still open: those nobody serves. */
unsigned pf_swarm_finish(pf_swarm *swarm);

/*
 * The process `pid` is stopped: of the connections that are open now, note those that it
 * has accepted, by asking for its descriptors' peers (pidfd_getfd(2)). Returns false if
 * that is not permitted here.
 */
bool pf_swarm_mark(pf_swarm *swarm, pid_t pid);

const struct pf_swarm_counts *pf_swarm_counts(const pf_swarm *swarm);

/* Print the account in one line, behind `what`. */
void pf_swarm_print(const pf_swarm *swarm, const char *what);

/* Closes what is open. */
void pf_swarm_free(pf_swarm *swarm);

#endif
