/*
 * application.h - an application as it was handed over, looked at once.
 *
 * It may have been compiled with other headers than the library, and it may not be there
 * yet: a module is loaded in the workers. What the master has to know of it before are
 * facts, plain data that come from wherever it was looked at.
 */
#ifndef PREFORK_SERVER_APPLICATION_H
#define PREFORK_SERVER_APPLICATION_H

#include <prefork/server.h>

enum {
    PF__APP_NAME_MAX = 64 /* with the NUL; a longer one is cut */
};

/* No pointer in it: it is carried from one process to another. */
struct pf__facts {
    char name[PF__APP_NAME_MAX];
    bool http, on_connection, on_datagram;
    size_t own_columns;   /* the application's; behind them those of */
    size_t route_columns; /* its first routes */
    struct pf__column_fact {
        char name[PF_SCOREBOARD_NAME_MAX];
        enum pf_column_kind kind;
    } columns[PF_SERVICE_COLUMNS_MAX];
};

/*
 * Copy an application of whatever size; fields that it does not have are NULL. Returns 0,
 * or -EINVAL with a phrase in `why` (why_len bytes): its size is none, it was compiled for
 * another interface, or it has fields that are newer than the library.
 */
int pf__app_take(const struct pf_app *given, struct pf_app *out, char *why, size_t why_len);

/*
 * What the master has to know. Each route gets a column, "route-0 GET /", cut to fit, as
 * long as there is room for it. Returns 0, or -EINVAL with a phrase: it has no name, it has
 * neither routes nor a function for connections or datagrams, or both, or columns that no
 * scoreboard takes.
 */
int pf__app_facts(const struct pf_app *app, struct pf__facts *out, char *why,
                  size_t why_len);

#endif
