/* spin.c - see spin.h. */
#include "loop/spin.h"

#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#ifdef __linux__
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#endif

static int socket_option(int fd, int option)
{
    int value = -1;
    socklen_t size = sizeof value;
    return getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 ? value : -1;
}

/* On loopback what is sent may be acknowledged before send(2) returns: the queue alone
 * would not show it. Source: tcp(7), linux/tcp.h. */
static bool look_at_tcp(int fd, struct pf__spin_look *look)
{
#ifdef __linux__
    struct tcp_info info = {0};
    socklen_t size = sizeof info;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0)
        return false;
    look->sent = info.tcpi_bytes_sent;
    look->taken = info.tcpi_bytes_received;
    return true;
#else
    (void)fd, (void)look;
    return false;
#endif
}

static void look_at_socket(int fd, struct pf__spin_look *look)
{
#ifdef SIOCOUTQ
    int bytes = 0;
    if (ioctl(fd, SIOCOUTQ, &bytes) == 0)
        look->out = bytes;
#endif
    /* A datagram's size says nothing about the next one, a listener's queue nothing of
     * bytes. */
    look->known =
        socket_option(fd, SO_TYPE) == SOCK_STREAM && socket_option(fd, SO_ACCEPTCONN) == 0;
    look->exact = look_at_tcp(fd, look);
}

struct pf__spin_look pf__spin_look(int fd)
{
    struct pf__spin_look look = {0};
    struct stat status;
    int in = 0;
    if (fstat(fd, &status) != 0 || ioctl(fd, FIONREAD, &in) != 0)
        return look;
    look.in = in;
    look.known = S_ISFIFO(status.st_mode);
    if (S_ISSOCK(status.st_mode))
        look_at_socket(fd, &look);
    return look;
}

bool pf__spin_is_due(const struct pf__spin *spin, uint64_t tag)
{
    return tag == spin->suspect && spin->turns >= PF_LOOP_SPIN_TURNS;
}

static bool has_moved(const struct pf__spin_look *before, const struct pf__spin_look *after)
{
    return !before->known || !after->known || before->in != after->in ||
           before->out != after->out || before->sent != after->sent ||
           before->taken != after->taken;
}

/* Of what it was told there is nothing to be read: it ignores the end, or a hang-up. */
static bool ignores_the_end(unsigned events, const struct pf__spin_look *before)
{
    return (events & PF_ERROR) || ((events & PF_READ) && before->in == 0);
}

bool pf__spin_judge(struct pf__spin *spin, unsigned events,
                    const struct pf__spin_look *before, const struct pf__spin_look *after,
                    int64_t now_ns)
{
    bool moved =
        has_moved(before, after) || (!before->exact && !ignores_the_end(events, before));
    if (moved) {
        *spin = (struct pf__spin){0};
        return false;
    }
    if (spin->proofs++ == 0)
        spin->since_ns = now_ns;
    spin->last = *after;
    return spin->proofs >= PF_LOOP_SPIN_PROOFS &&
           (uint64_t)now_ns - (uint64_t)spin->since_ns >= PF_LOOP_SPIN_NS;
}

void pf__spin_look_again(struct pf__spin *spin, const struct pf__spin_look *now)
{
    if (has_moved(&spin->last, now))
        *spin = (struct pf__spin){0};
}

void pf__spin_turn(struct pf__spin *spin, uint64_t tag)
{
    if (spin->ran)
        spin->turns++;
    else
        *spin = (struct pf__spin){.suspect = tag};
    spin->ran = false;
}
