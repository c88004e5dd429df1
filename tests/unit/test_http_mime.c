/* test_http_mime.c - types by extension, from a file and built in. */
#include "tests/lib/alloc.h"
#include "tests/lib/test.h"
#include "tests/lib/tree.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/mime.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

struct row {
    const char *name, *type;
};

static void check(const struct pf__mime *mime, const struct row *cases, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_string_equal(pf__mime_type(mime, cases[i].name, strlen(cases[i].name)),
                            cases[i].type);
}

static struct pf__mime *made(const char *root)
{
    struct pf__mime *mime = NULL;
    assert_int_equal(pf__mime_new(root, &mime), 0);
    return mime;
}

static const struct row without_a_file[] = {
    {"index.html", "text/html; charset=utf-8"},
    {"a/b.c/INDEX.HTM", "text/html; charset=utf-8"},
    {"app.js", "text/javascript; charset=utf-8"},
    {"app.js.map", "application/json"},
    {"logo.SVG", "image/svg+xml"},
    {"a.7z", "application/x-7z-compressed"},
    {"a.zst", "application/zstd"},
    {"x.woff2", "font/woff2"},
    {"a.tar.gz", "application/gzip"},
    {"README", PF__MIME_UNKNOWN},
    {"", PF__MIME_UNKNOWN},
    {".html", PF__MIME_UNKNOWN},
    {"a/.html", PF__MIME_UNKNOWN},
    {"a.html/b", PF__MIME_UNKNOWN},
    {"a.html/", PF__MIME_UNKNOWN},
    {"a.", PF__MIME_UNKNOWN},
    {"a.htmlx", PF__MIME_UNKNOWN},
    {"a..png", "image/png"},
    {"..png", "image/png"},
    {"a.0123456789012345678901234567890123456789", PF__MIME_UNKNOWN},
};

static void the_built_in_types_do_without_a_file(void **state)
{
    (void)state;
    struct pf__mime *mime = made(pf_tree_root);
    check(mime, without_a_file, COUNT(without_a_file));
    check(NULL, without_a_file, COUNT(without_a_file));
    pf__mime_free(mime);
    pf__mime_free(NULL);
}

static void each_built_in_type_is_found(void **state)
{
    (void)state;
    static const char *const names[] = {
        "7z",   "aac",  "atom", "avi",  "avif",  "bmp", "bz2",  "css",         "csv",
        "eot",  "epub", "flac", "gif",  "gz",    "htm", "html", "ico",         "ics",
        "jpeg", "jpg",  "js",   "json", "map",   "md",  "mjs",  "mkv",         "mp3",
        "mp4",  "oga",  "ogg",  "ogv",  "otf",   "pdf", "png",  "rss",         "rtf",
        "svg",  "tar",  "tif",  "tiff", "ttf",   "txt", "wasm", "wav",         "webm",
        "webp", "woff", "xml",  "xz",   "woff2", "zip", "zst",  "webmanifest", "xhtml",
    };
    for (size_t i = 0; i < COUNT(names); i++) {
        char name[32];
        snprintf(name, sizeof name, "x.%s", names[i]);
        const char *type = pf__mime_type(NULL, name, strlen(name));
        assert_string_not_equal(type, PF__MIME_UNKNOWN);
        assert_int_equal(strncmp(type, "text/", 5) == 0, strstr(type, "utf-8") != NULL);
    }
}

static void a_file_is_read_and_wins(void **state)
{
    (void)state;
    pf_tree_put("etc/mime.types",
                "# comment\n"
                "\n"
                "application/x-none\n"
                "text/x-HTML  html\tHTM\n"
                "  image/x-a  a b # c\n"
                "image/x-b b\r\n"
                "no-type c\n"
                "a/b/c d\n"
                "a/ d\n"
                "/b d\n"
                "evil/x;y d\n"
                "image/x-long 0123456789012345678901234567890123456789 e\n"
                "text/x f\n"
                "application/x-last g");
    static const struct row cases[] = {
        {"x.html", "text/x-html; charset=utf-8"},
        {"x.htm", "text/x-html; charset=utf-8"},
        {"x.a", "image/x-a"},
        {"x.b", "image/x-b"},
        {"x.c", PF__MIME_UNKNOWN},
        {"x.d", PF__MIME_UNKNOWN},
        {"x.e", "image/x-long"},
        {"x.f", "text/x; charset=utf-8"},
        {"x.G", "application/x-last"},
        {"x.png", "image/png"}, /* built in */
        {"x.#", PF__MIME_UNKNOWN},
    };
    struct pf__mime *mime = made(pf_tree_root);
    check(mime, cases, COUNT(cases));
    pf__mime_free(mime);
}

static void a_file_of_the_shortest_lines_fits(void **state)
{
    (void)state;
    enum {
        LINES = 5000
    };
    char *text = malloc(LINES * 16), *at = text;
    assert_non_null(text);
    for (int i = 0; i < LINES; i++)
        at += snprintf(at, 16, "text/%c %c\n", 'a' + i % 26, 'a' + i % 26);
    pf_tree_put("etc/mime.types", text);
    free(text);
    struct pf__mime *mime = made(pf_tree_root);
    assert_string_equal(pf__mime_type(mime, "x.q", 3), "text/q; charset=utf-8");
    pf__mime_free(mime);
}

static void a_file_that_is_too_long_counts_up_to_the_limit(void **state)
{
    (void)state;
    size_t size = PF__MIME_FILE_MAX + 100;
    char *text = malloc(size);
    assert_non_null(text);
    memset(text, '\n', size);
    memcpy(text, "image/x-a a\n", 12);
    memcpy(text + size - 13, "image/x-b b\n", 13);
    pf_tree_put("etc/mime.types", text);
    free(text);
    struct pf__mime *mime = made(pf_tree_root);
    assert_string_equal(pf__mime_type(mime, "x.a", 3), "image/x-a");
    assert_string_equal(pf__mime_type(mime, "x.b", 3), PF__MIME_UNKNOWN);
    pf__mime_free(mime);
}

static void a_table_that_runs_out_of_memory_is_not_made_and_leaves_nothing(void **state)
{
    (void)state;
    pf_alloc_needed();
    pf_tree_put("etc/mime.types", "image/x-a a b c\n");
    int err = -ENOMEM, failing = 0, fds = pf_test_count_fds();
    while (err) {
        struct pf__mime *out = NULL;
        size_t before = pf_alloc_bytes();
        pf_alloc_fail(++failing);
        err = pf__mime_new(pf_tree_root, &out);
        (void)pf_alloc_stop();
        assert_true(err == 0 || (err == -ENOMEM && !out));
        pf__mime_free(out);
        assert_int_equal(pf_alloc_bytes(), before);
        assert_int_equal(pf_test_count_fds(), fds);
    }
    assert_true(failing > 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_tree_test(the_built_in_types_do_without_a_file),
        pf_test(each_built_in_type_is_found),
        pf_tree_test(a_file_is_read_and_wins),
        pf_tree_test(a_file_of_the_shortest_lines_fits),
        pf_tree_test(a_file_that_is_too_long_counts_up_to_the_limit),
        pf_tree_test(a_table_that_runs_out_of_memory_is_not_made_and_leaves_nothing),
    };
    return cmocka_run_group_tests_name("http-mime", tests, NULL, NULL);
}
