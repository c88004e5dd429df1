/*
 * gate.h - a descriptor that is watched for reading unless it is shut: by whoever uses it,
 * for as long as that likes, or for a rest when its system call fails.
 *
 * Inside an acceptor or a receiver, whose contract it keeps: see acceptor.h.
 */
#ifndef PREFORK_NET_GATE_H
#define PREFORK_NET_GATE_H

#include <prefork/loop.h>

struct pf__gate {
    pf_loop *loop;
    int fd;
    unsigned events; /* PF_READ, PF_EXCLUSIVE too if asked for */
    int64_t rest_ns;
    pf_timer rest; /* {0}: it does not rest */
    bool paused;
    int64_t told_ns; /* when a rest was logged last */
    uint64_t rests;
};

/* Watch, by `fn(loop, fd, events, arg)`; loop, fd, events and rest_ns are filled in.
 * Returns what pf_loop_add_handler() answers. */
int pf__gate_open(struct pf__gate *gate, pf_io_fn *fn, void *arg);

/* Stop watching, for good. In a child: nothing. */
void pf__gate_close(struct pf__gate *gate);

/* 0 or the loop's guards. */
int pf__gate_pause(struct pf__gate *gate);
int pf__gate_resume(struct pf__gate *gate);

/* Shut for rest_ns because of this errno, and log the event now and then. Without memory
 * for the timer it stays open, for nothing would open it again. */
void pf__gate_rest(struct pf__gate *gate, int err, const char *event);

/* Begin watching anew, behind others who watch the same socket. */
void pf__gate_requeue(struct pf__gate *gate);

#endif
