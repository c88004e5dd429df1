/*
 * cli_from.c - an earlier run once more: the options of its document, as if they stood in
 * front of those that are given now. Those go before them, and whatever would contradict
 * gives way. Where the earlier run wrote its files is not taken over.
 */
#include "bench/cli_internal.h"

#include "bench/report_files.h"
#include <string.h>

static int read_document(const char *path, struct result **out)
{
    int err = report_file_read("--from", path, out);
    if (err)
        return err;
    const char *mode = (*out)->plan.mode;
    if (!mode || strcmp(mode, mode_run.name) != 0)
        return cli_fail("--from %s: is of %s; only a run can be made again", path,
                        mode ? mode : "no command");
    return (*out)->argc > 0 ? 0 : cli_fail("--from %s: has no command line", path);
}

/* What is left of the earlier options beside those given now: how long, and at what rate,
 * is said in several ways. */
static void give_way(struct cli_config *config, const struct cli_config *given)
{
    if (given->count || given->duration_ns || given->stages) {
        config->count = config->duration_ns = 0;
        config->stages = NULL;
    }
    if (given->rate > 0)
        config->stages = NULL;
    config->json = config->csv = config->html = config->hlog = config->hgrm = NULL;
    config->events = config->baseline = NULL;
    config->quiet = config->plain = config->tui = false;
}

int cli_from(int argc, char **argv, struct cli *out, struct cli_config *config,
             const char **url)
{
    const struct cli_config given = *config;
    const char *own = NULL;
    if (out->mode != &mode_run)
        return cli_fail("--from: only a run can be made again; leave out %s",
                        out->mode->name);
    int err = read_document(given.from, &out->from);
    *config = cli_defaults;
    if (!err) {
        /* "prefork-bench -c 1 ..." or "prefork-bench run -c 1 ...", or "run -c 1 ..." */
        int named = out->from->argc > 1 && strcmp(out->from->argv[1], mode_run.name) == 0;
        err = cli_read_options(out->from->argc - named, out->from->argv + named, NULL, NULL,
                               config, url);
    }
    if (!err && config->from)
        err = cli_fail("--from %s: was made with --from %s itself; give that one",
                       given.from, config->from);
    if (err)
        return err;
    give_way(config, &given);
    err = cli_read_options(argc, argv, NULL, NULL, config, &own);
    if (own)
        *url = own;
    return err;
}
