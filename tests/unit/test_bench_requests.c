/* What is sent: requests as bytes, mixes from a file, weights, and that nothing a user
 * writes can break a request's framing. */
#include "tests/lib/test.h"

#include "tests/lib/corpus.h"

#include "tests/fuzz/fuzz_bench_requests.c"

#include "bench/requests.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char why[512];

/* ---- one ---------------------------------------------------------------------------- */

static size_t write_out(const struct request *request,
                        const struct request_numbers *numbers, char *to, size_t room)
{
    assert_true(request->len_max < room);
    memset(to, 0x5a, room);
    size_t len = request_write(request, numbers, to);
    assert_true(len <= request->len_max);
    assert_int_equal(to[len], 0x5a);
    to[len] = 0;
    return len;
}

static void a_request_is_written_as_the_command_line_says(void **state)
{
    (void)state;
    static const struct {
        struct request_line line;
        const char *headers[3];
        const char *name, *bytes;
        bool fixed, head;
    } rows[] = {
        {{.method = "GET", .target = "/", .authority = "a:80"},
         {NULL},
         "GET /",
         "GET / HTTP/1.1\r\nHost: a:80\r\n\r\n",
         true,
         false},
        {{.method = "HEAD", .target = "/x?y={z", .authority = "a", .close = true},
         {NULL},
         "HEAD /x?y={z",
         "HEAD /x?y={z HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
         true,
         true},
        {{.method = "OPTIONS", .target = "*", .authority = "a"},
         {NULL},
         "OPTIONS *",
         "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
         true,
         false},
        {{.method = "GET", .target = "/", .authority = "a", .close = true},
         {"host:  b \t", "X-A:1", "connection: keep-alive"},
         "GET /",
         "GET / HTTP/1.1\r\nhost: b\r\nX-A: 1\r\nConnection: close\r\n\r\n",
         true,
         false},
        {{.method = "POST", .target = "/", .authority = "a"},
         {NULL},
         "POST /",
         "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
         true,
         false},
        {{.method = "PUT", .target = "/", .authority = "a", .body = "", .body_len = 0},
         {NULL},
         "PUT /",
         "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
         true,
         false},
        {{.method = "GET", .target = "/", .authority = "a", .body = "xyz", .body_len = 3},
         {"Content-Length: 3"},
         "GET /",
         "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nxyz",
         true,
         false},
        {{.method = "POST",
          .target = "/",
          .authority = "a",
          .body = "{\"a\":{\"b\":1}, {{seq} {}",
          .body_len = 23},
         {NULL},
         "POST /",
         "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 22\r\n\r\n{\"a\":{\"b\":1}, {seq} "
         "{}",
         true,
         false},
        {{.method = "POST",
          .target = "/",
          .authority = "a",
          .body = "{{ {seq} {no}",
          .body_len = 13,
          .verbatim = true},
         {NULL},
         "POST /",
         "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 13\r\n\r\n{{ {seq} {no}",
         true,
         false},
        {{.method = "GET", .target = "/u/{seq}", .authority = "a"},
         {"X-R: <{rand}>", "X-C: {conn}{conn}"},
         "GET /u/{seq}",
         "GET /u/7 HTTP/1.1\r\nHost: a\r\nX-R: <18446744073709551615>\r\nX-C: 00\r\n\r\n",
         false,
         false},
        {{.method = "POST",
          .target = "/",
          .authority = "a",
          .body = "{seq}-{rand}{{",
          .body_len = 14},
         {NULL},
         "POST /",
         "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 23\r\n\r\n7-18446744073709551615{",
         false,
         false},
    };
    static const struct request_numbers numbers = {.seq = 7, .rand = UINT64_MAX, .conn = 0};
    static char bytes[4096];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct request_line line = rows[i].line;
        line.headers = rows[i].headers;
        while (line.header_count < 3 && rows[i].headers[line.header_count])
            line.header_count++;
        struct requests *requests;
        int err = requests_one(&line, &requests, why, sizeof why);
        if (err)
            fail_msg("row %zu: %s", i, why);
        assert_int_equal(requests_count(requests), 1);
        const struct request *request = requests_at(requests, 0);
        assert_string_equal(request->name, rows[i].name);
        assert_int_equal(request->fixed, rows[i].fixed);
        assert_int_equal(request->head, rows[i].head);
        size_t len = write_out(request, &numbers, bytes, sizeof bytes);
        assert_string_equal(bytes, rows[i].bytes);
        assert_int_equal(len, strlen(rows[i].bytes));
        if (request->fixed) {
            assert_int_equal(request->len, len);
            assert_int_equal(request->len_max, len);
            assert_memory_equal(request->bytes, bytes, len);
        }
        assert_ptr_equal(requests_pick(requests, UINT64_MAX), request);
        requests_free(requests);
    }
}

static void the_length_follows_the_numbers(void **state)
{
    (void)state;
    static const struct {
        uint64_t number;
        const char *length;
    } rows[] = {{0, "Content-Length: 6\r\n"},
                {9, "Content-Length: 6\r\n"},
                {10, "Content-Length: 8\r\n"},
                {9999999, "Content-Length: 18\r\n"},
                {UINT64_MAX, "Content-Length: 44\r\n"}};
    struct request_line line = {
        .method = "PUT", .target = "/", .body = "({conn}|{conn})=", .body_len = 16};
    struct requests *requests;
    assert_int_equal(requests_one(&line, &requests, why, sizeof why), 0);
    static char bytes[512];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct request_numbers numbers = {.conn = rows[i].number};
        write_out(requests_at(requests, 0), &numbers, bytes, sizeof bytes);
        assert_non_null(strstr(bytes, rows[i].length));
        const char *body = strstr(bytes, "\r\n\r\n") + 4;
        assert_int_equal(strlen(body), atoi(strstr(rows[i].length, ": ") + 2));
    }
    requests_free(requests);
}

#define TEN(x) x x x x x x x x x x

static void what_would_break_a_request_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *method, *target, *header, *body, *phrase;
    } rows[] = {
        {"", "/", NULL, NULL, "must be one word, such as GET"},
        {NULL, "/", NULL, NULL, "must be one word, such as GET"},
        {"G T", "/", NULL, NULL, "must be one word, such as GET"},
        {"GET\r\n", "/", NULL, NULL, "must be one word, such as GET"},
        {"GET:", "/", NULL, NULL, "must be one word, such as GET"},
        {"G\xc3\x84T", "/", NULL, NULL, "must be one word, such as GET"},
        {TEN("METHOD"), "/", NULL, NULL, "must be one word, such as GET"},
        {"CONNECT", "/", NULL, NULL, "tunnel"},
        {"GET", NULL, NULL, NULL, "must begin with /"},
        {"GET", "", NULL, NULL, "must begin with /"},
        {"GET", "x", NULL, NULL, "must begin with /"},
        {"GET", "*", NULL, NULL, "must begin with /"},
        {"GET", "/ HTTP/1.0", NULL, NULL, "percent-encode"},
        {"GET", "/\r\nA: b", NULL, NULL, "percent-encode"},
        {"GET", "/\xc3\xa4", NULL, NULL, "percent-encode"},
        {"GET", "/\x7f", NULL, NULL, "percent-encode"},
        {"GET", "/#a", NULL, NULL, "fragment"},
        {"GET", "/{id}", NULL, NULL, "there is no {id}"},
        {"GET", "/", "X: {Seq}{sequence}", NULL, "there is no {sequence}"},
        {"GET", "/{seq", NULL, NULL, "{seq is not closed; write {seq}, or {{seq for"},
        {"GET", "/{conn/a", NULL, NULL, "{conn is not closed"},
        {"GET", "/", "X: {rand ", NULL, "{rand is not closed"},
        {"POST", "/", NULL, "{{{seq: 1}", "{seq is not closed"},
        {"GET", "/", NULL, "a{b}", "{seq}, {rand} or {conn}"},
        {"GET", "/", "Broken", NULL, "-H 'Broken': must be 'Name: value'"},
        {"GET", "/", "", NULL, "'Name: value'"},
        {"GET", "/", ": x", NULL, "-H ': x': must be 'Name: value'"},
        {"GET", "/", " A: x", NULL, "'Name: value'"},
        {"GET", "/", "A : x", NULL, "'Name: value'"},
        {"GET", "/", "{seq}: x", NULL, "'Name: value'"},
        {"GET", "/", "A\x01: x", NULL, "-H '...': must be 'Name: value'"},
        {"GET", "/", "A: b\nC: d", NULL, "-H 'A: ...': must be one line"},
        {"GET", "/", "A: b\r", NULL, "-H 'A: ...': must be one line"},
        {"GET", "/", "A: \x7f", NULL, "-H 'A: ...': must be one line"},
        {"GET", "/", "transfer-encoding: chunked", NULL, "leave it out"},
        {"GET", "/", "Content-Length: 1", NULL, "leave it out"},
        {"POST", "/", "Content-Length: 3", "ab", "leave it out"},
        {"POST", "/", "Content-Length: 2, 2", "ab", "leave it out"},
        {"POST", "/", "Content-Length: 02", "ab", "leave it out"},
        {"POST", "/", "Content-Length:", "ab", "leave it out"},
        {"POST", "/", "Content-Length: 5", "{seq}", "leave it out"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct requests *requests = NULL;
        struct request_line line = {.method = rows[i].method,
                                    .target = rows[i].target,
                                    .headers = &rows[i].header,
                                    .header_count = rows[i].header != NULL,
                                    .body = rows[i].body,
                                    .body_len = rows[i].body ? strlen(rows[i].body) : 0};
        why[0] = 0;
        assert_int_equal(requests_one(&line, &requests, why, sizeof why), -EINVAL);
        if (!strstr(why, rows[i].phrase))
            fail_msg("row %zu: \"%s\" lacks \"%s\"", i, why, rows[i].phrase);
        assert_null(requests);
        for (const char *c = why; *c; c++)
            assert_true(*c >= ' ');
    }
}

static void there_are_limits(void **state)
{
    (void)state;
    struct requests *requests;
    static const char *two[] = {"Host: a", "hOST: b"};
    struct request_line line = {
        .method = "GET", .target = "/", .headers = two, .header_count = 2};
    assert_int_equal(requests_one(&line, &requests, why, sizeof why), -EINVAL);
    assert_non_null(strstr(why, "more than one Host"));

    static const char *many[REQUESTS_FIELDS_MAX + 1];
    for (size_t i = 0; i <= REQUESTS_FIELDS_MAX; i++)
        many[i] = "A: b";
    line.headers = many;
    line.header_count = REQUESTS_FIELDS_MAX + 1;
    assert_int_equal(requests_one(&line, &requests, why, sizeof why), -EINVAL);
    assert_non_null(strstr(why, "at most 128"));
    line.header_count--;
    assert_int_equal(requests_one(&line, &requests, why, sizeof why), 0);
    requests_free(requests);

    static char body[(REQUESTS_PLACEHOLDERS_MAX + 1) * 6 + 1];
    for (size_t i = 0; i <= REQUESTS_PLACEHOLDERS_MAX; i++)
        memcpy(body + i * 6, "-{seq}", 6);
    line.header_count = 0;
    line.body = body;
    line.body_len = (REQUESTS_PLACEHOLDERS_MAX + 1) * 6;
    assert_int_equal(requests_one(&line, &requests, why, sizeof why), -EINVAL);
    assert_non_null(strstr(why, "at most 1024"));
    line.body_len -= 6;
    body[line.body_len] = '!';
    line.body_len++;
    assert_int_equal(requests_one(&line, &requests, why, sizeof why), 0);
    static char bytes[65536];
    struct request_numbers numbers = {.seq = UINT64_MAX};
    write_out(requests_at(requests, 0), &numbers, bytes, sizeof bytes);
    assert_non_null(strstr(bytes, "Content-Length: 21505\r\n"));
    requests_free(requests);

    line.body_len = REQUESTS_BODY_MAX + 1; /* not looked at */
    assert_int_equal(requests_one(&line, &requests, why, sizeof why), -EINVAL);
    assert_non_null(strstr(why, "64 MiB"));
}

static void raw_bytes_are_sent_as_they_are(void **state)
{
    (void)state;
    struct requests *requests;
    assert_int_equal(requests_raw("{seq}\0\n", 7, &requests), 0);
    const struct request *request = requests_pick(requests, 5);
    assert_true(request->fixed);
    assert_int_equal(request->len, 7);
    assert_memory_equal(request->bytes, "{seq}\0\n", 7);
    assert_string_equal(request->name, "7 bytes");
    requests_free(requests);
    assert_int_equal(requests_raw("", 0, &requests), -EINVAL);
    requests_free(NULL);
}

/* ---- a mix -------------------------------------------------------------------------- */

static char folder[] = "/tmp/prefork-mix-XXXXXX";
static char mix_path[64];

static void write_file(const char *path, const char *bytes, size_t len)
{
    FILE *to = fopen(path, "w");
    assert_non_null(to);
    assert_int_equal(fwrite(bytes, 1, len, to), len);
    assert_int_equal(fclose(to), 0);
}

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(mix_path, sizeof mix_path, "%s/mix", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    char path[128];
    snprintf(path, sizeof path, "%s/body.bin", folder);
    unlink(path);
    unlink(mix_path);
    return rmdir(folder);
}

static const char *const default_fields[] = {"X-All: {conn}", "Accept: */*"};
static const struct request_line defaults = {.method = "DELETE",
                                             .target = "/never",
                                             .authority = "host:1",
                                             .headers = default_fields,
                                             .header_count = 2};

static void a_mix_is_read_from_a_file(void **state)
{
    (void)state;
    static const char mix[] = "# seven of ten are the front page\n"
                              "7  GET   /\n"
                              "\n"
                              "2\tGET   /users/{seq}  \r\n"
                              "       accept: application/json  \r\n"
                              "   # no field\n"
                              " \t\n"
                              "1  POST  /echo\n"
                              "       Content-Type: text/plain\n"
                              "       = hello {rand}\n"
                              "       =\n"
                              "       =  (a third line {{)\n"
                              "1  HEAD  /files/a\n"
                              "    @ body.bin";
    static const char *const bytes[] = {
        "GET / HTTP/1.1\r\nHost: host:1\r\nX-All: 3\r\nAccept: */*\r\n\r\n",
        "GET /users/1 HTTP/1.1\r\nHost: host:1\r\naccept: application/json\r\n"
        "X-All: 3\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: host:1\r\nContent-Type: text/plain\r\nX-All: 3\r\n"
        "Accept: */*\r\nContent-Length: 27\r\n\r\nhello 22\n\n (a third line {)",
        "HEAD /files/a HTTP/1.1\r\nHost: host:1\r\nX-All: 3\r\nAccept: */*\r\n"
        "Content-Length: 6\r\n\r\n{no}{{",
    };
    char path[128];
    snprintf(path, sizeof path, "%s/body.bin", folder);
    write_file(path, "{no}{{", 6);
    write_file(mix_path, mix, sizeof mix - 1);
    struct requests *requests;
    int err = requests_read(mix_path, &defaults, &requests, why, sizeof why);
    if (err)
        fail_msg("%s", why);
    assert_int_equal(requests_count(requests), 4);
    static const uint64_t weights[] = {7, 2, 1, 1};
    static const struct request_numbers numbers = {1, 22, 3};
    static char written[1024];
    for (unsigned i = 0; i < 4; i++) {
        const struct request *request = requests_at(requests, i);
        assert_int_equal(request->weight, weights[i]);
        assert_int_equal(request->head, i == 3);
        write_out(request, &numbers, written, sizeof written);
        assert_string_equal(written, bytes[i]);
    }
    requests_free(requests);
}

static void what_is_wrong_with_a_mix_is_said_with_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *mix;
        size_t len;
        int err;
        const char *phrase;
    } rows[] = {
#define ROW(mix, err, phrase) {mix, sizeof(mix) - 1, err, phrase}
        ROW("", -EINVAL, "mix:1: there is no request"),
        ROW("# nothing\n\n", -EINVAL, "mix:2: there is no request"),
        ROW("GET /\n", -EINVAL, "mix:1: must be a weight"),
        ROW("0 GET /\n", -EINVAL, "mix:1: must be a weight"),
        ROW("-1 GET /\n", -EINVAL, "mix:1: must be a weight"),
        ROW("1000001 GET /\n", -EINVAL, "mix:1: must be a weight"),
        ROW("99999999999999999999999 GET /\n", -EINVAL, "mix:1: must be a weight"),
        ROW("1\n", -EINVAL, "mix:1: must be a weight"),
        ROW("1 GET\n", -EINVAL, "mix:1: must be a weight"),
        ROW("1 GET / b\n", -EINVAL, "mix:1: has more than"),
        ROW("1 GET x\n", -EINVAL, "mix:1: the target must begin with /"),
        ROW("1 G@T /\n", -EINVAL, "mix:1: the method 'G@T'"),
        ROW("1 GET /{seq\n", -EINVAL, "mix:1: {seq is not closed"),
        ROW("\n\n1 GET /{what}\n", -EINVAL, "mix:3: there is no {what}"),
        ROW("1 GET /\n = {body}\n1 GET /\n", -EINVAL, "mix:1: there is no {body}"),
        ROW(" A: b\n1 GET /\n", -EINVAL, "mix:1: is indented"),
        ROW("1 GET /\n A b\n", -EINVAL, "mix:2: must be a header field"),
        ROW("1 GET /\n A: \x01\n", -EINVAL, "mix:2: must be a header field"),
        ROW("1 GET /\n Host: a\n host: b\n", -EINVAL, "mix:1: more than one Host"),
        ROW("1 GET /\n A: b\0c\n", -EINVAL, "mix:2: has a NUL byte"),
        ROW("\0", -EINVAL, "mix:1: has a NUL byte"),
        ROW("1 GET /\n @\n", -EINVAL, "mix:2: must name a file"),
        ROW("1 GET /\n @ none.such\n", -ENOENT, "mix:2: none.such: No such file"),
        ROW("1 GET /\n @ /tmp\n", -EISDIR, "mix:2: /tmp: Is a directory"),
        ROW("1 GET /\n @ mix\n = a\n", -EINVAL, "mix:3: has a body from a file already"),
        ROW("1 GET /\n = a\n @ mix\n", -EINVAL, "mix:3: has a second body"),
        ROW("1 GET /\n @ mix\n @ mix\n", -EINVAL, "mix:3: has a second body"),
        ROW("1 GET /\n @ /dev/zero\n", -EFBIG, "mix:2: /dev/zero: File too large"),
#undef ROW
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct requests *requests = NULL;
        write_file(mix_path, rows[i].mix, rows[i].len);
        why[0] = 0;
        assert_int_equal(requests_read(mix_path, &defaults, &requests, why, sizeof why),
                         rows[i].err);
        if (!strstr(why, rows[i].phrase))
            fail_msg("row %zu: \"%s\" lacks \"%s\"", i, why, rows[i].phrase);
        assert_null(requests);
    }
}

static void a_mix_that_cannot_be_read_says_why(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        int err;
        const char *phrase;
    } rows[] = {
        {"/nonexistent/mix", -ENOENT, "/nonexistent/mix: No such file"},
        {"/tmp", -EISDIR, "/tmp: Is a directory"},
        {"/dev/zero", -EFBIG, "/dev/zero: File too large"},
        {"", -ENOENT, "No such file"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct requests *requests = NULL;
        assert_int_equal(requests_read(rows[i].path, &defaults, &requests, why, sizeof why),
                         rows[i].err);
        assert_non_null(strstr(why, rows[i].phrase));
        assert_null(requests);
    }
}

static void a_mix_has_at_most_so_many_requests(void **state)
{
    (void)state;
    struct requests *requests = NULL;
    for (unsigned count = REQUESTS_MAX; count <= REQUESTS_MAX + 1; count++) {
        FILE *to = fopen(mix_path, "w");
        assert_non_null(to);
        for (unsigned i = 0; i < count; i++)
            fprintf(to, "1 GET /%u\n", i);
        fclose(to);
        int err = requests_read(mix_path, &defaults, &requests, why, sizeof why);
        assert_int_equal(err, count > REQUESTS_MAX ? -EINVAL : 0);
        if (err) {
            assert_non_null(strstr(why, "mix:257: too many requests; at most 256"));
            continue;
        }
        assert_int_equal(requests_count(requests), REQUESTS_MAX);
        requests_free(requests);
    }
}

static void requests_are_picked_by_their_weight(void **state)
{
    (void)state;
    static const char mix[] = "1 GET /a\n1000000 GET /b\n3 GET /c\n96 GET /d\n1 GET /e\n";
    static const uint64_t weights[] = {1, 1000000, 3, 96, 1}, total = 1000101;
    write_file(mix_path, mix, sizeof mix - 1);
    struct requests *requests;
    assert_int_equal(requests_read(mix_path, &defaults, &requests, why, sizeof why), 0);
    /* Dice at evenly spaced points, one in the middle of each part: exact counts. */
    uint64_t picked[5] = {0};
    for (uint64_t i = 0; i < total; i++) {
        uint64_t dice = (uint64_t)(((double)i + 0.5) / (double)total * 0x1p64);
        picked[requests_pick(requests, dice)->name[5] - 'a']++;
    }
    for (int i = 0; i < 5; i++)
        assert_int_equal(picked[i], weights[i]);
    assert_ptr_equal(requests_pick(requests, 0), requests_at(requests, 0));
    assert_ptr_equal(requests_pick(requests, UINT64_MAX), requests_at(requests, 4));
    requests_free(requests);
}

/* ---- hostile ------------------------------------------------------------------------ */

static void check_framing(const char *bytes, size_t len)
{
    const char *end = strstr(bytes, "\r\n\r\n");
    assert_non_null(end);
    size_t lengths = 0, hosts = 0, body = len - (size_t)(end + 4 - bytes);
    const char *line = bytes;
    for (unsigned n = 0; line < end + 2; n++) {
        const char *stop = strpbrk(line, "\r\n");
        assert_memory_equal(stop, "\r\n", 2);
        if (n > 0)
            assert_non_null(memchr(line, ':', (size_t)(stop - line)));
        if (strncasecmp(line, "content-length:", 15) == 0) {
            lengths++;
            assert_int_equal(strtoull(line + 15, NULL, 10), body);
        }
        assert_int_not_equal(strncasecmp(line, "transfer-encoding:", 18), 0);
        hosts += strncasecmp(line, "host:", 5) == 0;
        line = stop + 2;
    }
    assert_int_equal(hosts, 1);
    assert_true(lengths == 1 || (lengths == 0 && body == 0));
}

static size_t scramble(unsigned *seed, char *text, size_t room)
{
    static const char *const parts[] = {"{",        "}",
                                        "{{",       "{seq}",
                                        "{rand}",   "{conn}",
                                        "{x}",      "\r\n",
                                        "\n",       "\r",
                                        ":",        " ",
                                        "\t",       "/",
                                        "*",        "GET",
                                        "Host",     "A: b",
                                        "#",        "\x7f",
                                        "\xc3\xa4", "Content-Length: 1",
                                        "=",        "@"};
    size_t len = 0;
    for (int n = rand_r(seed) % 6; n > 0; n--) {
        const char *part = parts[(size_t)rand_r(seed) % (sizeof parts / sizeof parts[0])];
        if (len + strlen(part) < room)
            len += (size_t)snprintf(text + len, room - len, "%s", part);
    }
    text[len] = 0;
    return len;
}

static void nothing_that_is_accepted_breaks_the_framing(void **state)
{
    (void)state;
    unsigned seed = 1, accepted = 0;
    for (int i = 0; i < 100000; i++) {
        char target[128] = "/", field[128] = "X-A: ", body[128];
        scramble(&seed, target + (i % 8 != 0), 100);
        scramble(&seed, field + (i % 7 ? 5 : 0), 100);
        const char *fields[] = {field};
        struct request_line line = {.method = i % 3 ? "POST" : "GET",
                                    .target = target,
                                    .authority = "a",
                                    .headers = fields,
                                    .header_count = 1,
                                    .body = i % 5 ? body : NULL,
                                    .verbatim = i % 11 == 0};
        line.body_len = scramble(&seed, body, 100);
        if (!line.body)
            line.body_len = 0;
        struct requests *requests;
        if (requests_one(&line, &requests, why, sizeof why) != 0)
            continue;
        accepted++;
        static char bytes[4096];
        struct request_numbers numbers = {(uint64_t)i, (uint64_t)rand_r(&seed) << 33, 5};
        size_t len = write_out(requests_at(requests, 0), &numbers, bytes, sizeof bytes);
        check_framing(bytes, len);
        requests_free(requests);
    }
    assert_true(accepted > 5000);
}

/* Lines of a mix put together at random: no crash, no leak, a message with a line. */
static void no_mix_does_harm(void **state)
{
    (void)state;
    unsigned seed = 2, accepted = 0;
    for (int i = 0; i < 3000; i++) {
        static char mix[2048];
        size_t len = 0;
        for (int n = rand_r(&seed) % 8; n > 0; n--) {
            static const char *const starts[] = {
                "1 GET /", " = ", " @ ", " A: ", "#", "1 ", ""};
            len += (size_t)snprintf(mix + len, sizeof mix - len, "%s",
                                    starts[(size_t)rand_r(&seed) % 7]);
            if (rand_r(&seed) % 3 == 0)
                len += scramble(&seed, mix + len, 100);
            mix[len++] = rand_r(&seed) % 50 ? '\n' : '\0';
        }
        write_file(mix_path, mix, len);
        struct requests *requests;
        why[0] = 0;
        if (requests_read(mix_path, &defaults, &requests, why, sizeof why) == 0) {
            accepted++;
            requests_free(requests);
        } else {
            assert_non_null(strstr(why, "mix:"));
        }
    }
    assert_true(accepted > 100);
}

#define CORPUS "tests/fuzz/corpus/bench_requests"

static void the_corpus_keeps_its_promises(void **state)
{
    (void)state;
    assert_true(pf_test_corpus(CORPUS, LLVMFuzzerTestOneInput) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(a_request_is_written_as_the_command_line_says),
        pf_test(the_length_follows_the_numbers),
        pf_test(what_would_break_a_request_is_refused),
        pf_test(there_are_limits),
        pf_test(raw_bytes_are_sent_as_they_are),
        pf_test(a_mix_is_read_from_a_file),
        pf_test(what_is_wrong_with_a_mix_is_said_with_its_line),
        pf_test(a_mix_that_cannot_be_read_says_why),
        pf_test(a_mix_has_at_most_so_many_requests),
        pf_test(requests_are_picked_by_their_weight),
        pf_test(nothing_that_is_accepted_breaks_the_framing),
        pf_test(no_mix_does_harm),
        pf_test(the_corpus_keeps_its_promises),
    };
    return cmocka_run_group_tests_name("requests", tests, set_up, tear_down);
}
