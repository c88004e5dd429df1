/*
 * listener_file.h - a unix socket with a file: taken over from the dead, never from the
 * living.
 *
 * Whoever has the lock on PATH.lock (lock_file.h) owns PATH. That file is never removed.
 *
 * The socket is bound to PATH.new, listens, and is then renamed over PATH: whoever connects
 * finds the old socket or the new one, and never one that does not listen. A socket file
 * that a killed server left is replaced by that. One surprise: getsockname(2), and ss(8),
 * go on saying PATH.new.
 *
 * FORK. A child inherits the lock, and would keep it after its parent's end: each child
 * calls pf_listener_file_release() at once, which does no more than close there.
 */
#ifndef PREFORK_NET_LISTENER_FILE_H
#define PREFORK_NET_LISTENER_FILE_H

#include "net/listener.h"

#include <sys/types.h>

/* Bytes of a path, its NUL included: ".new" has to fit into sun_path as well. */
#define PF_LISTENER_PATH_MAX 104

/* What the owner of a socket file keeps. PF_LISTENER_FILE_NONE before it is opened. */
struct pf_listener_file {
    int lock_fd; /* -1: nothing is held */
    pid_t owner;
    dev_t dev; /* of the socket file, as it was made */
    ino_t ino;
    char path[PF_LISTENER_PATH_MAX];
};
#define PF_LISTENER_FILE_NONE                                                              \
    {                                                                                      \
        .lock_fd = -1                                                                      \
    }

/*
 * Take the lock and make the socket at `path`; of the options backlog and unix_mode are
 * looked at. The socket is non-blocking and close-on-exec.
 *
 * Returns its descriptor, yours, with *file filled in; or -EADDRINUSE with whoever has it
 * in *holder, its process id or 0: a server that has the lock, or one without it that
 * listens at the path; -EEXIST if what stands at the path, at PATH.new or PATH.lock is not
 * ours to replace: a file, a directory, a socket that is not a stream's; -EINVAL for an
 * empty path; -ENAMETOOLONG; -ENOENT (no such directory), -EACCES and what else open(2),
 * bind(2), listen(2) or rename(2) fail with. After an error nothing is held, *file is
 * untouched, and only PATH.lock may have been made. Blocks as pf_lock_file_take() does.
 * Source: unix(7), flock(2), rename(2).
 */
int pf_listener_file_open(struct pf_listener_file *file, const char *path,
                          const struct pf_listener_options *options, int *holder);

/*
 * Remove the path, if what stands there is still the socket that was made, and give up the
 * lock; the socket itself stays open. In a child: only close. Twice is fine, and so is one
 * that was never opened. Then *file is PF_LISTENER_FILE_NONE.
 */
void pf_listener_file_release(struct pf_listener_file *file);

#endif
