/*
 * server_side.h - what the load costs the server: CPU time, memory, and how evenly its
 * workers share it. Of any server from /proc of its process tree; of a prefork server from
 * its control socket as well.
 *
 *     server_side_open("auto", &address, &side, why, sizeof why);
 *     server_side_begin(side);
 *     server_side_sample(side, row);                each second
 *     server_side_end(side, &result->server);
 *
 * "auto" finds the process that listens on the address (net/holder.h), the root of its tree
 * that holds the socket too, and its control socket, if it is a prefork server: the one
 * that it listens on itself (ctl.h). If the root ends, whoever serves there next is looked
 * for. The workers are the processes below the root that hold the listening socket, else
 * those without children.
 *
 * None of it can fail a run: what cannot be read is unknown. Context switches are those of
 * processes that live at the end.
 */
#ifndef PREFORK_BENCH_SERVER_SIDE_H
#define PREFORK_BENCH_SERVER_SIDE_H

#include "bench/result.h"
#include "net/address.h"

struct server_side;

/*
 * spec: "auto", "none", "pid:N", "unix:PATH" (a prefork server's control socket).
 * Returns 0; with "auto" and nothing found the side is one of RESULT_SOURCE_NONE. Or
 * -EINVAL (a spec of another form), -ESRCH (no such process, nobody answers on PATH),
 * -ENOMEM, with a phrase in `why`.
 */
int server_side_open(const char *spec, const struct pf_address *target,
                     struct server_side **out, char *why, size_t why_len);
void server_side_close(struct server_side *side);

/* The measurement begins: remember all counters. */
void server_side_begin(struct server_side *side);

/* Fill in row->server_cpu_ns (since the sample before) and row->server_rss. Workers that
 * came and went meanwhile are noticed here. Cost: a few files of /proc for each process. */
void server_side_sample(struct server_side *side, struct result_row *row);

/* It is over: fill in all of `out`. */
void server_side_end(struct server_side *side, struct result_server *out);

/* The root process, or -1. */
int64_t server_side_pid(const struct server_side *side);

#endif
