/* policy.c - see policy.h. */
#include "master/policy.h"

const char *pf__end_name(enum pf__end end)
{
    static const char *const names[] = {[PF__END_COMMANDED] = "commanded",
                                        [PF__END_CLEAN] = "clean",
                                        [PF__END_CRASH] = "crash",
                                        [PF__END_KILLED] = "killed",
                                        [PF__END_BOOT] = "boot-failure"};
    return names[end];
}

enum pf__end pf__policy_classify(bool commanded, bool was_ready, enum pf__how how)
{
    if (commanded)
        return PF__END_COMMANDED;
    if (!was_ready)
        return PF__END_BOOT;
    if (how == PF__HOW_ZERO)
        return PF__END_CLEAN;
    return how == PF__HOW_KILL ? PF__END_KILLED : PF__END_CRASH;
}

unsigned pf__policy_failures(unsigned before, enum pf__end end, int64_t uptime_ns)
{
    if (end == PF__END_COMMANDED)
        return 0;
    if (end != PF__END_BOOT && uptime_ns >= PF__MIN_UPTIME_NS)
        return end == PF__END_CLEAN ? 0 : 1;
    if (end == PF__END_KILLED && before >= PF__KILLED_FAILURES_MAX)
        return before;
    return before < 1000 ? before + 1 : before; /* a worker that leaves at once, too */
}

int64_t pf__policy_delay(unsigned failures, bool ready, bool siblings, double spread)
{
    unsigned free_failures = ready ? 1 : 0; /* the first crash costs nothing */
    if (failures <= free_failures)
        return 0;
    unsigned doublings = failures - free_failures - 1;
    int64_t limit = siblings ? PF__BACKOFF_SIBLINGS_NS : PF__BACKOFF_MAX_NS;
    int64_t delay = limit;
    if (doublings < 16)
        delay = (int64_t)((double)(PF__BACKOFF_FIRST_NS << doublings) * spread);
    return delay < limit ? delay : limit;
}

int pf__policy_give_up(bool ever_ready, unsigned boot_failures, int64_t all_failing_ns)
{
    if (!ever_ready)
        return boot_failures >= PF__BOOT_FAILURES_MAX ? PF_EXIT_CONFIG : 0;
    return all_failing_ns >= PF__ALL_FAILING_NS ? PF_EXIT_TEMPFAIL : 0;
}
