/* What an answer must be: what is understood, what is refused, and the judgement over
 * bodies in any pieces. */
#include "tests/lib/test.h"

#include "bench/expect.h"
#include "bench/tally.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static char why[256];

/* "Hello, World!": its CRC-32 as crc32(1) gives it. */
#define HELLO     "Hello, World!"
#define HELLO_CRC "ec4ac3d0"

/* Answers are judged after their body came in pieces of each size. */
static int judge(const struct expect *expect, unsigned status, const char *body, bool head,
                 int64_t *first, size_t piece)
{
    struct expect_check check;
    expect_begin(&check);
    for (size_t len = strlen(body), at = 0; at < len; at += piece)
        expect_body(expect, &check, body + at, len - at < piece ? len - at : piece);
    return expect_end(expect, &check, status, head, first);
}

static void answers_are_judged_by_every_rule(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned status;
        const char *body;
        bool head;
        int verdict;
    } rows[] = {
        {"status=200", 200, "", false, 0},
        {"status=200", 201, "", false, TALLY_STATUS},
        {"status=200|304", 304, "", false, 0},
        {"status=200|304", 303, "", false, TALLY_STATUS},
        {"status=2xx|404", 299, "", false, 0},
        {"status=2XX|404", 404, "", false, 0},
        {"status=2xx|404", 400, "", false, TALLY_STATUS},
        {"status=5xx", 503, "", false, 0},
        {"status=1xx|2xx|3xx|4xx|500|501|502|599", 599, "", false, 0},
        {"len=0", 399, "", false, 0},
        {"len=0", 400, "", false, TALLY_STATUS},
        {"len=13", 200, HELLO, false, 0},
        {"len=13", 200, "Hello, World", false, TALLY_LENGTH},
        {"len=13", 200, HELLO "!", false, TALLY_LENGTH},
        {"len=13", 200, "", true, 0},
        {"len=13", 304, "", false, 0},
        {"len=13", 204, "", false, TALLY_LENGTH},
        {"body=~World", 200, HELLO, false, 0},
        {"body=~World", 200, "", true, 0},
        {"body=~world", 200, HELLO, false, TALLY_BODY},
        {"body=~World!!", 200, HELLO, false, TALLY_BODY},
        {"body=~Hello\\, World!", 200, HELLO, false, 0},
        {"body=~a\\\\b", 200, "-a\\b-", false, 0},
        {"body=~a\\b", 200, "-a\\b-", false, 0},
        {"body=~=~", 200, "x=~y", false, 0},
        {"body=~aab", 200, "aaaaab", false, 0},
        {"body=~aabaaaa", 200, "aabaaabaaaa", false, 0},
        {"body=~aab", 200, "aaaaaa", false, TALLY_BODY},
        {"body=~abababac", 200, "abababababac", false, 0},
        {"body=~abcabcabd", 200, "abcabcabcabcabe abcabcabd", false, 0},
        {"body=~abcabcabd", 200, "abcabcabcabcabe abcabcab", false, TALLY_BODY},
        {"hash=" HELLO_CRC, 200, HELLO, false, 0},
        {"hash=EC4AC3D0", 200, HELLO, false, 0},
        {"hash=" HELLO_CRC, 200, "hello, World!", false, TALLY_HASH},
        {"hash=0", 200, "", false, 0},
        {"hash=0", 200, "x", true, 0},
        {"status=200,len=13,body=~World,hash=" HELLO_CRC, 200, HELLO, false, 0},
        {"hash=" HELLO_CRC ",body=~World,len=13,status=200", 200, "x", false, TALLY_LENGTH},
        {"hash=" HELLO_CRC ",body=~World,len=13,status=200", 500, "x", false, TALLY_STATUS},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct expect expect;
        int err = expect_parse(rows[i].text, &expect, why, sizeof why);
        if (err)
            fail_msg("%s: %s", rows[i].text, why);
        for (size_t piece = 1; piece < 16; piece++) {
            int64_t first = -1;
            int verdict =
                judge(&expect, rows[i].status, rows[i].body, rows[i].head, &first, piece);
            if (verdict != rows[i].verdict)
                fail_msg("%s, \"%s\" by %zu: %d", rows[i].text, rows[i].body, piece,
                         verdict);
        }
    }
}

static void all_bodies_must_be_like_the_first(void **state)
{
    (void)state;
    struct expect expect;
    assert_int_equal(expect_parse("len=1,hash", &expect, why, sizeof why), 0);
    int64_t first = -1;
    assert_int_equal(judge(&expect, 500, "x", false, &first, 1), TALLY_STATUS);
    assert_int_equal(judge(&expect, 200, "xx", false, &first, 1), TALLY_LENGTH);
    assert_int_equal(judge(&expect, 200, "", true, &first, 1), 0);
    assert_int_equal(first, -1);
    assert_int_equal(judge(&expect, 200, "a", false, &first, 1), 0);
    assert_int_equal(judge(&expect, 200, "a", false, &first, 1), 0);
    assert_int_equal(judge(&expect, 200, "b", false, &first, 1), TALLY_HASH);
    assert_int_equal(judge(&expect, 200, "a", false, &first, 1), 0);
}

#define TEN(x)     x x x x x x x x x x
#define HUNDRED(x) TEN(TEN(x))

static void what_is_not_understood_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *phrase;
    } rows[] = {
        {"", "must be status=200, len=13"},
        {",", "must be status=200, len=13"},
        {"status=200,", "must be status=200, len=13"},
        {",len=1", "must be status=200, len=13"},
        {"Status=200", "must be status=200, len=13"},
        {" len=1", "must be status=200, len=13"},
        {"status", "must be status=200, len=13"},
        {"hashes", "must be status=200, len=13"},
        {"status=", "like 200, 2xx"},
        {"status=20", "like 200, 2xx"},
        {"status=2000", "like 200, 2xx"},
        {"status=099", "like 200, 2xx"},
        {"status=600", "like 200, 2xx"},
        {"status=6xx", "like 200, 2xx"},
        {"status=2x0", "like 200, 2xx"},
        {"status=20x", "like 200, 2xx"},
        {"status=200|", "like 200, 2xx"},
        {"status=|200", "like 200, 2xx"},
        {"status=200 ", "like 200, 2xx"},
        {"status=200|201|202|203|204|205|206|207|208", "more than 8"},
        {"status=200,status=201", "stands twice"},
        {"len=", "number of bytes"},
        {"len=-1", "number of bytes"},
        {"len=1k", "number of bytes"},
        {"len=9223372036854775808", "number of bytes"},
        {"len=99999999999999999999", "number of bytes"},
        {"len=1,len=1", "stands twice"},
        {"body=", "~ and a text"},
        {"body=ok", "~ and a text"},
        {"body=~", "~ and a text"},
        {"body=~a,body=~b", "stands twice"},
        {"body=~a,b", "must be status=200"},
        {"body=~" HUNDRED("ab"), "too long"},
        {"body=~" HUNDRED("abcd"), "too long"},
        {"hash=", "1 to 8 hexadecimal"},
        {"hash=123456789", "1 to 8 hexadecimal"},
        {"hash=0x12", "1 to 8 hexadecimal"},
        {"hash=g", "1 to 8 hexadecimal"},
        {"hash=\x80", "1 to 8 hexadecimal"},
        {"hash,hash=1", "stands twice"},
    };
    struct expect expect, before;
    memset(&expect, 'x', sizeof expect);
    before = expect;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        why[0] = 0;
        assert_int_equal(expect_parse(rows[i].text, &expect, why, sizeof why), -EINVAL);
        if (!strstr(why, rows[i].phrase))
            fail_msg("%s: \"%s\" lacks \"%s\"", rows[i].text, why, rows[i].phrase);
        assert_memory_equal(&expect, &before, sizeof expect);
    }
    assert_int_equal(expect_parse("len=9223372036854775807,body=~" HUNDRED("a") TEN("a")
                                      TEN("b") "1234567",
                                  &expect, why, sizeof why),
                     0);
    assert_int_equal(expect.text_len, EXPECT_TEXT_MAX - 1);
}

/* Against strstr(3), over a small alphabet, where false starts are frequent. */
static void a_text_is_found_wherever_pieces_end(void **state)
{
    (void)state;
    unsigned seed = 1, found = 0;
    for (int round = 0; round < 20000; round++) {
        char option[32] = "body=~", body[40];
        size_t len = 6, body_len = (size_t)rand_r(&seed) % (sizeof body - 1);
        for (int n = 1 + rand_r(&seed) % 8; n > 0; n--)
            option[len++] = (char)('a' + rand_r(&seed) % 2);
        option[len] = 0;
        for (size_t i = 0; i < body_len; i++)
            body[i] = (char)('a' + rand_r(&seed) % 2);
        body[body_len] = 0;
        struct expect expect;
        struct expect_check check;
        assert_int_equal(expect_parse(option, &expect, why, sizeof why), 0);
        expect_begin(&check);
        for (size_t at = 0; at < body_len;) {
            size_t piece = (size_t)rand_r(&seed) % 5;
            if (piece > body_len - at)
                piece = body_len - at;
            expect_body(&expect, &check, body + at, piece);
            at += piece;
        }
        int64_t first = -1;
        bool is_there = strstr(body, option + 6) != NULL;
        found += is_there;
        assert_int_equal(expect_end(&expect, &check, 200, false, &first),
                         is_there ? 0 : TALLY_BODY);
    }
    assert_true(found > 1000 && found < 19000);
}

static void hostile_text_does_no_harm(void **state)
{
    (void)state;
    static const char *const parts[] = {
        "status=", "200",    "2xx",  "|",    ",",  "len=",
        "13",      "body=~", "body", "~",    "\\", "hash",
        "=",       "ff",     "\\,",  "\xff", "\n", "9999999999999999999"};
    unsigned seed = 3, accepted = 0;
    for (int i = 0; i < 200000; i++) {
        char text[256];
        size_t len = 0;
        for (int n = rand_r(&seed) % 10; n > 0; n--) {
            const char *part =
                parts[(size_t)rand_r(&seed) % (sizeof parts / sizeof parts[0])];
            memcpy(text + len, part, strlen(part));
            len += strlen(part);
        }
        text[len] = 0;
        struct expect expect;
        why[0] = 0;
        if (expect_parse(text, &expect, why, sizeof why) != 0) {
            assert_true(*why);
            continue;
        }
        accepted++;
        int64_t first = -1;
        (void)judge(&expect, 200, text, false, &first, 3);
        assert_true(expect.status_count <= EXPECT_STATUS_MAX);
        assert_true(expect.text_len < EXPECT_TEXT_MAX);
    }
    assert_true(accepted > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(answers_are_judged_by_every_rule),
        pf_test(all_bodies_must_be_like_the_first),
        pf_test(what_is_not_understood_is_refused),
        pf_test(a_text_is_found_wherever_pieces_end),
        pf_test(hostile_text_does_no_harm),
    };
    return cmocka_run_group_tests_name("expect", tests, NULL, NULL);
}
