#include "bench/descriptors.h"

#include <sys/resource.h>

/* Descriptors a process needs beside: standard ones, its loop's, what it inherited. */
#define BESIDE 128
/* fs.nr_open as it comes: no process has more. */
#define NR_OPEN (1u << 20)

unsigned descriptors_raise(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 0;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 0;
    return limit.rlim_max < NR_OPEN ? (unsigned)limit.rlim_max : NR_OPEN;
}

unsigned descriptors_spare(void)
{
    unsigned most = descriptors_raise();
    return most > 2 * BESIDE ? most - BESIDE : 0;
}
