/*
 * table.h - memory of tables that grow by doubling and may become large.
 *
 * A table of many megabytes that is used here and there costs more in address translation
 * than in anything else; large ones are therefore in huge pages where the system has them
 * (Linux, madvise(2) MADV_HUGEPAGE).
 */
#ifndef PREFORK_LOOP_TABLE_H
#define PREFORK_LOOP_TABLE_H

#include <stddef.h>

/* From this size on a table is aligned to, and asks for, huge pages. */
#define PF__TABLE_HUGE_BYTES ((size_t)2 << 20)

/* A table of `count` elements of `size` bytes in place of `table` (NULL: none yet), of
 * which `used` are kept; what is new is not zeroed. Returns it, or NULL with nothing
 * changed. Free it with free(). */
void *pf__table_grow(void *table, size_t used, size_t count, size_t size);

#endif
