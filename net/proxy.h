/*
 * proxy.h - the PROXY protocol, versions 1 and 2: a line or a few bytes in front of all
 * else on a connection, by which a proxy says whose it is.
 *
 * For peers that are trusted to send it, and then it has to be there: whether a connection
 * begins with it must not be for the client to choose. Source:
 * haproxy.org/download/2.6/doc/proxy-protocol.txt.
 */
#ifndef PREFORK_NET_PROXY_H
#define PREFORK_NET_PROXY_H

#include "net/address.h"

/* A header that is longer is refused; so a buffer of this size is enough. Version 1 takes
 * 107 bytes at the most. */
#define PF_PROXY_HEADER_MAX 4096

struct pf_proxy {
    bool is_known; /* false: the proxy's own connection (LOCAL), or one of another kind
                    * (UNKNOWN, UNSPEC): the peer is who it seems to be */
    struct pf_address source, destination; /* if is_known */
};

/*
 * Read the header from the first `len` bytes of a connection.
 *
 * Returns its length, which is at least 13, and *out; what follows it is the connection's
 * own. Or 0: more bytes are needed, read on and ask again from the first byte. Or -EPROTO
 * (a connection without such a header, or a malformed one; said as soon as it is seen), or
 * -EMSGSIZE (longer than PF_PROXY_HEADER_MAX). Additions to version 2 (TLVs) are passed
 * over and not looked at, nor is their checksum. Pure. Cost: linear in the header.
 */
int pf__proxy_parse(const char *data, size_t len, struct pf_proxy *out);

#endif
