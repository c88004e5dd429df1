/* A frame of the live screen: it fits, and shows what it is given. */
#include "tests/lib/test.h"

#include "bench/screen.h"
#include "bench/series.h"

#include <prefork/base.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS 300

static struct result_row rows[ROWS];
static char frame[SCREEN_TEXT_MAX];

static struct screen_view view_of(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        rows[i] = (struct result_row){.t_ns = (int64_t)(i + 1) * PF_SECOND,
                                      .span_ns = PF_SECOND,
                                      .ok = 1000 + i,
                                      .p50_ns = 100000,
                                      .p99_ns = 2000000,
                                      .max_ns = 30000000,
                                      .server_cpu_ns = RESULT_UNKNOWN,
                                      .server_rss = RESULT_UNKNOWN};
        rows[i].heat[series_bin(100000)] = 990;
        rows[i].heat[series_bin(30000000)] = 1;
    }
    return (struct screen_view){.title = "http://127.0.0.1:8080/",
                                .load = "closed  c=64 t=1",
                                .elapsed_ns = 12 * PF_SECOND,
                                .duration_ns = 30 * PF_SECOND,
                                .rate = 48100,
                                .ok = 1234567,
                                .in_flight = 64,
                                .rows = rows,
                                .row_count = count};
}

/* Columns and lines that the terminal moves over: control sequences are none. */
static void measure(const char *text, unsigned *columns, unsigned *lines)
{
    unsigned column = 0;
    *columns = 0;
    *lines = 1;
    for (const char *at = text; *at; at++) {
        if (*at == '\033') {
            at += strcspn(at + 2, "ABCDHJKhl") + 2;
            continue;
        }
        if (*at == '\n') {
            (*lines)++;
            column = 0;
            continue;
        }
        column += *at != '\r' && (*at & 0xC0) != 0x80;
        if (column > *columns)
            *columns = column;
    }
}

static void frame_fits_the_smallest_terminal_and_every_larger_one(void **state)
{
    (void)state;
    static const size_t counts[] = {0, 1, 59, ROWS};
    static const unsigned widths[] = {80, 81, 120, 200, 500};
    for (size_t i = 0; i < 4; i++)
        for (size_t j = 0; j < 5; j++)
            for (int utf8 = 0; utf8 < 2; utf8++) {
                struct screen_view view = view_of(counts[i]);
                view.failed = view.wrong = view.dropped = 123;
                unsigned columns, lines;
                size_t len = screen_draw(&view, widths[j], utf8, frame);
                assert_true(len < SCREEN_TEXT_MAX - 1);
                assert_int_equal(strlen(frame), len);
                measure(frame, &columns, &lines);
                assert_true(columns <= widths[j]);
                assert_true(lines <= SCREEN_LINES_MIN);
                if (!utf8)
                    for (size_t k = 0; k < len; k++)
                        assert_true((signed char)frame[k] > 0);
            }
}

static void frame_shows_what_there_is(void **state)
{
    (void)state;
    struct screen_view view = view_of(20);
    (void)screen_draw(&view, 80, true, frame);
    static const char *const says[] = {"http://127.0.0.1:8080/",
                                       "12s of 30s",
                                       "48.1k/s",
                                       "1,234,567",
                                       "1.02k",
                                       "2.00ms",
                                       "30.0ms",
                                       "▒"};
    for (size_t i = 0; i < sizeof says / sizeof says[0]; i++) {
        if (!strstr(frame, says[i]))
            print_error("no %s in\n%s\n", says[i], frame);
        assert_non_null(strstr(frame, says[i]));
    }
    assert_null(strstr(frame, "failed"));
    assert_null(strstr(frame, "cores"));
    view.failed = 3;
    rows[19].server_cpu_ns = PF_SECOND / 2;
    rows[19].server_rss = 1 << 20;
    (void)screen_draw(&view, 80, false, frame);
    assert_non_null(strstr(frame, "failed 3"));
    assert_non_null(strstr(frame, "0.50 cores"));
}

static void without_a_terminal_there_is_no_screen(void **state)
{
    (void)state;
    struct screen *screen = NULL;
    if (screen_open(&screen) == 0) { /* run by hand, on one */
        screen_close(screen);
        skip();
    }
    assert_null(screen);
    screen_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(frame_fits_the_smallest_terminal_and_every_larger_one),
        pf_test(frame_shows_what_there_is),
        pf_test(without_a_terminal_there_is_no_screen),
    };
    return cmocka_run_group_tests_name("screen", tests, NULL, NULL);
}
