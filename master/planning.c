/*
 * planning.c - the CPU plan of this machine: read what it has, plan, and look again.
 *
 * plan.c decides; here is where its facts come from, and what becomes of the plan when they
 * change: a container may be given other CPUs, or another quota, while it runs. Then it is
 * planned anew for the workers that there are, they are pinned anew, and steered to.
 */
#include "master/complain.h"
#include "master/cpus.h"
#include "master/internal.h"
#include "master/nic.h"
#include "master/plan_table.h"

#include <prefork/log.h>

#include <errno.h>
#include <string.h>

/* How often it is looked whether the facts still hold. */
#define AGAIN_NS (10 * PF_SECOND)

/* What a plan is made from, and given back together. */
struct facts {
    hwloc_topology_t topology;
    hwloc_bitmap_t allowed;
    unsigned quota_milli;
    struct pf_nic nic;
    unsigned short list[PF_LANES_MAX];
    unsigned list_len;
};

static void drop_facts(struct facts *facts)
{
    if (facts->topology)
        hwloc_topology_destroy(facts->topology);
    hwloc_bitmap_free(facts->allowed);
    pf__nic_fini(&facts->nic);
}

static int read_list(struct facts *facts, const struct pf_master_options *options)
{
    char why[128];
    if (options->pin != PF_PIN_LIST)
        return PF_EXIT_OK;
    if (!options->pin_list)
        return pf__complain(options, PF_EXIT_USAGE, "--pin: no CPU is listed");
    int n =
        pf__plan_parse_list(options->pin_list, facts->list, PF_LANES_MAX, why, sizeof why);
    if (n < 0)
        return pf__complain(options, PF_EXIT_USAGE, "--pin %s: %s", options->pin_list, why);
    facts->list_len = (unsigned)n;
    return PF_EXIT_OK;
}

static int read_nic(struct facts *facts, const struct pf_master_options *options)
{
    if (!options->nic)
        return PF_EXIT_OK;
    int err = pf__nic_init(options->nic, "/sys", "/proc", &facts->nic);
    if (err == -ENODEV)
        return pf__complain(options, PF_EXIT_USAGE,
                            "--nic %s: no such network interface; `ip link` lists them",
                            options->nic);
    return err ? pf__complain(options, PF_EXIT_SOFTWARE, "--nic %s: %s", options->nic,
                              strerror(-err))
               : PF_EXIT_OK;
}

/* What cannot be found out leaves the lanes unpinned. */
static int read_facts(struct facts *facts, const struct pf_master_options *options)
{
    int err = pf__cpus_allowed(&facts->allowed);
    if (err)
        return pf__complain(options, PF_EXIT_SOFTWARE, "cannot start: CPUs: %s",
                            strerror(-err));
    if (pf__cpus_topology(&facts->topology) != 0)
        facts->topology = NULL;
    facts->quota_milli = pf__cpus_quota("/proc/self", "/sys/fs/cgroup");
    int status = read_list(facts, options);
    return status == PF_EXIT_OK ? read_nic(facts, options) : status;
}

static int make_plan(const struct facts *facts, const struct pf_master_options *options,
                     struct pf_cpu_plan *plan)
{
    struct pf_plan_request request = {
        .topology = facts->topology,
        .allowed = facts->allowed,
        .workers = options->workers,
        .threads = options->threads,
        .pin = facts->topology ? options->pin : PF_PIN_NONE,
        .list = facts->list,
        .list_len = facts->list_len,
        .quota_milli = facts->quota_milli,
        .near = options->nic ? pf__nic_near(&facts->nic) : NULL,
    };
    char why[128] = "";
    int err = pf__plan_make(&request, why, sizeof why, plan);
    if (err == -EINVAL)
        return pf__complain(options, PF_EXIT_USAGE, "CPU plan: %s", why);
    return err ? pf__complain(options, PF_EXIT_SOFTWARE, "cannot start: CPU plan: %s",
                              strerror(-err))
               : PF_EXIT_OK;
}

static void warn_of_plan(const struct pf__master *master)
{
    const struct pf_cpu_plan *plan = &master->plan;
    if (plan->wraps)
        pf_log(PF_LOG_WARN, "cpus-shared", "lanes=%u cpus=%u", plan->lanes, plan->cpus);
    if (master->options->steering == PF_STEERING_CPU && plan->seat[0].cpu < 0)
        pf_log(PF_LOG_WARN, "steering-blind",
               "--steer cpu without pinned workers: like hash");
}

/* Keep the plan, and of the facts what is needed later: to pin, and to see changes. */
static void keep(struct pf__master *master, struct facts *facts, struct pf_cpu_plan *plan)
{
    pf__plan_fini(&master->plan);
    if (master->topology)
        hwloc_topology_destroy(master->topology);
    hwloc_bitmap_free(master->allowed);
    master->plan = *plan;
    master->topology = facts->topology;
    master->allowed = facts->allowed;
    master->quota_milli = facts->quota_milli;
    facts->topology = NULL;
    facts->allowed = NULL;
    warn_of_plan(master);
}

static int plan_with(struct pf__master *master, const struct pf_master_options *options)
{
    struct facts facts = {0};
    struct pf_cpu_plan plan = {0};
    int status = read_facts(&facts, options);
    if (status == PF_EXIT_OK)
        status = make_plan(&facts, options, &plan);
    if (status == PF_EXIT_OK)
        keep(master, &facts, &plan);
    drop_facts(&facts);
    return status;
}

int pf__planning(struct pf__master *master)
{
    int status = plan_with(master, master->options);
    if (status != PF_EXIT_OK)
        return status;
    master->slot_count = master->plan.workers;
    master->threads = master->plan.threads;
    master->lane_count = master->plan.lanes;
    return PF_EXIT_OK;
}

/* A lane that runs already; its process may end any moment. */
static void pin_anew(struct pf__worker *worker, unsigned thread)
{
    const struct pf__master *master = worker->slot->master;
    unsigned at = worker->slot->number * master->threads + thread;
    int tid = (int)pf__worker_get(worker, thread, PF__COLUMN_TID);
    int err =
        pf__cpus_pin_task(master->topology, &master->plan.seat[at], tid, master->allowed);
    if (err && err != -ESRCH)
        pf_log(PF_LOG_WARN, "not-pinned", "worker=%u thread=%u error=%s",
               worker->slot->number, thread, strerror(-err));
}

static void pin_all_anew(struct pf__master *master)
{
    for (unsigned i = 0; i < master->slot_count; i++) {
        struct pf__worker *worker = pf__slot_worker(&master->slots[i]);
        for (unsigned thread = 0; thread < master->threads; thread++)
            if (pf__worker_accepts(worker) && master->options->pin != PF_PIN_NONE)
                pin_anew(worker, thread);
    }
}

void pf__planning_again(struct pf__master *master)
{
    int64_t now = pf__master_now(master);
    if (now - master->planned_ns < AGAIN_NS)
        return;
    master->planned_ns = now;
    if (!pf__cpus_changed(master->allowed, master->quota_milli, "/proc/self",
                          "/sys/fs/cgroup"))
        return;
    struct pf_master_options options = *master->options;
    options.workers = master->slot_count; /* as many as there are */
    options.error = NULL;
    int status = plan_with(master, &options);
    pf_log(PF_LOG_WARN, "cpus-changed", "cpus=%u quota=%u.%03u %s", master->plan.cpus,
           master->quota_milli / 1000, master->quota_milli % 1000,
           status == PF_EXIT_OK ? "planned-anew" : "the-old-plan-stays");
    if (status != PF_EXIT_OK)
        return;
    pin_all_anew(master);
    master->steered = false; /* the review steers by the new plan */
}

int pf_master_print_plan(const struct pf_master_options *given, FILE *to)
{
    struct pf_master_options options;
    struct pf_service service;
    int err = pf__start_options(given, &options, &service);
    if (err)
        return err;
    struct facts facts = {0};
    struct pf_cpu_plan plan = {0};
    int status = read_facts(&facts, &options);
    if (status == PF_EXIT_OK)
        status = make_plan(&facts, &options, &plan);
    if (status == PF_EXIT_OK) {
        struct pf_plan_facts shown = {.allowed = facts.allowed,
                                      .quota_milli = facts.quota_milli,
                                      .pin = options.pin,
                                      .nic = options.nic ? &facts.nic : NULL};
        err = pf__plan_print(to, &plan, &shown);
        if (err)
            status = pf__complain(&options, PF_EXIT_SOFTWARE, "--print-plan: %s",
                                  strerror(-err));
    }
    pf__plan_fini(&plan);
    drop_facts(&facts);
    return status;
}
