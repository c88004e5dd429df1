/* handlers.c - see handlers.h. */
#include "loop/handlers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    FIRST_CAPACITY = 64
};

int pf__handlers_reserve(struct pf__handlers *handlers, size_t count)
{
    if (count <= handlers->capacity)
        return 0;
    if (count > SIZE_MAX / 2 / sizeof *handlers->at)
        return -ENOMEM;
    size_t capacity = handlers->capacity ? handlers->capacity : FIRST_CAPACITY;
    while (capacity < count)
        capacity *= 2;
    /* calloc and not realloc: pages of a large table that nobody uses are never touched. */
    struct pf__handler *at = calloc(capacity, sizeof *at);
    if (!at)
        return -ENOMEM;
    if (handlers->capacity)
        memcpy(at, handlers->at, handlers->capacity * sizeof *at);
    free(handlers->at);
    handlers->at = at;
    handlers->capacity = capacity;
    return 0;
}

struct pf__handler *pf__handlers_find(const struct pf__handlers *handlers, int fd)
{
    if (fd < 0 || (size_t)fd >= handlers->capacity || !handlers->at[fd].fn)
        return NULL;
    return &handlers->at[fd];
}

uint64_t pf__handler_tag(int fd, const struct pf__handler *handler)
{
    return (uint64_t)handler->generation << 32 | (uint32_t)fd;
}

int pf__tag_fd(uint64_t tag)
{
    return (int)(uint32_t)tag;
}

struct pf__handler *pf__handlers_by_tag(const struct pf__handlers *handlers, uint64_t tag)
{
    struct pf__handler *handler = pf__handlers_find(handlers, pf__tag_fd(tag));
    return handler && handler->generation == tag >> 32 ? handler : NULL;
}

void pf__handlers_fini(struct pf__handlers *handlers)
{
    for (size_t fd = 0; fd < handlers->capacity; fd++)
        if (handlers->at[fd].fn && handlers->at[fd].destroy)
            handlers->at[fd].destroy(handlers->at[fd].arg);
    free(handlers->at);
    *handlers = (struct pf__handlers){0};
}
