/*
 * plan_table.c - the CPU plan as a table to be read: what --print-plan shows.
 */
#include "master/plan_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- what was found -------------------------------------------------------------- */

static const char *plural(unsigned count)
{
    return count == 1 ? "" : "s";
}

static void print_allowed(FILE *to, const struct pf_cpu_plan *plan, const char *list)
{
    fprintf(to, "allowed  CPU%s %s: %u CPU%s", plural(plan->cpus), list, plan->cpus,
            plural(plan->cpus));
    if (plan->cores)
        fprintf(to, ", %u core%s", plan->cores, plural(plan->cores));
    if (plan->caches)
        fprintf(to, ", %u last-level cache%s", plan->caches, plural(plan->caches));
    if (plan->nodes)
        fprintf(to, ", %u NUMA node%s", plan->nodes, plural(plan->nodes));
    fputc('\n', to);
}

static void print_quota(FILE *to, unsigned quota_milli)
{
    if (quota_milli == PF_QUOTA_NONE)
        fputs("quota    none\n", to);
    else
        fprintf(to, "quota    %u.%03u CPUs\n", quota_milli / 1000, quota_milli % 1000);
}

static int print_nic(FILE *to, const struct pf_nic *nic)
{
    char *local = NULL, *irqs = NULL;
    if (hwloc_bitmap_list_asprintf(&local, nic->local) < 0 ||
        hwloc_bitmap_list_asprintf(&irqs, nic->irq_cpus) < 0) {
        free(local);
        return -ENOMEM;
    }
    fprintf(to, "NIC      %s, ", nic->name);
    if (nic->node < 0)
        fputs("NUMA node not known", to);
    else
        fprintf(to, "NUMA node %d", nic->node);
    if (*local)
        fprintf(to, " (CPUs %s)", local);
    if (*irqs)
        fprintf(to, ", %u interrupt%s on CPUs %s", nic->irqs, plural(nic->irqs), irqs);
    fputc('\n', to);
    free(local);
    free(irqs);
    return 0;
}

static const char *pin_words(const struct pf_cpu_plan *plan, enum pf_pin pin)
{
    switch (pin) {
    case PF_PIN_AUTO:
        return plan->grouped ? "auto: a group of CPUs for each lane, since the quota pays "
                               "for fewer than are allowed"
                             : "auto: a CPU for each lane";
    case PF_PIN_NONE:
        return "none: the kernel moves the lanes";
    case PF_PIN_STRICT:
        return "strict: a CPU for each lane";
    case PF_PIN_LIST:
        return "list: the CPUs that are listed, lane by lane";
    }
    return "?";
}

static int print_facts(FILE *to, const struct pf_cpu_plan *plan,
                       const struct pf_plan_facts *facts)
{
    char *allowed;
    if (hwloc_bitmap_list_asprintf(&allowed, facts->allowed) < 0)
        return -ENOMEM;
    print_allowed(to, plan, allowed);
    free(allowed);
    print_quota(to, facts->quota_milli);
    int err = facts->nic ? print_nic(to, facts->nic) : 0;
    fprintf(to, "pin      %s\n", pin_words(plan, facts->pin));
    fprintf(to, "lanes    %u: %u worker%s of %u thread%s%s\n", plan->lanes, plan->workers,
            plural(plan->workers), plan->threads, plural(plan->threads),
            plan->wraps ? ", more than CPUs: some share" : "");
    return err;
}

/* ---- the lanes ------------------------------------------------------------------- */

/* The first earlier lane on the same CPU, else the first on the same core; or -1. */
static int shares_with(const struct pf_cpu_plan *plan, unsigned lane, int *distance)
{
    for (*distance = 0; *distance <= 1; ++*distance)
        for (unsigned other = 0; other < lane; other++)
            if (pf__plan_near(plan, lane, other) == *distance)
                return (int)other;
    return -1;
}

static void print_note(FILE *to, const struct pf_cpu_plan *plan, unsigned lane)
{
    int distance, other = shares_with(plan, lane, &distance);
    if (other < 0)
        return;
    unsigned with = (unsigned)other;
    fprintf(to, "  %s worker %u", distance == 0 ? "shared with" : "SMT sibling of",
            with / plan->threads);
    if (plan->threads > 1)
        fprintf(to, " thread %u", with % plan->threads);
}

/* A number in a column, or "-". */
static void print_number(FILE *to, int width, int number)
{
    if (number < 0)
        fprintf(to, "  %*s", width, "-");
    else
        fprintf(to, "  %*d", width, number);
}

/* The CPU or the group as text, yours to free; NULL: no memory. */
static char *cpus_text(const struct pf_cpu_seat *seat)
{
    char *text = NULL;
    int len = seat->group     ? hwloc_bitmap_list_asprintf(&text, seat->group)
              : seat->cpu < 0 ? asprintf(&text, "any")
                              : asprintf(&text, "%d", seat->cpu);
    return len < 0 ? NULL : text;
}

static void print_row(FILE *to, const struct pf_cpu_plan *plan, unsigned lane,
                      const char *cpus, int width)
{
    const struct pf_cpu_seat *seat = &plan->seat[lane];
    fprintf(to, "%6u  %6u  %*s", lane / plan->threads, lane % plan->threads, width, cpus);
    print_number(to, 4, seat->core);
    print_number(to, 5, seat->cache);
    print_number(to, 4, seat->node);
    print_note(to, plan, lane);
    fputc('\n', to);
}

static int print_lanes(FILE *to, const struct pf_cpu_plan *plan)
{
    char **cpus = calloc(plan->lanes, sizeof *cpus);
    int width = (int)strlen("cpu"), err = cpus ? 0 : -ENOMEM;
    for (unsigned lane = 0; lane < plan->lanes && !err; lane++) {
        cpus[lane] = cpus_text(&plan->seat[lane]);
        if (!cpus[lane])
            err = -ENOMEM;
        else if ((int)strlen(cpus[lane]) > width)
            width = (int)strlen(cpus[lane]);
    }
    if (!err)
        fprintf(to, "\nworker  thread  %*s  core  cache  node  note\n", width, "cpu");
    for (unsigned lane = 0; lane < plan->lanes && !err; lane++)
        print_row(to, plan, lane, cpus[lane], width);
    for (unsigned lane = 0; cpus && lane < plan->lanes; lane++)
        free(cpus[lane]);
    free(cpus);
    return err;
}

int pf__plan_print(FILE *to, const struct pf_cpu_plan *plan,
                   const struct pf_plan_facts *facts)
{
    int err = print_facts(to, plan, facts);
    if (!err)
        err = print_lanes(to, plan);
    if (!err && (fflush(to) != 0 || ferror(to)))
        err = -EIO;
    return err;
}
