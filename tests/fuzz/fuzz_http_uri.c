/*
 * fuzz_http_uri.c - paths and queries: what is decoded, what is refused, who is matched.
 *
 * A libFuzzer target; test_http_uri.c includes it and replays the corpus. The input is a
 * request's target without its method: a path, and a query behind the first '?'.
 */
#include <prefork/base.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/pattern.h"
#include "http/uri.h"
#include "http/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const patterns[] = {
    "/",         "/a",       "/a/{b}",     "/a/b",
    "/{a}/b",    "/{a}/{b}", "/{a}/b/{c}", "/a/{b}/{c...}",
    "/b/{c...}", "/b/",      "/{a...}",
};

static void must(bool holds)
{
    if (!holds)
        abort();
}

static bool lies_within(struct pf__text inner, struct pf__text outer)
{
    return inner.len == 0 || (inner.at >= outer.at && inner.len <= outer.len &&
                              inner.at + inner.len <= outer.at + outer.len);
}

/* Every path with a slash in front is somebody's: the last pattern takes all. */
static void check_match(struct pf__text path)
{
    struct pf__patterns *table = NULL;
    struct pf__captures captures;
    must(pf__patterns_new(patterns, sizeof patterns / sizeof *patterns, NULL, 0, &table) ==
         0);
    int index = pf__patterns_match(table, path, true, &captures);
    must((path.len > 0 && path.at[0] == '/') == (index >= 0));
    for (size_t i = 0; index >= 0 && i < captures.count; i++) {
        must(lies_within(captures.at[i], path));
        must(pf__pattern_capture_name(patterns[index], i).len > 0);
    }
    pf__patterns_free(table);
}

/* The same with as much room as there is text, and with less and less. */
static void check_decode(struct pf__text text, enum pf__uri_part part)
{
    char *out = malloc(text.len + 1);
    must(out != NULL);
    int len = pf__uri_decode(text, part, out, text.len + 1);
    must(len == -EINVAL || (len >= 0 && (size_t)len == strlen(out)));
    if (len >= 0) {
        char *exact = malloc((size_t)len + 1);
        must(exact != NULL);
        must(pf__uri_decode(text, part, exact, (size_t)len + 1) == len);
        must(memcmp(out, exact, (size_t)len + 1) == 0);
        must(pf__uri_decode(text, part, exact, (size_t)len) == -ENOBUFS);
        free(exact);
    }
    free(out);
}

static void check_file_name(struct pf__text path)
{
    char *out = malloc(path.len + 1);
    must(out != NULL);
    int len = pf__uri_file_name(path, out, path.len + 1);
    if (len < 0) {
        must(len == -EINVAL || len == -EACCES || len == -EILSEQ);
    } else {
        must((size_t)len == strlen(out) && out[0] != '/' && out[0] != '.');
        must(!strstr(out, "//") && !strstr(out, "/.") && !strchr(out, '\\'));
        must(pf__utf8_is_valid((struct pf__text){out, (size_t)len}));
    }
    free(out);
}

static void check_form(struct pf__text query)
{
    struct pf__text rest = query, name, value;
    char text[16];
    while (pf__form_next(&rest, &name, &value)) {
        must(lies_within(name, query) && lies_within(value, query));
        check_decode(name, PF__URI_FORM);
        check_decode(value, PF__URI_FORM);
    }
    must(rest.len == 0);
    for (rest = query; pf__form_find(&rest, "a", text, sizeof text) != -ENOENT;)
        must(rest.len < query.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size + 1);
    must(copy != NULL);
    char *in = copy + 1; /* the end is the end of what was allocated */
    memcpy(in, data, size);
    struct pf__text rest = {in, size}, path = {in, 0}, query;
    path.len = pf__text_find(rest, '?');
    query = pf__text_skip(rest, path.len + 1);
    check_match(path);
    check_decode(path, PF__URI_PATH);
    check_file_name(path);
    check_form(query);
    free(copy);
    return 0;
}
