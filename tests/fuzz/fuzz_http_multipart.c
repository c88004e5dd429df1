/*
 * fuzz_http_multipart.c - any form, cut anywhere, has the same parts.
 *
 * A libFuzzer target; test_http_multipart.c includes it for describe() and replays the
 * corpus. Of an input the first byte says where to cut, the first line is the Content-Type,
 * the rest is the body.
 */
#include <prefork/base.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/multipart.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* How a body is cut: whole, byte by byte, or once, behind its first n. */
#define CUT_WHOLE SIZE_MAX
#define CUT_BYTES 0

#define PARTS_MAX 5

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void put(FILE *out, const char *text, size_t len)
{
    for (; len > 0; len--, text++)
        fputc(*text ? *text : '@', out); /* no NUL: this becomes a string */
}

static void note(FILE *out, const struct pf__multipart *multipart, int event,
                 struct pf__text piece)
{
    switch (event) {
    case PF__MULTIPART_PART:
        must(memchr(multipart->name, 0, sizeof multipart->name) != NULL);
        must(memchr(multipart->filename, 0, sizeof multipart->filename) != NULL);
        fprintf(out, "[%s", multipart->name);
        if (multipart->has_filename)
            fprintf(out, "|%s", multipart->filename);
        if (multipart->content_type[0])
            fprintf(out, " %s", multipart->content_type);
        fputs(":", out);
        break;
    case PF__MULTIPART_DATA:
        must(piece.len > 0);
        put(out, piece.at, piece.len);
        break;
    case PF__MULTIPART_PART_END:
        fputs("]", out);
        break;
    case PF__MULTIPART_DONE:
        must(multipart->done);
        fputs(".", out);
        break;
    default:
        fputs(event == -EBADMSG ? "bad" : event == -E2BIG ? "big" : "?", out);
    }
}

/* Show the parser a copy of its own, so that a sanitizer sees reads past its end. Returns
 * the last event; *given counts the bytes of data. */
static int feed(struct pf__multipart *multipart, const char *data, size_t len, FILE *out,
                size_t *given)
{
    char *copy = malloc(len ? len : 1);
    size_t used = 0;
    int event;
    must(copy != NULL);
    memcpy(copy, data, len);
    do {
        struct pf__text piece = {NULL, 0};
        size_t before = used;
        event = pf__multipart_run(multipart, copy, len, &used, &piece);
        must(used >= before && used <= len);
        must(event != PF__MULTIPART_MORE || used == len);
        *given += piece.len;
        if (event != PF__MULTIPART_MORE)
            note(out, multipart, event, piece);
    } while (event > PF__MULTIPART_MORE && event != PF__MULTIPART_DONE);
    free(copy);
    return event;
}

/*
 * A body as text: "[name|filename type:data]" for each part, "." for its end; "bad" or
 * "big" for an error. NULL: there is no boundary. Free it.
 */
static char *describe(struct pf__text content_type, const char *body, size_t len,
                      size_t cut)
{
    char *text = NULL;
    size_t text_len, given = 0;
    struct pf__multipart multipart;
    memset(&multipart, 0xa5, sizeof multipart);
    if (pf__multipart_start(&multipart, content_type, PARTS_MAX) != 0)
        return NULL;
    FILE *out = open_memstream(&text, &text_len);
    must(out != NULL);
    size_t step = cut == CUT_BYTES ? 1 : cut < len ? cut : len;
    int event = PF__MULTIPART_MORE;
    for (size_t at = 0; at < len && event == PF__MULTIPART_MORE; at += step) {
        if (cut != CUT_BYTES && at > 0)
            step = len - at;
        event = feed(&multipart, body + at, step, out, &given);
    }
    must(given <= len);
    fclose(out);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct pf__text rest = {(const char *)data + 1, size - 1}, type = {NULL, 0};
    (void)pf__text_split(&rest, '\n', &type);
    char *whole = describe(type, rest.at, rest.len, CUT_WHOLE);
    char *cut = describe(type, rest.at, rest.len, 1 + (size_t)data[0]);
    char *bytes = describe(type, rest.at, rest.len, CUT_BYTES);
    must(!whole == !cut && !whole == !bytes);
    must(!whole || (strcmp(whole, cut) == 0 && strcmp(whole, bytes) == 0));
    free(whole);
    free(cut);
    free(bytes);
    return 0;
}
