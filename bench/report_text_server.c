/* The rows of the summary about the server: what it cost, and how its workers shared it. */
#include "bench/report_text.h"

#include "bench/figure.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

/* More workers than these are told by the least, the median and the most. */
#define WORKERS_SHOWN 8

static void print_memory(struct text *text)
{
    const struct result_server *server = &text->result->server;
    char figure[FIGURE_MAX];
    char workers[FIGURE_MAX] = "";
    if (server->worker_count)
        snprintf(workers, sizeof workers, " (%u worker%s)", server->worker_count,
                 server->worker_count == 1 ? "" : "s");
    if (server->rss_max >= 0 || workers[0])
        text_item(text, 2, "RSS %s%s", figure_bytes((double)server->rss_max, figure),
                  workers);
}

static void print_server(struct text *text)
{
    const struct result *result = text->result;
    const struct result_server *server = &result->server;
    double cpu = result_cpu_per_request(result), ok = (double)result->totals.ok;
    char figure[FIGURE_MAX], system[FIGURE_MAX];
    if (server->source == RESULT_SOURCE_NONE)
        return;
    text_row(text, "server");
    if (server->cpu_ns >= 0 && result->totals.elapsed_ns > 0)
        text_item(text, 2, "%.2f cores",
                  (double)server->cpu_ns / 1e9 / result_seconds(result));
    if (!isnan(cpu))
        text_item(text, 2, "%s us CPU/req", figure_decimal(cpu / 1e3, figure));
    if (!isnan(cpu) && server->cpu_user_ns >= 0 && server->cpu_system_ns >= 0)
        text_item(text, 1, "(user %s sys %s)",
                  figure_decimal((double)server->cpu_user_ns / ok / 1e3, figure),
                  figure_decimal((double)server->cpu_system_ns / ok / 1e3, system));
    print_memory(text);
    if (server->requests >= 0)
        text_item(text, 2, "counted %s req",
                  figure_groups((uint64_t)server->requests, figure));
    if (text->column == TEXT_INDENT)
        text_item(text, 0, "-");
    text_end(text);
}

static void print_unseen(struct text *text)
{
    const struct result_server *server = &text->result->server;
    if (!server->unseen[0])
        return;
    text_row(text, server->source == RESULT_SOURCE_NONE ? "server" : "");
    text_words(text, "partial:");
    text_words(text, server->unseen);
    text_end(text);
}

static void print_listen(struct text *text)
{
    const struct result_server *server = &text->result->server;
    const struct {
        const char *name;
        int64_t count;
    } rows[] = {{"listen overflows", server->listen_overflows},
                {"listen drops", server->listen_drops},
                {"SYN retries", server->syn_retries}};
    char figure[FIGURE_MAX];
    bool any = false;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].count <= 0)
            continue;
        if (!any)
            text_row(text, "machine"); /* whoever listens here */
        any = true;
        text_item(text, 3, "%s %s", rows[i].name,
                  figure_groups((uint64_t)rows[i].count, figure));
    }
    if (any) {
        text_item(text, 1, "(of all of this machine, not of the server alone)");
        text_end(text);
    }
}

/* ---- workers ------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    int64_t l = *(const int64_t *)a, r = *(const int64_t *)b;
    return (l > r) - (l < r);
}

/* The share that each worker had: requests if they are known, else CPU time. */
static void print_shares(struct text *text, bool requests)
{
    const struct result_server *server = &text->result->server;
    unsigned count = server->worker_count;
    char figure[FIGURE_MAX];
    int64_t *shares = calloc(count, sizeof *shares);
    if (!shares) {
        text->error = -ENOMEM;
        return;
    }
    for (unsigned i = 0; i < count; i++)
        shares[i] = requests ? server->workers[i].requests : server->workers[i].cpu_ns;
    if (count > WORKERS_SHOWN) {
        static const char *const names[] = {"least", "median", "most"};
        qsort(shares, count, sizeof *shares, by_value);
        const unsigned at[] = {0, count / 2, count - 1};
        for (int i = 0; i < 3; i++)
            text_item(text, 2, "%s %s", names[i],
                      requests ? figure_count((double)shares[at[i]], figure)
                               : figure_time(shares[at[i]], figure));
    } else {
        for (unsigned i = 0; i < count; i++)
            text_item(text, 1, "%s",
                      requests ? figure_count((double)shares[i], figure)
                               : figure_time(shares[i], figure));
    }
    text_item(text, 1, requests ? "req" : "CPU");
    free(shares);
}

static void print_workers(struct text *text)
{
    const struct result *result = text->result;
    const struct result_server *server = &result->server;
    int64_t low = INT64_MAX, high = -1, restarts = 0;
    double idle = INFINITY, busy = -1, elapsed = result_seconds(result) * 1e9;
    bool requests = server->worker_count > 0, cpu = requests;
    for (unsigned i = 0; i < server->worker_count; i++) {
        const struct result_worker *worker = &server->workers[i];
        requests &= worker->requests >= 0;
        cpu &= worker->cpu_ns >= 0;
        if (worker->connections_min >= 0 && worker->connections_min < low)
            low = worker->connections_min;
        if (worker->connections_max > high)
            high = worker->connections_max;
        idle = fmin(idle, (double)worker->cpu_ns / elapsed);
        busy = fmax(busy, (double)worker->cpu_ns / elapsed);
        restarts += worker->restarts > 0 ? worker->restarts : 0;
    }
    if (server->worker_count < 2 && restarts == 0)
        return;
    text_row(text, "workers");
    if (requests || cpu)
        print_shares(text, requests);
    if (!isnan(server->jain))
        text_item(text, 3, "fairness %.4f", server->jain);
    if (high >= 0 && low <= high)
        text_item(text, 3, "conns %" PRId64 "-%" PRId64, low, high);
    if (cpu && elapsed > 0)
        text_item(text, 3, "cpu %.0f-%.0f%%", idle * 100, busy * 100);
    if (restarts)
        text_item(text, 3, "restarts %" PRId64, restarts);
    text_end(text);
}

void text_server(struct text *text)
{
    print_server(text);
    print_unseen(text);
    print_listen(text);
    print_workers(text);
}
