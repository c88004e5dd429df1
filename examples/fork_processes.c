/* fork_processes.c - a TCP server that only forks: fork_processes [CHILDREN [PORT]].
 *
 * The socket first, then the fork, then a loop in each child: whichever is there first
 * takes the connection, and answers with its number. */
#include <prefork.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static int on_connection(pf_loop *loop, int listener, unsigned events, void *arg)
{
    (void)loop, (void)events, (void)arg;
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd == -1)
        return 0; /* another child was first */
    dprintf(fd, "child %d\n", pf_task_id());
    close(fd);
    return 0;
}

static int on_stop(pf_loop *loop, int signo, void *arg)
{
    (void)signo, (void)arg;
    return pf_loop_stop(loop);
}

static int serve(int listener)
{
    pf_loop *loop;
    int err = pf_loop_new(NULL, &loop);
    if (err)
        return err;
    err = pf_loop_add_handler(loop, listener, PF_READ, on_connection, NULL);
    if (!err)
        err = pf_loop_add_signal(loop, SIGTERM, on_stop, NULL);
    if (!err)
        err = pf_loop_start(loop);
    pf_loop_unref(loop);
    return err;
}

static int listen_on(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, len) != 0 || listen(fd, SOMAXCONN) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0) {
        perror("127.0.0.1");
        exit(PF_EXIT_UNAVAILABLE);
    }
    printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
    return fd;
}

int main(int argc, char **argv)
{
    int children = argc > 1 ? atoi(argv[1]) : 0; /* 0: one for each CPU */
    int listener = listen_on((uint16_t)(argc > 2 ? atoi(argv[2]) : 0));
    int err = pf_fork_processes(children, -1, NULL);
    if (err == 1)
        return serve(listener) == 0 ? 0 : PF_EXIT_SOFTWARE;
    if (err == -EAGAIN)
        return PF_EXIT_TEMPFAIL;
    return err == 0 || err == -ECANCELED ? 0 : PF_EXIT_SOFTWARE; /* the log says why */
}
