/*
 * listeners.h - the master's listening sockets: a row of addresses, a column for each lane.
 */
#ifndef PREFORK_MASTER_LISTENERS_H
#define PREFORK_MASTER_LISTENERS_H

#include "net/address.h"

/* Addresses in all; one --bind may stand for several. */
#define PF__ADDRESSES_MAX 64

struct pf__listeners {
    size_t count;   /* addresses */
    unsigned lanes; /* sockets for each address */
    struct pf_address addresses[PF__ADDRESSES_MAX];
    int *fds; /* [lane * PF__ADDRESSES_MAX + address]; -1: closed */
};

/*
 * Bind and listen on each of the texts, once for each lane; only if nobody else does.
 *
 * Returns PF_EXIT_OK, or PF_EXIT_USAGE, PF_EXIT_UNAVAILABLE or PF_EXIT_SOFTWARE with one
 * line in error[error_len]; then nothing is open.
 */
int pf__listeners_open(struct pf__listeners *listeners, const char *const *binds,
                       size_t bind_count, unsigned lanes, int backlog, char *error,
                       size_t error_len);

/* The sockets of one lane: `count` of them. */
const int *pf__listeners_of(const struct pf__listeners *listeners, unsigned lane);

/* Close those of one lane; of all lanes but one (lanes: none is kept); free the memory. */
void pf__listeners_close_lane(struct pf__listeners *listeners, unsigned lane);
void pf__listeners_close_others(struct pf__listeners *listeners, unsigned kept_lane);
void pf__listeners_fini(struct pf__listeners *listeners);

#endif
