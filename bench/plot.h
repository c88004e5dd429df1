/*
 * plot.h - drawings for a page: an area with two scales, grid lines, lines, bands, cells,
 * and places that tell their values when the mouse rests on them; as inline SVG. Colours
 * and strokes are the page's style sheet's: everything has a class.
 *
 *     struct plot plot = {.to = to, .height = 240, .x_low = 0, .x_high = 10, .y_high = 5};
 *     plot_open(&plot, "requests per second");
 *     plot_grid(&plot, label_of_rate);
 *     plot_begin(&plot, "ok");  plot_to(&plot, 0, 1);  plot_to(&plot, 1, 3);
 * plot_end(&plot); plot_close(&plot);
 *
 * Values outside of the scales are drawn at their ends; NAN interrupts a line.
 */
#ifndef PREFORK_BENCH_PLOT_H
#define PREFORK_BENCH_PLOT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Units of the drawing, which is as wide as the page lets it be. */
#define PLOT_WIDTH  960
#define PLOT_LEFT   84 /* room for the labels of y */
#define PLOT_RIGHT  16
#define PLOT_TOP    16
#define PLOT_BOTTOM 40

struct plot {
    FILE *to;
    double height; /* of the area; the drawing is higher by PLOT_TOP and PLOT_BOTTOM */
    double x_low, x_high, y_low, y_high;
    bool y_log;
    bool pen; /* private: a line has begun */
};

/* Write a foreign text, escaped for HTML and its attributes. */
void plot_text(FILE *to, const char *text);

void plot_open(const struct plot *plot, const char *label);
void plot_close(const struct plot *plot);

/* A value's place in units of the drawing. */
double plot_x(const struct plot *plot, double value);
double plot_y(const struct plot *plot, double value);

/* The label of a value, in text[FIGURE_MAX]. */
typedef char *plot_label_fn(double value, char *text);

/* Lines across at round values of y, with labels; and downwards at those of x. */
void plot_grid(const struct plot *plot, plot_label_fn *label);
void plot_grid_x(const struct plot *plot, plot_label_fn *label);

/* One line downwards at a value of x. */
void plot_tick(const struct plot *plot, double x, const char *label);

/* A line of a class, point by point. An area is closed downwards to the end of the scale.
 */
void plot_begin(struct plot *plot, const char *class);
void plot_to(struct plot *plot, double x, double y);
void plot_end(struct plot *plot);

/* A rectangle between two values of x and of y. */
void plot_cell(const struct plot *plot, const char *class, double x0, double x1, double y0,
               double y1);
void plot_dot(const struct plot *plot, const char *class, double x, double y);

/* A line across, and one downwards, with a foreign text. */
void plot_limit(const struct plot *plot, double y, const char *label);
void plot_event(const struct plot *plot, double x, const char *label);

/* A place over the whole height between two values of x: what is written to plot->to until
 * plot_said() is what it says. Escaped by the writer. */
void plot_say(const struct plot *plot, double x0, double x1);
void plot_said(const struct plot *plot);

#endif
