#include "bench/plot.h"

#include "bench/figure.h"
#include "bench/utf8.h"
#include <math.h>

#define AREA_WIDTH (PLOT_WIDTH - PLOT_LEFT - PLOT_RIGHT)

/* Lines of a grid, about. */
#define GRID_LINES   6
#define GRID_LINES_X 10

void plot_text(FILE *to, const char *text)
{
    for (uint32_t c; (c = utf8_next(&text)) != 0;) {
        if (c == '&')
            fputs("&amp;", to);
        else if (c == '<')
            fputs("&lt;", to);
        else if (c == '>')
            fputs("&gt;", to);
        else if (c == '"')
            fputs("&quot;", to);
        else if (c == '\'')
            fputs("&#39;", to);
        else
            utf8_put(utf8_is_control(c) ? UTF8_REPLACEMENT : c, to);
    }
}

void plot_open(const struct plot *plot, const char *label)
{
    fprintf(plot->to,
            "<svg viewBox=\"0 0 %d %.0f\" role=\"img\" aria-label=\"%s\" class=\"plot\">\n",
            PLOT_WIDTH, plot->height + PLOT_TOP + PLOT_BOTTOM, label);
}

void plot_close(const struct plot *plot)
{
    fputs("</svg>\n", plot->to);
}

/* Where between the ends, 0..1. */
static double share(double value, double low, double high)
{
    double at = high > low ? (value - low) / (high - low) : 0;
    return at > 0 ? fmin(at, 1) : 0;
}

double plot_x(const struct plot *plot, double value)
{
    return PLOT_LEFT + AREA_WIDTH * share(value, plot->x_low, plot->x_high);
}

double plot_y(const struct plot *plot, double value)
{
    double at = plot->y_log ? share(log10(fmax(value, 1e-300)), log10(plot->y_low),
                                    log10(plot->y_high))
                            : share(value, plot->y_low, plot->y_high);
    return PLOT_TOP + plot->height * (1 - at);
}

/* ---- scales -------------------------------------------------------------------------- */

static void line_across(const struct plot *plot, double y, const char *label)
{
    double at = plot_y(plot, y);
    fprintf(plot->to,
            "<path class=\"grid\" d=\"M%d %.1fH%d\"/><text class=\"y\" x=\"%d\" "
            "y=\"%.1f\">%s</text>\n",
            PLOT_LEFT, at, PLOT_WIDTH - PLOT_RIGHT, PLOT_LEFT - 8, at, label);
}

/* 1, 2 or 5 times a power of ten, so that a range has about so many steps. */
static double round_step(double range, int steps)
{
    double step = pow(10, floor(log10(range / steps)));
    double left = range / steps / step;
    return step * (left > 5 ? 10 : left > 2 ? 5 : left > 1 ? 2 : 1);
}

static void grid_log(const struct plot *plot, plot_label_fn *label)
{
    char text[FIGURE_MAX];
    double decades = log10(plot->y_high / plot->y_low);
    for (int power = (int)floor(log10(plot->y_low)); power <= log10(plot->y_high);
         power++) {
        static const double heads[] = {1, 2, 5};
        /* Few decades have lines in between. */
        for (int i = 0; i < (decades < 2.5 ? 3 : 1); i++) {
            double value = heads[i] * pow(10, power);
            if (value >= plot->y_low * 0.999 && value <= plot->y_high * 1.001)
                line_across(plot, value, label(value, text));
        }
    }
}

void plot_grid(const struct plot *plot, plot_label_fn *label)
{
    char text[FIGURE_MAX];
    if (!isfinite(plot->y_low) || !isfinite(plot->y_high))
        return; /* such a scale has no steps */
    if (plot->y_log) {
        grid_log(plot, label);
        return;
    }
    double step = round_step(plot->y_high - plot->y_low, GRID_LINES);
    for (int i = 0; i <= 2 * GRID_LINES; i++) {
        double value = plot->y_low + i * step;
        if (value <= plot->y_high * 1.001)
            line_across(plot, value, label(value, text));
    }
}

void plot_tick(const struct plot *plot, double x, const char *label)
{
    double at = plot_x(plot, x), bottom = PLOT_TOP + plot->height;
    fprintf(plot->to,
            "<path class=\"grid\" d=\"M%.1f %dV%.1f\"/><text class=\"x\" x=\"%.1f\" "
            "y=\"%.1f\">%s</text>\n",
            at, PLOT_TOP, bottom, at, bottom + 10, label);
}

void plot_grid_x(const struct plot *plot, plot_label_fn *label)
{
    char text[FIGURE_MAX];
    double step = round_step(plot->x_high - plot->x_low, GRID_LINES_X);
    for (int i = 0; i <= 2 * GRID_LINES_X; i++) {
        double value = plot->x_low + i * step;
        if (value <= plot->x_high * 1.001)
            plot_tick(plot, value, label(value, text));
    }
}

/* ---- what is drawn ------------------------------------------------------------------- */

void plot_begin(struct plot *plot, const char *class)
{
    fprintf(plot->to, "<path class=\"line %s\" d=\"", class);
    plot->pen = false;
}

void plot_to(struct plot *plot, double x, double y)
{
    if (isnan(y)) {
        plot->pen = false;
        return;
    }
    fprintf(plot->to, "%c%.1f %.1f", plot->pen ? 'L' : 'M', plot_x(plot, x),
            plot_y(plot, y));
    plot->pen = true;
}

void plot_end(struct plot *plot)
{
    fputs("\"/>\n", plot->to);
}

void plot_cell(const struct plot *plot, const char *class, double x0, double x1, double y0,
               double y1)
{
    double left = plot_x(plot, x0), top = plot_y(plot, y1);
    fprintf(plot->to,
            "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>\n",
            class, left, top, plot_x(plot, x1) - left, plot_y(plot, y0) - top);
}

void plot_dot(const struct plot *plot, const char *class, double x, double y)
{
    fprintf(plot->to, "<circle class=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"5\"/>\n", class,
            plot_x(plot, x), plot_y(plot, y));
}

void plot_limit(const struct plot *plot, double y, const char *label)
{
    double at = plot_y(plot, y);
    fprintf(plot->to,
            "<path class=\"limit\" d=\"M%d %.1fH%d\"/><text class=\"limit\" x=\"%d\" "
            "y=\"%.1f\">",
            PLOT_LEFT, at, PLOT_WIDTH - PLOT_RIGHT, PLOT_LEFT + 8, at - 5);
    plot_text(plot->to, label);
    fputs("</text>\n", plot->to);
}

void plot_event(const struct plot *plot, double x, const char *label)
{
    double at = plot_x(plot, x);
    /* Near the right end the text stands on the left of its line. */
    bool turned = at > PLOT_LEFT + AREA_WIDTH * 0.85;
    fprintf(plot->to,
            "<path class=\"event\" d=\"M%.1f %dV%.1f\"/><text class=\"event%s\" x=\"%.1f\" "
            "y=\"%d\">",
            at, PLOT_TOP, PLOT_TOP + plot->height, turned ? " turned" : "",
            at + (turned ? -5 : 5), PLOT_TOP + 12);
    plot_text(plot->to, label);
    fputs("</text>\n", plot->to);
}

void plot_say(const struct plot *plot, double x0, double x1)
{
    double left = plot_x(plot, x0), width = plot_x(plot, x1) - left;
    fprintf(
        plot->to,
        "<rect class=\"hit\" x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%.1f\"><title>",
        left, PLOT_TOP, width, plot->height);
}

void plot_said(const struct plot *plot)
{
    fputs("</title></rect>\n", plot->to);
}
