/* The parts of the page that are tables: workers, what only some modes have, errors. */
#include "bench/report_html.h"

#include <inttypes.h>
#include <math.h>

/* Of more, the rest is left out. */
#define WORKERS_SHOWN 128

/* ---- workers ------------------------------------------------------------------------- */

static void put_share(const struct page *page, int64_t value, int64_t most,
                      const char *class, const char *figure)
{
    if (value < 0) {
        fputs("<td class=\"n\">&ndash;</td><td class=\"share hide\"></td>", page->to);
        return;
    }
    fprintf(page->to,
            "<td class=\"n\">%s</td><td class=\"share hide\"><div class=\"bar %s\" "
            "style=\"width:%.1f%%\"></div></td>",
            figure, class, most > 0 ? 100.0 * (double)value / (double)most : 0);
}

static void put_connections(const struct page *page, const struct result_worker *worker)
{
    if (worker->connections_max < 0)
        fputs("<td class=\"n\">&ndash;</td>", page->to);
    else if (worker->connections_min == worker->connections_max ||
             worker->connections_min < 0)
        fprintf(page->to, "<td class=\"n\">%" PRId64 "</td>", worker->connections_max);
    else
        fprintf(page->to, "<td class=\"n\">%" PRId64 "&ndash;%" PRId64 "</td>",
                worker->connections_min, worker->connections_max);
}

static void put_worker(const struct page *page, const struct result_worker *worker,
                       int64_t most_requests, int64_t most_cpu)
{
    char figure[FIGURE_MAX];
    fprintf(page->to, "<tr><td>%" PRId64 "%s</td>", worker->pid,
            worker->restarts > 0 ? " <span class=\"bad\">restarted</span>" : "");
    figure_count((double)worker->requests, figure);
    put_share(page, worker->requests, most_requests, "fa", figure);
    figure_time(worker->cpu_ns, figure);
    put_share(page, worker->cpu_ns, most_cpu, "fb", figure);
    put_connections(page, worker);
    fprintf(page->to, "<td class=\"n\">%s</td></tr>\n",
            figure_bytes((double)worker->rss, figure));
}

static void put_server(const struct page *page)
{
    const struct result *result = page->result;
    const struct result_server *server = &result->server;
    char figure[FIGURE_MAX];
    double cpu = result_cpu_per_request(result);
    fputs("<p class=\"remark\">", page->to);
    if (server->name)
        plot_text(page->to, server->name);
    if (!isnan(server->jain))
        fprintf(page->to, " &middot; fairness (Jain) <b>%.4f</b>", server->jain);
    if (server->cpu_ns >= 0 && result->totals.elapsed_ns > 0)
        fprintf(page->to, " &middot; %.2f cores",
                (double)server->cpu_ns / 1e9 / result_seconds(result));
    if (!isnan(cpu))
        fprintf(page->to, " &middot; %s CPU per request",
                figure_time((int64_t)cpu, figure));
    if (server->rss_max >= 0)
        fprintf(page->to, " &middot; RSS %s",
                figure_bytes((double)server->rss_max, figure));
    if (server->listen_drops > 0 || server->listen_overflows > 0)
        fprintf(
            page->to,
            " &middot; <span class=\"bad\">listen queues of this machine dropped %" PRId64
            "</span>",
            server->listen_drops > server->listen_overflows ? server->listen_drops
                                                            : server->listen_overflows);
    fputs("</p>\n", page->to);
}

void page_workers(const struct page *page)
{
    const struct result_server *server = &page->result->server;
    int64_t most_requests = 0, most_cpu = 0;
    if (server->source == RESULT_SOURCE_NONE && !server->unseen[0])
        return;
    for (unsigned i = 0; i < server->worker_count; i++) {
        const struct result_worker *worker = &server->workers[i];
        most_requests = worker->requests > most_requests ? worker->requests : most_requests;
        most_cpu = worker->cpu_ns > most_cpu ? worker->cpu_ns : most_cpu;
    }
    page_section(page, "Server", "");
    if (server->source != RESULT_SOURCE_NONE)
        put_server(page);
    if (server->unseen[0]) {
        fputs("<p class=\"remark\"><b>partial</b>: ", page->to);
        plot_text(page->to, server->unseen);
        fputs("</p>\n", page->to);
    }
    if (server->worker_count) {
        fputs("<div class=\"scroll\"><table>\n<tr><th>worker</th><th "
              "class=\"n\">requests</th>"
              "<th class=\"hide\"></th><th class=\"n\">CPU</th><th class=\"hide\"></th>"
              "<th class=\"n\">connections</th><th class=\"n\">RSS</th></tr>\n",
              page->to);
        for (unsigned i = 0; i < server->worker_count && i < WORKERS_SHOWN; i++)
            put_worker(page, &server->workers[i], most_requests, most_cpu);
        fputs("</table></div>\n", page->to);
        if (server->worker_count > WORKERS_SHOWN)
            fprintf(page->to, "<p class=\"remark\">and %u more</p>\n",
                    server->worker_count - WORKERS_SHOWN);
    }
    page_end(page);
}

/* ---- errors -------------------------------------------------------------------------- */

static const char *loss_name(const struct tally_error *error, const char **class)
{
    switch (tally_loss_of(error)) {
    case TALLY_HARMLESS:
        *class = "mute";
        return "harmless";
    case TALLY_RETRYABLE:
        *class = "warn";
        return "retryable";
    case TALLY_LOST:
        break;
    }
    *class = "bad";
    return error->phase == TALLY_VALIDATE ? "wrong" : "lost";
}

static void put_error(const struct page *page, const struct tally_error *error)
{
    char figure[FIGURE_MAX];
    const char *class, *loss = loss_name(error, &class);
    fprintf(page->to, "<tr><td>%s</td><td>%s</td><td class=\"n\">%s</td>",
            tally_phase_name(error->phase), tally_reason_name(error->reason),
            figure_groups(error->count, figure));
    fprintf(page->to, "<td class=\"n\">%s</td><td>%s</td><td class=\"%s\">%s</td><td>",
            error->first_ns < 0 ? "setting up" : figure_time(error->first_ns, figure),
            tally_when_name(error->when), class, loss);
    if (error->sample[0]) {
        fputs("<code>", page->to);
        plot_text(page->to, error->sample);
        fputs("</code>", page->to);
    }
    fputs("</td></tr>\n", page->to);
}

static void put_statuses(const struct page *page)
{
    char figure[FIGURE_MAX];
    bool any = false;
    for (unsigned i = 0; i < TALLY_STATUS_MAX; i++) {
        if (page->result->status[i] == 0)
            continue;
        fprintf(page->to, "%s%u &times; %s", any ? " &middot; " : "<p class=\"remark\">", i,
                figure_groups(page->result->status[i], figure));
        any = true;
    }
    if (any)
        fputs("</p>\n", page->to);
}

void page_errors(const struct page *page)
{
    const struct result *result = page->result;
    char figure[FIGURE_MAX];
    page_section(page, "Answers and errors", "");
    put_statuses(page);
    if (result->error_count == 0 && result->errors_beyond == 0)
        fputs(result->totals.sent ? "<p class=\"good\">No errors.</p>\n"
                                  : "<p class=\"remark\">Nothing was sent.</p>\n",
              page->to);
    if (result->error_count) {
        fputs("<div class=\"scroll\"><table "
              "class=\"wide\">\n<tr><th>phase</th><th>reason</th>"
              "<th class=\"n\">count</th><th class=\"n\">first</th><th>when</th>"
              "<th>means</th><th>sample</th></tr>\n",
              page->to);
        for (size_t i = 0; i < result->error_count; i++)
            put_error(page, &result->errors[i]);
        fputs("</table></div>\n", page->to);
    }
    if (result->errors_beyond)
        fprintf(page->to, "<p class=\"remark\">of further kinds: %s</p>\n",
                figure_groups(result->errors_beyond, figure));
    page_end(page);
}

/* ---- what only some modes have ------------------------------------------------------- */

static void put_count(const struct page *page, const char *name, uint64_t count)
{
    char figure[FIGURE_MAX];
    page_fact(page, name, figure_groups(count, figure));
}

static void put_hold(const struct page *page)
{
    const struct result_hold *hold = page->result->hold;
    char figure[FIGURE_MAX];
    page_section(page, "Connections held", "");
    page_facts(page);
    put_count(page, "asked for", hold->asked);
    put_count(page, "standing at the end", hold->held);
    put_count(page, "closed by the server meanwhile", hold->lost);
    page_fact(page, "opened in", figure_time(hold->connect_ns, figure));
    const struct {
        const char *name;
        double bytes;
    } rows[] = {{"each here, user", hold->user_bytes},
                {"each here, kernel", hold->kernel_bytes},
                {"each at the server, user", hold->server_user_bytes},
                {"each at the server, kernel", hold->server_kernel_bytes}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        page_fact(page, rows[i].name, figure_bytes(rows[i].bytes, figure));
    page_facts_end(page);
    page_end(page);
}

static void put_reload(const struct page *page)
{
    const struct result_reload *reload = page->result->reload;
    char figure[FIGURE_MAX];
    page_section(page, "Reload", "");
    fprintf(page->to, "<p class=\"remark\"><b class=\"%s\">LOST %s</b>",
            reload->lost ? "bad" : "good", figure_groups(reload->lost, figure));
    fprintf(page->to, " of %s</p>\n", figure_groups(page->result->totals.sent, figure));
    page_facts(page);
    put_count(page, "retryable", reload->retryable);
    put_count(page, "idle closes, harmless", reload->harmless);
    put_count(page, "commands", reload->commands);
    if (reload->commands_failed)
        put_count(page, "commands that failed", reload->commands_failed);
    page_fact(page, "longest time without an answer",
              figure_time(reload->blackout_ns, figure));
    page_fact(page, "p99 in seconds with a command",
              figure_time(reload->p99_reload_ns, figure));
    page_fact(page, "p99 in seconds without", figure_time(reload->p99_quiet_ns, figure));
    if (reload->generations > 0)
        put_count(page, "generations of workers met", (uint64_t)reload->generations);
    page_facts_end(page);
    page_end(page);
}

static void put_adversaries(const struct page *page)
{
    const struct result *result = page->result;
    char figure[FIGURE_MAX];
    page_section(page, "Adversaries", "What became of slow and broken clients.");
    fputs("<div class=\"scroll\"><table class=\"wide\">\n<tr><th>kind</th><th "
          "class=\"n\">asked</th>"
          "<th class=\"n\">opened</th><th class=\"n\">cut off</th>"
          "<th class=\"n\">open at the end</th><th class=\"n\">cut p50</th>"
          "<th class=\"n\">cut max</th></tr>\n",
          page->to);
    for (unsigned i = 0; i < result->adversary_count; i++) {
        const struct result_adversary *one = &result->adversaries[i];
        const uint64_t counts[] = {one->asked, one->opened, one->cut, one->open};
        const int64_t times[] = {one->cut_p50_ns, one->cut_max_ns};
        fputs("<tr><td>", page->to);
        plot_text(page->to, one->kind);
        fputs("</td>", page->to);
        for (int n = 0; n < 4; n++)
            fprintf(page->to, "<td class=\"n\">%s</td>", figure_groups(counts[n], figure));
        for (int n = 0; n < 2; n++)
            fprintf(page->to, "<td class=\"n\">%s</td>",
                    figure_time(one->cut ? times[n] : -1, figure));
        fputs("</tr>\n", page->to);
    }
    fputs("</table></div>\n", page->to);
    page_end(page);
}

void page_modes(const struct page *page)
{
    if (page->result->hold)
        put_hold(page);
    if (page->result->reload)
        put_reload(page);
    if (page->result->adversary_count)
        put_adversaries(page);
}
