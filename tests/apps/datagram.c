/* datagram.c - a server for tests: sends each datagram back, with its worker in front. */
#include <prefork.h>

#include <stdio.h>
#include <string.h>

static void on_datagram(pf_lane *lane, int fd, const void *data, size_t len,
                        const struct sockaddr *peer, socklen_t peer_len, void *arg)
{
    (void)arg;
    char text[512];
    int n = snprintf(text, sizeof text, "%u %.*s", pf_lane_slot(lane), (int)len,
                     (const char *)data);
    if (sendto(fd, text, (size_t)n, 0, peer, peer_len) == n)
        (void)pf_lane_answered(lane, (size_t)n);
}

static const struct pf_app app = {PF_APP, .name = "datagram", .on_datagram = on_datagram};

int main(int argc, char **argv)
{
    return pf_main(argc, argv, &app);
}
