/* clear.c - see clear.h: in a file of its own, or its callers' length would be known. */
#include "http/clear.h"

#include <string.h>

void pf__clear(void *at, size_t len)
{
    memset(at, 0, len);
}
