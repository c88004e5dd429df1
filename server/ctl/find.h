/*
 * find.h - which server is meant: the path of its control socket.
 */
#ifndef PREFORK_SERVER_CTL_FIND_H
#define PREFORK_SERVER_CTL_FIND_H

#include <stddef.h>

/* Enough for any line of these files. */
#define CTL_ERROR_MAX 512

/*
 * The control socket of the server at `address` ("127.0.0.1:8888", or ":8888" for one with
 * that port), or, without one (NULL), of the only server there is, in the directory where
 * servers of this user put theirs. Of several sockets those count that a server listens on:
 * one that was killed leaves its own behind.
 *
 * Returns PF_EXIT_OK; else with one line in `error` (CTL_ERROR_MAX bytes): PF_EXIT_USAGE
 * (several: choose) or PF_EXIT_UNAVAILABLE (none).
 */
int find_socket(const char *address, char *path, size_t path_len, char *error);

#endif
