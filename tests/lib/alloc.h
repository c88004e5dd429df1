/*
 * alloc.h - an allocator that fails when told, for one test program: include it once.
 *
 *     pf_alloc_fail(n);                the n-th allocation of this thread from here on
 * fails err = what_is_tested(); int allocated = pf_alloc_stop();
 *
 * It stands in front of glibc's for the whole program and its libraries, and counts for
 * each thread on its own. The sanitizers and valgrind have allocators of their own: there,
 * skip.
 */
#ifndef PREFORK_TESTS_LIB_ALLOC_H
#define PREFORK_TESTS_LIB_ALLOC_H

#include "tests/lib/test.h"

#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PF_ALLOC_OWN 0
#elif defined(__has_feature)
#define PF_ALLOC_OWN (!__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer))
#else
#define PF_ALLOC_OWN 1
#endif

static _Thread_local int pf_alloc_count; /* since it was told */
/* The n-th fails, 1 is the next; 0: none; -n: that one and all behind it. */
static _Thread_local int pf_alloc_at;

static atomic_long pf_alloc_live; /* bytes, of all threads */

#if PF_ALLOC_OWN
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *memory);

static bool pf_alloc_fails(void)
{
    pf_alloc_count++;
    bool now = pf_alloc_count == pf_alloc_at ||
               (pf_alloc_at < 0 && pf_alloc_count >= -pf_alloc_at);
    if (now)
        errno = ENOMEM;
    return now;
}

static void *pf_alloc_count_in(void *memory)
{
    if (memory)
        atomic_fetch_add(&pf_alloc_live, (long)malloc_usable_size(memory));
    return memory;
}

static void pf_alloc_count_out(void *memory)
{
    if (memory)
        atomic_fetch_sub(&pf_alloc_live, (long)malloc_usable_size(memory));
}

/* Visible in spite of -fvisibility=hidden, so that shared libraries call them too: libc
 * itself (strdup(3), getaddrinfo(3)), jansson. */
#pragma GCC visibility push(default)
void *malloc(size_t size)
{
    return pf_alloc_fails() ? NULL : pf_alloc_count_in(__libc_malloc(size));
}

void *calloc(size_t count, size_t size)
{
    return pf_alloc_fails() ? NULL : pf_alloc_count_in(__libc_calloc(count, size));
}

void *realloc(void *old, size_t size)
{
    if (pf_alloc_fails())
        return NULL;
    long before = old ? (long)malloc_usable_size(old) : 0;
    void *memory = __libc_realloc(old, size);
    if (memory)
        atomic_fetch_sub(&pf_alloc_live, before);
    return pf_alloc_count_in(memory);
}

int posix_memalign(void **memory, size_t alignment, size_t size)
{
    *memory = pf_alloc_fails() ? NULL : pf_alloc_count_in(__libc_memalign(alignment, size));
    return *memory ? 0 : ENOMEM;
}

void free(void *memory)
{
    pf_alloc_count_out(memory);
    __libc_free(memory);
}
#pragma GCC visibility pop
#endif

/* Count from here; the n-th fails, 0: none, -n: from the n-th on all do. */
static inline void pf_alloc_fail(int n)
{
    pf_alloc_count = 0;
    pf_alloc_at = n;
}

/* Fail no more; how many there were. */
static inline int pf_alloc_stop(void)
{
    pf_alloc_at = 0;
    return pf_alloc_count;
}

/* Skip the test where the allocator above is not in place. */
static inline void pf_alloc_needed(void)
{
    const char *preload = getenv("LD_PRELOAD");
    if (!PF_ALLOC_OWN || (preload && strstr(preload, "vgpreload")))
        skip();
}

/* In all threads. */
static inline size_t pf_alloc_bytes(void)
{
    return (size_t)atomic_load(&pf_alloc_live);
}

#endif
