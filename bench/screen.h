/*
 * screen.h - a run as it goes, on a terminal: rates and latencies of the last minute, and
 * a heat map of them.
 *
 *     screen_open(&screen)            -ENOTSUP: no terminal, or too small a one
 *     screen_show(screen, &view)      four times a second, by the coordinator alone
 *     screen_close(screen)            the terminal as it was
 *
 * One write(2) for each frame, of which screen_draw() makes the text: pure.
 */
#ifndef PREFORK_BENCH_SCREEN_H
#define PREFORK_BENCH_SCREEN_H

#include "bench/result.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCREEN_COLUMNS_MIN 80
#define SCREEN_LINES_MIN   24
/* Of a frame: a terminal of more columns or lines shows it in its upper left. */
#define SCREEN_COLUMNS_MAX 200
#define SCREEN_TEXT_MAX    32768

struct screen_view {
    const char *title;               /* the URL */
    const char *load;                /* "closed c=64 t=1", "open 20,000/s c=64 t=1" */
    int64_t elapsed_ns, duration_ns; /* of the measurement; duration 0: by number */
    uint64_t requests;               /* of those; 0: by time */
    bool warming;                    /* elapsed is of the warm-up */
    double rate;                     /* ok per second, in the last quarter */
    uint64_t ok, failed, wrong, dropped, in_flight, backlog;
    const struct result_row *rows; /* so far */
    size_t row_count;
};

/* A frame of so many columns, as text with control sequences of ECMA-48, into
 * to[SCREEN_TEXT_MAX]; returns its length. */
size_t screen_draw(const struct screen_view *view, unsigned columns, bool utf8, char *to);

struct screen;

/* On standard error. Returns 0, -ENOTSUP or -ENOMEM. */
int screen_open(struct screen **out);
void screen_show(struct screen *screen, const struct screen_view *view);
void screen_close(struct screen *screen); /* NULL is fine */

#endif
