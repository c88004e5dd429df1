/*
 * banner.h - what a server prints when it is up.
 */
#ifndef PREFORK_SERVER_BANNER_H
#define PREFORK_SERVER_BANNER_H

#include "server/application.h"

#include <prefork/master.h>

/* Print it to fd, as much of it as that takes without waiting. */
void pf__banner_print(const struct pf_master_status *status, const struct pf__facts *facts,
                      int fd);

#endif
