/* guard.c - see guard.h. */
#include "loop/guard.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct pf__process *pf__page;
_Thread_local char pf__mark;

/* Ordinary memory, so a child goes on counting where its ancestors were: no two processes
 * in one line of descent ever have the same cookie. */
static uint64_t last_cookie;

static void wipe_in_child(void)
{
    if (pf__page)
        memset(pf__page, 0, sizeof *pf__page);
}

static struct pf__process *map_page(void)
{
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    struct pf__process *fresh =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (fresh == MAP_FAILED)
        return NULL;
    bool wiped_by_kernel = false;
#if defined(MADV_WIPEONFORK)
    wiped_by_kernel = madvise(fresh, size, MADV_WIPEONFORK) == 0;
#elif defined(INHERIT_ZERO)     /* FreeBSD */
    wiped_by_kernel = minherit(fresh, size, INHERIT_ZERO) == 0;
#elif defined(MAP_INHERIT_ZERO) /* OpenBSD, NetBSD */
    wiped_by_kernel = minherit(fresh, size, MAP_INHERIT_ZERO) == 0;
#endif
    /* Without the kernel's help a raw clone(2) goes unnoticed; fork(2) does not. */
    if (!wiped_by_kernel && pthread_atfork(NULL, NULL, wipe_in_child) != 0) {
        munmap(fresh, size);
        return NULL;
    }
    struct pf__process *none = NULL;
    if (!__atomic_compare_exchange_n(&pf__page, &none, fresh, false, __ATOMIC_SEQ_CST,
                                     __ATOMIC_SEQ_CST)) {
        munmap(fresh, size); /* another thread was first */
        return none;
    }
    return fresh;
}

struct pf__process *pf__process(void)
{
    struct pf__process *process = __atomic_load_n(&pf__page, __ATOMIC_ACQUIRE);
    return process ? process : map_page();
}

uint64_t pf__process_cookie(void)
{
    struct pf__process *process = pf__process();
    if (!process)
        return 0;
    uint64_t cookie = __atomic_load_n(&process->cookie, __ATOMIC_ACQUIRE);
    if (cookie)
        return cookie;
    __atomic_store_n(&process->pid, getpid(), __ATOMIC_RELAXED); /* whoever writes it */
    uint64_t fresh = __atomic_add_fetch(&last_cookie, 1, __ATOMIC_SEQ_CST);
    if (__atomic_compare_exchange_n(&process->cookie, &cookie, fresh, false,
                                    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        return fresh;
    return cookie;
}

/* A spinlock and not a mutex, because it must be unlocked when its bytes are wiped. It is
 * held for a few instructions, when a loop is made or closed. */
void pf__process_lock(struct pf__process *process)
{
    while (__atomic_exchange_n(&process->lock, 1, __ATOMIC_ACQUIRE))
        sched_yield();
}

void pf__process_unlock(struct pf__process *process)
{
    __atomic_store_n(&process->lock, 0, __ATOMIC_RELEASE);
}
