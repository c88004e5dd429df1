/* The part of the page that says what it was measured with, so that it can be again. */
#include "bench/report_html.h"

#include <errno.h>
#include <inttypes.h>
#include <prefork/base.h>
#include <stdlib.h>
#include <string.h>

static void put_number_fact(const struct page *page, const char *name, int64_t number)
{
    char text[FIGURE_MAX];
    if (number < 0)
        return;
    snprintf(text, sizeof text, "%" PRId64, number);
    page_fact(page, name, number == RESULT_MOST ? "unlimited" : text);
}

/* A word of the command, in the shell's quotes if it needs them: it's -> 'it'\\''s'. */
static void put_word(const struct page *page, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "0123456789-_=+:,./@%^";
    if (word[0] && word[strspn(word, plain)] == '\0') {
        plot_text(page->to, word);
        return;
    }
    plot_text(page->to, "'");
    while (*word) {
        char *piece = strndup(word, strcspn(word, "'"));
        if (!piece) {
            *page->error = -ENOMEM;
            return;
        }
        plot_text(page->to, piece);
        word += strlen(piece);
        free(piece);
        if (*word == '\'') {
            plot_text(page->to, "'\\''");
            word++;
        }
    }
    plot_text(page->to, "'");
}

void page_environment(const struct page *page)
{
    const struct result *result = page->result;
    const struct result_environment *environment = &result->environment;
    char text[2 * FIGURE_MAX];
    page_section(page, "Measured with", "");
    if (result->argc) {
        fputs("<code class=\"command\">", page->to);
        for (int i = 0; i < result->argc; i++) {
            if (i)
                fputc(' ', page->to);
            put_word(page, result->argv[i]);
        }
        fputs("</code>\n", page->to);
    }
    page_facts(page);
    page_fact(page, "prefork-bench", PF_VERSION);
    page_fact(page, "address", result->plan.address);
    snprintf(text, sizeof text, "%" PRIu64, result->plan.seed);
    page_fact(page, "seed", text);
    page_fact(page, "time", environment->time_utc);
    page_fact(page, "kernel", environment->kernel);
    page_fact(page, "CPU", environment->cpu);
    put_number_fact(page, "cores", environment->cores);
    page_fact(page, "governor", environment->governor);
    page_fact(page, "clock source", environment->clocksource);
    put_number_fact(page, "descriptor limit", environment->nofile);
    if (environment->port_low >= 0) {
        snprintf(text, sizeof text, "%" PRId64 " to %" PRId64, environment->port_low,
                 environment->port_high);
        page_fact(page, "ip_local_port_range", text);
    }
    put_number_fact(page, "somaxconn", environment->somaxconn);
    put_number_fact(page, "tcp_tw_reuse", environment->tcp_tw_reuse);
    if (environment->offline)
        page_fact(page, "network", "a namespace without a way out");
    page_facts_end(page);
    page_end(page);
}
