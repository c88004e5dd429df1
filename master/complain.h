/*
 * complain.h - the one line that a start-up which fails leaves behind.
 */
#ifndef PREFORK_MASTER_COMPLAIN_H
#define PREFORK_MASTER_COMPLAIN_H

#include <prefork/master.h>

/* Write it into options->error, if there is one; returns `status`, an exit status. */
PF_PRINTF(3, 4)
int pf__complain(const struct pf_master_options *options, int status, const char *format,
                 ...);

#endif
