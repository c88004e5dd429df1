/*
 * fuzz_http_parser.c - any bytes, cut anywhere, give the same messages.
 *
 * A libFuzzer target; test_http_parser.c includes it for describe() and replays the corpus.
 * Of an input the first byte says which side and where to cut, the rest is what the peer
 * sends.
 */
#include <prefork/base.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/parser.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* How an input is cut into reads: whole, byte by byte, or once, behind its first n. */
#define CUT_WHOLE SIZE_MAX
#define CUT_BYTES 0
#define CUT_AT(n) (n)

struct feed {
    struct pf_http_parser parser;
    enum pf_http_side side;
    bool head_request;
    const char *in;
    size_t base, used; /* offsets in `in`: what the parser is shown, what it has passed */
    bool head_done, failed;
    FILE *out;
};

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void put_span(FILE *out, const char *base, size_t len, struct pf_http_span span)
{
    must(span.at <= len && span.len <= len - span.at);
    for (const char *p = base + span.at; p < base + span.at + span.len; p++)
        fputc(*p ? *p : '@', out); /* no NUL: this becomes a string */
}

static void put_head(struct feed *feed, const char *base, size_t len)
{
    static const char *const methods[] = {"GET",     "HEAD",  "POST",  "PUT",     "DELETE",
                                          "OPTIONS", "PATCH", "TRACE", "CONNECT", "OTHER"};
    const struct pf_http_parser *parser = &feed->parser;
    must(parser->field_count <= PF_HTTP_FIELDS_MAX && parser->head_len <= PF_HTTP_HEAD_MAX);
    if (feed->side == PF_HTTP_REQUEST) {
        fprintf(feed->out, "%s ", methods[parser->method]);
        put_span(feed->out, base, len, parser->path);
        if (parser->query.len > 0)
            fputc('?', feed->out);
        put_span(feed->out, base, len, parser->query);
        fputs(" @", feed->out);
        put_span(feed->out, base, len, parser->host);
    } else {
        fprintf(feed->out, "%u", parser->status);
    }
    fprintf(feed->out, " 1.%u %s", parser->minor, parser->keep_alive ? "keep" : "close");
    if (parser->has_body && parser->chunked)
        fputs(" chunked", feed->out);
    else if (parser->has_body && parser->content_length == UINT64_MAX)
        fputs(" until-close", feed->out);
    else if (parser->has_body)
        fprintf(feed->out, " %llu", (unsigned long long)parser->content_length);
    fputs(parser->expect_continue ? " 100" : "", feed->out);
    for (uint32_t i = 0; i < parser->field_count; i++) {
        fputs(" [", feed->out);
        put_span(feed->out, base, len, parser->fields[i].name);
        fputc('=', feed->out);
        put_span(feed->out, base, len, parser->fields[i].value);
        fputc(']', feed->out);
    }
    fputs(" <", feed->out);
}

static void start(struct feed *feed)
{
    feed->base = feed->used;
    feed->head_done = false;
    pf__http_parser_start(&feed->parser, feed->side, feed->head_request);
}

static void note(struct feed *feed, int progress, const char *base, size_t len,
                 struct pf_http_span body)
{
    if (progress < 0) {
        fprintf(feed->out, "%d", -progress);
        feed->failed = true;
    } else if (progress == PF_HTTP_HEAD_DONE) {
        put_head(feed, base, len);
        feed->head_done = true;
    } else if (progress == PF_HTTP_BODY) {
        must(body.len > 0);
        put_span(feed->out, base, len, body);
    } else if (progress == PF_HTTP_DONE) {
        fputs("> ", feed->out);
    }
}

/* Show the parser in[0..upto), as an exact copy that is somewhere else each time, so that a
 * sanitizer sees reads past its end and uses of what it was shown before. */
static int step(struct feed *feed, size_t upto)
{
    size_t len = upto - feed->base, used = feed->used - feed->base;
    char *copy = malloc(len + 1);
    must(copy != NULL);
    char *base = copy + 1;
    memcpy(base, feed->in + feed->base, len);
    struct pf_http_span body = {0, 0};
    int progress = pf__http_parser_run(&feed->parser, base, len, &used, &body);
    note(feed, progress, base, len, body);
    must(used <= len && feed->base + used >= feed->used);
    must(progress != PF_HTTP_MORE || used == len);
    free(copy);
    feed->used = feed->base + used;
    if (feed->head_done)
        feed->base = feed->used;
    return progress;
}

/* All that is complete in in[0..upto), message after message. */
static void pass(struct feed *feed, size_t upto)
{
    while (!feed->failed) {
        int progress = step(feed, upto);
        if (progress == PF_HTTP_MORE)
            break;
        if (progress != PF_HTTP_DONE)
            continue;
        start(feed);
        if (feed->used == upto)
            break;
    }
}

static bool is_incomplete(const struct feed *feed)
{
    return !feed->failed && (feed->head_done || feed->used > feed->base);
}

/*
 * Messages as text: "GET /path?query @host 1.1 keep [Name=value] <body> ", or "200 1.1 ..."
 * for a response; behind them the status of an error, or "..." if the last is incomplete.
 * Free it.
 */
static char *describe(enum pf_http_side side, bool head_request, const char *in, size_t len,
                      size_t cut)
{
    char *text = NULL;
    size_t text_len;
    struct feed feed = {.side = side, .head_request = head_request, .in = in};
    feed.out = open_memstream(&text, &text_len);
    must(feed.out != NULL);
    start(&feed);
    for (size_t upto = 1; cut == CUT_BYTES && upto < len; upto++)
        pass(&feed, upto);
    if (cut < len && cut != CUT_BYTES)
        pass(&feed, cut);
    pass(&feed, len);
    if (is_incomplete(&feed))
        fputs(pf__http_parser_eof(&feed.parser) == PF_HTTP_DONE ? "> " : "...", feed.out);
    fclose(feed.out);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    enum pf_http_side side = data[0] & 1 ? PF_HTTP_RESPONSE : PF_HTTP_REQUEST;
    bool head_request = data[0] & 2;
    const char *in = (const char *)data + 1;
    size_t len = size - 1;
    char *whole = describe(side, head_request, in, len, CUT_WHOLE);
    char *cut = describe(side, head_request, in, len, CUT_AT(1 + (size_t)(data[0] >> 2)));
    char *bytes = describe(side, head_request, in, len, CUT_BYTES);
    must(strcmp(whole, cut) == 0 && strcmp(whole, bytes) == 0);
    free(whole);
    free(cut);
    free(bytes);
    return 0;
}
