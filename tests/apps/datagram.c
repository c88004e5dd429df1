/* datagram.c - a server for tests: sends each datagram back. */
#include <prefork.h>

static void on_datagram(pf_lane *lane, int fd, const void *data, size_t len,
                        const struct sockaddr *peer, socklen_t peer_len, void *arg)
{
    (void)arg;
    if (sendto(fd, data, len, 0, peer, peer_len) == (ssize_t)len)
        (void)pf_lane_answered(lane, len);
}

static const struct pf_app app = {PF_APP, .name = "datagram", .on_datagram = on_datagram};

int main(int argc, char **argv)
{
    return pf_main(argc, argv, &app);
}
