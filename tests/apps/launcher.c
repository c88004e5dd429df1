/*
 * launcher.c - hands listening sockets over, as a service manager does (sd_listen_fds(3)).
 *
 *     launcher [LISTEN_PID=N] ADDR... -- PROGRAM ARGUMENT...
 *
 * binds each ADDR (net/address.h; "dual:PORT" is [::] for IPv4 too, "pipe" no socket at
 * all) to 3, 4 and so on, sets the variables, and PORT to that of the first, and becomes
 * the program.
 */
#include "net/address.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    FIRST_FD = 3
};

static int die(const char *what)
{
    perror(what);
    return 1;
}

static int make_socket(const char *text, int wanted)
{
    struct pf_address found[PF_ADDRESSES_MAX];
    char why[128], any[64];
    bool dual = strncmp(text, "dual:", 5) == 0;
    snprintf(any, sizeof any, "[::]:%s", text + (dual ? 5 : 0));
    if (pf_address_parse(dual ? any : text, found, why, sizeof why) < 1)
        return -1;
    int fd = socket(found->storage.ss_family,
                    (found->datagram ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
    int only = !dual;
    if (found->storage.ss_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only);
    if (bind(fd, (struct sockaddr *)&found->storage, found->len) != 0 ||
        (!found->datagram && listen(fd, 100) != 0))
        return -1;
    struct pf_address bound = {.len = sizeof bound.storage};
    char port[16];
    (void)getsockname(fd, (struct sockaddr *)&bound.storage, &bound.len);
    snprintf(port, sizeof port, "%u", pf_address_port(&bound));
    setenv("PORT", port, 0);
    return fd == wanted ? fcntl(fd, F_SETFD, 0) : dup2(fd, wanted);
}

int main(int argc, char **argv)
{
    char number[32], pid[32];
    int at = 1, count = 0;
    snprintf(pid, sizeof pid, "%d", getpid());
    if (at < argc && strncmp(argv[at], "LISTEN_PID=", 11) == 0)
        snprintf(pid, sizeof pid, "%s", argv[at++] + 11);
    for (; at < argc && strcmp(argv[at], "--") != 0; at++, count++)
        if ((strcmp(argv[at], "pipe") == 0 ? dup2(STDIN_FILENO, FIRST_FD + count)
                                           : make_socket(argv[at], FIRST_FD + count)) < 0)
            return die(argv[at]);
    if (argc - at < 2)
        return 64;
    snprintf(number, sizeof number, "%d", count);
    setenv("LISTEN_FDS", number, 1);
    setenv("LISTEN_PID", pid, 1);
    setenv("LISTEN_FDNAMES", "web:other", 1);
    execv(argv[at + 1], argv + at + 1);
    return die(argv[at + 1]);
}
