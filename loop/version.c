/*
 * version.c - the version of the library that runs, which need not be that of the headers a
 * program was compiled with.
 */
#include <prefork/base.h>

const char *pf_version(void)
{
    return PF_VERSION;
}
