/*
 * bench_serve.h - `prefork-bench serve`, started for a test.
 */
#ifndef PREFORK_TESTS_LIB_BENCH_SERVE_H
#define PREFORK_TESTS_LIB_BENCH_SERVE_H

#include "tests/lib/bench.h"

/* With these options; `url` gets where it listens. To be ended by a signal, and waited for
 * by pf_bench_wait(). */
void pf_bench_serve(struct pf_bench *server, const char *options, char *url,
                    size_t url_len);

#endif
