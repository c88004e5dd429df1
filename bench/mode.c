#include "bench/mode.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int mode_refuse_repeat(const struct cli *cli)
{
    if (cli->repeat <= 1 && !cli->url_b)
        return -1;
    return cli_fail("%s: %s makes one measurement; compare its results (-o) with "
                    "prefork-bench compare",
                    cli->url_b ? "--vs" : "--repeat", cli->mode->name);
}

/* What is known of it even if it is interrupted before run_plan(), which says all. */
static int name(const struct cli *cli, struct result *result)
{
    result->plan.mode = strdup(cli->mode->name);
    result->plan.target = strdup(cli->plan.url);
    if (!result->plan.mode || !result->plan.target)
        return -ENOMEM;
    return cli_set_environment(cli, result);
}

struct result *mode_result(const struct cli *cli)
{
    struct result *result = result_new();
    if (result && name(cli, result) != 0) {
        result_free(result);
        result = NULL;
    }
    if (!result)
        (void)cli_fail("out of memory");
    return result;
}

static void set(struct result *result, enum exit_status code, const char *why)
{
    result_set_exit(result, (int)code, "%s", why);
}

int mode_end(struct cli *cli, struct result *result, int err, enum exit_status code,
             const char *why)
{
    if (err && err != -EINTR && err != -ECHILD) {
        (void)cli_fail("cannot run: %s", strerror(-err));
        return EXIT_INVALID;
    }
    if (err == -EINTR)
        set(result, EXIT_INTERRUPTED, "interrupted");
    else if (err == -ECHILD)
        set(result, EXIT_INVALID,
            result->validity.died[0] ? result->validity.died
                                     : "a process of the load has ended too early");
    else if (code != EXIT_RUN_OK)
        set(result, code, why);
    return cli_finish(cli, result);
}
