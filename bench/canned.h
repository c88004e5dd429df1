/*
 * canned.h - a null server's answers: made once at the start, and then only pointed at.
 */
#ifndef PREFORK_BENCH_CANNED_H
#define PREFORK_BENCH_CANNED_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

enum canned_kind {
    CANNED,      /* head and body */
    CANNED_HEAD, /* to a HEAD */
    CANNED_LAST, /* with Connection: close, and so it is */
    CANNED_LAST_HEAD,
    CANNED_BAD,     /* to what is no request: 400, and the last */
    CANNED_GARBAGE, /* no HTTP, and the last */
    CANNED_KINDS,
};

struct canned {
    struct iovec answer[CANNED_KINDS]; /* borrowed by whoever sends them */
    char *text[2];                     /* that they point into: private */
};

/* With this status (200 to 599), and bodies of so many bytes: "abc...zabc...". Returns 0 or
 * -ENOMEM. */
int canned_init(struct canned *canned, unsigned status, size_t body);
void canned_fini(struct canned *canned);

/* Is it a connection's last? */
bool canned_is_last(enum canned_kind kind);

#endif
