/* listeners.c - see listeners.h. */
#include "master/listeners.h"

#include "net/listener.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What to say of a bind that failed, and what would help. */
static void explain(const struct pf_address *address, const char *text, int err,
                    char *error, size_t error_len)
{
    char holder[64];
    if (err == -EADDRINUSE && pf_listener_holder(address, holder, sizeof holder) == 0)
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
        if (pf_address_port(address) != 0 && listeners->addresses[i].len == address->len &&
            memcmp(&listeners->addresses[i].storage, &address->storage, address->len) == 0)
            return true;
    return false;
}

/* Text to addresses: each is asked for, none is bound yet. */
static int resolve(struct pf__listeners *listeners, const char *text, char *error,
                   size_t error_len)
{
    struct pf_address found[PF_ADDRESSES_MAX];
    char why[128];
    int n = pf_address_parse(text, found, why, sizeof why);
    if (n < 0) {
        snprintf(error, error_len, "--bind %s: %s", text, why);
        return PF_EXIT_USAGE;
    }
    for (int i = 0; i < n; i++) {
        if (is_known(listeners, &found[i])) {
            snprintf(error, error_len, "--bind %s: given twice; leave one out", text);
            return PF_EXIT_USAGE;
        }
        if (listeners->count == PF__ADDRESSES_MAX) {
            snprintf(error, error_len, "--bind %s: more than %d addresses", text,
                     PF__ADDRESSES_MAX);
            return PF_EXIT_USAGE;
        }
        int err = pf_listener_probe(&found[i]);
        if (err == -EAFNOSUPPORT && n > 1)
            continue; /* one family of ":PORT" is missing on this machine: serve the other
                       */
        if (err) {
            explain(&found[i], text, err, error, error_len);
            return PF_EXIT_UNAVAILABLE;
        }
        listeners->addresses[listeners->count++] = found[i];
    }
    return PF_EXIT_OK;
}

/* Bind one text's addresses, from `first` on, for every lane. A port that the kernel picks
 * for the first is everybody's. */
static int open_all(struct pf__listeners *listeners, size_t first, const char *text,
                    int backlog, char *error, size_t error_len)
{
    for (size_t i = first; i < listeners->count; i++) {
        struct pf_address *address = &listeners->addresses[i];
        if (pf_address_port(address) == 0 && i > first)
            pf_address_set_port(address, pf_address_port(&listeners->addresses[first]));
        for (unsigned lane = 0; lane < listeners->lanes; lane++) {
            int fd = pf_listener_open(address, backlog);
            if (fd < 0) {
                explain(address, text, fd, error, error_len);
                return fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM
                           ? PF_EXIT_SOFTWARE
                           : PF_EXIT_UNAVAILABLE;
            }
            listeners->fds[lane * PF__ADDRESSES_MAX + i] = fd;
        }
    }
    return PF_EXIT_OK;
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
    for (size_t i = 0; i < bind_count && status == PF_EXIT_OK; i++) {
        size_t first = listeners->count;
        status = resolve(listeners, binds[i], error, error_len);
        if (status == PF_EXIT_OK)
            status = open_all(listeners, first, binds[i], backlog, error, error_len);
    }
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
