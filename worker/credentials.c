/* credentials.c - who is at the other end of a unix socket; see prefork/worker.h. */
#include <prefork/worker.h>

#include <errno.h>

int pf_peer_credentials(int fd, struct pf_credentials *out)
{
#ifdef SO_PEERCRED
    struct ucred peer;
    socklen_t len = sizeof peer;
    int family;
    socklen_t family_len = sizeof family;
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &family_len) != 0)
        return errno == EBADF ? -EBADF : -ENOTSUP;
    if (family != AF_UNIX || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0 ||
        peer.uid == (uid_t)-1) /* not connected */
        return -ENOTSUP;
    *out = (struct pf_credentials){.pid = peer.pid, .uid = peer.uid, .gid = peer.gid};
    return 0;
#else
    (void)fd, (void)out;
    return -ENOTSUP;
#endif
}
