/*
 * mime.h - the media type of a file, by the extension of its name.
 *
 * From a mime.types file, which is read once; what it does not know, or if there is none, a
 * built-in table may. Looking up changes nothing: any thread, also in a forked child.
 */
#ifndef PREFORK_HTTP_MIME_H
#define PREFORK_HTTP_MIME_H

#include <prefork/base.h>

/* A longer mime.types is read up to here. */
#define PF__MIME_FILE_MAX (1024 * 1024)

#define PF__MIME_UNKNOWN "application/octet-stream"

struct pf__mime;

/*
 * Read ROOT/etc/mime.types; `root` is "" but in tests. Lines are "type ext ext ...", from a
 * '#' on they are passed over, as are types that are none; of an extension that comes twice
 * the last line counts.
 *
 * Returns 0, also if there is no such file or it cannot be read, or -ENOMEM. Blocks on the
 * file: for start-up. The table is on the heap.
 */
int pf__mime_new(const char *root, struct pf__mime **out);

/* NULL is fine. */
void pf__mime_free(struct pf__mime *mime);

/*
 * The Content-Type for a file's name, or path, of `len` bytes: what stands behind the last
 * dot of its last segment decides, in upper or lower case; a dot in front makes a name
 * hidden, not an extension. Text types carry "; charset=utf-8". PF__MIME_UNKNOWN if nothing
 * is known. NUL-terminated, valid until the table is freed. `mime` may be NULL: built-in
 * types alone. Cost: two binary searches.
 */
const char *pf__mime_type(const struct pf__mime *mime, const char *name, size_t len);

#endif
