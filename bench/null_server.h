/*
 * null_server.h - the least that answers HTTP, and all that a load tool should survive: it
 * may stand still, wait before each answer, close early, and send garbage.
 *
 *     null_server_new(loop, &options, &server);
 *     pf_loop_start(loop);       until somebody stops it
 *     null_server_free(server);
 *
 * A request costs a recv and a send; what was pipelined is answered with one send. Requests
 * are read by the library's parser, so bodies and HEAD are what they must be. While a
 * connection does not take its answers nothing more is read from it.
 */
#ifndef PREFORK_BENCH_NULL_SERVER_H
#define PREFORK_BENCH_NULL_SERVER_H

#include "bench/serve_script.h"
#include "net/address.h"
#include <prefork/loop.h>

#define NULL_SERVER_BODY_MAX (64 * 1024 * 1024)

struct null_server_options {
    const int *listeners; /* descriptors, borrowed */
    size_t listener_count;
    size_t body;          /* bytes of each answer's */
    unsigned status;      /* 200 .. 599 */
    uint64_t close_after; /* close behind so many answers of a connection, unannounced;
                             0: never */
    uint64_t garbage;     /* each so-manieth answer of all is no HTTP, and the last of its
                             connection; 0: none */
    int64_t delay_ns;     /* between a request and its answer; who asks when OWED_MAX
                             are waited for is closed */
    struct serve_script script;
};

struct null_server;

/* Returns 0, -ENOMEM, or what pf_acceptor_new() answers. The options are copied. */
int null_server_new(pf_loop *loop, const struct null_server_options *options,
                    struct null_server **out);
void null_server_free(struct null_server *server); /* before its loop is closed */

/* Answers given, garbage included, and connections accepted. */
uint64_t null_server_answers(const struct null_server *server);
uint64_t null_server_connections(const struct null_server *server);

#endif
