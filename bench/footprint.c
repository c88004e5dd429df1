#include "bench/footprint.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* The value of a line such as "Slab:   332500 kB" in bytes, or -1. */
static int64_t read_kilobytes(const char *path, const char *name)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return -1;
    char line[256];
    size_t len = strlen(name);
    int64_t kilobytes = -1;
    while (kilobytes < 0 && fgets(line, sizeof line, file))
        if (strncmp(line, name, len) == 0 && line[len] == ':' &&
            sscanf(line + len + 1, "%" SCNd64, &kilobytes) != 1)
            break;
    (void)fclose(file); /* only read from */
    return kilobytes < 0 ? -1 : kilobytes * 1024;
}

int64_t footprint_user(void)
{
    return read_kilobytes("/proc/self/smaps_rollup", "Anonymous");
}

int64_t footprint_kernel(void)
{
    return read_kilobytes("/proc/meminfo", "Slab");
}

double footprint_each(int64_t before, int64_t after, uint64_t count)
{
    if (before < 0 || after < before || count == 0)
        return NAN;
    return (double)(after - before) / (double)count;
}
