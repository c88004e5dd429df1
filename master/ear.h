/*
 * ear.h - what a worker says on its standard error until it is ready.
 *
 * The master passes it on and keeps the end of it, so that it can say what a worker said
 * that did not boot. Nothing here blocks: what nobody takes from the master's own standard
 * error is left out, like a log line.
 */
#ifndef PREFORK_MASTER_EAR_H
#define PREFORK_MASTER_EAR_H

#include <prefork/loop.h>

/* How much is kept, with a NUL. */
#define PF__EAR_TAIL 1024

struct pf__ear {
    pf_loop *loop;
    bool open;
    int fd;
    size_t len;
    char tail[PF__EAR_TAIL];
};

/* Listen to fd, a pipe's reading end, non-blocking, ours from now on even if this fails.
 * Ends by itself when the last writer closes. Returns 0 or a negative errno. */
int pf__ear_open(struct pf__ear *ear, pf_loop *loop, int fd);

/* Take what stands in the pipe, and close. For one that is not open: nothing. */
void pf__ear_close(struct pf__ear *ear);

/* The last lines that are not empty, at most two, without line ends, joined by " | ", into
 * text[len]: PF__EAR_TAIL + 2 is always enough, what does not fit is cut. */
void pf__ear_last_words(const struct pf__ear *ear, char *text, size_t len);

#endif
