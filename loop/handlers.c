/* handlers.c - see handlers.h. */
#include "loop/handlers.h"

#include <errno.h>
#include <stdlib.h>

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
    struct pf__handler_more *more = at ? calloc(capacity, sizeof *more) : NULL;
    if (!more) {
        free(at);
        return -ENOMEM;
    }
    for (size_t fd = 0; fd < handlers->capacity; fd++) {
        at[fd] = handlers->at[fd];
        if (at[fd].has_more)
            more[fd] = handlers->more[fd];
    }
    struct pf__handler *old_at = handlers->at;
    struct pf__handler_more *old_more = handlers->more;
    handlers->at = at; /* first: at a fork in another thread a child finds one that lives */
    handlers->more = more;
    handlers->capacity = capacity;
    free(old_at);
    free(old_more);
    return 0;
}

struct pf__handler_more *pf__handlers_add_more(struct pf__handlers *handlers, int fd)
{
    struct pf__handler_more *more = &handlers->more[fd];
    if (!handlers->at[fd].has_more)
        *more = (struct pf__handler_more){0};
    handlers->at[fd].has_more = true;
    return more;
}

void pf__handlers_fini(struct pf__handlers *handlers)
{
    free(handlers->at);
    free(handlers->more);
    *handlers = (struct pf__handlers){0};
}
