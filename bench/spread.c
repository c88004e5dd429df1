#include "bench/spread.h"

#include "bench/sysctl.h"
#include "bench/time_wait.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

/* 127.64.0.0: far from the addresses that people use by hand. */
#define SOURCES_BASE 0x7f400000u

void spread_read(struct spread_ports *out)
{
    *out = (struct spread_ports){.low = 32768, .high = 60999, .reuse = -1};
    int64_t numbers[2];
    if (sysctl_read("net/ipv4/ip_local_port_range", numbers, 2) == 2 && numbers[0] > 0 &&
        numbers[0] <= numbers[1] && numbers[1] <= 65535) {
        out->low = (unsigned)numbers[0];
        out->high = (unsigned)numbers[1];
    }
    if (sysctl_read("net/ipv4/tcp_tw_reuse", numbers, 1) == 1)
        out->reuse = (int)numbers[0];
}

unsigned spread_ports_each(const struct spread_ports *ports)
{
    return ports->high - ports->low + 1;
}

bool spread_is_loopback(const struct pf_address *target)
{
    if (target->storage.ss_family != AF_INET)
        return false;
    struct sockaddr_in in;
    memcpy(&in, &target->storage, sizeof in);
    return ntohl(in.sin_addr.s_addr) >> 24 == 127;
}

static unsigned sources_of(uint64_t connections, uint64_t each)
{
    uint64_t sources = (connections + each - 1) / each;
    return sources ? (unsigned)sources : 1;
}

unsigned spread_sources_for(const struct spread_ports *ports, uint64_t connections)
{
    return sources_of(connections, spread_ports_each(ports));
}

unsigned spread_sources_fast(const struct spread_ports *ports, uint64_t connections)
{
    unsigned half = spread_ports_each(ports) / 2;
    return sources_of(connections, half ? half : 1);
}

void spread_source(unsigned n, struct pf_address *out)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    /* No last byte is 0 or 255. */
    in.sin_addr.s_addr = htonl(SOURCES_BASE + n / 254 * 256 + n % 254 + 1);
    memset(out, 0, sizeof *out);
    memcpy(&out->storage, &in, sizeof in);
    out->len = sizeof in;
}

uint64_t spread_resting(const struct spread_ports *ports, double opens_per_s,
                        int64_t duration_ns, bool loopback)
{
    double seconds = time_wait_rest_s(ports->reuse, loopback);
    if ((double)duration_ns / 1e9 < seconds)
        seconds = (double)duration_ns / 1e9;
    return opens_per_s > 0 ? (uint64_t)(opens_per_s * seconds) : 0;
}

double spread_rate_most(const struct spread_ports *ports, unsigned sources, bool loopback)
{
    return (double)spread_ports_each(ports) * sources /
           time_wait_rest_s(ports->reuse, loopback);
}
