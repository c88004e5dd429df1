/* standard.c - see standard.h. */
#include "master/standard.h"

#include <fcntl.h>
#include <unistd.h>

void pf__standard_descriptors(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR); /* the lowest number that is free */
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}
