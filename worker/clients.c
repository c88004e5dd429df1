/* clients.c - see clients.h. */
#include "worker/clients.h"

#include <endian.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* Entries are named by 1 + their place in the table: 0 is none. */
struct entry {
    uint64_t client;
    uint32_t next; /* of the same bucket, or of the free ones */
    uint32_t connections;
};

struct pf__clients {
    size_t max, count;
    uint64_t secret; /* or a client could choose addresses that all fall in one bucket */
    struct entry *entries;
    uint32_t *buckets;
    size_t size; /* of both: a power of two */
    uint32_t free;
    uint32_t *of_fd; /* which entry the descriptor's connection counts in */
    size_t fds;
};

enum {
    FIRST_SIZE = 64
};

int pf__clients_new(size_t max, struct pf__clients **out)
{
    struct pf__clients *clients = calloc(1, sizeof *clients);
    if (!clients)
        return -ENOMEM;
    clients->max = max;
    if (getrandom(&clients->secret, sizeof clients->secret, GRND_NONBLOCK) < 0)
        clients->secret = (uintptr_t)clients; /* early at boot: better than nothing */
    *out = clients;
    return 0;
}

void pf__clients_free(struct pf__clients *clients)
{
    if (!clients)
        return;
    free(clients->entries);
    free(clients->buckets);
    free(clients->of_fd);
    free(clients);
}

size_t pf__clients_count(const struct pf__clients *clients)
{
    return clients->count;
}

/* An IPv4 address below 2^32, also if it comes mapped into IPv6, and IPv6 ones above: in
 * ::/32 nobody lives but oneself (RFC 4291 section 2.5). False: none. */
static bool client_of(const struct sockaddr *peer, uint64_t *client)
{
    if (peer->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, peer, sizeof in);
        *client = ntohl(in.sin_addr.s_addr);
        return true;
    }
    if (peer->sa_family != AF_INET6)
        return false;
    struct sockaddr_in6 in6;
    memcpy(&in6, peer, sizeof in6);
    uint32_t four;
    uint64_t prefix;
    memcpy(&four, &in6.sin6_addr.s6_addr[12], sizeof four);
    memcpy(&prefix, in6.sin6_addr.s6_addr, sizeof prefix);
    *client = IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr) ? ntohl(four) : be64toh(prefix);
    return true;
}

/* The finaliser of splitmix64: every bit of the client reaches every bit of the result. */
static uint32_t *bucket_of(const struct pf__clients *clients, uint64_t client)
{
    uint64_t x = client ^ clients->secret;
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    x ^= x >> 31;
    return &clients->buckets[x & (clients->size - 1)];
}

/* Double the table. Entries keep their places; the buckets are filled anew. */
static bool grow(struct pf__clients *clients)
{
    size_t size = clients->size ? clients->size * 2 : FIRST_SIZE;
    if (size > UINT32_MAX / 2)
        return false;
    struct entry *entries = realloc(clients->entries, size * sizeof *entries);
    if (!entries)
        return false;
    clients->entries = entries;
    uint32_t *buckets = calloc(size, sizeof *buckets);
    if (!buckets)
        return false;
    free(clients->buckets);
    clients->buckets = buckets;
    size_t used = clients->size;
    clients->size = size;
    for (uint32_t i = 0; i < used; i++) { /* full, or there were no need to grow */
        uint32_t *bucket = bucket_of(clients, entries[i].client);
        entries[i].next = *bucket;
        *bucket = i + 1;
    }
    for (size_t i = size; i-- > used;) {
        entries[i] = (struct entry){.next = clients->free};
        clients->free = (uint32_t)i + 1;
    }
    return true;
}

/* The client's entry, made if need be; 0 without memory. */
static uint32_t find(struct pf__clients *clients, uint64_t client)
{
    for (uint32_t at = clients->size ? *bucket_of(clients, client) : 0; at;
         at = clients->entries[at - 1].next)
        if (clients->entries[at - 1].client == client)
            return at;
    if (!clients->free && !grow(clients))
        return 0;
    uint32_t at = clients->free, *bucket = bucket_of(clients, client);
    struct entry *entry = &clients->entries[at - 1];
    clients->free = entry->next;
    *entry = (struct entry){.client = client, .next = *bucket};
    *bucket = at;
    clients->count++;
    return at;
}

static void drop(struct pf__clients *clients, uint32_t at)
{
    struct entry *entry = &clients->entries[at - 1];
    uint32_t *link = bucket_of(clients, entry->client);
    while (*link != at)
        link = &clients->entries[*link - 1].next;
    *link = entry->next;
    *entry = (struct entry){.next = clients->free};
    clients->free = at;
    clients->count--;
}

static bool has_place(struct pf__clients *clients, size_t fd)
{
    if (fd < clients->fds)
        return true;
    size_t fds = clients->fds ? clients->fds : FIRST_SIZE;
    while (fds <= fd)
        fds *= 2;
    uint32_t *of_fd = realloc(clients->of_fd, fds * sizeof *of_fd);
    if (!of_fd)
        return false;
    memset(of_fd + clients->fds, 0, (fds - clients->fds) * sizeof *of_fd);
    clients->of_fd = of_fd;
    clients->fds = fds;
    return true;
}

bool pf__clients_enter(struct pf__clients *clients, int fd, const struct sockaddr *peer)
{
    uint64_t client;
    if (fd < 0 || !client_of(peer, &client) || !has_place(clients, (size_t)fd))
        return true;
    uint32_t at = find(clients, client);
    if (!at)
        return true;
    struct entry *entry = &clients->entries[at - 1];
    if (entry->connections >= clients->max)
        return false;
    entry->connections++;
    clients->of_fd[fd] = at;
    return true;
}

void pf__clients_leave(struct pf__clients *clients, int fd)
{
    if (fd < 0 || (size_t)fd >= clients->fds || !clients->of_fd[fd])
        return;
    uint32_t at = clients->of_fd[fd];
    clients->of_fd[fd] = 0;
    if (--clients->entries[at - 1].connections == 0)
        drop(clients, at);
}
