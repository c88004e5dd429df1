/*
 * client_internal.h - the inside of client.h.
 *
 *     client.c     a connection: its opening, its end, what is sent
 *     client_in.c  the answers
 *
 * A callback may close the connection, and even open it again. `life` tells: whatever goes
 * on behind a callback first compares it.
 */
#ifndef PREFORK_HTTP_CLIENT_INTERNAL_H
#define PREFORK_HTTP_CLIENT_INTERNAL_H

#include "http/client.h"

static inline int64_t pf__http_client_clock(const struct pf__http_client_conn *conn)
{
    int64_t now = 0;
    (void)pf_loop_time(conn->shared->loop, &now); /* in a callback of it: cannot fail */
    return now;
}

/* ---- client.c -------------------------------------------------------------------- */

/* Close, and tell whose it is: `how` has the phase, the error and the sample, and what the
 * connection knows is filled in. It may be open again afterwards. */
void pf__http_client_tell_end(struct pf__http_client_conn *conn,
                              const struct pf__http_client_end *how, int64_t now);

/* The same, without a sample. */
void pf__http_client_fail(struct pf__http_client_conn *conn,
                          enum pf__http_client_phase phase, int error, int64_t now);

/* ---- client_in.c ----------------------------------------------------------------- */

/* Something can be read: bytes, the end, or an error. */
void pf__http_client_receive(struct pf__http_client_conn *conn);

#endif
