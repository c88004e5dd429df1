/*
 * settings.c - what the command line says, taken together: see settings.h.
 */
#include "server/settings.h"

#include <stdio.h>

/* Options of HTTP that something else would not heed. */
int pf__settings_check(const struct pf__settings *settings, const struct pf__facts *facts,
                       char *error, size_t error_len)
{
    const struct pf__http_settings *http = &settings->http;
    const char *name = http->xheaders           ? "xheaders"
                       : http->proxy_protocol   ? "proxy-protocol"
                       : http->trusted.is_given ? "trusted"
                       : settings->access_log   ? "access-log"
                                                : NULL;
    if (facts->http || !name)
        return PF_EXIT_OK;
    snprintf(error, error_len, "--%s: %s speaks no HTTP; leave it out", name, facts->name);
    return PF_EXIT_USAGE;
}

void pf__settings_take(const struct pf__settings *settings,
                       struct pf_master_options *master)
{
    static const char *const default_bind[] = {PF__DEFAULT_BIND};
    master->binds = settings->binds.count ? settings->binds.values : default_bind;
    master->bind_count = settings->binds.count ? settings->binds.count : 1;
    master->workers = settings->workers;
    master->threads = (unsigned)settings->threads;
    master->distribution = (enum pf_distribution)settings->accept;
    master->steering = (enum pf_steering)settings->steer;
    master->pin = settings->pin.how;
    master->pin_list = settings->pin.list;
    master->nic = settings->nic;
    master->backlog = (int)settings->backlog;
    master->defer_accept_ns = settings->defer_accept_ns;
    master->fast_open = (unsigned)settings->fast_open;
    master->unix_mode = settings->unix_mode;
    master->connections_soft = (size_t)settings->connections_soft;
    master->connections_max = (size_t)settings->connections_max;
    master->connections_per_client = (size_t)settings->connections_per_client;
    master->drain_ns = settings->drain_ns;
    master->boot_ns = settings->boot_ns;
    master->hang_soft_ns = settings->hang_soft_ns;
    master->hang_hard_ns = settings->hang_hard_ns;
    master->spin_ns = settings->spin_ns;
    master->recycle_requests = (uint64_t)settings->recycle_requests;
    master->recycle_after_ns = settings->recycle_after_ns;
    master->recycle_memory = (uint64_t)settings->recycle_memory;
    master->stay = settings->all_failing == 1;
    master->die_with_master = settings->orphan == 1;
    master->control = settings->control;
    master->titles = true;
    master->oom_score_adj = (unsigned)settings->oom_score_adj;
    master->pid_file = settings->pid_file;
    master->inherit = settings->binds.count ? PF_INHERIT_MATCHING : PF_INHERIT_INSTEAD;
    master->user = settings->user;
    master->group = settings->group;
    master->chroot = settings->chroot;
    master->no_new_privileges = settings->no_new_privileges
                                    ? settings->no_new_privileges == 1
                                    : settings->user != NULL;
}
