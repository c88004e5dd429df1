/* address.c - see address.h. */
#include "net/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

enum {
    HOST_MAX = 256
};

/* Bytes of sockaddr_un before its name. */
#define UNIX_HEAD offsetof(struct sockaddr_un, sun_path)

static int wrong(char *why, size_t why_len, const char *text)
{
    snprintf(why, why_len, "%s", text);
    return -EINVAL;
}

/* Digits only, 0 to 65535: strtol(3) would take signs and spaces too. */
static int parse_port(const char *text)
{
    int port = 0;
    if (!*text)
        return -EINVAL;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return -EINVAL;
        port = port * 10 + (*text - '0');
        if (port > 65535)
            return -ERANGE;
    }
    return port;
}

/* Cut "HOST:PORT" in two. An IPv6 literal stands in brackets, which are taken off. */
static int split(const char *text, char *host, bool *literal6, const char **port, char *why,
                 size_t why_len)
{
    const char *end;
    *literal6 = text[0] == '[';
    if (*literal6) {
        end = strchr(text, ']');
        if (!end || end[1] != ':')
            return wrong(why, why_len, "must be [IPv6]:PORT, such as [::1]:8888");
        text++;
        *port = end + 2;
    } else {
        end = strrchr(text, ':');
        if (!end)
            return wrong(why, why_len,
                         "has no port; use HOST:PORT, or :PORT for every interface");
        if (strchr(text, ':') != end)
            return wrong(why, why_len,
                         "put an IPv6 address in brackets, such as [::1]:8888");
        *port = end + 1;
    }
    size_t len = (size_t)(end - text);
    if (len >= HOST_MAX)
        return wrong(why, why_len, "has a host name that is too long");
    memcpy(host, text, len);
    host[len] = 0;
    return 0;
}

static void make4(struct pf_address *out, uint32_t host_order, unsigned port)
{
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(host_order)};
    *out = (struct pf_address){.len = sizeof in};
    memcpy(&out->storage, &in, sizeof in);
}

static void make6(struct pf_address *out, const struct in6_addr *address, unsigned port)
{
    struct sockaddr_in6 in = {
        .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port), .sin6_addr = *address};
    *out = (struct pf_address){.len = sizeof in};
    memcpy(&out->storage, &in, sizeof in);
}

/* Only a name that could be one: getaddrinfo(3) would read "1.2.3" as 1.2.0.3. */
static bool looks_numeric(const char *host)
{
    return host[strspn(host, "0123456789.")] == 0;
}

static int look_up(const char *host, const char *port, bool literal6,
                   struct pf_address *out, char *why, size_t why_len)
{
    struct addrinfo hints = {.ai_family = literal6 ? AF_INET6 : AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICSERV | (literal6 ? AI_NUMERICHOST : 0)};
    struct addrinfo *found = NULL;
    int err = getaddrinfo(host, port, &hints, &found);
    if (err) {
        if (literal6)
            return wrong(why, why_len, "is no IPv6 address; one is [::1]:8888");
        snprintf(why, why_len, "has a host that cannot be resolved (%s); use an address",
                 gai_strerror(err));
        return -EINVAL;
    }
    int n = 0;
    for (const struct addrinfo *a = found; a && n < PF_ADDRESSES_MAX; a = a->ai_next) {
        if (a->ai_addrlen > sizeof out[n].storage)
            continue;
        out[n] = (struct pf_address){.len = a->ai_addrlen};
        memcpy(&out[n++].storage, a->ai_addr, a->ai_addrlen);
    }
    freeaddrinfo(found);
    return n ? n : wrong(why, why_len, "has a host without an address; use another");
}

static int parse_unix(const char *name, struct pf_address *out, char *why, size_t why_len)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    size_t len = strlen(name);
    if (*name != '/' && *name != '@')
        return wrong(why, why_len, "must be an absolute unix:/PATH, or unix:@NAME");
    if (len == 1)
        return wrong(why, why_len, "has no name; use unix:/PATH, or unix:@NAME");
    if (len >= sizeof un.sun_path)
        return wrong(why, why_len,
                     *name == '@' ? "has a name that is too long; use at most 106 bytes"
                                  : "has a path that is too long; use at most 103 bytes");
    memcpy(un.sun_path, name, len + 1);
    if (*name == '@')
        un.sun_path[0] = 0; /* and its end is that of the address: unix(7) */
    else
        len++;
    *out = (struct pf_address){.len = (socklen_t)(UNIX_HEAD + len)};
    memcpy(&out->storage, &un, sizeof un);
    return 1;
}

static int parse_host_port(const char *text, struct pf_address *out, char *why,
                           size_t why_len)
{
    char host[HOST_MAX];
    const char *port_text;
    bool literal6;
    int err = split(text, host, &literal6, &port_text, why, why_len);
    if (err)
        return err;
    int port = parse_port(port_text);
    if (port < 0)
        return wrong(why, why_len, "has no valid port; it must be 0 to 65535");
    if (!literal6 && (!*host || strcmp(host, "*") == 0)) {
        make4(&out[0], INADDR_ANY, (unsigned)port);
        make6(&out[1], &in6addr_any, (unsigned)port);
        return 2;
    }
    struct in_addr four;
    if (!literal6 && inet_pton(AF_INET, host, &four) == 1) {
        make4(&out[0], ntohl(four.s_addr), (unsigned)port);
        return 1;
    }
    if (!literal6 && looks_numeric(host))
        return wrong(why, why_len, "is no IPv4 address; one is 127.0.0.1:8888");
    return look_up(host, port_text, literal6, out, why, why_len);
}

int pf_address_parse(const char *text, struct pf_address *out, char *why, size_t why_len)
{
    if (strncmp(text, "unix:", 5) == 0)
        return parse_unix(text + 5, out, why, why_len);
    bool datagram = strncmp(text, "udp:", 4) == 0;
    int count = parse_host_port(text + (datagram ? 4 : 0), out, why, why_len);
    for (int i = 0; i < count; i++)
        out[i].datagram = datagram;
    return count;
}

/* What follows the NUL of an abstract name is its bytes, whichever they are. */
static void format_unix(const struct pf_address *address, char *text)
{
    struct sockaddr_un un;
    memcpy(&un, &address->storage, sizeof un);
    size_t len = address->len > UNIX_HEAD ? address->len - UNIX_HEAD : 0;
    if (len > sizeof un.sun_path)
        len = sizeof un.sun_path;
    bool abstract = len > 0 && un.sun_path[0] == 0;
    if (!abstract)
        len = strnlen(un.sun_path, len);
    char *end = text + snprintf(text, PF_ADDRESS_TEXT_MAX, "unix:");
    for (size_t i = 0; i < len; i++) {
        char c = un.sun_path[i];
        *end++ = i == 0 && abstract ? '@' : abstract && (c < ' ' || c > '~') ? '?' : c;
    }
    *end = 0;
}

char *pf_address_format(const struct pf_address *address, char *text)
{
    char host[INET6_ADDRSTRLEN];
    const char *kind = address->datagram ? "udp:" : "";
    if (address->storage.ss_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, &address->storage, sizeof in);
        snprintf(text, PF_ADDRESS_TEXT_MAX, "%s%s:%u", kind,
                 inet_ntop(AF_INET, &in.sin_addr, host, sizeof host), ntohs(in.sin_port));
    } else if (address->storage.ss_family == AF_INET6) {
        struct sockaddr_in6 in;
        memcpy(&in, &address->storage, sizeof in);
        char scope[16] = "";
        if (in.sin6_scope_id)
            snprintf(scope, sizeof scope, "%%%u", in.sin6_scope_id);
        snprintf(text, PF_ADDRESS_TEXT_MAX, "%s[%s%s]:%u", kind,
                 inet_ntop(AF_INET6, &in.sin6_addr, host, sizeof host), scope,
                 ntohs(in.sin6_port));
    } else if (pf_address_is_unix(address)) {
        format_unix(address, text);
    } else {
        snprintf(text, PF_ADDRESS_TEXT_MAX, "?");
    }
    return text;
}

/* The port's place, which both families of struct sockaddr_in share. */
_Static_assert(offsetof(struct sockaddr_in, sin_port) ==
                   offsetof(struct sockaddr_in6, sin6_port),
               "the port is at the same place");

static bool has_port(const struct pf_address *address)
{
    return address->storage.ss_family == AF_INET || address->storage.ss_family == AF_INET6;
}

unsigned pf_address_port(const struct pf_address *address)
{
    struct sockaddr_in in;
    memcpy(&in, &address->storage, sizeof in);
    return has_port(address) ? ntohs(in.sin_port) : 0;
}

void pf_address_set_port(struct pf_address *address, unsigned port)
{
    struct sockaddr_in in;
    if (!has_port(address))
        return;
    memcpy(&in, &address->storage, sizeof in);
    in.sin_port = htons((uint16_t)port);
    memcpy(&address->storage, &in, sizeof in);
}

bool pf_address_is_unix(const struct pf_address *address)
{
    return address->storage.ss_family == AF_UNIX;
}

const char *pf_address_path(const struct pf_address *address)
{
    const char *path = (const char *)&address->storage + UNIX_HEAD;
    return pf_address_is_unix(address) && address->len > UNIX_HEAD && *path ? path : NULL;
}

bool pf_address_equal(const struct pf_address *a, const struct pf_address *b)
{
    if (has_port(a) && pf_address_port(a) == 0)
        return false;
    return a->datagram == b->datagram && a->len == b->len &&
           memcmp(&a->storage, &b->storage, a->len) == 0;
}
