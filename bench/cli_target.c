/*
 * cli_target.c - whom to ask, and from where.
 */
#include "bench/cli_internal.h"

#include "bench/sources.h"
#include "bench/spread.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static bool answers(const struct pf_address *address, int64_t timeout_ns)
{
    int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    /* It bounds connect(2) too. */
    struct timeval limit = {.tv_sec = timeout_ns / PF_SECOND,
                            .tv_usec = timeout_ns % PF_SECOND / PF_MICROSECOND};
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    bool ok = connect(fd, (const struct sockaddr *)&address->storage, address->len) == 0;
    close(fd);
    return ok;
}

/* Drop those of the wrong family. Returns how many are left. */
static int filter(struct pf_address *found, int count, int family)
{
    int kept = 0;
    for (int i = 0; i < count; i++)
        if (family == AF_UNSPEC || found[i].storage.ss_family == family)
            found[kept++] = found[i];
    return kept;
}

/* The first of the name's addresses that answers, tried in turn; the last is taken unasked,
 * so that a literal costs the server no extra connection. `what` names it in errors. */
static int find_target(const struct cli_config *config, const char *address,
                       const char *what, struct pf_address *out)
{
    struct pf_address found[PF_ADDRESSES_MAX];
    char why[PHRASE_MAX];
    int family = config->only4 ? AF_INET : config->only6 ? AF_INET6 : AF_UNSPEC;
    int count = pf_address_parse(address, found, why, sizeof why);
    if (count < 0)
        return cli_fail("%s: %s", what, why);
    count = filter(found, count, family);
    if (count == 0)
        return cli_fail("%s: has no address of IPv%d; leave out -%d", what,
                        config->only4 ? 4 : 6, config->only4 ? 4 : 6);
    int i = 0;
    while (i < count - 1 && !answers(&found[i], config->timeout_ns))
        i++;
    if (found[i].datagram)
        return cli_fail("%s: must be a TCP or unix address", what);
    if (!pf_address_is_unix(&found[i]) && pf_address_port(&found[i]) == 0)
        return cli_fail("%s: the port must be 1 to 65535", what);
    *out = found[i];
    return 0;
}

static int read_url(const char *text, struct url *url)
{
    char why[PHRASE_MAX];
    return url_parse(text, url, why, sizeof why) == 0 ? 0 : cli_fail("%s: %s", text, why);
}

/* --connect-to */
static int find_other(const struct cli_config *config, struct pf_address *out)
{
    char what[PHRASE_MAX];
    if (!strchr(config->connect_to, ':'))
        return cli_fail("--connect-to %s: must be HOST:PORT or unix:PATH",
                        config->connect_to);
    snprintf(what, sizeof what, "--connect-to %s", config->connect_to);
    return find_target(config, config->connect_to, what, out);
}

int cli_find_targets(const struct cli_config *config, const char *text, struct cli *out,
                     struct url *other)
{
    if (!text)
        return cli_fail("which server? give a URL such as http://127.0.0.1:8888/");
    int err = read_url(text, &out->url);
    if (err)
        return err;
    out->plan.protocol = out->url.protocol;
    err = config->connect_to
              ? find_other(config, &out->plan.target)
              : find_target(config, out->url.address, text, &out->plan.target);
    if (err || !config->vs)
        return err;
    err = read_url(config->vs, other);
    if (err)
        return err;
    if (other->protocol != out->url.protocol)
        return cli_fail("--vs %s: must be of the same scheme as %s", config->vs, text);
    out->url_b = config->vs;
    return find_target(config, other->address, config->vs, &out->target_b);
}

/* At a time: those in use, and those that rest behind connections that were closed here. */
static uint64_t ports_wanted(const struct plan *plan)
{
    uint64_t wanted = plan->connections_max;
    struct spread_ports ports;
    if (!plan->reqs_per_conn || plan->load != PLAN_OPEN || plan->close != PLAN_CLOSE_FIN)
        return wanted;
    spread_read(&ports);
    double opens_per_s = plan_mean_rate(plan) / (double)plan->reqs_per_conn;
    return wanted + spread_resting(&ports, opens_per_s, plan->warmup_ns + plan->duration_ns,
                                   spread_is_loopback(&plan->target));
}

/* None of this machine's: said now, and not by each connection. */
static int check_sources(const struct pf_address *sources, int count)
{
    char text[PF_ADDRESS_TEXT_MAX];
    for (int i = 0; i < count; i++) {
        const struct pf_address *from = &sources[i];
        int fd = socket(from->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int err = 0;
        if (fd >= 0 && bind(fd, (const struct sockaddr *)&from->storage, from->len) != 0)
            err = errno;
        if (fd >= 0)
            close(fd);
        if (err == EADDRNOTAVAIL)
            return cli_fail("--src %s: is no address of this machine; give one that "
                            "\"ip address\" lists, or auto",
                            pf_address_format(from, text));
    }
    return 0;
}

int cli_find_sources(const struct cli_config *config, struct cli *out)
{
    char why[PHRASE_MAX];
    int count = sources_parse(config->src, &out->plan.target, ports_wanted(&out->plan),
                              &out->sources, why, sizeof why);
    if (count == -ENOMEM)
        return cli_fail("out of memory");
    if (count < 0)
        return cli_fail("--src %s", why);
    out->plan.sources = out->sources;
    out->plan.source_count = (unsigned)count;
    return check_sources(out->sources, count);
}
