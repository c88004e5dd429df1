/*
 * proxy.c - the PROXY protocol; see proxy.h. Sections are those of its specification.
 */
#include "net/proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

/* Section 2.1: with its CR LF. */
#define LINE_MAX_V1 107

static const char start_v1[] = "PROXY ";

/* Section 2.2. */
static const char start_v2[] = "\r\n\r\n\0\r\nQUIT\n";
#define START_V2_LEN (sizeof start_v2 - 1)
#define HEAD_V2_LEN  16

static struct pf_address address_of(int family, const void *bytes, uint16_t port_be)
{
    struct pf_address address = {0};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = port_be};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = port_be};
    if (family == AF_INET) {
        memcpy(&in.sin_addr, bytes, sizeof in.sin_addr);
        memcpy(&address.storage, &in, sizeof in);
        address.len = sizeof in;
    } else {
        memcpy(&in6.sin6_addr, bytes, sizeof in6.sin6_addr);
        memcpy(&address.storage, &in6, sizeof in6);
        address.len = sizeof in6;
    }
    return address;
}

/* ---- version 1: a line ----------------------------------------------------------- */

/* Take a word off [*at, end), and the one blank behind it unless it is the last. Into
 * out[size], with a NUL; false if it is empty or does not fit. */
static bool take_word(const char **at, const char *end, bool last, char *out, size_t size)
{
    const char *blank = memchr(*at, ' ', (size_t)(end - *at));
    if (last != !blank)
        return false;
    size_t len = (size_t)((blank ? blank : end) - *at);
    if (len == 0 || len >= size || memchr(*at, '\0', len))
        return false;
    memcpy(out, *at, len);
    out[len] = '\0';
    *at += len + !last;
    return true;
}

/* In network order; a number has one spelling. */
static bool read_port(const char *text, uint16_t *port_be)
{
    unsigned port = 0;
    if (text[0] == '0' && text[1])
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        port = port * 10 + (unsigned)(*text - '0');
    }
    *port_be = htons((uint16_t)port);
    return port <= 65535;
}

/* "192.0.2.1 192.0.2.2 56324 443" */
static int read_addresses(int family, const char *at, const char *end, struct pf_proxy *out)
{
    char source[INET6_ADDRSTRLEN], destination[INET6_ADDRSTRLEN];
    char source_port[6], destination_port[6];
    unsigned char from[16], to[16];
    uint16_t from_port, to_port;
    if (!take_word(&at, end, false, source, sizeof source) ||
        !take_word(&at, end, false, destination, sizeof destination) ||
        !take_word(&at, end, false, source_port, sizeof source_port) ||
        !take_word(&at, end, true, destination_port, sizeof destination_port))
        return -EPROTO;
    if (inet_pton(family, source, from) != 1 || inet_pton(family, destination, to) != 1 ||
        !read_port(source_port, &from_port) || !read_port(destination_port, &to_port))
        return -EPROTO;
    *out = (struct pf_proxy){true, address_of(family, from, from_port),
                             address_of(family, to, to_port)};
    return 0;
}

/* What stands between "PROXY " and the line's end. */
static int read_line(const char *at, const char *end, struct pf_proxy *out)
{
    static const char unknown[] = "UNKNOWN";
    size_t len = (size_t)(end - at), unknown_len = sizeof unknown - 1;
    if (len >= 5 && memcmp(at, "TCP4 ", 5) == 0)
        return read_addresses(AF_INET, at + 5, end, out);
    if (len >= 5 && memcmp(at, "TCP6 ", 5) == 0)
        return read_addresses(AF_INET6, at + 5, end, out);
    if (len < unknown_len || memcmp(at, unknown, unknown_len) != 0 ||
        (len > unknown_len && at[unknown_len] != ' '))
        return -EPROTO;
    *out = (struct pf_proxy){.is_known = false};
    return 0;
}

static int parse_v1(const char *data, size_t len, struct pf_proxy *out)
{
    size_t seen = len < LINE_MAX_V1 ? len : LINE_MAX_V1;
    const char *feed = memchr(data, '\n', seen);
    if (!feed)
        return seen == LINE_MAX_V1 ? -EPROTO : 0;
    if (feed[-1] != '\r')
        return -EPROTO;
    int err = read_line(data + strlen(start_v1), feed - 1, out);
    return err ? err : (int)(feed + 1 - data);
}

/* ---- version 2: bytes ------------------------------------------------------------ */

/* The path may fill all of its place. */
static struct pf_address unix_address_of(const char *path)
{
    struct pf_address address = {0};
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    size_t len = sizeof un.sun_path;
    memcpy(un.sun_path, path, len);
    while (len > 0 && !path[len - 1])
        len--;
    if (len > 0 && path[0]) /* not abstract: with its NUL, if there is room */
        len = strnlen(path, sizeof un.sun_path - 1) + 1;
    memcpy(&address.storage, &un, sizeof un);
    address.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    return address;
}

/* The addresses, both and then both ports; `datagram` is of both. */
static int read_block(int family, bool datagram, const char *at, size_t len,
                      struct pf_proxy *out)
{
    size_t size = family == AF_INET ? 4 : family == AF_INET6 ? 16 : 108;
    size_t ports = family == AF_UNIX ? 0 : 2;
    uint16_t from = 0, to = 0;
    if (len < 2 * (size + ports))
        return -EPROTO;
    memcpy(&from, at + 2 * size, ports);
    memcpy(&to, at + 2 * size + ports, ports);
    out->is_known = true;
    if (family == AF_UNIX) {
        out->source = unix_address_of(at);
        out->destination = unix_address_of(at + size);
    } else {
        out->source = address_of(family, at, from);
        out->destination = address_of(family, at + size, to);
    }
    out->source.datagram = out->destination.datagram = datagram;
    return 0;
}

static int parse_v2(const char *data, size_t len, struct pf_proxy *out)
{
    static const int families[] = {AF_UNSPEC, AF_INET, AF_INET6, AF_UNIX};
    struct pf_proxy read = {.is_known = false};
    if (len > START_V2_LEN && (unsigned char)data[12] >> 1 != 0x20 >> 1)
        return -EPROTO; /* neither LOCAL (0x20) nor PROXY (0x21) */
    if (len > START_V2_LEN + 1 &&
        ((unsigned char)data[13] >> 4 > 3 || (data[13] & 0x0f) > 2))
        return -EPROTO; /* section 2.2: other values must be rejected */
    if (len < HEAD_V2_LEN)
        return 0;
    size_t block = (size_t)(unsigned char)data[14] << 8 | (unsigned char)data[15];
    if (HEAD_V2_LEN + block > PF_PROXY_HEADER_MAX)
        return -EMSGSIZE;
    if (len < HEAD_V2_LEN + block)
        return 0;
    int family = families[(unsigned char)data[13] >> 4], transport = data[13] & 0x0f;
    int err = 0;
    if (data[12] == 0x21 && family != AF_UNSPEC && transport != 0)
        err = read_block(family, transport == 2, data + HEAD_V2_LEN, block, &read);
    if (err)
        return err;
    *out = read;
    return (int)(HEAD_V2_LEN + block);
}

/* ---- both ------------------------------------------------------------------------ */

/* Does it begin so, as far as it has come? */
static bool begins(const char *data, size_t len, const char *start, size_t start_len)
{
    size_t both = len < start_len ? len : start_len;
    return both == 0 || memcmp(data, start, both) == 0;
}

int pf__proxy_parse(const char *data, size_t len, struct pf_proxy *out)
{
    if (begins(data, len, start_v1, strlen(start_v1)))
        return len < strlen(start_v1) ? 0 : parse_v1(data, len, out);
    if (begins(data, len, start_v2, START_V2_LEN))
        return len < START_V2_LEN ? 0 : parse_v2(data, len, out);
    return -EPROTO;
}
