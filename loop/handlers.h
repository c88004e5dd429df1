/*
 * handlers.h - the table of registered descriptors, indexed by descriptor.
 *
 * Every registration has a generation, which travels through the kernel in the event's tag:
 * an event of an earlier registration of the same number is recognised and dropped.
 */
#ifndef PREFORK_LOOP_HANDLERS_H
#define PREFORK_LOOP_HANDLERS_H

#include <prefork/loop.h>

struct pf__handler {
    pf_io_fn *fn; /* NULL: not registered */
    void *arg;
    pf_destroy_fn *destroy;
    const char *where;
    uint32_t generation;
    uint16_t events;  /* asked for; 0: paused or disabled, and unknown to the poller */
    uint8_t failures; /* in a row */
};

struct pf__handlers {
    struct pf__handler *at;
    size_t capacity;
    size_t count; /* registered */
};

/* Room for descriptors 0..count-1. Returns 0 or -ENOMEM. */
int pf__handlers_reserve(struct pf__handlers *handlers, size_t count);

/* The registration of fd, or NULL. Valid until the next reserve. */
struct pf__handler *pf__handlers_find(const struct pf__handlers *handlers, int fd);

/* The registration that this tag was made for, or NULL if it is gone. */
struct pf__handler *pf__handlers_by_tag(const struct pf__handlers *handlers, uint64_t tag);

uint64_t pf__handler_tag(int fd, const struct pf__handler *handler);
int pf__tag_fd(uint64_t tag);

/* Frees the memory, calling every destroy function. */
void pf__handlers_fini(struct pf__handlers *handlers);

#endif
