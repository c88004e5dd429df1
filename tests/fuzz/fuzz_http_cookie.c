/*
 * fuzz_http_cookie.c - any Cookie field is taken apart, and what is written is read again.
 *
 * A libFuzzer target; test_http_cookie.c includes it and replays the corpus.
 */
#include <prefork/base.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "http/cookie.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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

/* Name, value, path and domain, each up to a line feed or a NUL: written without error, it
 * is one line and the first cookie in it is the one that was meant. */
static void check_write(const char *in)
{
    char *copy = strdup(in), *parts[4] = {NULL, NULL, NULL, NULL}, out[200];
    must(copy != NULL);
    char *rest = copy;
    for (int i = 0; i < 4 && rest; i++)
        parts[i] = strsep(&rest, "\n");
    struct pf__cookie cookie = {parts[0], parts[1], parts[2], parts[3],
                                1,        true,     true,     PF__SAME_SITE_NONE};
    int len = pf__cookie_write(&cookie, out, sizeof out);
    must(len == -EINVAL || len == -ENOBUFS || (size_t)len == strlen(out));
    if (len > 0) {
        struct pf__text all = {out, (size_t)len}, name, value;
        must(!strpbrk(out, "\r\n"));
        must(pf__cookie_next(&all, &name, &value));
        must(pf__text_equals(name, pf__text_of(parts[0])));
        must(pf__text_equals(value, pf__text_of(parts[1] ? parts[1] : "")));
    }
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *in = malloc(size + 1), *exact = malloc(size ? size : 1);
    must(in != NULL && exact != NULL);
    memcpy(in, data, size);
    memcpy(exact, data, size);
    in[size] = '\0';
    struct pf__text all = {exact, size}, rest = all, name, value, found;
    while (pf__cookie_next(&rest, &name, &value)) {
        must(name.len > 0 && lies_within(name, all) && lies_within(value, all));
        must(pf__text_equals(name, pf__text_trim(name)));
        must(pf__text_find(name, '=') == name.len && pf__text_find(name, ';') == name.len);
        must(pf__text_find(value, ';') == value.len);
    }
    must(rest.len == 0);
    if (pf__cookie_find((struct pf__texts){&all, 1}, "a", &found))
        must(lies_within(found, all));
    check_write(in);
    free(in);
    free(exact);
    return 0;
}
