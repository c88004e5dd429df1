/*
 * address.h - socket addresses as a user writes them.
 */
#ifndef PREFORK_NET_ADDRESS_H
#define PREFORK_NET_ADDRESS_H

#include <prefork/base.h>
#include <sys/socket.h>

/* Any socket address, with its length; by value. */
struct pf_address {
    socklen_t len;
    struct sockaddr_storage storage;
};

/* "[0123:4567:...:255.255.255.255%interface]:65535" and a NUL. */
#define PF_ADDRESS_TEXT_MAX 128

/* What one piece of text can stand for at the most. */
#define PF_ADDRESSES_MAX 16

/*
 * Read "HOST:PORT" into up to PF_ADDRESSES_MAX addresses, for a server to bind or a client
 * to connect to.
 *
 *     127.0.0.1:80   [::1]:80   one literal; an IPv6 literal stands in brackets
 *     name:80                   each address that getaddrinfo(3) gives for the name
 *     :80   *:80                0.0.0.0 and [::], in this order
 *     80                        refused: it reads like half an address
 *
 * Port 0 is allowed: the kernel picks. Returns how many were stored (at least 1), or
 * -EINVAL with a phrase in `why` (why_len bytes) that says what is wrong and what would be
 * right, without repeating the text. Blocks only for a name that needs a look-up.
 */
int pf_address_parse(const char *text, struct pf_address *out, char *why, size_t why_len);

/* Write "127.0.0.1:80" or "[::1]:80" into text[PF_ADDRESS_TEXT_MAX]; returns text. */
char *pf_address_format(const struct pf_address *address, char *text);

/* The port, in host order; 0 for families without one. */
unsigned pf_address_port(const struct pf_address *address);
void pf_address_set_port(struct pf_address *address, unsigned port);

#endif
