#include "bench/storm_plan.h"

#include "bench/figure.h"
#include "bench/time_wait.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

/* Source addresses that the rate needs: for ever, or, if that is less, for this run, which
 * may be over before the first port would be needed again. */
static uint64_t sources_needed(const struct storm_wish *wish)
{
    int64_t duration_ns = wish->duration_ns > 0 ? wish->duration_ns : INT64_MAX;
    uint64_t resting =
        spread_resting(&wish->ports, wish->rate, duration_ns, wish->loopback);
    uint64_t each = spread_ports_each(&wish->ports);
    return resting > each ? (resting + each - 1) / each : 1;
}

static void describe(const struct storm_wish *wish, struct storm_plan *plan)
{
    char ports[FIGURE_MAX], rate[FIGURE_MAX];
    unsigned sources = plan->sources ? plan->sources : wish->source_count;
    if (sources == 0)
        sources = 1;
    if (wish->close != PLAN_CLOSE_FIN || !wish->tcp) {
        snprintf(plan->text, sizeof plan->text, "no port stays in TIME_WAIT here: %s",
                 !wish->tcp                      ? "a unix socket has none"
                 : wish->close == PLAN_CLOSE_RST ? "--close rst"
                                                 : "the server closes first");
        return;
    }
    snprintf(plan->text, sizeof plan->text,
             "%u source%s x %s ports, each in TIME_WAIT for %d s%s: at most %s/s", sources,
             sources == 1 ? "" : "s", figure_groups(spread_ports_each(&wish->ports), ports),
             time_wait_rest_s(wish->ports.reuse, wish->loopback),
             time_wait_may_reuse(wish->ports.reuse, wish->loopback) ? " (tcp_tw_reuse)"
                                                                    : "",
             figure_rate(spread_rate_most(&wish->ports, sources, wish->loopback), rate));
}

int storm_plan_make(const struct storm_wish *wish, struct storm_plan *out, char *why,
                    size_t why_len)
{
    struct storm_plan plan = {.sources = 0};
    uint64_t needed = sources_needed(wish);
    unsigned have = wish->source_count ? wish->source_count : 1;
    if (wish->tcp && wish->close == PLAN_CLOSE_FIN) {
        bool spreads = wish->loopback && wish->source_count == 0;
        if (wish->rate <= 0) {
            plan.sources = spreads ? STORM_SOURCES : 0;
        } else if (needed > have && (!spreads || needed > SPREAD_SOURCES_MAX)) {
            snprintf(why, why_len,
                     "%u source address%s can make %.0f connections a second, because each "
                     "port rests for %d s; --close rst, --src with %" PRIu64
                     " addresses, or "
                     "sysctl net.ipv4.tcp_tw_reuse=1",
                     have, have == 1 ? "" : "es",
                     spread_rate_most(&wish->ports, have, wish->loopback),
                     time_wait_rest_s(wish->ports.reuse, wish->loopback), needed);
            return -EADDRNOTAVAIL;
        } else if (needed > have) {
            plan.sources = (unsigned)needed;
        }
    }
    describe(wish, &plan);
    *out = plan;
    return 0;
}
