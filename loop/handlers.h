/*
 * handlers.h - the table of registered descriptors, indexed by descriptor.
 *
 * Every registration has a generation, which travels through the kernel in the event's tag:
 * an event of an earlier registration of the same number is recognised and dropped.
 *
 * What every event touches is 32 bytes, two to a cache line; what few registrations have
 * lies in a second table, whose pages are never touched where nobody has it.
 */
#ifndef PREFORK_LOOP_HANDLERS_H
#define PREFORK_LOOP_HANDLERS_H

#include <prefork/loop.h>

struct pf__handler {
    pf_io_fn *fn; /* NULL: not registered */
    void *arg;
    const char *where;
    uint32_t generation;
    uint16_t events;  /* asked for; 0: paused or disabled, and unknown to the poller */
    uint8_t failures; /* in a row */
    bool has_more;
};

struct pf__handler_more {
    pf_destroy_fn *destroy;
    pf_close_fn *closer;
    const char *what;
    void *context;
};

struct pf__handlers {
    struct pf__handler *at;
    struct pf__handler_more *more;
    size_t capacity; /* of both */
    size_t count;    /* registered */
};

/* Room for descriptors 0..count-1. Returns 0 or -ENOMEM. */
int pf__handlers_reserve(struct pf__handlers *handlers, size_t count);

/* The registration of fd, or NULL. Valid until the next reserve. */
static inline struct pf__handler *pf__handlers_find(const struct pf__handlers *handlers,
                                                    int fd)
{
    if (fd < 0 || (size_t)fd >= handlers->capacity || !handlers->at[fd].fn)
        return NULL;
    return &handlers->at[fd];
}

static inline uint64_t pf__handler_tag(int fd, const struct pf__handler *handler)
{
    return (uint64_t)handler->generation << 32 | (uint32_t)fd;
}

static inline int pf__tag_fd(uint64_t tag)
{
    return (int)(uint32_t)tag;
}

/* The registration that this tag was made for, or NULL if it is gone. */
static inline struct pf__handler *pf__handlers_by_tag(const struct pf__handlers *handlers,
                                                      uint64_t tag)
{
    struct pf__handler *handler = pf__handlers_find(handlers, pf__tag_fd(tag));
    return handler && handler->generation == tag >> 32 ? handler : NULL;
}

/* What else the registration of fd has; to be read: all zeros if it has nothing. */
static inline struct pf__handler_more pf__handlers_more(const struct pf__handlers *handlers,
                                                        int fd)
{
    return handlers->at[fd].has_more ? handlers->more[fd] : (struct pf__handler_more){0};
}

/* The same to be changed, for a registered fd; the table may grow over it. */
struct pf__handler_more *pf__handlers_add_more(struct pf__handlers *handlers, int fd);

/* Frees the memory. */
void pf__handlers_fini(struct pf__handlers *handlers);

#endif
