/*
 * files.h - the pieces of serving files: what is opened beneath a root, an open file as a
 * response, a directory as a page, several ranges of a file as one response.
 *
 * Which file it is, and in which form, is decided in files.c.
 */
#ifndef PREFORK_HTTP_FILES_H
#define PREFORK_HTTP_FILES_H

#include "http/negotiate.h"
#include "http/range.h"
#include "http/text.h"

#include <prefork/http.h>
#include <sys/stat.h>

/* ---- beneath.c ------------------------------------------------------------------- */

/*
 * Open `name` for reading, beneath the directory `root`: whatever the name and the links on
 * its way say, nothing outside is opened, however others rename things meanwhile. "" is
 * the root. It never waits, for a FIFO's writer neither.
 *
 * Where the kernel has no openat2(2), or a filter forbids it, no link is followed at all.
 *
 * Returns a descriptor, yours (close-on-exec, non-blocking), or a negative errno: -ENOENT,
 * -ENOTDIR, -EXDEV (leads out), -ELOOP, -ENAMETOOLONG, -ENXIO (a socket), -EACCES, -EMFILE,
 * -EAGAIN (others rename too fast) ... Any thread, any process. Source: openat2(2).
 */
int pf__beneath_open(int root, const char *name);

/* ---- file_answer.c --------------------------------------------------------------- */

/* "W/" and three numbers of 64 bits in quotes. */
#define PF__FILE_TAG_MAX (sizeof "W/\"ffffffffffffffff-ffffffffffffffff-ffffffffffffffff\"")

/* An open file, as it is to be sent. */
struct pf__file {
    int fd;
    const char *type, *cache_control; /* borrowed; the latter may be NULL */
    enum pf__coding coding;
    uint64_t size;
    int64_t now;      /* in seconds since 1970 */
    int64_t modified; /* or PF__NO_DATE */
    char tag[PF__FILE_TAG_MAX];
    bool is_weak; /* the tag, and the date */
};

/* Its size and validators, which are the clock's, too: weak within a second of a change. */
void pf__file_describe(struct pf__file *file, const struct stat *st);

/*
 * Answer with what the request's conditions and ranges leave of it: 200, 206, 304, 412 or
 * 416. Once a response has its descriptor, file->fd is -1.
 *
 * Returns 0, PF_HTTP_LATER, or as pf_http_respond() does.
 */
int pf__file_answer(pf_http_request *request, struct pf__file *file);

/* The lines of one field of the request, into lines[PF_HTTP_FIELDS_MAX]. */
struct pf__texts pf__file_lines_of(const pf_http_request *request, const char *name,
                                   struct pf__text *lines);

/* ---- listing.c ------------------------------------------------------------------- */

/* More names of one directory are not listed; the page says so, as it does when it would
 * become longer than PF_HTTP_RESPONSE_BODY_MAX. */
#define PF__LISTING_MAX 10000

/*
 * The names in a directory as a page of HTML: sorted by their bytes, directories with a
 * slash behind them, none that is hidden or could not be asked for. `title` is text, not
 * HTML. With a link upwards unless `is_root`.
 *
 * dir_fd  open for reading; ours, closed whatever is returned.
 *
 * Returns 0, *html (to be freed) and *len, or -ENOMEM, or an error of readdir(3). Blocks on
 * the directory.
 */
int pf__listing_new(int dir_fd, const char *title, bool is_root, char **html, size_t *len);

/* ---- byteranges.c ---------------------------------------------------------------- */

/*
 * Answer with several ranges of a file, as 206 multipart/byteranges, RFC 9110 section 14.6;
 * its fields are set already, but for Content-Type.
 *
 * fd            ours, closed whatever is returned.
 * content_type  of the file; valid as long as the request.
 *
 * Returns 0 (finished), PF_HTTP_LATER, or as pf_http_write() does, with nothing sent.
 */
int pf__byteranges_respond(pf_http_request *request, int fd, uint64_t size,
                           const char *content_type, const struct pf__ranges *ranges);

#endif
