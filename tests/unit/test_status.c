/* test_status.c - the status as JSON: every fact at its key, valid whatever is in it. */
#include "tests/lib/test.h"

#include "tests/lib/alloc.h"

#include "master/control.h"
#include "master/json.h"
#include "master/status.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static json_t *written(const struct pf__status_view *view)
{
    char *text = NULL;
    size_t len = 0;
    assert_int_equal(pf__status_write(view, &text, &len), 0);
    assert_int_equal(strlen(text), len);
    assert_null(strchr(text, '\n'));
    json_error_t why;
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &why);
    if (!root)
        fail_msg("%s at %d of %s", why.text, why.position, text);
    free(text);
    return root;
}

/* Walk from the root: "workers", then an index as text, then "lanes" ... */
static const json_t *at(const json_t *root, const char *path)
{
    char words[128], *rest = words;
    snprintf(words, sizeof words, "%s", path);
    for (char *word; root && (word = strtok_r(rest, ".", &rest));)
        root = json_is_array(root) ? json_array_get(root, strtoul(word, NULL, 10))
                                   : json_object_get(root, word);
    if (!root)
        fail_msg("nothing at %s", path);
    return root;
}

static void every_fact_stands_at_its_key(void **state)
{
    (void)state;
    struct pf__status_lane lanes[] = {
        {.thread = 0,
         .cpu = 4,
         .state = "accepting",
         .beat_age_ms = 7,
         .adopted_by = -1,
         .counts = {1, 2, 3, 4, 5}},
        {.thread = 1,
         .cpu = -1,
         .state = "paused",
         .stuck = true,
         .beat_age_ms = 12345,
         .adopted_by = 2,
         .counts = {6, 7, 8, 9, 10}},
    };
    struct pf__status_worker workers[] = {
        {.slot = 0,
         .pid = 4711,
         .state = "accepting",
         .uptime_ns = 12 * PF_SECOND + 345 * PF_MILLISECOND + 999,
         .starts = 3,
         .failures = 1,
         .last_end = "crash signal 11",
         .next_start_ns = -1,
         .lanes = lanes,
         .lane_count = 2},
        {.slot = 1, .uptime_ns = -1, .next_start_ns = 800 * PF_MILLISECOND},
    };
    struct pf__status_address addresses[] = {{"127.0.0.1:8888", "tcp", 3, 4096},
                                             {"unix:/run/x", "unix", -1, -1}};
    struct pf__status_view view = {.pid = 4242,
                                   .version = "1.2.3",
                                   .state = "running",
                                   .uptime_ns = 61 * PF_SECOND,
                                   .accept = "reuseport",
                                   .steer = "cpu",
                                   .pin = "strict",
                                   .workers = 2,
                                   .threads = 2,
                                   .totals = {11, 12, 13, 14, 15},
                                   .supervision = {21, 22, 23, 24, 25},
                                   .addresses = addresses,
                                   .address_count = 2,
                                   .slots = workers,
                                   .slot_count = 2};
    static const struct {
        const char *path;
        json_int_t value;
    } numbers[] = {
        {"pid", 4242},
        {"workers_wanted", 2},
        {"threads", 2},
        {"totals.accepted", 11},
        {"totals.connections", 12},
        {"totals.requests", 13},
        {"totals.bytes_out", 14},
        {"totals.refused", 15},
        {"supervision.restarts", 21},
        {"supervision.crashes", 22},
        {"supervision.adoptions", 23},
        {"supervision.stuck", 24},
        {"supervision.undead", 25},
        {"addresses.0.queue", 3},
        {"addresses.0.queue_limit", 4096},
        {"workers.0.worker", 0},
        {"workers.0.pid", 4711},
        {"workers.0.starts", 3},
        {"workers.0.failures", 1},
        {"workers.0.lanes.0.thread", 0},
        {"workers.0.lanes.0.cpu", 4},
        {"workers.0.lanes.0.beat_age_ms", 7},
        {"workers.0.lanes.0.accepted", 1},
        {"workers.0.lanes.0.connections", 2},
        {"workers.0.lanes.0.requests", 3},
        {"workers.0.lanes.0.bytes_out", 4},
        {"workers.0.lanes.0.refused", 5},
        {"workers.0.lanes.1.thread", 1},
        {"workers.0.lanes.1.adopted_by", 2},
        {"workers.0.lanes.1.beat_age_ms", 12345},
        {"workers.0.lanes.1.refused", 10},
        {"workers.1.worker", 1},
    };
    static const char *const texts[][2] = {
        {"version", "1.2.3"},
        {"state", "running"},
        {"accept", "reuseport"},
        {"steer", "cpu"},
        {"pin", "strict"},
        {"addresses.0.address", "127.0.0.1:8888"},
        {"addresses.0.kind", "tcp"},
        {"addresses.1.address", "unix:/run/x"},
        {"workers.0.state", "accepting"},
        {"workers.0.last_end", "crash signal 11"},
        {"workers.0.lanes.1.state", "paused"},
    };
    static const struct {
        const char *path;
        double value;
    } seconds[] = {
        {"uptime_s", 61}, {"workers.0.uptime_s", 12.345}, {"workers.1.next_start_s", 0.8}};
    static const char *const nulls[] = {
        "addresses.1.queue",     "addresses.1.queue_limit",      "workers.0.next_start_s",
        "workers.0.lanes.1.cpu", "workers.0.lanes.0.adopted_by", "workers.1.pid",
        "workers.1.state",       "workers.1.uptime_s",           "workers.1.last_end"};

    json_t *root = written(&view);
    assert_true(json_is_true(at(root, "ok")));
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        assert_true(json_is_integer(at(root, numbers[i].path)));
        assert_int_equal(json_integer_value(at(root, numbers[i].path)), numbers[i].value);
    }
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_string_equal(json_string_value(at(root, texts[i][0])), texts[i][1]);
    for (size_t i = 0; i < sizeof seconds / sizeof *seconds; i++)
        assert_true(json_number_value(at(root, seconds[i].path)) == seconds[i].value);
    for (size_t i = 0; i < sizeof nulls / sizeof *nulls; i++)
        assert_true(json_is_null(at(root, nulls[i])));
    assert_true(json_is_false(at(root, "workers.0.lanes.0.stuck")));
    assert_true(json_is_true(at(root, "workers.0.lanes.1.stuck")));
    assert_int_equal(json_array_size(at(root, "workers.1.lanes")), 0);
    json_decref(root);
}

static void an_empty_view_is_valid_too(void **state)
{
    (void)state;
    struct pf__status_view view = {0};
    json_t *root = written(&view);
    assert_true(json_is_null(at(root, "state")));
    assert_int_equal(json_array_size(at(root, "workers")), 0);
    assert_int_equal(json_array_size(at(root, "addresses")), 0);
    json_decref(root);
}

static void strings_are_escaped_and_made_utf_8(void **state)
{
    (void)state;
    static const struct {
        const char *text, *expected;
    } rows[] = {
        {"plain", "\"plain\""},
        {"", "\"\""},
        {NULL, "null"},
        {"a\"b\\c", "\"a\\\"b\\\\c\""},
        {"\n\t\x1f\x7f", "\"\\u000a\\u0009\\u001f\x7f\""},
        {"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80",
         "\"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\""},
        {"\x80x", "\"\\ufffdx\""},                     /* a byte that continues nothing */
        {"\xc0\xaf", "\"\\ufffd\\ufffd\""},            /* a long form */
        {"\xe0\x80\x80", "\"\\ufffd\\ufffd\\ufffd\""}, /* another */
        {"\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\""}, /* a surrogate */
        {"\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\""}, /* beyond U+10FFFF */
        {"\xe2\x82", "\"\\ufffd\\ufffd\""},                       /* cut off */
        {"\xe2", "\"\\ufffd\""},
        {"\xf0\x9f\"", "\"\\ufffd\\ufffd\\\"\""},
        {"\xff", "\"\\ufffd\""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pf__json to = {0};
        pf__json_string(&to, rows[i].text);
        assert_false(to.failed);
        assert_int_equal(to.len, strlen(rows[i].expected));
        assert_string_equal(to.text, rows[i].expected);
        free(to.text);
    }
}

/* Each byte alone, and behind each lead byte: a reader takes them all. */
static void any_bytes_give_valid_json(void **state)
{
    (void)state;
    static const unsigned char leads[] = {'x', 0xc3, 0xe0, 0xe2, 0xed, 0xf0, 0xf4};
    for (size_t lead = 0; lead < sizeof leads; lead++) {
        for (int byte = 1; byte < 256; byte++) {
            char text[] = {(char)leads[lead], (char)byte, (char)byte, 0};
            struct pf__status_address address = {text, text, -1, -1};
            struct pf__status_worker worker = {.last_end = text, .state = text};
            struct pf__status_view view = {.state = text,
                                           .version = text,
                                           .addresses = &address,
                                           .address_count = 1,
                                           .slots = &worker,
                                           .slot_count = 1};
            json_decref(written(&view));
        }
    }
}

static void counts_beyond_what_readers_take_are_clipped(void **state)
{
    (void)state;
    struct pf__status_view view = {
        .totals = {.accepted = UINT64_MAX, .requests = INT64_MAX}};
    json_t *root = written(&view);
    assert_int_equal(json_integer_value(at(root, "totals.accepted")), INT64_MAX);
    assert_int_equal(json_integer_value(at(root, "totals.requests")), INT64_MAX);
    json_decref(root);
}

static void as_many_lanes_as_there_may_be_fit_the_answer(void **state)
{
    (void)state;
    enum {
        SLOTS = 1024,
        LANES = 32
    };
    static struct pf__status_lane lanes[LANES];
    static struct pf__status_worker workers[SLOTS];
    for (int i = 0; i < LANES; i++)
        lanes[i] = (struct pf__status_lane){
            .cpu = 1000,
            .state = "accepting",
            .stuck = true,
            .beat_age_ms = INT32_MAX,
            .adopted_by = SLOTS * LANES,
            .counts = {INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX}};
    for (int i = 0; i < SLOTS; i++)
        workers[i] = (struct pf__status_worker){
            .slot = (unsigned)i, .pid = 1, .lanes = lanes, .lane_count = LANES};
    struct pf__status_view view = {.slots = workers, .slot_count = SLOTS};
    char *text = NULL;
    size_t len = 0;
    assert_int_equal(pf__status_write(&view, &text, &len), 0);
    assert_true(len < PF__CONTROL_ANSWER_MAX);
    free(text);
}

static void without_memory_there_is_no_text_and_nothing_is_lost(void **state)
{
    (void)state;
    pf_alloc_needed();
    static struct pf__status_lane lanes[200];
    struct pf__status_worker worker = {.lanes = lanes, .lane_count = 200};
    struct pf__status_view view = {.slots = &worker, .slot_count = 1};
    char *text = NULL;
    size_t len = 0, before = pf_alloc_bytes();
    int failures = 0, err;
    for (int n = 1;; n++) {
        pf_alloc_fail(n);
        err = pf__status_write(&view, &text, &len);
        pf_alloc_stop();
        if (!err)
            break;
        failures++;
        assert_int_equal(err, -ENOMEM);
        assert_null(text);
        assert_int_equal(len, 0);
        assert_int_equal(pf_alloc_bytes(), before);
    }
    assert_true(failures > 1);
    assert_int_equal(strlen(text), len);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(every_fact_stands_at_its_key),
        pf_test(an_empty_view_is_valid_too),
        pf_test(strings_are_escaped_and_made_utf_8),
        pf_test(any_bytes_give_valid_json),
        pf_test(counts_beyond_what_readers_take_are_clipped),
        pf_test(as_many_lanes_as_there_may_be_fit_the_answer),
        pf_test(without_memory_there_is_no_text_and_nothing_is_lost),
    };
    return cmocka_run_group_tests_name("status", tests, NULL, NULL);
}
