/*
 * conns.c - the set of connections of one loop; see conn.h.
 */
#include "net/conn_internal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int pf_conns_new(pf_loop *loop, const struct pf_conns_options *options, pf_conns **out)
{
    int err = pf_loop_check(loop);
    if (err)
        return err;
    if (!options || !options->protocol || !options->protocol->on_data || !out)
        return -EINVAL;
    pf_conns *conns = malloc(sizeof *conns); /* the two buffers need no zeroing */
    if (!conns)
        return -ENOMEM;
    memset(conns, 0, offsetof(struct pf_conns, batch));
    conns->loop = pf_loop_ref(loop);
    conns->cookie = pf__process_cookie();
    conns->options = *options;
    conns->ignores_pipe_signal = pf__conn_ignores_pipe_signal();
    if (!conns->options.input_max)
        conns->options.input_max = PF_CONN_INPUT_MAX;
    if (!conns->options.output_max)
        conns->options.output_max = PF_CONN_OUTPUT_MAX;
    memcpy(conns->timeouts_ns, options->timeouts_ns, sizeof options->timeouts_ns);
    conns->timeouts_ns[PF__LIST_STALL] = PF_CONN_STALL_NS;
    conns->timeouts_ns[PF__LIST_LINGER] = PF_CONN_LINGER_NS;
    conns->timeouts_ns[PF__LIST_PROBE] = PF_CONN_PROBE_NS;
    conns->timer_at = PF_NEVER;
    *out = conns;
    return 0;
}

/* In a child, or after the loop was closed: what is ours in this process, and no more. */
static void let_go(pf_conn *conn)
{
    pf__conn_unlist(conn);
    close(conn->fd);
    pf__conn_drop_file(conn);
    free(conn->in);
    free(conn->out);
    free(conn);
}

void pf_conns_free(pf_conns *conns)
{
    if (!conns)
        return;
    int err = pf_loop_check(conns->loop);
    if (err == -EPERM)
        return; /* a foreign thread: better leaked than freed under the loop's feet */
    bool usable = err == 0;
    for (int i = 0; i < PF__LISTS; i++) {
        while (conns->lists[i].first) {
            if (usable)
                pf__conn_end(conns->lists[i].first, 0);
            else
                let_go(conns->lists[i].first);
        }
    }
    if (usable)
        (void)pf_loop_remove_timeout(conns->loop, conns->timer);
    pf_loop_unref(conns->loop);
    free(conns);
}

size_t pf_conns_count(const pf_conns *conns)
{
    return conns->count;
}

pf_conn *pf_conns_first(const pf_conns *conns, unsigned which)
{
    return conns->lists[which].first;
}

/* fn may move connections between lists, end them, and so on: the cursor is kept right by
 * pf__conn_unlist(), and a mark tells the ones that moved behind it. */
void pf_conns_each(pf_conns *conns, void (*fn)(pf_conn *conn, void *arg), void *arg)
{
    if (pf_loop_check(conns->loop) != 0)
        return;
    conns->visit++;
    for (int i = 0; i < PF__LISTS; i++) {
        conns->cursor = conns->lists[i].first;
        while (conns->cursor) {
            pf_conn *conn = conns->cursor;
            conns->cursor = conn->next;
            if (conn->visited != conns->visit) {
                conn->visited = conns->visit;
                fn(conn, arg);
            }
        }
    }
}
