/*
 * standard.h - standard input, output and error, which a server may be started without.
 */
#ifndef PREFORK_MASTER_STANDARD_H
#define PREFORK_MASTER_STANDARD_H

/*
 * Open /dev/null for each that is missing: its number would go to a socket or to the
 * scoreboard, and the log would be written into that. Never fails: without a descriptor to
 * be had there is nothing to protect.
 */
void pf__standard_descriptors(void);

#endif
