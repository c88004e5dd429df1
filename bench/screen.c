#include "bench/screen.h"

#include "bench/figure.h"
#include "bench/series.h"
#include <errno.h>
#include <inttypes.h>
#include <langinfo.h>
#include <prefork/base.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* ECMA-48, and two private modes that all terminals took over from xterm: a second screen,
 * which leaves the first one as it was, and the cursor. */
#define ENTER    "\033[?1049h\033[?25l"
#define LEAVE    "\033[?25h\033[?1049l"
#define HOME     "\033[H"
#define LINE_END "\033[K\r\n"
#define REST     "\033[J"

#define LABEL_WIDTH 22 /* "  p99       402us   " in front of a strip */
#define HEAT_LABEL  9  /* "  1.00ms " in front of the map */
#define HEAT_LINES  12
#define HEAT_FIRST  5 /* bins from 10 us */

struct text {
    char *at;
    size_t len;
};

static void add(struct text *text, const char *format, ...) PF_PRINTF(2, 3);

/* What does not fit is left out. */
static void add(struct text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    size_t room = SCREEN_TEXT_MAX - text->len;
    int n = vsnprintf(text->at + text->len, room, format, args);
    va_end(args);
    if (n > 0)
        text->len += (size_t)n < room ? (size_t)n : room - 1;
}

/* ---- strips ---------------------------------------------------------------------- */

/* The height of a column, 0 to 8, from nought to the highest. */
static const char *bar(double value, double most, bool utf8)
{
    static const char *const blocks[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static const char *const ascii[] = {" ", "_", ".", "-", "-", "=", "=", "#", "#"};
    if (!(value > 0) || !(most > 0))
        return " ";
    int height = 1 + (int)(value / most * 7.0 + 0.5);
    return utf8 ? blocks[height] : ascii[height];
}

typedef double pick_fn(const struct result_row *row);

static double pick_rate(const struct result_row *row)
{
    return row->span_ns > 0 ? (double)row->ok * 1e9 / (double)row->span_ns : 0;
}

static double pick_p50(const struct result_row *row)
{
    return (double)row->p50_ns;
}

static double pick_p99(const struct result_row *row)
{
    return (double)row->p99_ns;
}

static double pick_max(const struct result_row *row)
{
    return (double)row->max_ns;
}

/* The rows that so many columns have room for. */
static const struct result_row *last_rows(const struct screen_view *view, size_t columns,
                                          size_t *count)
{
    *count = view->row_count < columns ? view->row_count : columns;
    return view->rows + (view->row_count - *count);
}

static void draw_strip(struct text *text, const struct screen_view *view, const char *name,
                       pick_fn *pick, unsigned columns, bool utf8)
{
    size_t count;
    const struct result_row *rows = last_rows(view, columns - LABEL_WIDTH, &count);
    double most = 0, last = count ? pick(&rows[count - 1]) : -1;
    char figure[FIGURE_MAX];
    for (size_t i = 0; i < count; i++)
        if (pick(&rows[i]) > most)
            most = pick(&rows[i]);
    add(text, "  %-8s %8s   ", name,
        pick == pick_rate ? figure_count(last, figure)
                          : figure_time((int64_t)last, figure));
    for (size_t i = 0; i < count; i++)
        add(text, "%s", bar(pick(&rows[i]), most, utf8));
    add(text, LINE_END);
}

/* ---- the heat map ---------------------------------------------------------------- */

/* Latency upwards, time to the right: how many of the second's answers took so long. */
static const char *shade(uint64_t count, uint64_t all, bool utf8)
{
    static const char *const shades[] = {" ", "░", "▒", "▓", "█"};
    static const char *const ascii[] = {" ", ".", ":", "+", "#"};
    int dark = 0;
    if (count > 0) /* one of many is still to be seen: it may be the stall looked for */
        dark = count * 1000 < all ? 1 : count * 50 < all ? 2 : count * 5 < all ? 3 : 4;
    return utf8 ? shades[dark] : ascii[dark];
}

/* Of so many bins to a line. */
static uint64_t heat_of(const struct result_row *row, unsigned first, unsigned bins)
{
    uint64_t sum = 0;
    for (unsigned i = first; i < first + bins && i < RESULT_HEAT_BINS; i++)
        sum += row->heat[i];
    return sum;
}

static void draw_heat(struct text *text, const struct screen_view *view, unsigned columns,
                      bool utf8)
{
    const unsigned bins = (RESULT_HEAT_BINS - HEAT_FIRST + HEAT_LINES - 1) / HEAT_LINES;
    size_t count;
    const struct result_row *rows = last_rows(view, columns - HEAT_LABEL - 2, &count);
    for (unsigned line = HEAT_LINES; line-- > 0;) {
        char top[FIGURE_MAX];
        /* The lowest one holds all that is faster, too. */
        unsigned from = line ? HEAT_FIRST + line * bins : 0;
        unsigned to = HEAT_FIRST + (line + 1) * bins;
        unsigned last = to < RESULT_HEAT_BINS ? to - 1 : RESULT_HEAT_BINS - 1;
        add(text, "  %8s ", figure_time(series_bin_top(last), top));
        for (size_t i = 0; i < count; i++)
            add(text, "%s",
                shade(heat_of(&rows[i], from, to - from),
                      heat_of(&rows[i], 0, RESULT_HEAT_BINS), utf8));
        add(text, LINE_END);
    }
}

/* ---- all of it ------------------------------------------------------------------- */

static void draw_head(struct text *text, const struct screen_view *view, unsigned columns)
{
    char elapsed[FIGURE_MAX], whole[FIGURE_MAX];
    int room = (int)columns - 40;
    add(text, HOME "prefork-bench  %.*s" LINE_END, room + 20, view->title);
    add(text, "  %s  %s", view->load,
        figure_span(view->elapsed_ns / PF_SECOND * PF_SECOND, elapsed));
    if (view->warming)
        add(text, " of the warm-up");
    else if (view->duration_ns)
        add(text, " of %s", figure_span(view->duration_ns, whole));
    else if (view->requests)
        add(text, "  %.0f%% of %s", 100 * (double)view->ok / (double)view->requests,
            figure_groups(view->requests, whole));
    add(text, LINE_END LINE_END);
}

static void draw_counts(struct text *text, const struct screen_view *view)
{
    char rate[FIGURE_MAX], ok[FIGURE_MAX], flight[FIGURE_MAX], backlog[FIGURE_MAX];
    add(text, "  now %s/s   ok %s   in flight %s   backlog %s",
        figure_count(view->rate, rate), figure_groups(view->ok, ok),
        figure_groups(view->in_flight, flight), figure_groups(view->backlog, backlog));
    add(text, LINE_END);
    if (view->failed + view->wrong + view->dropped > 0)
        add(text, "  failed %" PRIu64 "   wrong %" PRIu64 "   dropped %" PRIu64,
            view->failed, view->wrong, view->dropped);
    add(text, LINE_END);
}

static void draw_server(struct text *text, const struct screen_view *view)
{
    const struct result_row *row =
        view->row_count ? &view->rows[view->row_count - 1] : NULL;
    char rss[FIGURE_MAX];
    if (row && row->server_cpu_ns >= 0 && row->span_ns > 0)
        add(text, "  server   %.2f cores   RSS %s" LINE_END,
            (double)row->server_cpu_ns / (double)row->span_ns,
            figure_bytes((double)row->server_rss, rss));
}

size_t screen_draw(const struct screen_view *view, unsigned columns, bool utf8, char *to)
{
    struct text text = {.at = to};
    if (columns > SCREEN_COLUMNS_MAX)
        columns = SCREEN_COLUMNS_MAX;
    draw_head(&text, view, columns);
    draw_counts(&text, view);
    draw_strip(&text, view, "rate", pick_rate, columns, utf8);
    draw_strip(&text, view, "p50", pick_p50, columns, utf8);
    draw_strip(&text, view, "p99", pick_p99, columns, utf8);
    draw_strip(&text, view, "max", pick_max, columns, utf8);
    add(&text, LINE_END);
    draw_heat(&text, view, columns, utf8);
    draw_server(&text, view);
    add(&text, REST);
    return text.len;
}

/* ---- the terminal ---------------------------------------------------------------- */

struct screen {
    bool utf8;
    char text[SCREEN_TEXT_MAX];
};

/* False: there is none, or it does not tell. */
static bool get_size(unsigned *columns, unsigned *lines)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0)
        return false;
    *columns = size.ws_col;
    *lines = size.ws_row;
    return true;
}

/* A frame that is lost costs nothing; the next one shows all again. */
static void put(const char *text, size_t len)
{
    (void)!write(STDERR_FILENO, text, len);
}

int screen_open(struct screen **out)
{
    unsigned columns, lines;
    if (!isatty(STDERR_FILENO) || !get_size(&columns, &lines) ||
        columns < SCREEN_COLUMNS_MIN || lines < SCREEN_LINES_MIN)
        return -ENOTSUP;
    struct screen *screen = malloc(sizeof *screen);
    if (!screen)
        return -ENOMEM;
    screen->utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    put(ENTER, strlen(ENTER));
    *out = screen;
    return 0;
}

void screen_show(struct screen *screen, const struct screen_view *view)
{
    unsigned columns, lines;
    if (!get_size(&columns, &lines) || columns < SCREEN_COLUMNS_MIN ||
        lines < SCREEN_LINES_MIN)
        return; /* made smaller: when it grows again */
    put(screen->text, screen_draw(view, columns, screen->utf8, screen->text));
}

void screen_close(struct screen *screen)
{
    if (!screen)
        return;
    put(LEAVE, strlen(LEAVE));
    free(screen);
}
