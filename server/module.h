/*
 * module.h - an application in a file of its own, `./app.so[:symbol]`.
 *
 *     open    copy the file into memory that is ours alone; the name means it no more
 *     probe   look at it in a child that ends at once: facts, or what is wrong with it
 *     load    into this process, for good: in each worker, or before the fork
 *
 * WHY A COPY. A file that is rebuilt in place changes under those who have it mapped, which
 * crashes them, and one that is replaced would be another one for the next worker. The copy
 * is sealed: all workers of a server run the same code, whatever becomes of the file.
 *
 * WHY A CHILD. A module runs code of its own when it is loaded. Without preload none of it
 * runs in the master, which has to survive it.
 *
 * The copy is opened by its descriptor, through /proc/self/fd: a worker that cannot see
 * /proc, for it has another root, cannot load it, and needs preload.
 */
#ifndef PREFORK_SERVER_MODULE_H
#define PREFORK_SERVER_MODULE_H

#include "server/application.h"

#include <limits.h>

#define PF__MODULE_SYMBOL "prefork_app"

struct pf__module {
    int fd; /* the copy; -1: none */
    char path[PATH_MAX];
    char symbol[256];
    int argc;     /* words behind it on the command line: */
    char **argv;  /* its options, from argv[1] on; borrowed */
    void *handle; /* in this process; NULL: not loaded */
    struct pf_app app;
};
#define PF__MODULE_NONE                                                                    \
    {                                                                                      \
        .fd = -1                                                                           \
    }

/* Does a word of the command line mean a module? If there is a slash in it, and no colon in
 * front of that. */
bool pf__module_is_meant(const char *word);

/*
 * Copy the file that argv[0] names; argv's other words are its options. `argv` is borrowed
 * until pf__module_close().
 *
 * Returns PF_EXIT_OK; PF_EXIT_USAGE, there is no such file, or it cannot be read; or
 * PF_EXIT_SOFTWARE, no memory or descriptors for a copy: with one line in `error`.
 */
int pf__module_open(struct pf__module *module, int argc, char **argv, char *error,
                    size_t error_len);

/*
 * Load it in a child, and say what it is; with `help`, print its options to standard output
 * there. A child that is not done after limit_ns is killed. Call it with one thread.
 *
 * Returns PF_EXIT_OK and *facts; PF_EXIT_CONFIG, it is no shared object or lacks something,
 * has not the symbol, or that is no application, or crashes, or takes too long;
 * PF_EXIT_USAGE, its options are wrong; or PF_EXIT_SOFTWARE: with one line in `error`.
 */
int pf__module_probe(const struct pf__module *module, bool help, int64_t limit_ns,
                     struct pf__facts *facts, char *error, size_t error_len);

/* Load it into this process, its options read; module->app is it. Nothing if that has been
 * done. Returns as pf__module_probe() does. */
int pf__module_load(struct pf__module *module, char *error, size_t error_len);

/* Unload it, and give up the copy. */
void pf__module_close(struct pf__module *module);

#endif
