/*
 * doors.h - the listening sockets that one lane watches: its own, and adopted ones.
 *
 * A door is a listener with whatever takes what comes in. Those of one owner come and go
 * together. A listener is taken out of the loop before it is closed: its description lives
 * on in the master, and would go on sending events (epoll(7), questions and answers).
 */
#ifndef PREFORK_WORKER_DOORS_H
#define PREFORK_WORKER_DOORS_H

#include "net/acceptor.h"
#include "net/receiver.h"

struct pf_lane;

/* As the master hands them out. */
struct pf__listener {
    int fd;
    enum pf_accept_mode mode;
    bool datagram;
};

struct pf__door {
    unsigned owner; /* the lane it belongs to, as the master counts */
    int fd;
    bool ours;             /* to be closed; one that lanes share is not */
    pf_acceptor *acceptor; /* one of the two, */
    pf_receiver *receiver; /* or the other */
};

struct pf__doors {
    struct pf__door *at;
    size_t count, room;
    bool paused;
};

/* Watch; paused if the others are. Those of one lane alone (PF_ACCEPT_OWN) are closed with
 * their door from now on. Returns 0, or a negative errno with none of them watched or ours.
 */
int pf__doors_open(struct pf_lane *lane, unsigned owner, const struct pf__listener *from,
                   size_t count);

/* Is there one of this owner? */
bool pf__doors_have(const struct pf__doors *doors, unsigned owner);

/* Unwatch those of one owner, or all, and close what is ours. */
void pf__doors_close(struct pf__doors *doors, unsigned owner);
void pf__doors_close_all(struct pf__doors *doors);

/* Do not watch for a while. Cannot fail. */
void pf__doors_pause(struct pf__doors *doors);
void pf__doors_resume(struct pf__doors *doors);

/* Take what stands in the queues, at most `max` from each. */
void pf__doors_empty(struct pf__doors *doors, int max);

#endif
