/*
 * access_log.h - one line for each request, in a file that all workers append to.
 *
 *     open     in the master, before the fork: workers inherit the descriptor
 *     write    on any lane's thread; one line, one write(2)
 *     reopen   in each process, when the file has been renamed
 *
 * Lines of many processes do not mix: O_APPEND on files, and at most PIPE_BUF bytes to a
 * pipe. A log that does not take a line loses it, and the next that is taken says to
 * pf_log() how many were lost: nobody waits for a log.
 *
 * A reopened file takes the place of the old one under the same descriptor (dup3(2)), so
 * that lanes on other threads need no lock.
 */
#ifndef PREFORK_SERVER_ACCESS_LOG_H
#define PREFORK_SERVER_ACCESS_LOG_H

#include <prefork/http.h>

#include <limits.h>
#include <stdatomic.h>

enum pf__access_format {
    PF__ACCESS_COMBINED, /* as Apache and nginx have it, times in UTC */
    PF__ACCESS_JSON,     /* an object a line */
};

/* A request counts as an event of this name (pf_log_named()), with a level by its status,
 * as Tornado has it: info below 400, warn below 500, error. Below the name's level it has
 * no line. */
#define PF__ACCESS_NAME "access"

/* The longest line, with its newline: PIPE_BUF. Fields that are longer than their share of
 * it are cut. */
#define PF__ACCESS_LINE_MAX 4096

struct pf__access_log {
    int fd;           /* -1: there is no log */
    const char *path; /* NULL: standard output or error, which is never reopened */
    enum pf__access_format format;
    bool waits;        /* writing might: ask before */
    atomic_ulong lost; /* lines, since the last one that was taken */
    atomic_bool torn;  /* of the last one only the beginning is there */
};
#define PF__ACCESS_LOG_NONE                                                                \
    {                                                                                      \
        .fd = -1                                                                           \
    }

/* What a line tells beside what the request does. */
struct pf__access {
    int status;
    uint64_t bytes;
    int64_t duration_ns;
    int64_t now_s; /* of the calendar: clock_gettime(2), CLOCK_REALTIME */
    unsigned worker;
};

/*
 * "-" is standard output, "stderr" standard error, all else a file, made if it is not there
 * (mode 0644 by umask(2)), or a pipe that somebody reads. `path` is borrowed. Returns 0, or
 * a negative errno of open(2): -ENXIO, nobody reads the pipe.
 */
int pf__access_log_open(struct pf__access_log *log, const char *path,
                        enum pf__access_format format);
void pf__access_log_close(struct pf__access_log *log);

/* Open it by its name again. On failure the old file is written on, and pf_log() told. */
void pf__access_log_reopen(struct pf__access_log *log);

/*
 * Write the line into text[PF__ACCESS_LINE_MAX], which ends in a newline and a NUL; returns
 * its length without the NUL. Whatever the client sent, it is one line: see escape.h.
 */
size_t pf__access_log_format(enum pf__access_format format, pf_http_request *request,
                             const struct pf__access *access, char *text);

/* Format, and write. Nothing if there is no log. */
void pf__access_log_write(struct pf__access_log *log, pf_http_request *request,
                          const struct pf__access *access);

#endif
