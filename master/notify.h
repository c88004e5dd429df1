/*
 * notify.h - what the service manager is told: sd_notify(3), by hand.
 *
 * Datagrams of NAME=VALUE lines to the unix socket that NOTIFY_SOCKET names. A manager that
 * wants to hear from us now and then says so with WATCHDOG_USEC; since it is the master's
 * loop that answers, a master that hangs is found out.
 *
 * Nothing here blocks, and nothing fails the server: what cannot be sent is warned of,
 * once.
 */
#ifndef PREFORK_MASTER_NOTIFY_H
#define PREFORK_MASTER_NOTIFY_H

#include <prefork/loop.h>
#include <sys/socket.h>
#include <sys/un.h>

/* Bytes of one datagram, its NUL included; a longer one is cut. */
#define PF__NOTIFY_MAX 512

struct pf__notify {
    int fd; /* -1: nobody wants to hear */
    struct sockaddr_un to;
    socklen_t to_len;
    pf_loop *loop;
    int64_t alive_ns; /* how often it wants a sign of life; 0: never */
    bool warned;
    char unsent[PF__NOTIFY_MAX]; /* the last state, if there was no room for it yet */
};
#define PF__NOTIFY_NONE                                                                    \
    {                                                                                      \
        .fd = -1                                                                           \
    }

/*
 * Look at NOTIFY_SOCKET (a path, or '@' and an abstract name), WATCHDOG_USEC and
 * WATCHDOG_PID, which have to be ours if given, and begin with the signs of life, at half
 * the time: on this loop, which has to be closed before *notify goes. The environment stays
 * as it is.
 */
void pf__notify_open(struct pf__notify *notify, pf_loop *loop);

/* Tell a state: lines without a newline at the end. What the manager has no room for is
 * kept, unless a later one replaces it, for pf__notify_again(). */
void pf__notify_state(struct pf__notify *notify, const char *format, ...) PF_PRINTF(2, 3);

/* Try again what is unsent. To be called now and then; nothing if there is none. */
void pf__notify_again(struct pf__notify *notify);

/* Close. In a child: and forget the variables, or it would speak for the master. */
void pf__notify_close(struct pf__notify *notify);
void pf__notify_let_go(struct pf__notify *notify);

#endif
