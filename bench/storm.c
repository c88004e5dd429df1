/*
 * storm.c - how many connections a second does a server take? A run with one request on
 * each connection: connect, ask, close.
 *
 * What it costs in ports is planned before (storm_plan.h), said, and refused if it cannot
 * work. The report shows connections per second, the connect latency (a lost SYN shows as
 * steps of a second), and, of the whole network namespace, repeated SYNs and connections
 * that the listening sockets dropped.
 */
#include "bench/cli_internal.h"

#include "bench/mode.h"
#include "bench/storm_plan.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int measure(struct cli *cli)
{
    struct result *result;
    int err = cli_run(cli, &result);
    int status = result ? mode_end(cli, result, err, EXIT_RUN_OK, NULL) : EXIT_INVALID;
    if (!result)
        (void)cli_fail("cannot run: %s", strerror(-err));
    result_free(result);
    return status;
}

/* Say what the ports are good for, and spread over more addresses if need be. Returns -1 to
 * go on. `sources` is the caller's to free. */
static int plan_ports(struct cli *cli, struct pf_address **sources)
{
    struct plan *plan = &cli->plan;
    struct storm_plan ports;
    char why[512];
    struct storm_wish wish = {
        .rate = plan->load == PLAN_OPEN ? plan_mean_rate(plan) : 0,
        .duration_ns = plan->warmup_ns + plan->duration_ns,
        .source_count = plan->source_count,
        .tcp = !pf_address_is_unix(&plan->target),
        .loopback = spread_is_loopback(&plan->target),
        .close = plan->close,
    };
    spread_read(&wish.ports);
    if (storm_plan_make(&wish, &ports, why, sizeof why)) {
        (void)cli_fail("-R %.0f: %s", wish.rate, why);
        return EXIT_INVALID;
    }
    if (cli->progress != RUN_SILENT)
        fprintf(stderr, "ports    %s\n", ports.text);
    if (ports.sources == 0)
        return -1;
    *sources = calloc(ports.sources, sizeof **sources);
    if (!*sources)
        return cli_fail("out of memory");
    for (unsigned i = 0; i < ports.sources; i++)
        spread_source(i, &(*sources)[i]);
    plan->sources = cli->plan_b.sources = *sources;
    plan->source_count = cli->plan_b.source_count = ports.sources;
    return -1;
}

/* Who closes first? --close server takes a request that says it is the last. */
static bool asks_server_to_close(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--close=server") == 0 ||
            (strcmp(argv[i], "--close") == 0 && i + 1 < argc &&
             strcmp(argv[i + 1], "server") == 0))
            return true;
    return false;
}

static int storm_main(const struct mode *mode, int argc, char **argv)
{
    /* As if the user had said it: the requests are written accordingly. */
    static char one_request[] = "--reqs-per-conn=1", last_request[] = "--no-keepalive";
    char **args = calloc((size_t)argc + 2, sizeof *args);
    if (!args)
        return cli_fail("out of memory");
    args[0] = argv[0];
    args[1] = asks_server_to_close(argc, argv) ? last_request : one_request;
    for (int i = 1; i < argc; i++)
        args[i + 1] = argv[i];
    struct cli cli;
    struct pf_address *sources = NULL;
    int status = cli_parse(mode, argc + 1, args, NULL, NULL, &cli);
    if (status < 0) {
        cli.argc = argc;
        cli.argv = argv;
        status = plan_ports(&cli, &sources);
        if (status < 0)
            status = measure(&cli);
        cli_free(&cli);
    }
    free(sources);
    free(args);
    return status;
}

const struct mode mode_storm = {
    .name = "storm",
    .usage = "[options] URL",
    .help =
        "Connect, ask once and close: how many connections a second does a server take?",
    .main = storm_main,
};
