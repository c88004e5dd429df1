/*
 * sources.h - local addresses to connect from, as --src gives them.
 *
 *     auto               as many of 127.0.0.0/8 as the connections need, if the target is
 * on loopback; else what the kernel picks 10.0.0.0/28        all of a network: 10.0.0.1
 * to 10.0.0.14 10.0.0.2,10.0.0.9  these; IPv6 too: fd00::2
 */
#ifndef PREFORK_BENCH_SOURCES_H
#define PREFORK_BENCH_SOURCES_H

#include "net/address.h"
#include <stdint.h>

/*
 * Returns how many there are, in *out, to be freed (NULL with 0: the kernel picks); or
 * -ENOMEM, or -EINVAL with a phrase in `why`: not an address, of another family than the
 * target, too many.
 */
int sources_parse(const char *text, const struct pf_address *target, uint64_t connections,
                  struct pf_address **out, char *why, size_t why_len);

#endif
