/*
 * choice.h - which application a command line asks for.
 */
#ifndef PREFORK_SERVER_CHOICE_H
#define PREFORK_SERVER_CHOICE_H

#include "server/settings.h"

/* What is to be served: an application of the program's own, or a module. */
struct pf__choice {
    const struct pf_app *app;
    struct pf__static files;
    struct pf__module module;
    bool is_module;
    struct pf__facts facts;
};

/*
 * Look at the words behind the options: an application's name, and what is its own. apps[0]
 * is served if there are none, and is the only choice if it is the only one.
 *
 * Returns PF_EXIT_OK and *choice; PF_EXIT_USAGE, or what pf__module_open() and
 * pf__module_probe() answer, with one line in `error`.
 */
int pf__choose(const struct pf_app *const *apps, const struct pf__settings *settings,
               int argc, char **argv, struct pf__choice *choice, char *error,
               size_t error_len);

#endif
