/*
 * crash.h - where a worker was when it was asked, spun or crashed: the record that its
 * signal handler sends to its master.
 *
 * One record is one write(2) into a pipe, less than PIPE_BUF and so never mixed with
 * another (pipe(7)); it is always the whole struct, in the machine's byte order. Addresses
 * are raw: the handler of a broken process names nothing. What comes out of the pipe may
 * have been written by anything, so it counts only once pf__crash_valid() has passed it.
 */
#ifndef PREFORK_IPC_CRASH_H
#define PREFORK_IPC_CRASH_H

#include <prefork/base.h>
#include <signal.h>
#include <sys/types.h>

#define PF_CRASH_MAGIC   0x72636670u /* "pfcr" */
#define PF_CRASH_VERSION 1u

/* Frames of one record; what lies farther out is left away. */
#define PF_CRASH_FRAMES_MAX 64

/* The lane of a thread that runs none. */
#define PF_CRASH_LANE_NONE UINT32_MAX

/* A worker's signals: its master asks for a record, a thread's CPU time has come, its
 * master has died. Real-time ones, since glibc gives no others to libraries. */
#define PF_CRASH_SIGNAL_DUMP   (SIGRTMIN + 1)
#define PF_CRASH_SIGNAL_TICK   (SIGRTMIN + 2)
#define PF_CRASH_SIGNAL_ORPHAN (SIGRTMIN + 3)

enum pf_crash_cause {
    PF_CRASH_DUMP = 1,  /* the master asked; the worker goes on */
    PF_CRASH_SPIN = 2,  /* one handler uses CPU without end; the worker goes on */
    PF_CRASH_FATAL = 3, /* a fault, or abort(3); the worker is dying */
};

struct pf_crash_record {
    uint32_t magic;
    uint16_t version;
    uint16_t cause; /* enum pf_crash_cause */
    int32_t pid;
    int32_t tid;
    uint32_t lane;    /* number of the thread's lane, or PF_CRASH_LANE_NONE */
    int32_t signo;    /* the signal, */
    int32_t code;     /* its si_code, */
    uint32_t count;   /* of pc */
    uint64_t address; /* and, of PF_CRASH_FATAL, its si_addr */
    /* The innermost first: pc[0] is where the thread was interrupted, the others are return
     * addresses. Beyond `count`: 0. */
    uint64_t pc[PF_CRASH_FRAMES_MAX];
};

/*
 * Are these bytes a record of this worker? If so, it is copied into *out.
 *
 * bytes  as read from the pipe, need not be aligned; borrowed.
 * len    of them; only sizeof(struct pf_crash_record) can be right.
 * pid    the worker that the pipe belongs to, or 0 for any.
 *
 * Returns whether; out is untouched if not. Reads nothing else, keeps nothing, never fails
 * otherwise. Any thread, signal handlers, after a fork as before it. Cost: a copy.
 */
bool pf__crash_valid(const void *bytes, size_t len, pid_t pid, struct pf_crash_record *out);

/* "dump", "spin", "fatal"; "?" for anything else. Static text. */
const char *pf__crash_cause_name(unsigned cause);

#endif
