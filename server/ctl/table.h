/*
 * table.h - a server's answers, for people.
 */
#ifndef PREFORK_SERVER_CTL_TABLE_H
#define PREFORK_SERVER_CTL_TABLE_H

#include <stdio.h>

/*
 * Print an answer to "ping" or "status", or what is wrong with it into `error`
 * (CTL_ERROR_MAX bytes: find.h): the server refuses, and why, or it is no such answer.
 * Returns PF_EXIT_OK or PF_EXIT_SOFTWARE.
 */
int print_ping(FILE *to, const char *answer, char *error);
int print_status(FILE *to, const char *answer, char *error);

#endif
