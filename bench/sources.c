#include "bench/sources.h"

#include "bench/plan.h"
#include "bench/spread.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 64

static int refuse(char *why, size_t why_len, const char *text, const char *what)
{
    snprintf(why, why_len, "'%.60s': %s", text, what);
    return -EINVAL;
}

static void set_v4(struct pf_address *out, uint32_t address)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(address)};
    *out = (struct pf_address){.len = sizeof in};
    memcpy(&out->storage, &in, sizeof in);
}

static int spread(const struct pf_address *target, uint64_t connections,
                  struct pf_address **out)
{
    if (!spread_is_loopback(target))
        return 0;
    struct spread_ports ports;
    spread_read(&ports);
    unsigned count = spread_sources_fast(&ports, connections);
    if (count <= 1)
        return 0;
    if (count > PLAN_SOURCES_MAX)
        count = PLAN_SOURCES_MAX;
    *out = calloc(count, sizeof **out);
    if (!*out)
        return -ENOMEM;
    for (unsigned i = 0; i < count; i++)
        spread_source(i, &(*out)[i]);
    return (int)count;
}

/* All hosts of a network of IPv4; of /31 and /32 all addresses. */
static int read_network(const char *text, struct pf_address **out, char *why,
                        size_t why_len)
{
    char address[TEXT_MAX];
    struct in_addr base;
    char *end;
    const char *slash = strchr(text, '/');
    unsigned long bits = strtoul(slash + 1, &end, 10);
    snprintf(address, sizeof address, "%.*s", (int)(slash - text), text);
    if (inet_pton(AF_INET, address, &base) != 1 || *end || end == slash + 1 || bits > 32 ||
        bits < 8)
        return refuse(why, why_len, text, "must be a network such as 10.0.0.0/28");
    uint32_t mask = UINT32_MAX << (32 - bits), first = ntohl(base.s_addr) & mask;
    uint64_t count = UINT64_C(1) << (32 - bits);
    if (count > 2) { /* without the network's own address and the broadcast one */
        count -= 2;
        first++;
    }
    if (count > PLAN_SOURCES_MAX)
        count = PLAN_SOURCES_MAX;
    *out = calloc(count, sizeof **out);
    if (!*out)
        return -ENOMEM;
    for (uint32_t i = 0; i < count; i++)
        set_v4(&(*out)[i], first + i);
    return (int)count;
}

static int read_one(const char *text, struct pf_address *out)
{
    struct in_addr v4;
    struct sockaddr_in6 in = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &v4) == 1) {
        set_v4(out, ntohl(v4.s_addr));
        return 0;
    }
    if (inet_pton(AF_INET6, text, &in.sin6_addr) != 1)
        return -EINVAL;
    *out = (struct pf_address){.len = sizeof in};
    memcpy(&out->storage, &in, sizeof in);
    return 0;
}

static int read_list(const char *text, struct pf_address **out, char *why, size_t why_len)
{
    size_t most = 1, count = 0;
    for (const char *at = text; *at; at++)
        most += *at == ',';
    if (most > PLAN_SOURCES_MAX)
        return refuse(why, why_len, text, "too many addresses");
    *out = calloc(most, sizeof **out);
    if (!*out)
        return -ENOMEM;
    for (const char *at = text; count < most; count++) {
        char one[TEXT_MAX];
        size_t len = strcspn(at, ",");
        snprintf(one, sizeof one, "%.*s", (int)(len < TEXT_MAX ? len : TEXT_MAX - 1), at);
        if (read_one(one, &(*out)[count]) != 0) {
            free(*out);
            *out = NULL;
            return refuse(why, why_len, one, "must be auto, a network or an address");
        }
        at += len + (at[len] == ',');
    }
    return (int)count;
}

int sources_parse(const char *text, const struct pf_address *target, uint64_t connections,
                  struct pf_address **out, char *why, size_t why_len)
{
    *out = NULL;
    if (strcmp(text, "auto") == 0)
        return spread(target, connections, out);
    if (pf_address_is_unix(target))
        return refuse(why, why_len, text, "a unix socket has no source address");
    int count = strchr(text, '/') ? read_network(text, out, why, why_len)
                                  : read_list(text, out, why, why_len);
    for (int i = 0; i < count; i++)
        if ((*out)[i].storage.ss_family != target->storage.ss_family) {
            free(*out);
            *out = NULL;
            return refuse(why, why_len, text, "is of another family than the target");
        }
    return count;
}
