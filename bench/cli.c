/*
 * cli.c - from the options to the plan: what they mean together, what is looked up and read
 * for them, and what contradicts.
 */
#include "bench/cli_internal.h"

#include "bench/report_files.h"
#include "bench/request_check.h"
#include "bench/slo.h"
#include "bench/stages.h"
#include "bench/utf8.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Of a line that says what is wrong, bytes in front of a value that is too long to show,
 * and behind it, where the reason stands. */
#define SAID_FRONT 200
#define SAID_END   300

int cli_fail(const char *format, ...)
{
    char *text;
    va_list args;
    va_start(args, format);
    int len = vasprintf(&text, format, args);
    va_end(args);
    fputs("prefork-bench: ", stderr);
    if (len < 0) {
        fputs("out of memory\n", stderr);
        return EXIT_USAGE;
    }
    const char *end = text;
    if (len > SAID_FRONT + SAID_END) {
        end = text + len - SAID_END;
        memcpy(text + SAID_FRONT, " ... ", sizeof " ... ");
        (void)utf8_print(text, false, stderr);
    }
    (void)utf8_print(end, false, stderr); /* a value may hold anything: one line it stays */
    fputc('\n', stderr);
    free(text);
    return EXIT_USAGE;
}

/* ---- the command line ------------------------------------------------------------ */

/* Options may follow the URL, as wrk allows. */
int cli_read_options(int argc, char **argv, const struct pf_option *more, void *more_config,
                     struct cli_config *config, const char **url)
{
    struct pf_option_set sets[CLI_SECTIONS + 2] = {{0}};
    int count = 0;
    if (more)
        sets[count++] = (struct pf_option_set){more, more_config};
    for (int i = 0; i < CLI_SECTIONS; i++)
        sets[count++] = (struct pf_option_set){cli_sections[i].table, config};
    char error[PF_OPTION_ERROR_MAX];
    *url = NULL;
    int at = 0;
    for (;;) {
        /* What stands at `at` was dealt with, like the program's name. */
        int used = pf_options_parse_sets(sets, argc - at, argv + at, error);
        if (used < 0)
            return cli_fail("%s", error);
        at += used;
        if (at >= argc)
            return 0;
        if (*url && !strpbrk(*url, ":/."))
            return cli_fail("%s: a command goes first: prefork-bench %s [options] URL",
                            *url, *url);
        if (*url)
            return cli_fail("%s: one URL is enough; %s came before", argv[at], *url);
        *url = argv[at];
    }
}

static int check_header(const char *header)
{
    size_t name_len = request_token_len(header);
    if (name_len == 0 || header[name_len] != ':')
        return cli_fail("-H '%s': must be 'Name: value'", header);
    if (strpbrk(header, "\r\n"))
        return cli_fail("-H '%.*s: ...': must be one line", (int)name_len, header);
    return 0;
}

static int check_headers(const struct pf_option_list *headers)
{
    const char *host = NULL;
    for (size_t i = 0; i < headers->count; i++) {
        const char *header = headers->values[i];
        int err = check_header(header);
        if (err)
            return err;
        if (!request_field_is(header, "Host"))
            continue;
        if (host)
            return cli_fail("-H '%s': a second Host, after '%s'; give one", header, host);
        host = header;
    }
    return 0;
}

static int check_method(const char *method)
{
    size_t len = method ? request_token_len(method) : 0;
    if (!method || (len > 0 && method[len] == '\0'))
        return 0;
    return cli_fail("-m '%s': must be one word, such as GET", method);
}

/* Options that need an open loop. */
static int check_open(const struct cli_config *config)
{
    if (config->rate > 0 || config->stages)
        return 0;
    const char *what = config->arrival     ? "--arrival"
                       : config->burst > 1 ? "--burst"
                       : config->overflow  ? "--overflow"
                       : config->pace      ? "--pace"
                                           : NULL;
    return what ? cli_fail("%s: needs a rate: give -R or --stages", what) : 0;
}

static int check_config(const struct cli_config *config)
{
    if (config->script)
        return cli_fail(
            "-s %s: scripts are not run; a mix of requests is described in a file "
            "for --requests (see --help)",
            config->script);
    if (config->count && (config->duration_ns || config->stages))
        return cli_fail("%s and -n: give one of them, a duration or a number of requests",
                        config->stages ? "--stages" : "-d");
    if (config->stages && config->duration_ns)
        return cli_fail("-d and --stages: give one of them; stages have their own times");
    if (config->threads > config->connections)
        return cli_fail("-t %" PRId64 ": more threads than connections; give at least -c "
                        "%" PRId64,
                        config->threads, config->threads);
    if (config->procs > config->threads)
        return cli_fail("--procs %" PRId64
                        ": more processes than threads; give at least -t "
                        "%" PRId64,
                        config->procs, config->procs);
    if (config->think_ns && (config->rate > 0 || config->stages))
        return cli_fail("--think and a rate: give one of them; with a rate nobody waits");
    if (config->only4 && config->only6)
        return cli_fail("-4 and -6: give one of them");
    if (config->requests && (config->body || config->method))
        return cli_fail(
            "--requests and %s: give one of them; the file has methods and bodies",
            config->body ? "-b" : "-m");
    if (config->close == PLAN_CLOSE_SERVER && config->reqs_per_conn &&
        !config->no_keepalive)
        return cli_fail("--close server: needs --no-keepalive, which tells it to close");
    if (config->vs && config->repeat == 1)
        return cli_fail(
            "--vs: needs --repeat, at least 3, to tell a difference from chance");
    int err = check_open(config);
    if (!err)
        err = check_method(config->method);
    return err ? err : check_headers(&config->headers);
}

/* ---- when it is asked ------------------------------------------------------------ */

static int make_schedule(const struct cli_config *config, struct plan *plan)
{
    char why[PHRASE_MAX];
    plan->warmup_ns = config->warmup_ns;
    plan->requests = (uint64_t)config->count;
    if (!config->count)
        plan->duration_ns = config->duration_ns ? config->duration_ns : 10 * PF_SECOND;
    if (config->rate <= 0 && !config->stages)
        return 0;
    plan->load = PLAN_OPEN;
    int count = 1;
    if (config->stages) {
        count = stages_parse(config->stages, plan->stages, why, sizeof why);
        if (count < 0)
            return cli_fail("--stages %s", why);
        if (config->rate > 0)
            plan->stages[0].from = config->rate;
        plan->duration_ns = stages_duration(plan->stages, (unsigned)count);
        plan->stages_text = config->stages;
    } else {
        /* By number: each unit goes on until its part is asked, which may take long if they
         * come at random. */
        plan->stages[0] = (struct plan_stage){
            .duration_ns = config->count ? STAGES_MOST : plan->duration_ns,
            .from = config->rate,
            .to = config->rate,
        };
    }
    if (plan->warmup_ns) {
        count = stages_warm_up(plan->stages, (unsigned)count, plan->warmup_ns);
        if (count < 0)
            return cli_fail("--stages %s: one less, for --warmup takes one",
                            config->stages);
    }
    plan->stage_count = (unsigned)count;
    return 0;
}

/* ---- what it must come to -------------------------------------------------------- */

static int read_goals(const struct cli_config *config, struct cli *out)
{
    char why[PHRASE_MAX];
    for (size_t i = 0; i < config->slos.count; i++) {
        int count = slo_parse(config->slos.values[i], out->slos + out->slo_count,
                              RESULT_SLOS_MAX - out->slo_count, why, sizeof why);
        if (count < 0)
            return cli_fail("--slo %s: %s", config->slos.values[i], why);
        out->slo_count += (size_t)count;
    }
    if (config->abort_on_slo && out->slo_count == 0)
        return cli_fail("--abort-on-slo: needs --slo");
    if (!config->expect)
        return 0;
    if (expect_parse(config->expect, &out->expect, why, sizeof why) != 0)
        return cli_fail("--expect %s: %s", config->expect, why);
    out->plan.expect = &out->expect;
    return 0;
}

/* ---- the server's side ----------------------------------------------------------- */

static int on_begin(void *arg, pf_loop *loop, int64_t began_ns)
{
    (void)loop;
    (void)began_ns;
    server_side_begin(((struct cli *)arg)->server);
    return 0;
}

static void on_sample(void *arg, struct result_row *row)
{
    server_side_sample(((struct cli *)arg)->server, row);
}

static bool on_row(void *arg, const struct result_row *row)
{
    events_add(((struct cli *)arg)->rows, row);
    return false;
}

/* A goal that is missed ends the run. */
static bool on_judge(void *arg, struct result *so_far)
{
    const struct cli *cli = arg;
    memcpy(so_far->slos, cli->slos, sizeof so_far->slos);
    so_far->slo_count = cli->slo_count;
    (void)slo_judge(so_far);
    for (size_t i = 0; i < so_far->slo_count; i++)
        if (!so_far->slos[i].pass && !isnan(so_far->slos[i].actual))
            return true;
    return false;
}

static int watch_server(const struct cli_config *config, struct cli *out)
{
    char why[PHRASE_MAX] = "";
    int err =
        server_side_open(config->server, &out->plan.target, &out->server, why, sizeof why);
    if (!err && out->url_b)
        err = server_side_open(config->server, &out->target_b, &out->server_b, why,
                               sizeof why);
    if (err)
        return cli_fail("--server %s: %s", config->server, why[0] ? why : strerror(-err));
    out->watcher = (struct run_watcher){
        .begin = on_begin,
        .row = out->rows ? on_row : NULL,
        .sample = on_sample,
        .judge = config->abort_on_slo ? on_judge : NULL,
        .arg = out,
    };
    return 0;
}

/* ---- all of it ------------------------------------------------------------------- */

static void set_style(const struct cli_config *config, struct cli *out)
{
    out->style = report_style(config->quiet, config->plain);
    bool screen = (config->tui || !config->plain) && isatty(STDERR_FILENO) != 0;
    out->progress = config->quiet ? RUN_SILENT : screen ? RUN_SCREEN : RUN_LINES;
}

static void set_output(const struct cli_config *config, struct cli *out)
{
    out->json = config->json;
    out->csv = config->csv;
    out->html = config->html;
    out->hlog = config->hlog;
    out->hgrm = config->hgrm;
    out->events = config->events;
    out->baseline = config->baseline;
    out->repeat = (unsigned)config->repeat;
    out->abort_on_slo = config->abort_on_slo;
}

/* The other side differs in whom it asks, and in nothing else. */
static void make_other(struct cli *out)
{
    out->plan_b = out->plan;
    out->plan_b.target = out->target_b;
    out->plan_b.url = out->url_b;
    out->plan_b.requests_set = out->requests_b;
}

static void set_plan(const struct cli_config *config, struct plan *plan)
{
    static const enum plan_close closes[] = {PLAN_CLOSE_FIN, PLAN_CLOSE_RST,
                                             PLAN_CLOSE_SERVER};
    static const enum plan_overflow overflows[] = {PLAN_QUEUE, PLAN_DROP, PLAN_CONNECT};
    plan->arrival = config->arrival ? PLAN_POISSON : PLAN_CONST;
    plan->overflow = overflows[config->overflow];
    plan->burst = (unsigned)config->burst;
    plan->spin = config->pace == 1;
    plan->seed = (uint64_t)config->seed;
    plan->connections = (unsigned)config->connections;
    plan->threads = (unsigned)config->threads;
    plan->procs = (unsigned)config->procs;
    plan->pipeline = (unsigned)config->pipeline;
    plan->reqs_per_conn = config->no_keepalive ? 1 : (uint64_t)config->reqs_per_conn;
    plan->think_ns = config->think_ns;
    plan->ramp_ns = config->ramp_ns;
    plan->timeout_ns = config->timeout_ns;
    plan->drain_ns = config->drain_ns;
    plan->close = closes[config->close];
    plan->nodelay = config->nodelay;
    plan->rcvbuf = (int)config->rcvbuf;
    plan->sndbuf = (int)config->sndbuf;
}

static int make_cli(const struct cli_config *config, const char *url, struct cli *out)
{
    int err = check_config(config);
    if (err)
        return err;
    out->plan.url = url;
    set_plan(config, &out->plan);
    set_output(config, out);
    set_style(config, out);
    struct url other;
    err = cli_find_targets(config, url, out, &other);
    if (!err)
        err = make_schedule(config, &out->plan);
    if (!err)
        err = cli_set_machine(config, &out->plan);
    if (!err)
        err = cli_make_requests(config, &out->url, url, &out->requests);
    out->plan.requests_set = out->requests;
    if (!err && out->url_b)
        err = cli_make_requests(config, &other, out->url_b, &out->requests_b);
    if (!err)
        err = cli_find_sources(config, out);
    if (!err)
        err = cli_check_machine(&out->plan);
    if (!err)
        err = read_goals(config, out);
    if (!err)
        err = cli_check_files(out);
    if (!err && out->events && events_new(out->events, &out->rows) != 0)
        err = cli_fail("out of memory");
    if (!err)
        err = watch_server(config, out);
    if (!err && out->url_b)
        make_other(out);
    return err;
}

int cli_parse(const struct mode *mode, int argc, char **argv, const struct pf_option *more,
              void *more_config, struct cli *out)
{
    struct cli_config config = cli_defaults;
    const char *url;
    memset(out, 0, sizeof *out);
    out->mode = mode;
    out->argc = argc;
    out->argv = argv;
    out->plan.mode = mode->name;
    int err = cli_read_options(argc, argv, more, more_config, &config, &url);
    if (!err && config.from && !config.help)
        err = cli_from(argc, argv, out, &config, &url);
    if (err) {
        cli_free(out);
        return err;
    }
    if (config.help) {
        cli_help(mode, more);
        return EXIT_RUN_OK;
    }
    if (config.version || config.wrk_version) {
        printf("prefork-bench %s\n", pf_version());
        return EXIT_RUN_OK;
    }
    err = cli_refuse_without(mode, &config);
    if (!err)
        err = make_cli(&config, url, out);
    if (err) {
        cli_free(out);
        return err;
    }
    return -1;
}

void cli_free(struct cli *cli)
{
    requests_free(cli->requests);
    requests_free(cli->requests_b);
    events_free(cli->rows);
    free(cli->sources);
    free((void *)(uintptr_t)cli->plan.cpus);
    server_side_close(cli->server);
    server_side_close(cli->server_b);
    cli->requests = cli->requests_b = NULL;
    result_free(cli->from);
    cli->from = NULL;
    cli->rows = NULL;
    cli->sources = NULL;
    cli->plan.cpus = NULL;
    cli->server = cli->server_b = NULL;
}
