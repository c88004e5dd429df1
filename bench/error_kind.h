/*
 * error_kind.h - errors of one kind are counted together.
 */
#ifndef PREFORK_BENCH_ERROR_KIND_H
#define PREFORK_BENCH_ERROR_KIND_H

#include "bench/tally.h"
#include <stdbool.h>

static inline bool error_kind_same(const struct tally_error *a, const struct tally_error *b)
{
    return a->phase == b->phase && a->when == b->when && a->reason == b->reason;
}

/* The one of the same kind among `count`, or NULL. */
static inline struct tally_error *error_kind_find(struct tally_error *errors, size_t count,
                                                  const struct tally_error *like)
{
    for (size_t i = 0; i < count; i++)
        if (error_kind_same(&errors[i], like))
            return &errors[i];
    return NULL;
}

#endif
