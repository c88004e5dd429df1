/*
 * multipart.h - multipart/form-data, RFC 7578, as it comes in: forms with files.
 *
 *     pf__multipart_start(&multipart, content_type, 100);
 *     for each piece of the body: until MORE or an error, pf__multipart_run()
 *         PART      multipart.name, .filename, .content_type are those of the part
 *         DATA      some bytes of it; none, or many times
 *         PART_END
 *         DONE      the last: what comes behind it is passed over
 *     at the end of the body: was there DONE? Else it was cut short.
 *
 * Data is not collected: what might be the beginning of a boundary is the only thing kept
 * back, and since that equals the boundary, nothing is copied for it.
 *
 * A parser is plain memory of some 2 KiB: no allocation; start it again at will. It must
 * not be moved between DATA and the use of its bytes.
 */
#ifndef PREFORK_HTTP_MULTIPART_H
#define PREFORK_HTTP_MULTIPART_H

#include "http/text.h"

#define PF__MULTIPART_BOUNDARY_MAX 70 /* RFC 2046 section 5.1.1 */
/* The head of one part, with its line ends, and one line of it without. */
#define PF__MULTIPART_HEAD_MAX 4096
#define PF__MULTIPART_LINE_MAX 1024
/* What is kept of a part's head, with a NUL each. */
#define PF__MULTIPART_NAME_MAX 256
#define PF__MULTIPART_TYPE_MAX 128

enum pf__multipart_event {
    PF__MULTIPART_MORE = 0, /* all bytes used */
    PF__MULTIPART_PART = 1,
    PF__MULTIPART_DATA = 2,
    PF__MULTIPART_PART_END = 3,
    PF__MULTIPART_DONE = 4,
};

struct pf__multipart {
    /* Of the part that was begun last, as sent: not decoded. Browsers write %22, %0D and
     * %0A for a quote, CR and LF in names. */
    char name[PF__MULTIPART_NAME_MAX];
    char filename[PF__MULTIPART_NAME_MAX];     /* never to be opened as it is */
    char content_type[PF__MULTIPART_TYPE_MAX]; /* "" if it was not said */
    bool has_filename;                         /* a file, if nameless perhaps */
    bool done;                                 /* the last boundary has come */

    /* private */
    bool in_part, has_disposition;
    unsigned char state;
    int failure;
    unsigned parts, parts_max;
    size_t matched;            /* bytes of the delimiter seen */
    size_t imagined;           /* of these, not really there */
    size_t head_len, line_len; /* so far */
    size_t delimiter_len;      /* CR LF - - and the boundary */
    char delimiter[4 + PF__MULTIPART_BOUNDARY_MAX];
    char line[PF__MULTIPART_LINE_MAX];
};

/*
 * Get ready for a body with this Content-Type and at most parts_max parts.
 *
 * Returns 0, -ENOTSUP (another type than multipart/form-data), or -EINVAL (no boundary,
 * two, or one that is empty, too long or made of what RFC 2046 does not allow).
 */
int pf__multipart_start(struct pf__multipart *multipart, struct pf__text content_type,
                        unsigned parts_max);

/*
 * Go on with data[0..len), of which [0..*used) was passed before; *used is moved on.
 *
 * Returns an enum pf__multipart_event: until MORE, or DONE with *used == len, call again.
 * With DATA *piece is set: some bytes, at least one, borrowed from `data` or from the
 * parser, until the next call. What comes before the first boundary is passed over.
 *
 * Or -EBADMSG (malformed: a head without a form-data disposition and a name, or with two, a
 * line that is no field, a boundary with something behind it), -E2BIG (too many parts, or a
 * head, line, name or type that is too long). The parser is then dead until started again,
 * and so it stays with the same error.
 */
int pf__multipart_run(struct pf__multipart *multipart, const char *data, size_t len,
                      size_t *used, struct pf__text *piece);

#endif
