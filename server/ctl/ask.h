/*
 * ask.h - one request to a server, and its answer.
 */
#ifndef PREFORK_SERVER_CTL_ASK_H
#define PREFORK_SERVER_CTL_ASK_H

#include <stddef.h>
#include <stdint.h>

/*
 * Send the request (a line, without its newline), and read the answer: a line, without its
 * newline, in *answer, yours to free.
 *
 * timeout_ns  for all of it
 * error       CTL_ERROR_MAX bytes (find.h), one line if it fails
 *
 * Returns PF_EXIT_OK; PF_EXIT_UNAVAILABLE (no server, or it does not answer in time);
 * PF_EXIT_USAGE (the path is too long); PF_EXIT_SOFTWARE (what came is no answer, or out of
 * memory).
 */
int ask_server(const char *path, const char *request, int64_t timeout_ns, char **answer,
               char *error);

#endif
