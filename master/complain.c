/* complain.c - see complain.h. */
#include "master/complain.h"

#include <stdarg.h>
#include <stdio.h>

int pf__complain(const struct pf_master_options *options, int status, const char *format,
                 ...)
{
    va_list args;
    va_start(args, format);
    if (options->error && options->error_len)
        vsnprintf(options->error, options->error_len, format, args);
    va_end(args);
    return status;
}
