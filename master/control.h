/*
 * control.h - the control socket: one for each server, named by its address.
 *
 * The lock beside it is what keeps two servers of one user off the same address: see
 * net/listener_file.h.
 *
 * A request is one line, the answer one line of JSON, then the connection is closed. This
 * knows one request, "ping"; the others are a table of functions that it is handed. Only
 * the server's own user and root are answered.
 */
#ifndef PREFORK_MASTER_CONTROL_H
#define PREFORK_MASTER_CONTROL_H

#include "net/acceptor.h"
#include "net/conn.h"
#include "net/listener_file.h"

#define PF__CONTROL_PATH_MAX PF_LISTENER_PATH_MAX
/* A request is a line of at most so many bytes, and comes within so much time. */
#define PF__CONTROL_REQUEST_MAX 1024
#define PF__CONTROL_TIMEOUT_NS  (5 * PF_SECOND)
/* Clients at a time; one more is closed at once. */
#define PF__CONTROL_CLIENTS_MAX 16
/* An answer's bytes. A lane takes 200 in that to "status", so this is for twice as many as
 * there may be. A client that does not read it is let go of as net/conn.h says. */
#define PF__CONTROL_ANSWER_MAX (16 * 1024 * 1024)

#define PF__CONTROL_SUFFIX ".ctl"

/*
 * Answer a request: *out is one line of JSON of *len bytes without its newline, from
 * malloc(3); freed after it was sent. Returns 0, or a negative errno, which the client is
 * told. Runs in the master's loop: it must not block.
 */
typedef int pf__control_fn(void *arg, char **out, size_t *len);

struct pf__control_command {
    const char *name; /* the request; letters and '-'. NULL ends a table */
    pf__control_fn *fn;
};

struct pf__control {
    int socket_fd;                /* -1: none */
    struct pf_listener_file file; /* the lock, and what is removed in the end */
    pf_acceptor *acceptor;
    pf_conns *clients;
    const struct pf__control_command *commands;
    void *arg; /* theirs */
};
#define PF__CONTROL_NONE                                                                   \
    {                                                                                      \
        .socket_fd = -1, .file = PF_LISTENER_FILE_NONE                                     \
    }

/*
 * The directory of control sockets: $RUNTIME_DIRECTORY, else $XDG_RUNTIME_DIR/prefork, else
 * /run/prefork for root, else /tmp/prefork-UID. It need not be there. Returns 0, or
 * -ENAMETOOLONG.
 */
int pf__control_directory(char *path, size_t path_len);

/* The name in there of the socket of a server whose first address is this: the address,
 * with
 * '_' for each '/', and the suffix. What does not fit is cut off. */
void pf__control_name(const char *address, char *name, size_t name_len);

/*
 * Where the control socket of a server at `address` ("127.0.0.1:8888") is by default: in
 * the directory above, which is made if need be, for its owner only. Returns 0,
 * -ENAMETOOLONG, -EPERM (the directory is another user's) or what mkdir(2) failed with.
 */
int pf__control_default_path(const char *address, char *path, size_t path_len);

/*
 * Take the lock, bind the socket with mode 0600, answer requests through `loop`: with
 * `commands`, borrowed as long as it is open, and `arg` for them.
 *
 * Returns 0, what pf_listener_file_open() answers (-EADDRINUSE with the pid, or 0, of
 * whoever has it in *holder), or -ENOMEM; then nothing is open.
 */
int pf__control_open(struct pf__control *control, pf_loop *loop, const char *path,
                     const struct pf__control_command *commands, void *arg, int *holder);

/* Remove the files and close; in a child, and for one that is not open: only close. */
void pf__control_close(struct pf__control *control);

#endif
