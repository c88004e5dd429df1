/* listener_file.c - see listener_file.h. */
#include "net/listener_file.h"

#include "net/lock_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* What is put behind a path, and the room for the longer one. */
#define FRESH        ".new"
#define LOCK         ".lock"
#define NAME_MAX_LEN (PF_LISTENER_PATH_MAX + 8)

_Static_assert(PF_LISTENER_PATH_MAX + sizeof FRESH - 1 <=
                   sizeof((struct sockaddr_un *)0)->sun_path,
               "the fresh socket's name fits");

/* ---- what stands at a path ------------------------------------------------------- */

static struct sockaddr_un address_of(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path));
    return address;
}

static int peer_pid(int fd)
{
    struct ucred peer = {0};
    socklen_t len = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 ? peer.pid : 0;
}

/* Only a socket that refuses is dead: one whose queue is full answers EAGAIN. */
static int ask(const char *path, int *holder)
{
    struct sockaddr_un address = address_of(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd == -1)
        return -errno;
    int err = connect(fd, (struct sockaddr *)&address, sizeof address) == 0 ? 0 : errno;
    if (err == 0)
        *holder = peer_pid(fd);
    else if (err == EAGAIN)
        *holder = 0;
    close(fd);
    if (err == 0 || err == EAGAIN)
        return -EADDRINUSE;
    return err == ECONNREFUSED || err == ENOENT ? 0 : -EEXIST;
}

/* 0 if nothing stands there, or the socket of a server that was killed. */
static int look(const char *path, int *holder)
{
    struct stat st;
    if (lstat(path, &st) != 0)
        return errno == ENOENT ? 0 : -errno;
    return S_ISSOCK(st.st_mode) ? ask(path, holder) : -EEXIST;
}

/* ---- opening --------------------------------------------------------------------- */

/* Bound under its first name and listening, with the file as it shall be. */
static int listen_at(int fd, const char *path, const struct pf_listener_options *options,
                     struct stat *st)
{
    struct sockaddr_un address = address_of(path);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0)
        return errno == EADDRINUSE ? -EEXIST : -errno; /* made this moment */
    if ((options->unix_mode && chmod(path, options->unix_mode) != 0) ||
        listen(fd, options->backlog) != 0 || lstat(path, st) != 0) {
        int err = -errno;
        (void)unlink(path);
        return err;
    }
    return 0;
}

/* Under the lock. Returns the socket. */
static int take_path(const char *path, const struct pf_listener_options *options,
                     struct stat *st, int *holder)
{
    char fresh[NAME_MAX_LEN];
    snprintf(fresh, sizeof fresh, "%s" FRESH, path);
    int err = look(path, holder);
    if (!err)
        err = look(fresh, holder);
    if (err)
        return err;
    (void)unlink(fresh); /* of one that was killed before it could rename */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd == -1)
        return -errno;
    err = listen_at(fd, fresh, options, st);
    if (!err && rename(fresh, path) != 0) {
        err = errno == EISDIR ? -EEXIST : -errno;
        (void)unlink(fresh);
    }
    if (!err)
        return fd;
    close(fd);
    return err;
}

int pf_listener_file_open(struct pf_listener_file *file, const char *path,
                          const struct pf_listener_options *options, int *holder)
{
    struct stat st;
    size_t len = strlen(path);
    if (len == 0)
        return -EINVAL; /* it would name an abstract socket, open to every user */
    if (len >= PF_LISTENER_PATH_MAX)
        return -ENAMETOOLONG;
    char name[NAME_MAX_LEN];
    snprintf(name, sizeof name, "%s" LOCK, path);
    int lock = pf_lock_file_take(name, 0600, holder);
    if (lock < 0)
        return lock;
    int fd = take_path(path, options, &st, holder);
    if (fd < 0) {
        close(lock);
        return fd;
    }
    *file = (struct pf_listener_file){
        .lock_fd = lock, .owner = getpid(), .dev = st.st_dev, .ino = st.st_ino};
    memcpy(file->path, path, len + 1);
    return fd;
}

void pf_listener_file_release(struct pf_listener_file *file)
{
    struct stat st;
    if (file->lock_fd == -1)
        return;
    if (file->owner == getpid() && lstat(file->path, &st) == 0 && st.st_dev == file->dev &&
        st.st_ino == file->ino)
        (void)unlink(file->path);
    close(file->lock_fd);
    *file = (struct pf_listener_file)PF_LISTENER_FILE_NONE;
}
