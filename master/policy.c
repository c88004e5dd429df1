/* policy.c - see policy.h. */
#include "master/policy.h"

#include <limits.h>

/* ---- ends ------------------------------------------------------------------------ */

const char *pf__end_name(enum pf__end end)
{
    static const char *const names[PF__ENDS] = {[PF__END_COMMANDED] = "commanded",
                                                [PF__END_RECYCLED] = "recycled",
                                                [PF__END_CLEAN] = "clean",
                                                [PF__END_CRASH] = "crash",
                                                [PF__END_HUNG] = "hung",
                                                [PF__END_KILLED] = "killed",
                                                [PF__END_MEMORY] = "out-of-memory",
                                                [PF__END_BOOT] = "boot-failure"};
    return end < PF__ENDS ? names[end] : "?";
}

enum pf__end pf__policy_classify(enum pf__fate fate, bool was_ready, enum pf__how how,
                                 bool memory_is_short)
{
    if (fate == PF__FATE_LEAVE || fate == PF__FATE_EVICT)
        return PF__END_COMMANDED;
    if (fate == PF__FATE_ASKED && how == PF__HOW_ZERO)
        return PF__END_COMMANDED; /* however young it was, and ready or not */
    if (fate == PF__FATE_HANG)
        return PF__END_HUNG;
    if (!was_ready)
        return PF__END_BOOT;
    if (how == PF__HOW_ZERO)
        return fate == PF__FATE_RECYCLE ? PF__END_RECYCLED : PF__END_CLEAN;
    if (how == PF__HOW_KILL)
        return memory_is_short ? PF__END_MEMORY : PF__END_KILLED;
    return PF__END_CRASH;
}

static bool is_planned(enum pf__end end)
{
    return end == PF__END_COMMANDED || end == PF__END_RECYCLED;
}

unsigned pf__policy_failures(unsigned before, enum pf__end end, int64_t uptime_ns)
{
    if (is_planned(end))
        return 0;
    if (end != PF__END_BOOT && uptime_ns >= PF__MIN_UPTIME_NS)
        return end == PF__END_CLEAN ? 0 : 1;
    if (end == PF__END_KILLED && before >= PF__KILLED_FAILURES_MAX)
        return before;
    return before < 1000 ? before + 1 : before; /* a worker that leaves at once, too */
}

double pf__policy_spread(int64_t now_ns)
{
    enum {
        STEPS = 1000003
    };
    return 0.5 + (double)(now_ns % STEPS) / STEPS;
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

int64_t pf__policy_fork(int64_t *used_up_ns, unsigned slots, int64_t now_ns)
{
    int64_t each = PF__FORKS_WINDOW_NS / (slots + PF__FORKS_SPARE);
    int64_t from = *used_up_ns > now_ns ? *used_up_ns : now_ns;
    int64_t over = from + each - (now_ns + PF__FORKS_WINDOW_NS);
    if (over > 0)
        return over;
    *used_up_ns = from + each;
    return 0;
}

int pf__policy_give_up(bool ever_ready, unsigned boot_failures, int64_t all_failing_ns,
                       bool stay)
{
    if (!ever_ready)
        return boot_failures >= PF__BOOT_FAILURES_MAX ? PF_EXIT_CONFIG : 0;
    return all_failing_ns >= PF__ALL_FAILING_NS && !stay ? PF_EXIT_TEMPFAIL : 0;
}

/* ---- slots ----------------------------------------------------------------------- */

/* What a slot wants whose current worker accepts. */
static enum pf__slot_action with_a_worker(const struct pf__slot_view *slot)
{
    if (slot->other == PF__SEAT_ACCEPTING)
        return PF__SLOT_SWAP;
    if (slot->other == PF__SEAT_EMPTY && slot->worn && slot->turn && slot->due)
        return PF__SLOT_REPLACE;
    return PF__SLOT_WAIT;
}

/* ... and whose current worker is not there, or is on its way out. */
static enum pf__slot_action without_a_worker(const struct pf__slot_view *slot)
{
    if (slot->other == PF__SEAT_BOOTING || slot->other == PF__SEAT_ACCEPTING)
        return PF__SLOT_PROMOTE;
    if (!slot->due)
        return PF__SLOT_WAIT;
    if (slot->current == PF__SEAT_EMPTY)
        return PF__SLOT_START;
    return slot->other == PF__SEAT_EMPTY ? PF__SLOT_REPLACE : PF__SLOT_EVICT;
}

enum pf__slot_action pf__policy_slot(const struct pf__slot_view *slot)
{
    if (slot->stopping || slot->current == PF__SEAT_BOOTING)
        return PF__SLOT_WAIT;
    return slot->current == PF__SEAT_ACCEPTING ? with_a_worker(slot)
                                               : without_a_worker(slot);
}

/* 80 to 100 % of the limit. */
static uint64_t a_little_less(uint64_t limit, double spread)
{
    return limit - (uint64_t)((double)limit * 0.2 * (spread - 0.5));
}

struct pf__wear pf__policy_wear(const struct pf__wear *limits, double spread)
{
    return (struct pf__wear){
        .requests = a_little_less(limits->requests, spread),
        .lifetime_ns = (int64_t)a_little_less((uint64_t)limits->lifetime_ns, spread),
        .memory_bytes = limits->memory_bytes, /* a worker's growth has jitter enough */
    };
}

const char *pf__policy_worn(const struct pf__wear *limits, const struct pf__wear *worker)
{
    if (limits->requests && worker->requests >= limits->requests)
        return "requests";
    if (limits->lifetime_ns && worker->lifetime_ns >= limits->lifetime_ns)
        return "lifetime";
    if (limits->memory_bytes && worker->memory_bytes >= limits->memory_bytes)
        return "memory";
    return NULL;
}

/* ---- hung workers ---------------------------------------------------------------- */

void pf__policy_pulse_reset(struct pf__pulse *pulse, int64_t now_ns)
{
    pulse->still_since_ns = now_ns;
    pulse->pinged_ns = 0;
}

static bool runs(uint64_t beat)
{
    return beat & 1;
}

/* It sleeps: that is fine, unless somebody waits. One that was pinged and has not turned
 * since does not serve, whether its queue is served by others or not. */
static enum pf__verdict look_at_sleeper(struct pf__pulse *pulse,
                                        const struct pf__pulse_facts *facts, int64_t soft)
{
    if (!facts->queue && !pulse->pinged_ns) {
        pf__policy_pulse_reset(pulse, facts->now_ns);
        return PF__PULSE_FINE;
    }
    if (!pulse->pinged_ns) {
        if (facts->now_ns - pulse->still_since_ns < soft / 2)
            return PF__PULSE_FINE;
        pulse->pinged_ns = facts->now_ns;
        return PF__PULSE_PING;
    }
    return facts->now_ns - pulse->pinged_ns >= soft ? PF__PULSE_STUCK : PF__PULSE_FINE;
}

enum pf__verdict pf__policy_pulse(struct pf__pulse *pulse,
                                  const struct pf__pulse_facts *facts)
{
    bool stopped = facts->stopped || pulse->was_stopped; /* since then, for all we know */
    pulse->was_stopped = facts->stopped;
    if (facts->beat != pulse->beat || (stopped && runs(facts->beat)) ||
        facts->now_ns < facts->busy_until_ns) {
        pulse->beat = facts->beat;
        pf__policy_pulse_reset(pulse, facts->now_ns);
        return PF__PULSE_FINE;
    }
    int64_t times = facts->throttled ? 2 : 1;
    int64_t soft = facts->soft_ns * times, hard = facts->hard_ns * times;
    enum pf__verdict verdict = PF__PULSE_FINE;
    int64_t still = facts->now_ns - pulse->still_since_ns;
    if (!runs(facts->beat))
        verdict = look_at_sleeper(pulse, facts, soft);
    else if (still >= soft)
        verdict = PF__PULSE_STUCK;
    if (verdict == PF__PULSE_STUCK && still >= hard && !stopped)
        verdict = PF__PULSE_HUNG;
    return verdict;
}

/* ---- adoption -------------------------------------------------------------------- */

static bool may_adopt(const struct pf__lane_view *lanes, unsigned count, int lane)
{
    return lane >= 0 && (unsigned)lane < count && lanes[lane].serves && !lanes[lane].unable;
}

static unsigned adopted_by(const int *adopters, unsigned count, unsigned lane)
{
    unsigned n = 0;
    for (unsigned i = 0; i < count; i++)
        n += adopters[i] == (int)lane;
    return n;
}

/* The nearest that serves; looking begins behind the lane, so that neighbours take turns.
 */
static int nearest(const struct pf__lane_view *lanes, unsigned count, unsigned of,
                   pf__distance_fn *distance, const void *arg, const int *adopters)
{
    int best = PF__NOBODY, best_distance = INT_MAX;
    unsigned best_load = UINT_MAX;
    for (unsigned step = 1; step < count; step++) {
        unsigned lane = (of + step) % count;
        if (!may_adopt(lanes, count, (int)lane))
            continue;
        int far = distance(arg, of, lane);
        unsigned load = adopted_by(adopters, count, lane);
        if (far > best_distance || (far == best_distance && load >= best_load))
            continue;
        best = (int)lane;
        best_distance = far;
        best_load = load;
    }
    return best;
}

void pf__policy_adopters(const struct pf__lane_view *lanes, unsigned count,
                         pf__distance_fn *distance, const void *arg, int *adopters)
{
    for (unsigned i = 0; i < count; i++) /* who keeps what first: it counts as load */
        adopters[i] = lanes[i].orphaned && may_adopt(lanes, count, lanes[i].adopter)
                          ? lanes[i].adopter
                          : PF__NOBODY;
    for (unsigned i = 0; i < count; i++)
        if (lanes[i].orphaned && adopters[i] == PF__NOBODY)
            adopters[i] = nearest(lanes, count, i, distance, arg, adopters);
}
