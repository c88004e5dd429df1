/*
 * lock_file.h - a file that one process at a time owns.
 *
 * The lock is flock(2)'s: it ends with its holder, however that ends, and so is never
 * stale. The file holds the process id of whoever has, or had, the lock; nobody trusts that
 * number, which may be another process's by now, but to name the holder.
 *
 * FORK. A child inherits the lock, and would keep it after its parent's end: it closes the
 * descriptor at once.
 */
#ifndef PREFORK_NET_LOCK_FILE_H
#define PREFORK_NET_LOCK_FILE_H

#include <prefork/base.h>
#include <sys/types.h>

#define PF_LOCK_FILE_WAIT_NS (500 * PF_MILLISECOND)

/*
 * Make the file if it is not there (`mode`, less what umask(2) takes), lock it, and write
 * our process id and a newline.
 *
 * Returns the descriptor, close-on-exec: to close it is to unlock. Or -EADDRINUSE with
 * whoever has the lock in *holder, its process id or 0; -EEXIST if what stands there is no
 * such file: it holds something else, or is a link, a directory, a device; or what open(2)
 * or flock(2) fail with; then nothing is held. Blocks for PF_LOCK_FILE_WAIT_NS at the most,
 * while another has the lock: one that was killed may not have ended yet, or have forked a
 * child that is about to let go. A file that its holder removes in this moment is made
 * anew. A full disk leaves the file empty: it is held all the same.
 */
int pf_lock_file_take(const char *path, mode_t mode, int *holder);

/* Remove the file, if the one at the path is still the one that is locked by this
 * descriptor. The lock stays until the descriptor is closed, which comes after. */
void pf_lock_file_remove(int fd, const char *path);

#endif
