#include "bench/local.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <string.h>

/* An IPv4 address in its IPv6 form, so that there is one kind to compare. */
static bool to_in6(const struct sockaddr *address, struct in6_addr *out)
{
    if (!address)
        return false;
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, address, sizeof in6);
        *out = in6.sin6_addr;
        return true;
    }
    if (address->sa_family != AF_INET)
        return false;
    struct sockaddr_in in;
    memcpy(&in, address, sizeof in);
    memset(out, 0, sizeof *out);
    out->s6_addr[10] = out->s6_addr[11] = 0xff; /* ::ffff:a.b.c.d, RFC 4291 2.5.5.2 */
    memcpy(&out->s6_addr[12], &in.sin_addr, 4);
    return true;
}

static bool is_loopback_or_none(const struct in6_addr *address)
{
    static const uint8_t none4[4];
    if (IN6_IS_ADDR_V4MAPPED(address))
        return address->s6_addr[12] == 127 || memcmp(&address->s6_addr[12], none4, 4) == 0;
    return IN6_IS_ADDR_LOOPBACK(address) || IN6_IS_ADDR_UNSPECIFIED(address);
}

static bool is_an_interface(const struct in6_addr *address)
{
    struct ifaddrs *list;
    bool found = false;
    if (getifaddrs(&list) < 0)
        return false;
    for (const struct ifaddrs *at = list; at && !found; at = at->ifa_next) {
        struct in6_addr theirs;
        found = to_in6(at->ifa_addr, &theirs) && IN6_ARE_ADDR_EQUAL(&theirs, address);
    }
    freeifaddrs(list);
    return found;
}

bool local_is_ours(const struct pf_address *address)
{
    struct in6_addr in6;
    if (pf_address_is_unix(address))
        return true;
    if (!to_in6((const struct sockaddr *)&address->storage, &in6))
        return false;
    return is_loopback_or_none(&in6) || is_an_interface(&in6);
}
