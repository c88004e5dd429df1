/* listeners.c - see listeners.h. */
#include "master/listeners.h"

#include "net/listener.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Does an address before this one have the same port? */
static bool is_our_port(const struct pf__listeners *listeners, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (pf_address_port(&listeners->addresses[i]) ==
            pf_address_port(&listeners->addresses[at]))
            return true;
    return false;
}

/* What to say of a bind that failed, and what would help. */
static void explain(const struct pf__listeners *listeners, size_t at, const char *text,
                    int err, char *error, size_t error_len)
{
    const struct pf_address *address = &listeners->addresses[at];
    char holder[64];
    if (err == -EADDRINUSE && is_our_port(listeners, at))
        snprintf(error, error_len, "--bind %s: overlaps with another --bind; leave one out",
                 text);
    else if (err == -EADDRINUSE && pf_listener_holder(address, holder, sizeof holder) == 0)
        snprintf(error, error_len, "--bind %s: in use by %s; stop it or use another port",
                 text, holder);
    else if (err == -EADDRINUSE)
        snprintf(error, error_len, "--bind %s: in use by another server; use another port",
                 text);
    else if (err == -EACCES)
        snprintf(error, error_len,
                 "--bind %s: not allowed; ports below 1024 need root or "
                 "CAP_NET_BIND_SERVICE: use a higher one",
                 text);
    else if (err == -EADDRNOTAVAIL)
        snprintf(error, error_len,
                 "--bind %s: not an address of this machine; use one of its own, or :PORT "
                 "for all",
                 text);
    else
        snprintf(error, error_len, "--bind %s: %s", text, strerror(-err));
}

static bool is_known(const struct pf__listeners *listeners,
                     const struct pf_address *address)
{
    for (size_t i = 0; i < listeners->count; i++)
        if (pf_address_equal(&listeners->addresses[i], address))
            return true;
    return false;
}

static int refuse(char *error, size_t error_len, const char *text, const char *why)
{
    snprintf(error, error_len, "--bind %s: %s", text, why);
    return PF_EXIT_USAGE;
}

/* Append what the text stands for to the table. */
static int resolve(struct pf__listeners *listeners, const char *text, char *error,
                   size_t error_len)
{
    struct pf_address found[PF_ADDRESSES_MAX];
    char why[128];
    int n = pf_address_parse(text, found, why, sizeof why);
    if (n < 0)
        return refuse(error, error_len, text, why);
    for (int i = 0; i < n; i++) {
        if (is_known(listeners, &found[i]))
            return refuse(error, error_len, text, "given twice; leave one out");
        if (listeners->count == PF__ADDRESSES_MAX)
            return refuse(error, error_len, text, "too many addresses; leave some out");
        listeners->addresses[listeners->count++] = found[i];
    }
    return PF_EXIT_OK;
}

static bool is_scarcity(int err)
{
    return err == -EMFILE || err == -ENFILE || err == -ENOMEM || err == -ENOBUFS;
}

/* One address for every lane. Returns 0 or a negative errno; what is open stays open. */
static int open_lanes(struct pf__listeners *listeners, size_t at, int backlog)
{
    for (unsigned lane = 0; lane < listeners->lanes; lane++) {
        int fd = pf_listener_open(&listeners->addresses[at],
                                  &(struct pf_listener_options){.backlog = backlog},
                                  lane == 0 ? PF_LISTENER_FIRST : PF_LISTENER_JOINS);
        if (fd < 0)
            return fd;
        listeners->fds[lane * PF__ADDRESSES_MAX + at] = fd;
    }
    return 0;
}

/* All addresses of one text. A port that the kernel picks for the first is everybody's; of
 * the two families of ":PORT" one may be missing on this machine: then serve the other. */
static int open_text(struct pf__listeners *listeners, const char *text, int backlog,
                     char *error, size_t error_len)
{
    size_t first = listeners->count;
    int status = resolve(listeners, text, error, error_len);
    for (size_t i = first; status == PF_EXIT_OK && i < listeners->count; i++) {
        struct pf_address *address = &listeners->addresses[i];
        if (i > first && pf_address_port(address) == 0)
            pf_address_set_port(address, pf_address_port(&listeners->addresses[first]));
        int err = open_lanes(listeners, i, backlog);
        if (err == -EAFNOSUPPORT && listeners->count - first > 1) {
            listeners->count--;
            memmove(address, address + 1, (listeners->count - i) * sizeof *address);
            i--;
        } else if (err) {
            explain(listeners, i, text, err, error, error_len);
            status = is_scarcity(err) ? PF_EXIT_SOFTWARE : PF_EXIT_UNAVAILABLE;
        }
    }
    return status;
}

int pf__listeners_open(struct pf__listeners *listeners, const char *const *binds,
                       size_t bind_count, unsigned lanes, int backlog, char *error,
                       size_t error_len)
{
    *listeners = (struct pf__listeners){.lanes = lanes};
    size_t cells = (size_t)lanes * PF__ADDRESSES_MAX;
    listeners->fds = malloc(cells * sizeof *listeners->fds);
    if (!listeners->fds) {
        snprintf(error, error_len, "out of memory for %u listeners", lanes);
        return PF_EXIT_SOFTWARE;
    }
    for (size_t i = 0; i < cells; i++)
        listeners->fds[i] = -1;
    int status = PF_EXIT_OK;
    for (size_t i = 0; i < bind_count && status == PF_EXIT_OK; i++)
        status = open_text(listeners, binds[i], backlog, error, error_len);
    if (status != PF_EXIT_OK)
        pf__listeners_fini(listeners);
    return status;
}

const int *pf__listeners_of(const struct pf__listeners *listeners, unsigned lane)
{
    return &listeners->fds[lane * PF__ADDRESSES_MAX];
}

void pf__listeners_close_lane(struct pf__listeners *listeners, unsigned lane)
{
    for (size_t i = 0; i < listeners->count; i++) {
        int *fd = &listeners->fds[lane * PF__ADDRESSES_MAX + i];
        if (*fd != -1)
            close(*fd);
        *fd = -1;
    }
}

void pf__listeners_close_others(struct pf__listeners *listeners, unsigned kept_lane)
{
    for (unsigned lane = 0; lane < listeners->lanes; lane++)
        if (lane != kept_lane)
            pf__listeners_close_lane(listeners, lane);
}

void pf__listeners_fini(struct pf__listeners *listeners)
{
    if (!listeners->fds)
        return;
    pf__listeners_close_others(listeners, listeners->lanes);
    free(listeners->fds);
    *listeners = (struct pf__listeners){0};
}
