/* Seconds with a command, and without. */
#include "tests/lib/test.h"

#include "bench/reload_seconds.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECOND INT64_C(1000000000)

/* A row for each second with this p99. */
static struct result *make(const int64_t *p99, size_t rows)
{
    struct result *result = calloc(1, sizeof *result);
    result->rows = calloc(rows, sizeof *result->rows);
    result->row_count = rows;
    for (size_t i = 0; i < rows; i++)
        result->rows[i] = (struct result_row){
            .t_ns = (int64_t)(i + 1) * SECOND, .span_ns = SECOND, .p99_ns = p99[i]};
    return result;
}

static void mark(struct result *result, int64_t t_ms, const char *text)
{
    struct result_mark *mark = &result->marks[result->mark_count++];
    mark->t_ns = t_ms * 1000000;
    snprintf(mark->text, sizeof mark->text, "%s", text);
}

static void check(struct result *result, int64_t quiet, int64_t reload)
{
    int64_t quiet_ns, reload_ns;
    reload_seconds(result, &quiet_ns, &reload_ns);
    assert_int_equal(quiet_ns, quiet);
    assert_int_equal(reload_ns, reload);
    free(result->rows);
    free(result);
}

static void each_second_is_of_one_kind(void **state)
{
    (void)state;
    static const int64_t p99[] = {1, 2, 90, 3, 80, 4};
    struct result *result = make(p99, 6);
    mark(result, 2500, "command 1");
    mark(result, 2600, "end of command 1");
    mark(result, 4500, "command 2");
    mark(result, 4600, "end of command 2: exit 1");
    check(result, 2, 80);
}

static void a_command_that_takes_seconds_is_in_all_of_them(void **state)
{
    (void)state;
    static const int64_t p99[] = {1, 50, 60, 70, 2};
    struct result *result = make(p99, 5);
    mark(result, 1500, "command 1");
    mark(result, 3500, "end of command 1");
    check(result, 1, 60);
    result = make(p99, 5); /* it never ends */
    mark(result, 1000, "command 1");
    check(result, 1, 50);
}

static void other_marks_and_empty_rows_do_not_count(void **state)
{
    (void)state;
    static const int64_t p99[] = {1, RESULT_UNKNOWN, 7};
    struct result *result = make(p99, 3);
    mark(result, 500, "worker 4711 has ended");
    check(result, 1, RESULT_UNKNOWN);
    check(make(NULL, 0), RESULT_UNKNOWN, RESULT_UNKNOWN);
}

/* There is no room for the marks of more commands: of the time after them nobody knows. */
static void what_is_behind_the_last_mark_that_fits_is_of_no_kind(void **state)
{
    (void)state;
    enum {
        ROWS = 200
    };
    int64_t p99[ROWS];
    for (int i = 0; i < ROWS; i++)
        p99[i] = i % 2 ? 90 : 1; /* each odd second has a command */
    struct result *result = make(p99, ROWS);
    for (int i = 1; i < ROWS && result->mark_count < RESULT_MARKS_MAX; i += 2) {
        char text[32];
        snprintf(text, sizeof text, RELOAD_MARK_BEGIN "%d", i);
        mark(result, i * 1000 + 100, text);
        snprintf(text, sizeof text, RELOAD_MARK_END "%d", i);
        mark(result, i * 1000 + 200, text);
    }
    check(result, 1, 90);
    /* Twice as often: they are full after a third of the time. */
    for (int i = 0; i < ROWS; i++)
        p99[i] = i % 3 == 2 ? 1 : 90;
    result = make(p99, ROWS);
    for (int i = 0; i < ROWS && result->mark_count < RESULT_MARKS_MAX; i++) {
        if (i % 3 == 2)
            continue;
        mark(result, i * 1000 + 100, RELOAD_MARK_BEGIN "1");
        mark(result, i * 1000 + 150, RELOAD_MARK_END "1");
        mark(result, i * 1000 + 200, RELOAD_MARK_BEGIN "2");
        mark(result, i * 1000 + 250, RELOAD_MARK_END "2");
    }
    assert_int_equal(result->mark_count, RESULT_MARKS_MAX);
    check(result, 1, 90);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(each_second_is_of_one_kind),
        pf_test(a_command_that_takes_seconds_is_in_all_of_them),
        pf_test(other_marks_and_empty_rows_do_not_count),
        pf_test(what_is_behind_the_last_mark_that_fits_is_of_no_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
