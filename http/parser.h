/*
 * parser.h - HTTP/1 heads and bodies, read from bytes; both sides.
 *
 * Only parser*.c know of llhttp. What llhttp lets through in strict mode and RFC 9112 does
 * not is refused on top of it there: a head that passes is unambiguous.
 *
 * A message's head is parsed from one contiguous buffer that holds it from its first byte,
 * but incrementally: each call looks at the bytes that are new. Spans are offsets into that
 * buffer, so it may move between calls. Body bytes are not collected: each call reports the
 * span of body bytes it has passed over.
 *
 * A parser is plain memory: no allocation, no descriptors; copying the struct copies the
 * state. Reusable without end.
 */
#ifndef PREFORK_HTTP_PARSER_H
#define PREFORK_HTTP_PARSER_H

#include "http/chunked.h"

#include <prefork/base.h>

/* Limits of a head; beyond them the answer is 414 or 431. */
#define PF_HTTP_TARGET_MAX 8192
#define PF_HTTP_FIELD_MAX  8192
#define PF_HTTP_HEAD_MAX   32768
#define PF_HTTP_FIELDS_MAX 100
/* What chunk sizes, extensions and trailers of one body may take more than its data; of a
 * response, more than 16 times that. */
#define PF_HTTP_CHUNK_OVERHEAD_MAX 16384

enum pf_http_method {
    PF_HTTP_GET,
    PF_HTTP_HEAD,
    PF_HTTP_POST,
    PF_HTTP_PUT,
    PF_HTTP_DELETE,
    PF_HTTP_OPTIONS,
    PF_HTTP_PATCH,
    PF_HTTP_TRACE,
    PF_HTTP_CONNECT,
    PF_HTTP_METHOD_OTHER, /* known to HTTP, not to us: answer 501 */
};

struct pf_http_span {
    uint32_t at, len;
};

struct pf_http_field {
    struct pf_http_span name, value; /* value without the white space around it */
};

enum pf_http_side {
    PF_HTTP_REQUEST,
    PF_HTTP_RESPONSE,
};

enum pf_http_progress {
    PF_HTTP_MORE = 0,      /* all bytes used, the message goes on */
    PF_HTTP_HEAD_DONE = 1, /* the head is complete; the body, if any, follows */
    PF_HTTP_BODY = 2,      /* some body bytes were passed over: see *body */
    PF_HTTP_DONE = 3,      /* the message is complete */
};

/* What the fields so far say together; counts of no more than PF_HTTP_FIELDS_MAX. */
struct pf_http_meaning {
    bool close, keep_alive; /* Connection */
    uint8_t hosts;
    uint8_t expectations; /* other than 100-continue */
    uint8_t codings;      /* lines of Transfer-Encoding */
    struct pf_http_span coding;
};

/* Storage for llhttp's state; parser_internal.h asserts that it fits. */
#define PF_HTTP_PARSER_WORDS 16

struct pf_http_parser {
    uint64_t state[PF_HTTP_PARSER_WORDS]; /* private */

    /* The head, valid from PF_HTTP_HEAD_DONE on. */
    enum pf_http_method method;
    unsigned status; /* response */
    unsigned minor;  /* of HTTP/1.minor: 0 or 1 */
    bool keep_alive; /* another message may follow; never behind CONNECT or a 101 */
    bool has_body;   /* body bytes may follow */
    bool chunked;
    bool expect_continue;       /* request: Expect: 100-continue, and HTTP/1.1 */
    bool path_escaped;          /* request: there is a % in its path */
    uint64_t content_length;    /* UINT64_MAX: not given */
    uint32_t head_len;          /* bytes of the head, from the first to the empty line */
    struct pf_http_span target; /* request: as sent */
    /* Request: of an origin- or absolute-form target; not decoded, but each % in the path
     * is a valid escape. No path (http://host, or *) means the root, or with OPTIONS the
     * server as a whole. A query begins behind its question mark. */
    struct pf_http_span path, query;
    struct pf_http_span host; /* request: authority of absolute-form, else Host */

    /* private */
    uint64_t body_left; /* of a body with a length */
    struct pf__chunked chunks;
    uint32_t line_at;  /* where the first line begins that is not complete yet */
    uint32_t overhead; /* see PF_HTTP_CHUNK_OVERHEAD_MAX */
    int16_t failure;   /* what run() answered when it failed */
    uint8_t side, phase, empty_lines;
    char last;      /* byte of the chunk framing; '\n' at its start, '\0' behind data */
    bool in_blanks; /* of a chunk's extensions, behind `last` */
    bool head_request;
    struct pf_http_meaning meaning;

    uint32_t field_count;
    struct pf_http_field fields[PF_HTTP_FIELDS_MAX]; /* last: start() does not clear them */
};

/* Get ready for the next message of a connection. `head_request` (PF_HTTP_RESPONSE only):
 * the request was HEAD, so no body follows whatever the head says. Cheap: does not clear
 * fields[]. */
void pf__http_parser_start(struct pf_http_parser *parser, enum pf_http_side side,
                           bool head_request);

/* The same for one whose bytes are zero but for fields[]. */
void pf__http_parser_init(struct pf_http_parser *parser, enum pf_http_side side,
                          bool head_request);

/*
 * Parse on. base[0..len), less than 4 GiB, is the message from its first byte (head not
 * complete yet) and base[0..*used) was passed before; *used is moved on. Once the head is
 * complete the caller may drop bytes in front, and gives base and *used relative to
 * whatever it kept. Up to two empty lines in front of a start line are part of the head.
 *
 * Returns an enum pf_http_progress: after HEAD_DONE and BODY call again, also with nothing
 * new, until MORE or DONE. Bytes behind a complete message are not touched. *body is set
 * with BODY only. Trailers are checked and dropped: they never become fields. A response
 * of 1xx is a message of its own: start again for the next.
 *
 * Or -status: the answer that a server should give before it closes (-400, -413, -414,
 * -417, -431, -501, -505); a client takes any negative value for "garbage". The parser is
 * then dead until started again.
 */
int pf__http_parser_run(struct pf_http_parser *parser, const char *base, size_t len,
                        size_t *used, struct pf_http_span *body);

/* RESPONSE only: the peer closed. PF_HTTP_DONE if that ends the message in an orderly way
 * (a body without a length), else -400. */
int pf__http_parser_eof(struct pf_http_parser *parser);

/* The value of the first field of that name, case-insensitively; NULL if there is none. */
const char *pf__http_parser_field(const struct pf_http_parser *parser, const char *base,
                                  const char *name, size_t *len);

#endif
