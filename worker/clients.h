/*
 * clients.h - how many connections each client address has on a lane.
 *
 * A client is an IPv4 address or the first 64 bits of an IPv6 one, which is what one
 * subscriber is given. Peers without an address (unix sockets) are not counted.
 *
 * The table grows with the connections it counts, and with the highest descriptor among
 * them, never with a limit of the process. Of one thread; a fork copies it.
 */
#ifndef PREFORK_WORKER_CLIENTS_H
#define PREFORK_WORKER_CLIENTS_H

#include <prefork/base.h>
#include <sys/socket.h>

struct pf__clients;

/* `max` connections for each client, at least 1. Returns 0 or -ENOMEM. */
int pf__clients_new(size_t max, struct pf__clients **out);
void pf__clients_free(struct pf__clients *clients);

/* May this connection come in? If so it is counted. Without memory it comes in uncounted:
 * a limit is no reason to turn away who is within it. O(1). */
bool pf__clients_enter(struct pf__clients *clients, int fd, const struct sockaddr *peer);

/* A connection that came in has ended; of one that is not counted: nothing. O(1). */
void pf__clients_leave(struct pf__clients *clients, int fd);

/* Clients that have a connection. */
size_t pf__clients_count(const struct pf__clients *clients);

#endif
