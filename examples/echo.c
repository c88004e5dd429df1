/* echo.c - a raw server: sends back what it gets, over TCP, UDP and unix sockets.
 *
 *     build/release/examples/echo --workers 2 --bind :7007 --bind udp::7007 --bind
 * unix:/tmp/e
 */
#include <prefork.h>

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

struct client {
    struct client *next, **link; /* in the lane's list: whom to tell that we drain */
    pf_lane *lane;
    int fd;
    size_t from, to; /* what is not sent back yet */
    char text[4096];
};

struct room {
    struct client *first;
    bool draining;
};

/* One step. Returns what to wait for next; 0: it is over. */
static unsigned echo(struct client *client)
{
    const struct room *room = pf_lane_get_data(client->lane);
    if (client->from == client->to) {
        ssize_t got = recv(client->fd, client->text, sizeof client->text, 0);
        if (got <= 0)
            return got < 0 && errno == EAGAIN && !room->draining ? PF_READ : 0;
        client->from = 0;
        client->to = (size_t)got;
    }
    size_t left = client->to - client->from;
    ssize_t sent = send(client->fd, client->text + client->from, left, MSG_NOSIGNAL);
    if (sent < 0)
        return errno == EAGAIN ? PF_WRITE : 0;
    client->from += (size_t)sent;
    if (client->from < client->to)
        return PF_WRITE;
    (void)pf_lane_answered(client->lane, client->to); /* fails on other threads only */
    return room->draining ? 0 : PF_READ;
}

static void leave(struct client *client)
{
    *client->link = client->next;
    if (client->next)
        client->next->link = client->link;
    (void)pf_loop_remove_and_close(pf_lane_loop(client->lane), client->fd);
    (void)pf_lane_closed(client->lane, client->fd);
    free(client);
}

static int on_ready(pf_loop *loop, int fd, unsigned events, void *arg)
{
    (void)events;
    unsigned next = echo(arg);
    if (!next || pf_loop_update_handler(loop, fd, next) != 0)
        leave(arg);
    return 0;
}

static void on_connection(pf_lane *lane, int fd, const struct sockaddr *peer,
                          socklen_t peer_len, void *arg)
{
    (void)peer_len, (void)arg;
    struct pf_credentials who;
    if (peer->sa_family == AF_UNIX && pf_peer_credentials(fd, &who) == 0)
        pf_log(PF_LOG_DEBUG, "client", "pid=%d uid=%u gid=%u", who.pid, who.uid, who.gid);
    struct room *room = pf_lane_get_data(lane);
    struct client *client = malloc(sizeof *client);
    if (!client || pf_loop_add_handler(pf_lane_loop(lane), fd, PF_READ, on_ready, client)) {
        free(client);
        close(fd);
        (void)pf_lane_closed(lane, fd);
        return;
    }
    *client =
        (struct client){.next = room->first, .link = &room->first, .lane = lane, .fd = fd};
    if (client->next)
        client->next->link = &client->next;
    room->first = client;
}

/* What the socket does not take is lost, as datagrams may be. */
static void on_datagram(pf_lane *lane, int fd, const void *data, size_t len,
                        const struct sockaddr *peer, socklen_t peer_len, void *arg)
{
    (void)arg;
    if (sendto(fd, data, len, 0, peer, peer_len) == (ssize_t)len)
        (void)pf_lane_answered(lane, len);
}

/* Who is idle leaves; the others do when they have got what they are owed. */
static void on_drain(pf_lane *lane, void *arg)
{
    (void)arg;
    struct room *room = pf_lane_get_data(lane);
    room->draining = true;
    for (struct client *client = room->first, *next; client; client = next) {
        next = client->next;
        (void)on_ready(pf_lane_loop(lane), client->fd, 0, client);
    }
}

static int lane_init(pf_lane *lane, void *arg)
{
    (void)arg;
    struct room *room = calloc(1, sizeof *room);
    pf_lane_set_data(lane, room);
    return room ? 0 : -ENOMEM;
}

/* Those whom the drain limit found. */
static void lane_exit(pf_lane *lane, void *arg)
{
    (void)arg;
    struct room *room = pf_lane_get_data(lane);
    while (room->first)
        leave(room->first);
    free(room);
}

static const struct pf_app app = {PF_APP,
                                  .name = "echo",
                                  .on_connection = on_connection,
                                  .on_datagram = on_datagram,
                                  .lane_init = lane_init,
                                  .on_drain = on_drain,
                                  .lane_exit = lane_exit};

int main(int argc, char **argv)
{
    return pf_main(argc, argv, &app);
}
