/*
 * parser_body.c - a body, what llhttp is told, and where a message begins and ends; see
 * parser.c and parser_internal.h.
 */
#include "http/parser_internal.h"

#include "http/clear.h"

/* llhttp reads heads: it stops behind one. */
static int stop_here(llhttp_t *ll)
{
    (void)ll;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_headers_complete = stop_here,
};

/* ---- the body -------------------------------------------------------------------- */

/* Framing that a byte of data makes up for, on the client's side: servers that stream send
 * a few bytes at a time. */
#define RESPONSE_BYTE_PAYS 16

int pf__parser_run_chunked(struct pf_http_parser *parser, const char *base, size_t len,
                           size_t *used, struct pf_http_span *body)
{
    struct pf__chunked *chunked = &parser->chunks;
    size_t framing = pf__chunked_skip(chunked, base + *used, len - *used);
    if (framing > PF_HTTP_CHUNK_OVERHEAD_MAX - parser->overhead)
        return -431;
    if (chunked->state == PF__CHUNKED_BAD)
        return -400;
    *used += framing;
    parser->overhead += (uint32_t)framing;
    if (chunked->state == PF__CHUNKED_DONE)
        return PF_HTTP_DONE;
    size_t data = len - *used;
    if (data == 0)
        return PF_HTTP_MORE;
    if (data > chunked->left)
        data = (size_t)chunked->left;
    size_t pays = parser->side == PF_HTTP_RESPONSE ? data * RESPONSE_BYTE_PAYS : data;
    parser->overhead -= pays < parser->overhead ? (uint32_t)pays : parser->overhead;
    *body = (struct pf_http_span){(uint32_t)*used, (uint32_t)data};
    *used += data;
    pf__chunked_take(chunked, data);
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

void pf__parser_start_llhttp(struct pf_http_parser *parser)
{
    llhttp_t *ll = pf__parser_llhttp(parser);
    llhttp_init(ll, parser->side == PF_HTTP_REQUEST ? HTTP_REQUEST : HTTP_RESPONSE,
                &settings);
    ll->lenient_flags = LENIENT_VERSION; /* take_version() knows more of them */
}

void pf__http_parser_init(struct pf_http_parser *parser, enum pf_http_side side,
                          bool head_request)
{
    parser->side = (uint8_t)side;
    pf__parser_start_llhttp(parser);
    parser->content_length = UINT64_MAX;
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
