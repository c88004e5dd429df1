/*
 * forwarded.c - see forwarded.h.
 */
#include "http/forwarded.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

/* ---- addresses ------------------------------------------------------------------- */

/* As 16 bytes; false: it is not an address of the internet. */
static bool bytes_of(const struct pf_address *address, uint8_t bytes[16])
{
    if (address->storage.ss_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, &address->storage, sizeof in);
        memcpy(bytes, mapped, sizeof mapped);
        memcpy(bytes + sizeof mapped, &in.sin_addr, 4);
        return true;
    }
    if (address->storage.ss_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, &address->storage, sizeof in6);
        memcpy(bytes, &in6.sin6_addr, 16);
        return true;
    }
    return false;
}

/* Without a port. */
static struct pf_address address_of(int family, const void *bytes)
{
    struct pf_address address = {0};
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
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

/* A literal, without brackets or a port. */
static bool read_literal(struct pf__text text, struct pf_address *address)
{
    char copy[INET6_ADDRSTRLEN];
    unsigned char bytes[16];
    if (text.len >= sizeof copy || pf__text_find(text, '\0') < text.len)
        return false;
    memcpy(copy, text.len > 0 ? text.at : "", text.len);
    copy[text.len] = '\0';
    int family = strchr(copy, ':') ? AF_INET6 : AF_INET;
    if (inet_pton(family, copy, bytes) != 1)
        return false;
    *address = address_of(family, bytes);
    return true;
}

static bool is_port(struct pf__text text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!pf__is_digit(text.at[i]))
            return false;
    return text.len >= 1 && text.len <= 5;
}

/* 192.0.2.1, 192.0.2.1:80, 2001:db8::1, [2001:db8::1], [2001:db8::1]:80 */
static bool read_node(struct pf__text text, struct pf_address *address)
{
    size_t colon = pf__text_find(text, ':'), bracket = pf__text_find(text, ']');
    struct pf__text host = text, behind = {NULL, 0};
    if (text.len > 0 && text.at[0] == '[') {
        if (bracket == text.len || colon > bracket)
            return false;
        host = (struct pf__text){text.at + 1, bracket - 1};
        behind = pf__text_skip(text, bracket + 1);
    } else if (pf__text_find(text, '.') < colon) {
        host = (struct pf__text){text.at, colon};
        behind = pf__text_skip(text, colon);
    }
    if (behind.len > 0 && (behind.at[0] != ':' || !is_port(pf__text_skip(behind, 1))))
        return false;
    return read_literal(host, address);
}

char *pf__client_format(const struct pf_address *address, char *text)
{
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    switch (address->storage.ss_family) {
    case AF_INET:
        memcpy(&in, &address->storage, sizeof in);
        (void)inet_ntop(AF_INET, &in.sin_addr, text, PF_ADDRESS_TEXT_MAX);
        return text;
    case AF_INET6:
        memcpy(&in6, &address->storage, sizeof in6);
        (void)inet_ntop(AF_INET6, &in6.sin6_addr, text, PF_ADDRESS_TEXT_MAX);
        return text;
    default:
        return pf_address_format(address, text);
    }
}

/* ---- networks -------------------------------------------------------------------- */

/* Of `bits` at the most; -1: it is no number of bits. */
static int prefix_of(struct pf__text text, int bits)
{
    int prefix = 0;
    for (size_t i = 0; i < text.len && i < 3; i++) {
        if (!pf__is_digit(text.at[i]))
            return -1;
        prefix = prefix * 10 + (text.at[i] - '0');
    }
    return text.len >= 1 && text.len <= 3 && prefix <= bits ? prefix : -1;
}

static bool read_network(struct pf__text text, struct pf__network *network)
{
    struct pf_address address;
    struct pf__text host = {text.at, pf__text_find(text, '/')};
    if (!read_literal(host, &address) || !bytes_of(&address, network->address))
        return false;
    int bits = address.storage.ss_family == AF_INET ? 32 : 128, prefix = bits;
    if (host.len < text.len)
        prefix = prefix_of(pf__text_skip(text, host.len + 1), bits);
    network->prefix = (uint8_t)(128 - bits + prefix);
    return prefix >= 0;
}

int pf__networks_parse(struct pf__text text, struct pf__text *bad, struct pf__networks *out)
{
    struct pf__networks read = {0};
    struct pf__text item;
    while (pf__text_split(&text, ',', &item)) {
        struct pf__network network;
        item = pf__text_trim(item);
        if (item.len == 0)
            continue;
        if (pf__text_is_word(item, "unix")) {
            read.unix_sockets = true;
            continue;
        }
        if (!read_network(item, &network)) {
            if (bad)
                *bad = item;
            return -EINVAL;
        }
        if (read.count == PF__NETWORKS_MAX)
            return -ENOSPC;
        read.at[read.count++] = network;
    }
    *out = read;
    return 0;
}

static bool has(const struct pf__network *network, const uint8_t bytes[16])
{
    size_t whole = network->prefix / 8;
    unsigned rest = network->prefix % 8;
    if (memcmp(network->address, bytes, whole) != 0)
        return false;
    return rest == 0 || (network->address[whole] ^ bytes[whole]) >> (8 - rest) == 0;
}

bool pf__networks_have(const struct pf__networks *networks,
                       const struct pf_address *address)
{
    uint8_t bytes[16];
    if (pf_address_is_unix(address))
        return networks->unix_sockets;
    if (!bytes_of(address, bytes))
        return false;
    for (size_t i = 0; i < networks->count; i++)
        if (has(&networks->at[i], bytes))
            return true;
    return false;
}

/* ---- the client ------------------------------------------------------------------ */

/* Take what is behind the last comma off the text. */
static struct pf__text take_last(struct pf__text *text)
{
    size_t from = text->len;
    while (from > 0 && text->at[from - 1] != ',')
        from--;
    struct pf__text last = pf__text_trim(pf__text_skip(*text, from));
    text->len = from > 0 ? from - 1 : 0;
    return last;
}

/* Go from right to left for as long as the addresses are trusted. */
static void follow(const struct pf__networks *trusted, struct pf__texts lines,
                   struct pf_address *client)
{
    for (size_t i = lines.count; i-- > 0;) {
        struct pf__text rest = lines.at[i];
        while (rest.len > 0) {
            struct pf__text item = take_last(&rest);
            if (item.len == 0)
                continue;
            if (!read_node(item, client) || !pf__networks_have(trusted, client))
                return;
        }
    }
}

static void read_scheme(const struct pf__forwarded *forwarded, bool *https)
{
    struct pf__text field =
        forwarded->x_scheme.at ? forwarded->x_scheme : forwarded->x_forwarded_proto;
    struct pf__text scheme = take_last(&field);
    if (pf__text_is_word(scheme, "https"))
        *https = true;
    else if (pf__text_is_word(scheme, "http"))
        *https = false;
}

void pf__forwarded_client(const struct pf__networks *trusted, const struct pf_address *peer,
                          bool peer_https, const struct pf__forwarded *forwarded,
                          struct pf__client *client)
{
    *client = (struct pf__client){*peer, peer_https};
    if (!pf__networks_have(trusted, peer))
        return;
    follow(trusted, forwarded->x_forwarded_for, &client->address);
    (void)read_node(pf__text_trim(forwarded->x_real_ip), &client->address);
    read_scheme(forwarded, &client->https);
}
