#include "bench/hold_internal.h"

#include "bench/error_kind.h"
#include "bench/footprint.h"
#include "bench/local.h"
#include <errno.h>
#include <math.h>
#include <string.h>

/* Fewer than that, and the growth of memory says nothing about them. */
#define MEASURABLE 1000

static void add_error(struct result *result, const struct tally_error *error,
                      int64_t began_ns)
{
    struct tally_error *at = error_kind_find(result->errors, result->error_count, error);
    int64_t first_ns = error->first_ns - began_ns;
    if (at) {
        at->count += error->count;
        if (first_ns < at->first_ns)
            at->first_ns = first_ns;
    } else if (result->error_count < TALLY_ERRORS_MAX) {
        at = &result->errors[result->error_count++];
        *at = *error;
        at->first_ns = first_ns;
    } else {
        result->errors_beyond += error->count;
    }
}

/* Half of the kernel's memory is the server's, if it runs on this machine. */
static void fill_in_bytes(const struct hold_probe *probe, struct result_hold *out,
                          int64_t server_after)
{
    const struct hold *hold = probe->hold;
    int64_t before = 0, after = 0;
    out->user_bytes = out->kernel_bytes = NAN;
    out->server_user_bytes = out->server_kernel_bytes = NAN;
    for (unsigned i = 0; i < hold->procs; i++) {
        if (hold->shares[i].user_before < 0 || hold->shares[i].user_after < 0)
            before = -1;
        if (before < 0)
            break;
        before += hold->shares[i].user_before;
        after += hold->shares[i].user_after;
    }
    if (out->held < MEASURABLE)
        return;
    out->user_bytes = footprint_each(before, after, out->held);
    out->server_user_bytes = footprint_each(probe->server_before, server_after, out->held);
    double kernel = footprint_each(probe->kernel_before, footprint_kernel(), out->held);
    bool is_here = local_is_ours(&hold->target);
    out->kernel_bytes = is_here ? kernel / 2 : kernel;
    if (is_here)
        out->server_kernel_bytes = kernel / 2;
}

int hold_fill_in(const struct hold_probe *probe, int64_t server_after)
{
    const struct hold *hold = probe->hold;
    struct result *result = probe->result;
    struct result_hold *out = calloc(1, sizeof *out);
    struct hdr *connect = result->latency[RESULT_CONNECT].hdr;
    if (out && !connect && (connect = calloc(1, sizeof *connect))) {
        hdr_init(connect);
        result->latency[RESULT_CONNECT].hdr = connect;
    }
    if (!out || !connect) {
        free(out);
        return -ENOMEM;
    }
    result->hold = out;
    result->plan.connections = hold->config.connections; /* not those of the probe */
    out->asked = (uint64_t)hold->config.connections;
    out->held = HOLD_SUM(hold, held);
    out->lost = HOLD_SUM(hold, lost);
    for (unsigned i = 0; i < hold->procs; i++) {
        const struct hold_counts *counts = &hold->shares[i].counts;
        if (hold->shares[i].gone) {
            out->held -= tally_read(&counts->held);
            out->lost += tally_read(&counts->held);
        }
        if (counts->opened_ns - probe->opening_ns > out->connect_ns)
            out->connect_ns = counts->opened_ns - probe->opening_ns;
        hdr_merge(connect, &counts->connect);
        struct tally_error error;
        for (unsigned e = 0; hold_counts_error(counts, e, &error); e++)
            add_error(result, &error,
                      probe->began_ns ? probe->began_ns : probe->opening_ns);
    }
    fill_in_bytes(probe, out, server_after);
    return 0;
}

/* Of what stands in the result: none held is nothing reached, fewer than asked for is a
 * loss, unless it was for want of descriptors or ports here. */
enum exit_status hold_judge(const struct result *result)
{
    const struct result_hold *hold = result->hold;
    if (hold->held == hold->asked)
        return EXIT_RUN_OK;
    if (hold->held == 0 && hold->lost == 0)
        return EXIT_NO_SUCCESS;
    for (size_t i = 0; i < result->error_count; i++) {
        int reason = result->errors[i].reason;
        if (reason == EMFILE || reason == ENFILE || reason == EADDRNOTAVAIL ||
            reason == ENOMEM || reason == ENOBUFS)
            return EXIT_INVALID;
    }
    return EXIT_LOST;
}
