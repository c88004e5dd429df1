/*
 * parser.c - HTTP/1 by llhttp, and by a second opinion; see parser_internal.h.
 *
 * llhttp reads every byte of a head: it knows which characters may stand where, what the
 * methods are, and what Content-Length says. But it forgives what RFC 9112 does not, and it
 * has no limits. So a head is read twice: llhttp goes ahead over the new bytes, and the
 * lines that it has let pass are taken apart here: start line, fields, and at the empty
 * line what they mean together. The body is not llhttp's: parser_body.c.
 *
 * Invariant: the answer depends on the bytes alone, not on how they were cut into reads. Of
 * two faults the one that is complete first wins: lines are taken only as far as llhttp
 * got, and before its own error counts.
 */
#include "http/parser_internal.h"

#include <string.h>
#include <strings.h>

#define VERSION_LEN (sizeof "HTTP/1.1" - 1)
/* Empty lines that may stand in front of a start line: RFC 9112 section 2.2. */
#define EMPTY_LINES_MAX 2
/* Of a start line, beside its target. */
#define START_LINE_SPARE (PF__METHOD_MAX + sizeof "  HTTP/1.1\r\n")

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

/* "HTTP/1.1"; a later 1.x is understood as that (RFC 9110 section 2.5), another number is
 * answered with 505, anything else with 400. */
static int take_version(struct pf_http_parser *parser, const char *p)
{
    if (memcmp(p, "HTTP/1.1", VERSION_LEN) == 0) {
        parser->minor = 1;
        return 0;
    }
    if (memcmp(p, "HTTP/", 5) != 0 || !pf__parser_is_version(p + 5, 3))
        return -400;
    if (p[5] != '1')
        return -505;
    parser->minor = p[7] == '0' ? 0 : 1;
    return 0;
}

/* To the end of the target, or to what may not stand in it. */
static int take_path_and_query(struct pf_http_parser *parser, const char *base,
                               const char *p, const char *end)
{
    const char *stop = p;
    while ((stop = pf__skip(stop, end, PF__PATH)) < end && *stop == '%') {
        if (!pf__parser_is_escape(stop, end))
            return -400;
        parser->path_escaped = true;
        stop += 3;
    }
    parser->path = pf__parser_span(base, p, stop);
    if (stop < end && *stop == '?') {
        const char *query = stop + 1;
        stop = pf__skip(query, end, PF__QUERY);
        parser->query = pf__parser_span(base, query, stop);
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
    if (path == p || !pf__parser_host_is_valid(p, path))
        return -400;
    parser->host = pf__parser_span(base, p, path);
    return take_path_and_query(parser, base, path, end);
}

/* The four forms of RFC 9112 section 3.2. */
static int take_target(struct pf_http_parser *parser, const char *base, const char *p,
                       const char *end)
{
    parser->target = pf__parser_span(base, p, end);
    if (parser->target.len > PF_HTTP_TARGET_MAX)
        return -414;
    if (parser->method == PF_HTTP_CONNECT) /* the port may not be missing or empty */
        return pf__parser_host_is_valid(p, end) && memchr(p, ':', parser->target.len) &&
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
    llhttp_t *ll = pf__parser_llhttp(parser);
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
    parser->status = pf__parser_llhttp(parser)->status_code;
    if (len < status_end || parser->status < 100 || parser->status > 599)
        return -400;
    if (len > status_end && p[status_end] != ' ')
        return -400;
    return take_version(parser, p);
}

/* ---- what a field means ---------------------------------------------------------- */

static void note_connection(struct pf_http_meaning *meaning, const char *value, size_t len)
{
    const char *list = value, *at;
    size_t n;
    while (pf__parser_next_element(&list, value + len, &at, &n)) {
        meaning->close |= pf__parser_is_word(at, n, "close");
        meaning->keep_alive |= pf__parser_is_word(at, n, "keep-alive");
    }
}

static int note_host(struct pf_http_parser *parser, const char *base,
                     struct pf_http_span value)
{
    parser->meaning.hosts++;
    if (parser->host.len == 0) /* no authority in the target */
        parser->host = value;
    const char *at = base + value.at;
    return pf__parser_host_is_valid(at, at + value.len) ? 0 : -400;
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
        if (parser->side == PF_HTTP_REQUEST && pf__parser_is_word(name, 4, "host"))
            return note_host(parser, base, field->value);
        break;
    case 6:
        if (!pf__parser_is_word(name, 6, "expect"))
            break;
        if (pf__parser_is_word(value, len, "100-continue"))
            parser->expect_continue = parser->side == PF_HTTP_REQUEST && parser->minor >= 1;
        else
            meaning->expectations++;
        break;
    case 10:
        if (pf__parser_is_word(name, 10, "connection"))
            note_connection(meaning, value, len);
        break;
    case 17:
        if (!pf__parser_is_word(name, 17, "transfer-encoding"))
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
    const char *colon = pf__is_blank(*p) ? NULL : memchr(p, ':', (size_t)(end - p));
    if (!colon || colon == p)
        return -400;
    if (parser->field_count == PF_HTTP_FIELDS_MAX)
        return -431;
    struct pf_http_field *field = &parser->fields[parser->field_count++];
    field->name = pf__parser_span(base, p, colon);
    const char *value = colon + 1;
    while (value < end && pf__is_blank(*value))
        value++;
    while (value < end && pf__is_blank(end[-1]))
        end--;
    field->value = pf__parser_span(base, value, end);
    return note_field(parser, base, field, p, value);
}

static int take_empty_line(struct pf_http_parser *parser, size_t line_end)
{
    if (parser->phase == PF__PHASE_START)
        return parser->empty_lines++ < EMPTY_LINES_MAX ? 0 : -400;
    parser->head_len = (uint32_t)line_end;
    parser->phase = PF__PHASE_HEAD_END;
    return 0;
}

/* A line that ends at base[end], or does not yet: too long? */
static int check_limits(const struct pf_http_parser *parser, size_t end)
{
    size_t len = end - parser->line_at;
    if (parser->phase == PF__PHASE_START)
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
    if (parser->phase == PF__PHASE_FIELDS)
        return take_field(parser, base, p, text_end);
    parser->phase = PF__PHASE_FIELDS;
    return parser->side == PF_HTTP_REQUEST ? take_request_line(parser, base, p, text_end)
                                           : take_status_line(parser, p, text_end);
}

/* Take every line that is complete within base[0..seen). */
static int take_lines(struct pf_http_parser *parser, const char *base, size_t seen)
{
    while (parser->phase != PF__PHASE_HEAD_END) {
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

/* RFC 9112 section 6.3 for whatever may have a body. Where llhttp and the lines disagree
 * about the framing, nothing is certain. */
static int frame_body(struct pf_http_parser *parser, const char *base)
{
    const struct pf_http_meaning *meaning = &parser->meaning;
    const llhttp_t *ll = pf__parser_llhttp(parser);
    bool has_length = ll->flags & F_CONTENT_LENGTH;
    if (meaning->codings > 0) {
        if (has_length || parser->minor == 0 || meaning->codings > 1)
            return -400;
        const char *coding = base + meaning->coding.at;
        if (!pf__parser_is_word(coding, meaning->coding.len, "chunked"))
            return pf__parser_refuse_codings(coding, meaning->coding.len);
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
                         !pf__parser_lasts_until_close(parser) && !ends_http(parser);
    parser->body_left = parser->has_body ? parser->content_length : 0;
    parser->phase = PF__PHASE_BODY;
    return PF_HTTP_HEAD_DONE;
}

/* ---- a message ------------------------------------------------------------------- */

/*
 * llhttp takes a tab behind the value of Content-Length or Transfer-Encoding for a part of
 * it, and RFC 9110 section 5.5 does not. Read the head once more, with a space for each
 * tab; where neither may stand, take_lines() sees what is there.
 */
static llhttp_errno_t read_tabs_as_spaces(struct pf_http_parser *parser, const char *base,
                                          size_t len, size_t *seen)
{
    llhttp_t *ll = pf__parser_llhttp(parser);
    pf__parser_start_llhttp(parser);
    const char *p = base, *end = base + len;
    while (p < end) {
        const char *tab = memchr(p, '\t', (size_t)(end - p));
        const char *stop = tab ? tab : end;
        llhttp_errno_t error = llhttp_execute(ll, p, (size_t)(stop - p));
        *seen = (size_t)((error == HPE_OK ? stop : ll->error_pos) - base);
        if (error == HPE_OK && tab)
            error = llhttp_execute(ll, " ", 1);
        if (error != HPE_OK)
            return error;
        p = tab ? tab + 1 : end;
    }
    *seen = len;
    return HPE_OK;
}

/* Has a tab made llhttp read another coding than is there? */
static bool has_missed_coding(struct pf_http_parser *parser, const char *base, size_t len)
{
    return parser->meaning.codings > 0 && !(pf__parser_llhttp(parser)->flags & F_CHUNKED) &&
           memchr(base, '\t', len) != NULL;
}

static int run_head(struct pf_http_parser *parser, const char *base, size_t len,
                    size_t *used)
{
    llhttp_t *ll = pf__parser_llhttp(parser);
    llhttp_errno_t error = (llhttp_errno_t)ll->error;
    size_t seen = *used;
    if (error == HPE_OK) {
        error = llhttp_execute(ll, base + *used, len - *used);
        seen = error == HPE_OK ? len : (size_t)(ll->error_pos - base);
    }
    if (error == HPE_INVALID_CONTENT_LENGTH && seen < len && base[seen] == '\t')
        error = read_tabs_as_spaces(parser, base, len, &seen);
    int err = take_lines(parser, base, seen);
    if (err)
        return err;
    *used = seen;
    if (error == HPE_PAUSED && parser->head_len == seen) {
        if (has_missed_coding(parser, base, seen))
            (void)read_tabs_as_spaces(parser, base, seen, &seen);
        return finish_head(parser, base);
    }
    if (error == HPE_INVALID_METHOD) {
        *used = len;
        return pf__parser_refuse_method(parser, base, len);
    }
    if (error != HPE_OK || parser->phase == PF__PHASE_HEAD_END)
        return pf__parser_refuse_head(parser, error, base, seen);
    return PF_HTTP_MORE;
}

int pf__http_parser_run(struct pf_http_parser *parser, const char *base, size_t len,
                        size_t *used, struct pf_http_span *body)
{
    int progress;
    if (parser->phase == PF__PHASE_FAILED)
        return parser->failure;
    if (parser->phase == PF__PHASE_DONE)
        return PF_HTTP_DONE;
    if (parser->phase != PF__PHASE_BODY)
        progress = run_head(parser, base, len, used);
    else if (parser->has_body && parser->chunked)
        progress = pf__parser_run_chunked(parser, base, len, used, body);
    else
        progress = pf__parser_run_plain(parser, len, used, body);
    if (progress == PF_HTTP_DONE)
        parser->phase = PF__PHASE_DONE;
    if (progress < 0) {
        parser->phase = PF__PHASE_FAILED;
        parser->failure = (int16_t)progress;
    }
    return progress;
}
