/*
 * files.h - the pieces of serving files: what is opened beneath a root, a directory as a
 * page, several ranges of a file as one response.
 *
 * What to answer, and with which fields, is decided in files.c.
 */
#ifndef PREFORK_HTTP_FILES_H
#define PREFORK_HTTP_FILES_H

#include "http/range.h"
#include <prefork/http.h>

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
