/*
 * parser.c - HTTP/1 heads and bodies by llhttp, and by a second opinion.
 *
 * llhttp reads every byte of a head: it knows which characters may stand where, what the
 * methods are, and what Content-Length says. But it forgives what RFC 9112 does not, and it
 * has no limits. So a head is read twice: llhttp goes ahead over the new bytes, and the
 * lines that it has let pass are taken apart here: start line, fields, and at the empty
 * line what they mean together. A body with a length is counted here; a chunked one is
 * llhttp's again.
 *
 * Invariant: the answer depends on the bytes alone, not on how they were cut into reads. Of
 * two faults the one that is complete first wins: lines are taken only as far as llhttp
 * got, and before its own error counts.
 */
#include "http/parser.h"

#include "http/clear.h"
#include "http/text.h"

#include <llhttp/llhttp.h>
#include <string.h>
#include <strings.h>

#if !LLHTTP_STRICT_MODE
#error "llhttp's lenient mode is a way in for request smuggling"
#endif

/* Empty lines that may stand in front of a start line: RFC 9112 section 2.2. */
#define EMPTY_LINES_MAX 2
/* No method known to HTTP is longer. */
#define METHOD_MAX  32
#define VERSION_LEN (sizeof "HTTP/1.1" - 1)
/* Of a start line, beside its target. */
#define START_LINE_SPARE (METHOD_MAX + sizeof "  HTTP/1.1\r\n")

enum phase {
    PHASE_START, /* before the end of the start line */
    PHASE_FIELDS,
    PHASE_HEAD_END, /* the empty line has come */
    PHASE_BODY,     /* also without one: what follows HEAD_DONE */
    PHASE_DONE,
    PHASE_FAILED,
};

_Static_assert(sizeof(llhttp_t) <= sizeof(((struct pf_http_parser *)0)->state),
               "PF_HTTP_PARSER_WORDS is too small for llhttp's state");

static llhttp_t *llhttp_of(struct pf_http_parser *parser)
{
    return (llhttp_t *)(void *)parser->state;
}

/* ---- llhttp's callbacks: they stop it where this side wants to look -------------- */

static int stop_here(llhttp_t *ll)
{
    (void)ll;
    return HPE_PAUSED;
}

/* What one piece of chunk data was; llhttp_t.data points at it while llhttp runs. */
struct piece {
    const char *at;
    size_t len;
};

static int stop_behind_data(llhttp_t *ll, const char *at, size_t len)
{
    struct piece *piece = ll->data;
    *piece = (struct piece){at, len};
    return len > 0 ? HPE_PAUSED : HPE_OK;
}

static const llhttp_settings_t settings = {
    .on_headers_complete = stop_here,
    .on_body = stop_behind_data,
    .on_message_complete = stop_here,
};

/* ---- characters and words -------------------------------------------------------- */

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

/* Is it `word`, which is in lower case, in upper or lower case? Most are not, which their
 * first letter shows. */
static bool is_word(const char *p, size_t len, const char *word)
{
    if (len != strlen(word))
        return false;
    size_t same = 0;
    while (same < len && pf__to_lower(p[same]) == word[same])
        same++;
    return same == len;
}

/* At a %: do two hexadecimal digits follow? */
static bool is_escape(const char *p, const char *end)
{
    return end - p >= 3 && pf__char_is(p[1], PF__HEX) && pf__char_is(p[2], PF__HEX);
}

/* Behind an IPv6 address in brackets; NULL: it is none. */
static const char *skip_address(const char *p, const char *end)
{
    const char *stop = p + 1;
    while (stop < end && (pf__char_is(*stop, PF__HEX) || *stop == ':' || *stop == '.'))
        stop++;
    return stop < end && *stop == ']' && stop - p >= 3 ? stop + 1 : NULL;
}

/* Behind a name or an IPv4 address; NULL: with a % that begins no escape. */
static const char *skip_name(const char *p, const char *end)
{
    while ((p = pf__skip(p, end, PF__HOST)) < end && *p == '%') {
        if (!is_escape(p, end))
            return NULL;
        p += 3;
    }
    return p;
}

/* A host with an optional port, RFC 3986 section 3.2; without user information. It may be
 * empty, in Host, but then has no port. */
static bool host_is_valid(const char *p, const char *end)
{
    const char *stop = p < end && *p == '[' ? skip_address(p, end) : skip_name(p, end);
    if (stop && stop > p && stop < end && *stop == ':')
        stop = pf__skip(stop + 1, end, PF__DIGIT);
    return stop == end;
}

/* Take the next element off a comma-separated list, without the white space around it. */
static bool next_element(const char **list, const char *end, const char **at, size_t *len)
{
    const char *p = *list;
    if (p > end)
        return false;
    const char *comma = memchr(p, ',', (size_t)(end - p));
    const char *stop = comma ? comma : end;
    *list = stop + 1;
    while (p < stop && is_space(*p))
        p++;
    while (p < stop && is_space(stop[-1]))
        stop--;
    *at = p;
    *len = (size_t)(stop - p);
    return true;
}

static struct pf_http_span span_of(const char *base, const char *at, const char *end)
{
    return (struct pf_http_span){(uint32_t)(at - base), (uint32_t)(end - at)};
}

/* ---- the start line -------------------------------------------------------------- */

static enum pf_http_method method_of(const llhttp_t *ll)
{
    switch (ll->method) {
    case HTTP_GET:
        return PF_HTTP_GET;
    case HTTP_HEAD:
        return PF_HTTP_HEAD;
    case HTTP_POST:
        return PF_HTTP_POST;
    case HTTP_PUT:
        return PF_HTTP_PUT;
    case HTTP_DELETE:
        return PF_HTTP_DELETE;
    case HTTP_OPTIONS:
        return PF_HTTP_OPTIONS;
    case HTTP_PATCH:
        return PF_HTTP_PATCH;
    case HTTP_TRACE:
        return PF_HTTP_TRACE;
    case HTTP_CONNECT:
        return PF_HTTP_CONNECT;
    default:
        return PF_HTTP_METHOD_OTHER;
    }
}

static bool is_version(const char *p, size_t len)
{
    return len >= 3 && pf__char_is(p[0], PF__DIGIT) && p[1] == '.' &&
           pf__char_is(p[2], PF__DIGIT);
}

/* "HTTP/1.1", or another number: 505, or something else: 400. */
static int take_version(struct pf_http_parser *parser, const char *p)
{
    if (memcmp(p, "HTTP/1.1", VERSION_LEN) == 0) {
        parser->minor = 1;
        return 0;
    }
    if (memcmp(p, "HTTP/", 5) != 0 || !is_version(p + 5, 3))
        return -400;
    if (p[5] != '1' || p[7] > '1')
        return -505;
    parser->minor = (unsigned)(p[7] - '0');
    return 0;
}

/* To the end of the target, or to what may not stand in it. */
static int take_path_and_query(struct pf_http_parser *parser, const char *base,
                               const char *p, const char *end)
{
    const char *stop = p;
    while ((stop = pf__skip(stop, end, PF__PATH)) < end && *stop == '%') {
        if (!is_escape(stop, end))
            return -400;
        parser->path_escaped = true;
        stop += 3;
    }
    parser->path = span_of(base, p, stop);
    if (stop < end && *stop == '?') {
        const char *query = stop + 1;
        stop = pf__skip(query, end, PF__QUERY);
        parser->query = span_of(base, query, stop);
    }
    return stop == end ? 0 : -400;
}

/* http://authority/path?query: the authority overrules Host, RFC 9112 section 3.2.2. */
static int take_absolute_form(struct pf_http_parser *parser, const char *base,
                              const char *p, const char *end)
{
    size_t len = (size_t)(end - p);
    if (len > 7 && strncasecmp(p, "http://", 7) == 0)
        p += 7;
    else if (len > 8 && strncasecmp(p, "https://", 8) == 0)
        p += 8;
    else
        return -400;
    const char *path = p;
    while (path < end && *path != '/' && *path != '?')
        path++;
    if (path == p || !host_is_valid(p, path))
        return -400;
    parser->host = span_of(base, p, path);
    return take_path_and_query(parser, base, path, end);
}

/* The four forms of RFC 9112 section 3.2. */
static int take_target(struct pf_http_parser *parser, const char *base, const char *p,
                       const char *end)
{
    parser->target = span_of(base, p, end);
    if (parser->target.len > PF_HTTP_TARGET_MAX)
        return -414;
    if (parser->method == PF_HTTP_CONNECT) /* the port may not be missing or empty */
        return host_is_valid(p, end) && memchr(p, ':', parser->target.len) &&
                       pf__char_is(end[-1], PF__DIGIT)
                   ? 0
                   : -400;
    if (*p == '/')
        return take_path_and_query(parser, base, p, end);
    if (*p == '*')
        return end - p == 1 && parser->method == PF_HTTP_OPTIONS ? 0 : -400;
    return take_absolute_form(parser, base, p, end);
}

/* "GET /path HTTP/1.1": the method from the front, the version from the end, and what is
 * between them. */
static int take_request_line(struct pf_http_parser *parser, const char *base, const char *p,
                             const char *end)
{
    llhttp_t *ll = llhttp_of(parser);
    const char *method_end = pf__skip(p, end, PF__TOKEN);
    if (method_end == p || ll->method == HTTP_PRI) /* llhttp skips CRs in front of one */
        return -400;
    if (end - method_end < (ptrdiff_t)sizeof " / HTTP/1.1" - 1 || *method_end != ' ')
        return -400;
    const char *version = end - VERSION_LEN;
    if (version[-1] != ' ')
        return -400;
    parser->method = method_of(ll);
    int err = take_target(parser, base, method_end + 1, version - 1);
    return err ? err : take_version(parser, version);
}

/* llhttp takes leading zeros for part of a status; here it is three digits, and then a
 * reason, or nothing: some servers leave it out with its space. */
static int take_status_line(struct pf_http_parser *parser, const char *p, const char *end)
{
    static const size_t status_end = sizeof "HTTP/1.1 200" - 1;
    size_t len = (size_t)(end - p);
    parser->status = llhttp_of(parser)->status_code;
    if (len < status_end || parser->status < 100 || parser->status > 599)
        return -400;
    if (len > status_end && p[status_end] != ' ')
        return -400;
    return take_version(parser, p);
}

/* ---- what a field means ----------------------------------------------------------- */

static void note_connection(struct pf_http_meaning *meaning, const char *value, size_t len)
{
    const char *list = value, *at;
    size_t n;
    while (next_element(&list, value + len, &at, &n)) {
        meaning->close |= is_word(at, n, "close");
        meaning->keep_alive |= is_word(at, n, "keep-alive");
    }
}

static int note_host(struct pf_http_parser *parser, const char *base,
                     struct pf_http_span value)
{
    parser->meaning.hosts++;
    if (parser->host.len == 0) /* no authority in the target */
        parser->host = value;
    const char *at = base + value.at;
    return host_is_valid(at, at + value.len) ? 0 : -400;
}

/* A field whose name and value begin there. */
static int note_field(struct pf_http_parser *parser, const char *base,
                      const struct pf_http_field *field, const char *name,
                      const char *value)
{
    struct pf_http_meaning *meaning = &parser->meaning;
    size_t len = field->value.len;
    switch (field->name.len) { /* all that most fields cost */
    case 4:
        if (parser->side == PF_HTTP_REQUEST && is_word(name, 4, "host"))
            return note_host(parser, base, field->value);
        break;
    case 6:
        if (!is_word(name, 6, "expect"))
            break;
        if (is_word(value, len, "100-continue"))
            parser->expect_continue = parser->side == PF_HTTP_REQUEST && parser->minor >= 1;
        else
            meaning->expectations++;
        break;
    case 10:
        if (is_word(name, 10, "connection"))
            note_connection(meaning, value, len);
        break;
    case 17:
        if (!is_word(name, 17, "transfer-encoding"))
            break;
        meaning->codings++;
        meaning->coding = field->value;
        break;
    default:
        break;
    }
    return 0;
}

/* ---- lines ----------------------------------------------------------------------- */

static int take_field(struct pf_http_parser *parser, const char *base, const char *p,
                      const char *end)
{
    /* White space in front continues the field before it (obs-fold): RFC 9112 section 5.2.
     */
    const char *colon = is_space(*p) ? NULL : memchr(p, ':', (size_t)(end - p));
    if (!colon || colon == p)
        return -400;
    if (parser->field_count == PF_HTTP_FIELDS_MAX)
        return -431;
    struct pf_http_field *field = &parser->fields[parser->field_count++];
    field->name = span_of(base, p, colon);
    const char *value = colon + 1;
    while (value < end && is_space(*value))
        value++;
    while (value < end && is_space(end[-1]))
        end--;
    field->value = span_of(base, value, end);
    return note_field(parser, base, field, p, value);
}

static int take_empty_line(struct pf_http_parser *parser, size_t line_end)
{
    if (parser->phase == PHASE_START)
        return parser->empty_lines++ < EMPTY_LINES_MAX ? 0 : -400;
    parser->head_len = (uint32_t)line_end;
    parser->phase = PHASE_HEAD_END;
    return 0;
}

/* A line that ends at base[end], or does not yet: too long? */
static int check_limits(const struct pf_http_parser *parser, size_t end)
{
    size_t len = end - parser->line_at;
    if (parser->phase == PHASE_START)
        return len > PF_HTTP_TARGET_MAX + START_LINE_SPARE ? -414 : 0;
    return len > PF_HTTP_FIELD_MAX || end > PF_HTTP_HEAD_MAX ? -431 : 0;
}

/* One line, p to end; the line feed is end[-1]. */
static int take_line(struct pf_http_parser *parser, const char *base, const char *p,
                     const char *end)
{
    if (end - p < 2 || end[-2] != '\r')
        return -400;
    const char *text_end = end - 2;
    if (text_end == p)
        return take_empty_line(parser, (size_t)(end - base));
    if (parser->phase == PHASE_FIELDS)
        return take_field(parser, base, p, text_end);
    parser->phase = PHASE_FIELDS;
    return parser->side == PF_HTTP_REQUEST ? take_request_line(parser, base, p, text_end)
                                           : take_status_line(parser, p, text_end);
}

/* Take every line that is complete within base[0..seen). */
static int take_lines(struct pf_http_parser *parser, const char *base, size_t seen)
{
    while (parser->phase != PHASE_HEAD_END) {
        const char *p = base + parser->line_at;
        const char *feed = memchr(p, '\n', seen - parser->line_at);
        size_t end = feed ? (size_t)(feed + 1 - base) : seen;
        int err = check_limits(parser, end);
        if (err || !feed)
            return err;
        err = take_line(parser, base, p, base + end);
        if (err)
            return err;
        parser->line_at = (uint32_t)end;
    }
    return 0;
}

/* ---- what the fields mean together ----------------------------------------------- */

/* "gzip, chunked" and the like are good HTTP that nobody here decodes: 501. Anything else
 * but "chunked" leaves in doubt where the body ends. */
static int refuse_codings(const char *value, size_t len)
{
    static const char *const known[] = {"gzip", "x-gzip", "deflate", "compress",
                                        "x-compress"};
    const char *list = value, *end = value + len, *at;
    size_t n;
    while (next_element(&list, end, &at, &n)) {
        if (list > end)
            return is_word(at, n, "chunked") ? -501 : -400;
        bool is_known = false;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            is_known |= is_word(at, n, known[i]);
        if (!is_known)
            return -400;
    }
    return -400;
}

/* RFC 9112 section 6.3 for whatever may have a body. Where llhttp and the lines disagree
 * about the framing, nothing is certain. */
static int frame_body(struct pf_http_parser *parser, const char *base)
{
    const struct pf_http_meaning *meaning = &parser->meaning;
    const llhttp_t *ll = llhttp_of(parser);
    bool has_length = ll->flags & F_CONTENT_LENGTH;
    if (meaning->codings > 0) {
        if (has_length || parser->minor == 0 || meaning->codings > 1)
            return -400;
        const char *coding = base + meaning->coding.at;
        if (!is_word(coding, meaning->coding.len, "chunked"))
            return refuse_codings(coding, meaning->coding.len);
        parser->chunked = true;
    }
    if (parser->chunked != !!(ll->flags & F_CHUNKED))
        return -400;
    if (has_length) {
        if (ll->content_length > INT64_MAX)
            return -400;
        parser->content_length = ll->content_length;
    }
    parser->has_body = parser->chunked || (has_length && parser->content_length > 0) ||
                       (parser->side == PF_HTTP_RESPONSE && !has_length);
    return 0;
}

static bool is_bodiless(const struct pf_http_parser *parser)
{
    if (parser->side == PF_HTTP_REQUEST)
        return parser->method == PF_HTTP_CONNECT; /* RFC 9110 section 9.3.6 */
    return parser->head_request || parser->status < 200 || parser->status == 204 ||
           parser->status == 304;
}

/* What follows is meant for a tunnel, or speaks another protocol. */
static bool ends_http(const struct pf_http_parser *parser)
{
    return parser->side == PF_HTTP_REQUEST ? parser->method == PF_HTTP_CONNECT
                                           : parser->status == 101;
}

static bool lasts_until_close(const struct pf_http_parser *parser)
{
    return parser->has_body && !parser->chunked && parser->content_length == UINT64_MAX;
}

static int finish_head(struct pf_http_parser *parser, const char *base)
{
    const struct pf_http_meaning *meaning = &parser->meaning;
    if (parser->side == PF_HTTP_REQUEST &&
        (meaning->hosts > 1 || (meaning->hosts == 0 && parser->minor >= 1)))
        return -400;
    int err = frame_body(parser, base);
    if (err)
        return err;
    if (is_bodiless(parser))
        parser->has_body = false;
    if (parser->side == PF_HTTP_REQUEST && parser->minor >= 1 && meaning->expectations > 0)
        return -417;
    parser->keep_alive = !meaning->close && (parser->minor >= 1 || meaning->keep_alive) &&
                         !lasts_until_close(parser) && !ends_http(parser);
    parser->body_left = parser->has_body ? parser->content_length : 0;
    parser->last = '\n';
    parser->phase = PHASE_BODY;
    return PF_HTTP_HEAD_DONE;
}

/* ---- the head -------------------------------------------------------------------- */

/* llhttp does not know the method. A token in front of something that can be asked for is a
 * method of somebody's: 501. Anything else, such as a TLS handshake, is no HTTP: 400. */
static int refuse_method(const struct pf_http_parser *parser, const char *base, size_t len)
{
    const char *p = base + parser->line_at;
    size_t rest = len - parser->line_at;
    size_t n = (size_t)(pf__skip(p, p + rest, PF__TOKEN) - p);
    if (n > METHOD_MAX)
        return -400;
    if (n == rest || (n > 0 && p[n] == ' ' && n + 1 == rest))
        return PF_HTTP_MORE;
    return n > 0 && p[n] == ' ' && (p[n + 1] == '/' || p[n + 1] == '*') ? -501 : -400;
}

/* llhttp stopped at base[seen], in a version or right behind it: 505 if it is a number,
 * such as 2.0, 1.2 or 1.10. */
static int refuse_version(const struct pf_http_parser *parser, const char *base,
                          size_t seen)
{
    const char *end = base + seen;
    const char *slash = memrchr(base + parser->line_at, '/', seen - parser->line_at);
    const char *version = slash ? slash + 1 : end;
    if (!is_version(version, (size_t)(end - version)))
        return -400;
    bool is_ours = version[0] == '1' && (version[2] == '0' || version[2] == '1');
    return is_ours && !pf__char_is(version[3], PF__DIGIT)
               ? -400
               : -505; /* [3] made llhttp stop, or [4] */
}

/* What llhttp's error means; it came at base[seen]. */
static int refuse_head(struct pf_http_parser *parser, llhttp_errno_t error,
                       const char *base, size_t seen)
{
    uint8_t method = llhttp_of(parser)->method;
    if (parser->side == PF_HTTP_RESPONSE || method == HTTP_PRI)
        return -400;
    if (error == HPE_INVALID_CONSTANT && method >= HTTP_DESCRIBE) /* methods of RTSP */
        return -501;
    return error == HPE_INVALID_VERSION ? refuse_version(parser, base, seen) : -400;
}

static int run_head(struct pf_http_parser *parser, const char *base, size_t len,
                    size_t *used)
{
    llhttp_t *ll = llhttp_of(parser);
    llhttp_errno_t error = (llhttp_errno_t)ll->error;
    size_t seen = *used;
    if (error == HPE_OK) {
        error = llhttp_execute(ll, base + *used, len - *used);
        seen = error == HPE_OK ? len : (size_t)(ll->error_pos - base);
    }
    int err = take_lines(parser, base, seen);
    if (err)
        return err;
    *used = seen;
    if (error == HPE_PAUSED && parser->head_len == seen)
        return finish_head(parser, base);
    if (error == HPE_INVALID_METHOD) {
        *used = len;
        return refuse_method(parser, base, len);
    }
    if (error != HPE_OK || parser->phase == PHASE_HEAD_END)
        return refuse_head(parser, error, base, seen);
    return PF_HTTP_MORE;
}

/* ---- the body -------------------------------------------------------------------- */

/* Chunk sizes and trailers are not taken apart, but they are lines like all others. What
 * llhttp forgives in them: a bare line feed, a folded trailer, one without a name. */
static bool framing_is_valid(struct pf_http_parser *parser, const char *p, const char *end)
{
    char last = parser->last;
    for (; p < end; last = *p++)
        if ((*p == '\n' && last != '\r') || (last == '\n' && (is_space(*p) || *p == ':')))
            return false;
    parser->last = last;
    return true;
}

static int run_chunked(struct pf_http_parser *parser, const char *base, size_t len,
                       size_t *used, struct pf_http_span *body)
{
    llhttp_t *ll = llhttp_of(parser);
    struct piece piece = {base, 0};
    ll->data = &piece;
    llhttp_resume(ll);
    llhttp_errno_t error = llhttp_execute(ll, base + *used, len - *used);
    ll->data = NULL;
    size_t seen = error == HPE_OK ? len : (size_t)(ll->error_pos - base);
    size_t framing = seen - *used - piece.len;
    if (framing > PF_HTTP_CHUNK_OVERHEAD_MAX - parser->overhead)
        return -431;
    if (!framing_is_valid(parser, base + *used, base + *used + framing) ||
        (error != HPE_OK && error != HPE_PAUSED))
        return -400;
    *used = seen;
    parser->overhead += (uint32_t)framing;
    if (piece.len == 0)
        return error == HPE_OK ? PF_HTTP_MORE : PF_HTTP_DONE;
    parser->overhead -=
        piece.len < parser->overhead ? (uint32_t)piece.len : parser->overhead;
    parser->last = '\0';
    *body = span_of(base, piece.at, piece.at + piece.len);
    return PF_HTTP_BODY;
}

/* A body with a length, without one (until the peer closes), or none at all. */
static int run_plain(struct pf_http_parser *parser, size_t len, size_t *used,
                     struct pf_http_span *body)
{
    size_t rest = len - *used;
    if (parser->body_left == 0)
        return PF_HTTP_DONE;
    if (rest == 0)
        return PF_HTTP_MORE;
    if (rest > parser->body_left)
        rest = (size_t)parser->body_left;
    *body = (struct pf_http_span){(uint32_t)*used, (uint32_t)rest};
    *used += rest;
    if (!lasts_until_close(parser))
        parser->body_left -= rest;
    return PF_HTTP_BODY;
}

/* ---- for the other files --------------------------------------------------------- */

void pf__http_parser_init(struct pf_http_parser *parser, enum pf_http_side side,
                          bool head_request)
{
    llhttp_init(llhttp_of(parser), side == PF_HTTP_REQUEST ? HTTP_REQUEST : HTTP_RESPONSE,
                &settings);
    parser->content_length = UINT64_MAX;
    parser->side = (uint8_t)side;
    parser->phase = PHASE_START;
    parser->head_request = head_request;
}

void pf__http_parser_start(struct pf_http_parser *parser, enum pf_http_side side,
                           bool head_request)
{
    pf__clear(parser, offsetof(struct pf_http_parser, fields));
    pf__http_parser_init(parser, side, head_request);
}

int pf__http_parser_run(struct pf_http_parser *parser, const char *base, size_t len,
                        size_t *used, struct pf_http_span *body)
{
    int progress;
    if (parser->phase == PHASE_FAILED)
        return parser->failure;
    if (parser->phase == PHASE_DONE)
        return PF_HTTP_DONE;
    if (parser->phase != PHASE_BODY)
        progress = run_head(parser, base, len, used);
    else if (parser->has_body && parser->chunked)
        progress = run_chunked(parser, base, len, used, body);
    else
        progress = run_plain(parser, len, used, body);
    if (progress == PF_HTTP_DONE)
        parser->phase = PHASE_DONE;
    if (progress < 0) {
        parser->phase = PHASE_FAILED;
        parser->failure = (int16_t)progress;
    }
    return progress;
}

int pf__http_parser_eof(struct pf_http_parser *parser)
{
    if (parser->phase == PHASE_DONE)
        return PF_HTTP_DONE;
    bool orderly =
        parser->phase == PHASE_BODY && (!parser->has_body || lasts_until_close(parser));
    parser->phase = orderly ? PHASE_DONE : PHASE_FAILED;
    parser->failure = -400;
    return orderly ? PF_HTTP_DONE : -400;
}

const char *pf__http_parser_field(const struct pf_http_parser *parser, const char *base,
                                  const char *name, size_t *len)
{
    size_t len_of_name = strlen(name);
    for (uint32_t i = 0; i < parser->field_count; i++) {
        const struct pf_http_field *field = &parser->fields[i];
        if (field->name.len == len_of_name &&
            strncasecmp(base + field->name.at, name, len_of_name) == 0) {
            *len = field->value.len;
            return base + field->value.at;
        }
    }
    return NULL;
}
