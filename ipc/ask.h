/*
 * ask.h - one question to whoever listens on a unix socket, and the answer: a line out, all
 * until the end of file back. What is asked so is control.h's; who asks are preforkctl and
 * prefork-bench, which block meanwhile.
 */
#ifndef PREFORK_IPC_ASK_H
#define PREFORK_IPC_ASK_H

#include <stddef.h>
#include <stdint.h>

/*
 * A descriptor connected to the socket at `path`: yours, non-blocking, close-on-exec.
 * Returns it, or -ENOENT, -ECONNREFUSED (nobody listens), -EACCES, -ENAMETOOLONG,
 * -ETIMEDOUT (whoever listens has not accepted for timeout_ns) or another errno of
 * connect(2).
 */
int pf__ask_connect(const char *path, int64_t timeout_ns);

/*
 * Send the question, a line without its newline, and read the answer: in *answer, yours to
 * free, *len bytes with a NUL behind them.
 *
 * timeout_ns  to be accepted, and then for what is left of it
 * most        bytes; a longer answer is -EPROTO
 *
 * Returns 0, -EINVAL (a question of 64 bytes or more), an error of pf__ask_connect(),
 * -ETIMEDOUT, -ECONNRESET, -EPIPE, -EPROTO or -ENOMEM; then *answer is untouched.
 */
int pf__ask(const char *path, const char *question, int64_t timeout_ns, size_t most,
            char **answer, size_t *len);

#endif
