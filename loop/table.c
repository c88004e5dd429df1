/* table.c - see table.h. */
#include "loop/table.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static void *allocate_huge(size_t bytes)
{
    void *memory;
    size_t whole = (bytes + PF__TABLE_HUGE_BYTES - 1) / PF__TABLE_HUGE_BYTES;
    if (posix_memalign(&memory, PF__TABLE_HUGE_BYTES, whole * PF__TABLE_HUGE_BYTES) != 0)
        return NULL;
#ifdef MADV_HUGEPAGE
    (void)madvise(memory, whole * PF__TABLE_HUGE_BYTES, MADV_HUGEPAGE); /* only advice */
#endif
    return memory;
}

void *pf__table_grow(void *table, size_t used, size_t count, size_t size)
{
    if (count > SIZE_MAX / 2 / size)
        return NULL;
    size_t bytes = count * size;
    if (bytes < PF__TABLE_HUGE_BYTES)
        return realloc(table, bytes);
    void *larger = allocate_huge(bytes);
    if (larger && used)
        memcpy(larger, table, used * size);
    if (larger)
        free(table);
    return larger;
}
