/*
 * holder.c - see holder.h.
 *
 * /proc/net/tcp, tcp6, udp, udp6 and unix name a socket's inode, /proc/PID/fd shows who has
 * it open. Of a master and its workers, which all do, the master is meant: the one whose
 * parent does not hold it. Source: proc(5).
 */
#include "net/holder.h"

#include "net/listener.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/net.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Processes that hold a socket and are remembered; room for a process's name. */
enum {
    HOLDERS_MAX = 1100,
    NAME_MAX_BYTES = 256
};

/* TCP_LISTEN; of a datagram socket that is bound, "closed", as a listener that just is. */
static const char LISTEN_STATE[] = "0A", BOUND_STATE[] = "07";

/* The address part of a line in /proc/net/tcp: words of 32 bits in the machine's order. */
static void hex_address(const struct pf_address *address, char *text)
{
    uint32_t words[4];
    size_t count = 1;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    memcpy(&in, &address->storage, sizeof in);
    memcpy(&in6, &address->storage, sizeof in6);
    if (address->storage.ss_family == AF_INET6) {
        memcpy(words, &in6.sin6_addr, sizeof in6.sin6_addr);
        count = 4;
    } else {
        memcpy(words, &in.sin_addr, sizeof in.sin_addr);
    }
    for (size_t i = 0; i < count; i++)
        snprintf(text + i * 8, 9, "%08X", (unsigned)words[i]);
}

static bool is_any(const char *hex)
{
    return hex[strspn(hex, "0")] == 0;
}

static void add(struct pf_holder_sockets *sockets, unsigned long inode)
{
    if (sockets->count < PF_HOLDER_SOCKETS_MAX)
        sockets->inodes[sockets->count++] = inode;
}

/* "It will first list all listening TCP sockets, and next list all established TCP
 * connections": Documentation/networking/proc_net_tcp.rst. Those, and what is left of them,
 * may be very many. */
static bool is_behind_listeners(const char *state, const char *wanted_state)
{
    return wanted_state == LISTEN_STATE && strcmp(state, LISTEN_STATE) != 0 &&
           strcmp(state, BOUND_STATE) != 0;
}

/* Sockets in this state on the port whose address is this one, or overlaps with it. */
static void read_table(const char *path, const char *wanted_state, const char *wanted,
                       unsigned port, struct pf_holder_sockets *sockets)
{
    FILE *file = fopen(path, "re");
    char line[512];
    while (file && fgets(line, sizeof line, file)) {
        char local[40], state[4];
        unsigned local_port;
        unsigned long inode;
        if (sscanf(line, " %*d: %39[0-9A-F]:%x %*s %3s %*s %*s %*s %*s %*s %lu", local,
                   &local_port, state, &inode) != 4)
            continue;
        if (is_behind_listeners(state, wanted_state))
            break;
        if (strcmp(state, wanted_state) != 0 || local_port != port)
            continue;
        if (strcmp(local, wanted) == 0 || is_any(local) || is_any(wanted))
            add(sockets, inode);
    }
    if (file)
        fclose(file);
}

static void find_inet(const struct pf_address *address, struct pf_holder_sockets *sockets)
{
    char wanted[40];
    bool is_six = address->storage.ss_family == AF_INET6, is_udp = address->datagram;
    const char *state = is_udp ? BOUND_STATE : LISTEN_STATE;
    const char *six = is_udp ? "/proc/net/udp6" : "/proc/net/tcp6";
    const char *four = is_udp ? "/proc/net/udp" : "/proc/net/tcp";
    unsigned port = pf_address_port(address);
    hex_address(address, wanted);
    read_table(is_six ? six : four, state, wanted, port, sockets);
    if (!is_six) /* a socket on [::] without V6ONLY takes IPv4 too */
        read_table(six, state, "-", port, sockets);
}

/* One that pf_listener_file_open() made goes by the name it had first. */
static bool is_name(const char *name, const char *wanted)
{
    size_t len = strlen(wanted);
    return strncmp(name, wanted, len) == 0 &&
           (name[len] == 0 || (*wanted == '/' && strcmp(name + len, ".new") == 0));
}

static void find_unix(const struct pf_address *address, struct pf_holder_sockets *sockets)
{
    char wanted[PF_ADDRESS_TEXT_MAX], line[512];
    pf_address_format(address, wanted);
    FILE *file = fopen("/proc/net/unix", "re");
    while (file && fgets(line, sizeof line, file)) {
        unsigned long inode;
        unsigned flags;
        int at = 0;
        line[strcspn(line, "\n")] = 0;
        if (sscanf(line, "%*s %*s %*s %x %*s %*s %lu %n", &flags, &inode, &at) == 2 && at &&
            (flags & __SO_ACCEPTCON) && is_name(line + at, wanted + strlen("unix:")))
            add(sockets, inode);
    }
    if (file)
        fclose(file);
}

static bool is_one_of(const struct pf_holder_sockets *sockets, unsigned long inode)
{
    for (size_t i = 0; i < sockets->count; i++)
        if (sockets->inodes[i] == inode)
            return true;
    return false;
}

bool pf_holder_has(long pid, const struct pf_holder_sockets *sockets)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/fd", pid);
    DIR *dir = opendir(path);
    bool found = false;
    for (struct dirent *d = dir ? readdir(dir) : NULL; d && !found; d = readdir(dir)) {
        char target[64];
        ssize_t n = readlinkat(dirfd(dir), d->d_name, target, sizeof target - 1);
        unsigned long inode;
        if (n <= 0)
            continue;
        target[n] = 0;
        found = sscanf(target, "socket:[%lu]", &inode) == 1 && is_one_of(sockets, inode);
    }
    if (dir)
        closedir(dir);
    return found;
}

/* Parent and name, from /proc/PID/status. */
static long read_status(long pid, char *name, size_t name_len)
{
    char path[64], line[256];
    long parent = 0;
    snprintf(path, sizeof path, "/proc/%ld/status", pid);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file)) {
        if (strncmp(line, "Name:\t", 6) == 0) {
            line[strcspn(line, "\n")] = 0;
            snprintf(name, name_len, "%s", line + 6);
        }
        if (sscanf(line, "PPid: %ld", &parent) == 1)
            break;
    }
    if (file)
        fclose(file);
    return parent;
}

static size_t find_holders(const struct pf_holder_sockets *sockets, long *pids)
{
    size_t count = 0;
    DIR *proc = opendir("/proc");
    for (struct dirent *d = proc ? readdir(proc) : NULL; d; d = readdir(proc)) {
        long pid = strtol(d->d_name, NULL, 10);
        if (pid > 0 && count < HOLDERS_MAX && pf_holder_has(pid, sockets))
            pids[count++] = pid;
    }
    if (proc)
        closedir(proc);
    return count;
}

static bool is_among(const long *pids, size_t count, long pid)
{
    for (size_t i = 0; i < count; i++)
        if (pids[i] == pid)
            return true;
    return false;
}

void pf_holder_find(const struct pf_address *address, struct pf_holder_sockets *out)
{
    out->count = 0;
    if (pf_address_is_unix(address))
        find_unix(address, out);
    else
        find_inet(address, out);
}

long pf_holder_root(const struct pf_holder_sockets *sockets)
{
    long pids[HOLDERS_MAX];
    char name[NAME_MAX_BYTES];
    size_t count = sockets->count ? find_holders(sockets, pids) : 0;
    for (size_t i = 0; i < count; i++)
        if (count == 1 || !is_among(pids, count, read_status(pids[i], name, sizeof name)))
            return pids[i];
    return -ENOENT;
}

int pf_listener_holder(const struct pf_address *address, char *text, size_t len)
{
    struct pf_holder_sockets sockets;
    pf_holder_find(address, &sockets);
    long pid = pf_holder_root(&sockets);
    if (pid < 0)
        return -ENOENT;
    char name[NAME_MAX_BYTES] = "?";
    (void)read_status(pid, name, sizeof name); /* it may be gone by now: "?" */
    snprintf(text, len, "%s (pid %ld)", name, pid);
    return 0;
}
