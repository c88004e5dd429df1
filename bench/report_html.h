/*
 * report_html.h - the parts of the page, each in a file of its own: private to
 * report_html*.c. A part about which nothing is known is not there.
 */
#ifndef PREFORK_BENCH_REPORT_HTML_H
#define PREFORK_BENCH_REPORT_HTML_H

#include "bench/figure.h"
#include "bench/plot.h"
#include "bench/report.h"

struct page {
    const struct result *result, *baseline; /* the latter may be NULL */
    FILE *to;
    int *error; /* set to -ENOMEM by a part that could not be written */
};

/* A section with a heading and a sentence below it; "" for none. */
void page_section(const struct page *page, const char *heading, const char *remark);
void page_end(const struct page *page);

/* An entry of a plot's legend; between <p class="legend"> and </p>. */
void page_key(const struct page *page, const char *class, const char *text);

/* A list of facts; one whose value is NULL is not there. The value is escaped. */
void page_facts(const struct page *page);
void page_fact(const struct page *page, const char *name, const char *value);
void page_facts_end(const struct page *page);

/* Of a scale in ns. */
char *page_label_time(double ns, char *text);

/* Whether a latency was measured. */
bool page_has(const struct result *result, enum result_kind kind);

/* Are there runs of two sides? */
bool page_has_sides(const struct page *page);

/* The parts, in their order on the page. */
void page_tiles(const struct page *page);
void page_percentiles(const struct page *page);
void page_heat(const struct page *page);
void page_rates(const struct page *page);
void page_search(const struct page *page);
void page_workers(const struct page *page);
void page_stages(const struct page *page);
void page_modes(const struct page *page); /* hold, reload, adversaries */
void page_errors(const struct page *page);
void page_comparison(const struct page *page); /* of two sides: behind the tiles */
void page_environment(const struct page *page);

/* The text of a <style> and of a <script> element, in pieces; NULL ends them. */
extern const char *const page_style[], *const page_script[];

#endif
