/*
 * parser_body.c - a body, what llhttp is told, and where a message begins and ends; see
 * parser.c and parser_internal.h.
 */
#include "http/parser_internal.h"

#include "http/clear.h"

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

/* ---- the body -------------------------------------------------------------------- */

/* Framing that a byte of data makes up for, on the client's side: servers that stream send
 * a few bytes at a time. */
#define RESPONSE_BYTE_PAYS 16

/* Chunk sizes and trailers are not taken apart, but they are lines like all others. What
 * llhttp forgives in them: a bare line feed, a folded trailer, one without a name. */
static bool framing_is_valid(struct pf_http_parser *parser, const char *p, const char *end)
{
    char last = parser->last;
    for (; p < end; last = *p++)
        if ((*p == '\n' && last != '\r') ||
            (last == '\n' && (pf__is_blank(*p) || *p == ':')))
            return false;
    parser->last = last;
    return true;
}

int pf__parser_run_chunked(struct pf_http_parser *parser, const char *base, size_t len,
                           size_t *used, struct pf_http_span *body)
{
    llhttp_t *ll = pf__parser_llhttp(parser);
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
    size_t pays =
        parser->side == PF_HTTP_RESPONSE ? piece.len * RESPONSE_BYTE_PAYS : piece.len;
    parser->overhead -= pays < parser->overhead ? (uint32_t)pays : parser->overhead;
    parser->last = '\0';
    *body = pf__parser_span(base, piece.at, piece.at + piece.len);
    return PF_HTTP_BODY;
}

int pf__parser_run_plain(struct pf_http_parser *parser, size_t len, size_t *used,
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
    if (!pf__parser_lasts_until_close(parser))
        parser->body_left -= rest;
    return PF_HTTP_BODY;
}

/* ---- a message ------------------------------------------------------------------- */

void pf__http_parser_init(struct pf_http_parser *parser, enum pf_http_side side,
                          bool head_request)
{
    llhttp_init(pf__parser_llhttp(parser),
                side == PF_HTTP_REQUEST ? HTTP_REQUEST : HTTP_RESPONSE, &settings);
    parser->content_length = UINT64_MAX;
    parser->side = (uint8_t)side;
    parser->phase = PF__PHASE_START;
    parser->head_request = head_request;
}

void pf__http_parser_start(struct pf_http_parser *parser, enum pf_http_side side,
                           bool head_request)
{
    pf__clear(parser, offsetof(struct pf_http_parser, fields));
    pf__http_parser_init(parser, side, head_request);
}

int pf__http_parser_eof(struct pf_http_parser *parser)
{
    if (parser->phase == PF__PHASE_DONE)
        return PF_HTTP_DONE;
    bool orderly = parser->phase == PF__PHASE_BODY &&
                   (!parser->has_body || pf__parser_lasts_until_close(parser));
    parser->phase = orderly ? PF__PHASE_DONE : PF__PHASE_FAILED;
    parser->failure = -400;
    return orderly ? PF_HTTP_DONE : -400;
}
