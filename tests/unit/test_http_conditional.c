/* test_http_conditional.c - entity tags, preconditions in their order, If-Range. */
#include "tests/lib/test.h"

#include "tests/lib/corpus.h"

#include <errno.h>
#include <stdio.h>

#include "tests/fuzz/fuzz_http_conditional.c"

#define COUNT(table) (sizeof(table) / sizeof *(table))

static void a_list_of_tags_is_read_up_to_what_is_none(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"", ""},
        {"\"a\"", "[a]"},
        {"W/\"a\"", "[W a]"},
        {"\"a\", \"b\"", "[a][b]"},
        {" ,, \"a\"\t,W/\"b\",", "[a][W b]"},
        {"\"a,b\",\"c, W/d\"", "[a,b]!"}, /* no blanks within a tag */
        {"\"a,b\",\"c,W/d\"", "[a,b][c,W/d]"},
        {"\"\"", "[]"},
        {"\"a\\\",\"b\"", "[a\\][b]"}, /* a backslash is a backslash */
        {"\"\xc3\xa9\"", "[\xc3\xa9]"},
        {"a", "!"},
        {"*", "!"},
        {"w/\"a\"", "!"},
        {"W/", "!"},
        {"W/a", "!"},
        {"\"a", "!"},
        {"\"", "!"},
        {"\"a\" \"b\"", "!"},
        {"\"a\"\"b\"", "!"},
        {"\"a\";q=1", "!"},
        {"\"a\", b, \"c\"", "[a]!"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct pf__text rest = pf__text_of(cases[i].in);
        struct pf__etag tag;
        char out[64] = "";
        size_t at = 0;
        int more;
        while ((more = pf__etag_next(&rest, &tag)) > 0)
            at += (size_t)snprintf(out + at, sizeof out - at, "[%s%.*s]",
                                   tag.weak ? "W " : "", (int)tag.text.len, tag.text.at);
        assert_true(more == 0 || more == -EINVAL);
        snprintf(out + at, sizeof out - at, "%s", more ? "!" : "");
        assert_string_equal(out, cases[i].out);
    }
}

#define BEFORE "Sun, 06 Nov 1994 08:49:36 GMT"
#define THEN   "Sun, 06 Nov 1994 08:49:37 GMT"
#define AFTER  "Sun, 06 Nov 1994 08:49:38 GMT"
#define CHANGE INT64_C(784111777)

struct request {
    const char *match, *unmodified, *none_match, *modified;
    int get, other; /* what comes of it: GET, or PUT */
};

static const struct pf__current strong = {true, {{"a", 1}, false}, CHANGE};
static const struct pf__current weak = {true, {{"a", 1}, true}, CHANGE};
static const struct pf__current bare = {true, {{NULL, 0}, false}, PF__NO_DATE};
static const struct pf__current absent = {false, {{NULL, 0}, false}, PF__NO_DATE};

static struct pf__text field(const char *text)
{
    return text ? pf__text_of(text) : (struct pf__text){NULL, 0};
}

/* A list may come in two lines, cut at a '|'. */
static struct pf__texts lines(const char *text, struct pf__text at[2])
{
    struct pf__texts made = {at, 0};
    struct pf__text rest = field(text);
    while (made.count < 2 && pf__text_split(&rest, '|', &at[made.count]))
        made.count++;
    return made;
}

static void check(const struct pf__current *current, const struct request *cases,
                  size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct request *request = &cases[i];
        struct pf__text match[2], none_match[2];
        struct pf__conditions conditions = {
            .is_get = true,
            .if_match = lines(request->match, match),
            .if_none_match = lines(request->none_match, none_match),
            .if_unmodified_since = field(request->unmodified),
            .if_modified_since = field(request->modified),
            .now = CHANGE,
        };
        if (pf__conditional_check(&conditions, current) != request->get)
            print_error("case %zu\n", i);
        assert_int_equal(pf__conditional_check(&conditions, current), request->get);
        conditions.is_get = false;
        assert_int_equal(pf__conditional_check(&conditions, current), request->other);
    }
}

static void conditions_are_checked_in_the_order_of_the_rfc(void **state)
{
    (void)state;
    static const struct request cases[] = {
        {NULL, NULL, NULL, NULL, 0, 0},
        {"\"a\"", NULL, NULL, NULL, 0, 0},
        {"\"b\"", NULL, NULL, NULL, 412, 412},
        {"\"b\", \"a\"", NULL, NULL, NULL, 0, 0},
        {"\"b\"|\"a\"", NULL, NULL, NULL, 0, 0},
        {"*", NULL, NULL, NULL, 0, 0},
        {"W/\"a\"", NULL, NULL, NULL, 412, 412}, /* strong comparison */
        {"a", NULL, NULL, NULL, 412, 412},
        {",", NULL, NULL, NULL, 412, 412},
        {NULL, BEFORE, NULL, NULL, 412, 412},
        {NULL, THEN, NULL, NULL, 0, 0},
        {NULL, AFTER, NULL, NULL, 0, 0},
        {NULL, "yesterday", NULL, NULL, 0, 0},
        {"\"a\"", BEFORE, NULL, NULL, 0,
         0}, /* If-Match goes first, the date is not asked */
        {"\"b\"", AFTER, NULL, NULL, 412, 412},
        {NULL, NULL, "\"a\"", NULL, 304, 412},
        {NULL, NULL, "W/\"a\"", NULL, 304, 412}, /* weak comparison */
        {NULL, NULL, "\"b\"|\"c\",\"a\"", NULL, 304, 412},
        {NULL, NULL, "*", NULL, 304, 412},
        {NULL, NULL, " * ", NULL, 304, 412},
        {NULL, NULL, "\"b\"", NULL, 0, 0},
        {NULL, NULL, "a", NULL, 0, 0},
        {NULL, NULL, NULL, BEFORE, 0, 0},
        {NULL, NULL, NULL, THEN, 304, 0},
        {NULL, NULL, NULL, AFTER, 304, 0},
        {NULL, NULL, NULL, "0", 0, 0},
        {NULL, NULL, "\"b\"", AFTER, 0, 0}, /* If-None-Match goes first */
        {NULL, NULL, "\"a\"", BEFORE, 304, 412},
        {"\"a\"", NULL, "\"a\"", NULL, 304, 412},
        {"\"b\"", NULL, "\"a\"", NULL, 412, 412},
        {NULL, BEFORE, NULL, AFTER, 412, 412},
        {NULL, AFTER, NULL, AFTER, 304, 0},
        {NULL, "Sunday, 06-Nov-94 08:49:37 GMT", NULL, "Sun Nov  6 08:49:37 1994", 304, 0},
    };
    check(&strong, cases, COUNT(cases));
}

static void a_weak_tag_satisfies_only_the_weak_comparison(void **state)
{
    (void)state;
    static const struct request cases[] = {
        {"\"a\"", NULL, NULL, NULL, 412, 412},   {"W/\"a\"", NULL, NULL, NULL, 412, 412},
        {"*", NULL, NULL, NULL, 0, 0},           {NULL, NULL, "\"a\"", NULL, 304, 412},
        {NULL, NULL, "W/\"a\"", NULL, 304, 412},
    };
    check(&weak, cases, COUNT(cases));
}

static void what_has_no_tag_or_date_or_does_not_exist_is_judged_by_existence(void **state)
{
    (void)state;
    static const struct request of_bare[] = {
        {"\"a\"", NULL, NULL, NULL, 412, 412}, {"*", NULL, NULL, NULL, 0, 0},
        {NULL, BEFORE, NULL, NULL, 0, 0},      {NULL, NULL, "\"a\"", NULL, 0, 0},
        {NULL, NULL, "*", NULL, 304, 412},     {NULL, NULL, NULL, AFTER, 0, 0},
    };
    static const struct request of_absent[] = {
        {"\"a\"", NULL, NULL, NULL, 412, 412}, {"*", NULL, NULL, NULL, 412, 412},
        {NULL, BEFORE, NULL, NULL, 0, 0},      {NULL, NULL, "\"a\"", NULL, 0, 0},
        {NULL, NULL, "*", NULL, 0, 0},         {NULL, NULL, NULL, AFTER, 0, 0},
    };
    check(&bare, of_bare, COUNT(of_bare));
    check(&absent, of_absent, COUNT(of_absent));
}

static void if_range_wants_the_very_same(void **state)
{
    (void)state;
    static const struct {
        const struct pf__current *current;
        const char *if_range;
        bool wants;
    } cases[] = {
        {&strong, NULL, true},     {&strong, "\"a\"", true},
        {&strong, "\"b\"", false}, {&strong, "W/\"a\"", false},
        {&weak, "\"a\"", false},   {&weak, "W/\"a\"", false},
        {&strong, "a", false},     {&strong, "\"a\", \"b\"", false},
        {&strong, "", false},      {&strong, "*", false},
        {&strong, THEN, true},     {&strong, BEFORE, false},
        {&strong, AFTER, false},   {&bare, THEN, false},
        {&bare, "\"a\"", false},   {&absent, THEN, false},
        {&absent, "\"a\"", false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct pf__conditions conditions = {.is_get = true, .now = CHANGE};
        conditions.if_range = field(cases[i].if_range);
        assert_int_equal(pf__conditional_wants_range(&conditions, cases[i].current),
                         cases[i].wants);
    }
}

#define CORPUS "tests/fuzz/corpus/conditional"

static void the_corpus_keeps_its_promises(void **state)
{
    (void)state;
    assert_true(pf_test_corpus(CORPUS, LLVMFuzzerTestOneInput) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(a_list_of_tags_is_read_up_to_what_is_none),
        pf_test(conditions_are_checked_in_the_order_of_the_rfc),
        pf_test(a_weak_tag_satisfies_only_the_weak_comparison),
        pf_test(what_has_no_tag_or_date_or_does_not_exist_is_judged_by_existence),
        pf_test(if_range_wants_the_very_same),
        pf_test(the_corpus_keeps_its_promises),
    };
    return cmocka_run_group_tests_name("http-conditional", tests, NULL, NULL);
}
