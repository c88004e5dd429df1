/*
 * offer.h - bytes offered to a descriptor that others share, such as standard error: taken
 * at once or not at all.
 *
 * O_NONBLOCK is no way: it would be set for everybody who has the descriptor. Nor is
 * poll(2) before a write(2) alone: another process may fill a pipe in between.
 */
#ifndef PREFORK_LOOP_OFFER_H
#define PREFORK_LOOP_OFFER_H

#include <stdbool.h>
#include <stddef.h>

/* Up to PIPE_BUF bytes, which a pipe takes in one piece. Returns false if nobody takes them
 * now; what cannot be written for another reason counts as taken. Leaves errno undefined.
 */
bool pf__offer(int fd, const void *bytes, size_t len);

#endif
