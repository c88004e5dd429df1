/*
 * fuzz_bench_requests.c - what users of prefork-bench write: mixes of requests, a request
 * by options, URLs, checks, goals, stages. Whatever is accepted keeps its promises; above
 * all no request breaks out of its framing.
 *
 * A libFuzzer target; test_bench_requests.c includes it and replays the corpus. The first
 * byte of an input says what the rest is: m mix, r request, u URL, e expect, s goals, g
 * stages.
 */
#include "bench/expect.h"
#include "bench/requests.h"
#include "bench/slo.h"
#include "bench/stages.h"
#include "bench/tally.h"
#include "bench/url.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void requests_must(bool holds)
{
    if (!holds)
        abort();
}

/* It says something, if it was refused. */
static void check_why(int err, const char *why)
{
    requests_must(err != -EINVAL || why[0]);
}

/* ---- requests ---------------------------------------------------------------------- */

/* Lines end, so that what is looked at ends before them. */
static bool begins_with(const char *line, const char *name)
{
    while (*name && (*line | 0x20) == (*name | 0x20))
        line++, name++;
    return !*name;
}

/* One head of whole lines, and exactly the body that it announces. */
static void must_be_framed(const char *bytes, size_t len)
{
    const char *end = memmem(bytes, len, "\r\n\r\n", 4);
    requests_must(end != NULL);
    size_t head = (size_t)(end - bytes) + 4, announced = 0;
    unsigned lengths = 0, hosts = 0;
    for (size_t i = 0; i < head; i++) {
        requests_must(bytes[i] != '\0');
        requests_must(bytes[i] != '\r' || bytes[i + 1] == '\n');
        requests_must(bytes[i] != '\n' || (i > 0 && bytes[i - 1] == '\r'));
        if (i == 0 || bytes[i - 1] != '\n')
            continue;
        hosts += begins_with(bytes + i, "Host:");
        requests_must(!begins_with(bytes + i, "Transfer-Encoding:"));
        requests_must(bytes[i] != ' ' && bytes[i] != '\t');
        if (begins_with(bytes + i, "Content-Length:")) {
            announced = strtoul(bytes + i + strlen("Content-Length:"), NULL, 10);
            lengths++;
        }
    }
    requests_must(hosts == 1);
    requests_must(lengths <= 1);
    requests_must(announced == len - head);
}

static void check_request(const struct request *request)
{
    static const struct request_numbers numbers[] = {
        {0, 0, 0}, {UINT64_MAX, UINT64_MAX, UINT64_MAX}, {9, 10, 4294967296}};
    requests_must(request->weight > 0 && request->name[0]);
    if (request->fixed)
        must_be_framed(request->bytes, request->len);
    char *to = malloc(request->len_max ? request->len_max : 1);
    requests_must(to != NULL);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        size_t len = request_write(request, &numbers[i], to);
        requests_must(len <= request->len_max);
        requests_must(!request->fixed ||
                      (len == request->len && memcmp(to, request->bytes, len) == 0));
        must_be_framed(to, len);
    }
    free(to);
}

static void check_requests(int err, struct requests *requests, const char *why)
{
    check_why(err, why);
    if (err)
        return;
    unsigned count = requests_count(requests);
    requests_must(count > 0 && count <= REQUESTS_MAX);
    for (unsigned i = 0; i < count; i++) {
        requests_must(requests_at(requests, i)->index == i);
        check_request(requests_at(requests, i));
    }
    for (uint64_t dice = 0, i = 0; i < 16; i++, dice += UINT64_MAX / 15)
        requests_must(requests_pick(requests, dice)->index < count);
    requests_free(requests);
}

static void try_mix(char *text, size_t len)
{
    static const char *const headers[] = {"Accept: */*"};
    const struct request_line defaults = {
        .authority = "localhost", .headers = headers, .header_count = 1};
    struct requests *requests = NULL;
    char path[64], why[256] = "";
    for (size_t i = 0; i < len; i++)
        if (text[i] == '@')
            text[i] = 'a'; /* no files of this machine */
    int fd = memfd_create("mix", MFD_CLOEXEC);
    requests_must(fd >= 0 && write(fd, text, len) == (ssize_t)len);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int err = requests_read(path, &defaults, &requests, why, sizeof why);
    close(fd);
    check_requests(err, requests, why);
}

/* Method, target, field and body, one behind the other, each up to a NUL. */
static void try_request(const char *text, size_t len)
{
    const char *parts[3] = {"", "", ""};
    for (int i = 0; i < 3 && len > 0; i++) {
        size_t part = strlen(text) + 1;
        parts[i] = text;
        len = part < len ? len - part : 0;
        text += part;
    }
    struct request_line line = {.method = parts[0],
                                .target = parts[1],
                                .authority = "localhost",
                                .headers = &parts[2],
                                .header_count = parts[2][0] != '\0',
                                .body = len ? text : NULL,
                                .body_len = len};
    for (int i = 0; i < 2; i++, line.verbatim = line.close = true) {
        struct requests *requests = NULL;
        char why[256] = "";
        int err = requests_one(&line, &requests, why, sizeof why);
        check_requests(err, requests, why);
    }
}

/* ---- words ------------------------------------------------------------------------- */

static void try_url(const char *text)
{
    static struct url url; /* large */
    char why[256] = "";
    int err = url_parse(text, &url, why, sizeof why);
    check_why(err, why);
    if (err)
        return;
    requests_must(memchr(url.path, 0, sizeof url.path) != NULL);
    requests_must(url.address[0] && memchr(url.address, 0, sizeof url.address));
    if (url.protocol != PLAN_HTTP)
        return;
    requests_must(url.path[0] == '/' && url.authority[0]);
    struct request_line line = {
        .method = "GET", .target = url.path, .authority = url.authority};
    struct requests *requests = NULL;
    err = requests_one(&line, &requests, why, sizeof why);
    check_requests(err, requests, why);
}

/* Judged the same in whatever pieces a body comes. */
static void try_expect(const char *text, size_t len)
{
    struct expect expect;
    struct expect_check whole, pieces;
    char why[256] = "";
    int err = expect_parse(text, &expect, why, sizeof why);
    check_why(err, why);
    if (err)
        return;
    int64_t first = -1, other = -1;
    expect_begin(&whole);
    expect_body(&expect, &whole, text, len);
    expect_begin(&pieces);
    for (size_t i = 0; i < len; i++)
        expect_body(&expect, &pieces, text + i, 1);
    for (unsigned status = 100; status < 600; status += 51) {
        int verdict = expect_end(&expect, &whole, status, false, &first);
        requests_must(verdict == expect_end(&expect, &pieces, status, false, &other));
        requests_must(first == other);
    }
}

static void try_goals(const char *text)
{
    static struct result *result; /* large: made once */
    char why[256] = "";
    if (!result)
        result = result_new();
    requests_must(result != NULL);
    int count = slo_parse(text, result->slos, RESULT_SLOS_MAX, why, sizeof why);
    check_why(count, why);
    if (count < 0)
        return;
    requests_must(count <= RESULT_SLOS_MAX);
    result->slo_count = (size_t)count;
    for (int i = 0; i < count; i++) /* each is a goal by itself, too */
        requests_must(slo_parse(result->slos[i].expr, &(struct result_slo){.pass = false},
                                1, why, sizeof why) == 1);
    requests_must(slo_judge(result) <= (unsigned)count);
}

static void try_stages(const char *text)
{
    struct plan_stage stages[PLAN_STAGES_MAX];
    char why[256] = "";
    int count = stages_parse(text, stages, why, sizeof why);
    check_why(count, why);
    if (count < 0)
        return;
    requests_must(count > 0 && count <= PLAN_STAGES_MAX);
    int64_t sum = 0;
    for (int i = 0; i < count; i++) {
        requests_must(stages[i].duration_ns > 0 && stages[i].duration_ns <= STAGES_MOST);
        requests_must(isfinite(stages[i].from) && stages[i].from >= 0);
        requests_must(isfinite(stages[i].to) && stages[i].to >= 0);
        sum += stages[i].duration_ns;
        requests_must(sum <= STAGES_MOST);
    }
    requests_must(sum == stages_duration(stages, (unsigned)count));
    int warm = stages_warm_up(stages, (unsigned)count, 1000000);
    requests_must(warm == (count < PLAN_STAGES_MAX ? count + 1 : -EINVAL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    size_t len = size - 1;
    char *text = malloc(len + 1);
    requests_must(text != NULL);
    memcpy(text, data + 1, len);
    text[len] = '\0';
    switch (data[0]) {
    case 'm':
        try_mix(text, len);
        break;
    case 'r':
        try_request(text, len);
        break;
    case 'u':
        try_url(text);
        break;
    case 'e':
        try_expect(text, len);
        break;
    case 's':
        try_goals(text);
        break;
    case 'g':
        try_stages(text);
        break;
    default:
        break;
    }
    free(text);
    return 0;
}
