/*
 * forwarded.h - who the client is when requests come through proxies that are trusted.
 *
 * A proxy that is trusted has to set, or to remove, all of the fields below: one that it
 * lets through is the client's word.
 *
 * Pure functions: any thread, any process.
 */
#ifndef PREFORK_HTTP_FORWARDED_H
#define PREFORK_HTTP_FORWARDED_H

#include "http/text.h"
#include "net/address.h"

#define PF__NETWORKS_MAX 64

/* 10.0.0.0/8 is kept as ::ffff:10.0.0.0/104, so that a peer is found in either form. */
struct pf__network {
    uint8_t address[16];
    uint8_t prefix; /* bits that count */
};

/* Zeroed, it trusts nobody. */
struct pf__networks {
    size_t count;
    bool unix_sockets; /* peers on unix sockets */
    struct pf__network at[PF__NETWORKS_MAX];
};

/*
 * Read "10.0.0.0/8, ::1, unix": addresses, networks, and the word for all peers on unix
 * sockets. Bits of an address behind its prefix do not count. Empty text: nobody.
 *
 * Returns 0, -EINVAL (something that is none of these; *bad is it, if `bad` is not NULL),
 * or -ENOSPC (more than PF__NETWORKS_MAX).
 */
int pf__networks_parse(struct pf__text text, struct pf__text *bad,
                       struct pf__networks *out);

/* Is the address in one of them? Cost: linear in the networks. */
bool pf__networks_have(const struct pf__networks *networks,
                       const struct pf_address *address);

/* What the proxies said; {NULL, 0} and {NULL, NULL} stand for fields that did not come. */
struct pf__forwarded {
    struct pf__texts x_forwarded_for;
    struct pf__text x_real_ip;
    struct pf__text x_scheme;
    struct pf__text x_forwarded_proto;
};

struct pf__client {
    struct pf_address address; /* the peer's, or one without a port */
    bool https;
};

/*
 * Who the client is, as Tornado's xheaders has it. A peer that is not trusted is the
 * client, whatever it sent. Behind a trusted one:
 *
 *     X-Forwarded-For    the rightmost address that is not trusted; if all are, the
 * leftmost X-Real-Ip          if it came and is an address, it wins over that X-Scheme,
 * else X-Forwarded-Proto     its last item, "https" or "http"
 *
 * Addresses may come with a port and in brackets. What is none is ignored, and with it all
 * that stands to the left of it. Cost: linear in the fields, for each network.
 */
void pf__forwarded_client(const struct pf__networks *trusted, const struct pf_address *peer,
                          bool peer_https, const struct pf__forwarded *forwarded,
                          struct pf__client *client);

/* Write the host alone, "192.0.2.1" or "2001:db8::1", into text[PF_ADDRESS_TEXT_MAX]; as
 * pf_address_format() does for unix sockets. Returns text. */
char *pf__client_format(const struct pf_address *address, char *text);

#endif
