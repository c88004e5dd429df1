/*
 * local.h - is an address one of this machine's own?
 */
#ifndef PREFORK_BENCH_LOCAL_H
#define PREFORK_BENCH_LOCAL_H

#include "net/address.h"

/*
 * A unix socket; loopback; the address of an interface that this process sees; or none at
 * all (0.0.0.0 and ::, which lead to loopback). Not what could merely be bound: a machine
 * may be set up to bind any address. If the interfaces cannot be read: loopback alone.
 */
bool local_is_ours(const struct pf_address *address);

#endif
