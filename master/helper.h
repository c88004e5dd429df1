/* helper.h - short-lived processes that do for the master what would hold it up. */
#ifndef PREFORK_MASTER_HELPER_H
#define PREFORK_MASTER_HELPER_H

#include <sys/types.h>

/* In the helper: it ends by SIGALRM after so many seconds, whatever it is at. */
void pf__helper_limit(unsigned seconds);

/* In the master: end it and reap it; 0: none. */
void pf__helper_end(pid_t pid);

#endif
