/*
 * address.h - socket addresses as a user writes them.
 */
#ifndef PREFORK_NET_ADDRESS_H
#define PREFORK_NET_ADDRESS_H

#include <prefork/base.h>
#include <sys/socket.h>

/* Any socket address, with its length; by value. What the kernel fills in is a stream's. */
struct pf_address {
    socklen_t len;
    bool datagram; /* meant for SOCK_DGRAM; else for SOCK_STREAM */
    struct sockaddr_storage storage;
};

/* "udp:[0123:4567:...:255.255.255.255%interface]:65535", or "unix:" and 108 bytes; a NUL.
 */
#define PF_ADDRESS_TEXT_MAX 128

/* What one piece of text can stand for at the most. */
#define PF_ADDRESSES_MAX 16

/*
 * Read the text into up to PF_ADDRESSES_MAX addresses, for a server to bind or a client to
 * connect to.
 *
 *     127.0.0.1:80   [::1]:80   one literal; an IPv6 literal stands in brackets
 *     name:80                   each address that getaddrinfo(3) gives for the name
 *     :80   *:80                0.0.0.0 and [::], in this order
 *     80                        refused: it reads like half an address
 *     udp:HOST:PORT             the same ones, for datagrams
 *     unix:/path                a unix stream socket; its path is absolute, of at most 107
 *                               bytes, and is not looked at
 *     unix:@name                one in Linux's abstract name space, without a file: every
 *                               user may connect to it
 *
 * A host whose name is "udp" or "unix" is to be given by its address. Port 0 is allowed:
 * the kernel picks. Returns how many were stored (at least 1), or -EINVAL with a phrase in
 * `why` (why_len bytes) that says what is wrong and what would be right, without repeating
 * the text. Blocks only for a name that needs a look-up. Source: unix(7), getaddrinfo(3).
 */
int pf_address_parse(const char *text, struct pf_address *out, char *why, size_t why_len);

/*
 * Write it into text[PF_ADDRESS_TEXT_MAX] as pf_address_parse() reads it; returns text. A
 * peer on a unix socket has no name as a rule: "unix:". A byte of an abstract name that is
 * not printable is written as '?'; another family as "?".
 */
char *pf_address_format(const struct pf_address *address, char *text);

/* The port, in host order; 0 for families without one. */
unsigned pf_address_port(const struct pf_address *address);
void pf_address_set_port(struct pf_address *address, unsigned port);

/* Of a unix socket with a file: its path, borrowed from the address, whose `len` is at most
 * sizeof storage. Else NULL. */
const char *pf_address_path(const struct pf_address *address);

/* Is it a unix socket's, with a file or without? */
bool pf_address_is_unix(const struct pf_address *address);

/* Would both bind to the same? Two with port 0 would not: each gets a port of its own. */
bool pf_address_equal(const struct pf_address *a, const struct pf_address *b);

#endif
