/*
 * internal.h - what the files of server/ share.
 */
#ifndef PREFORK_SERVER_INTERNAL_H
#define PREFORK_SERVER_INTERNAL_H

#include "http/forwarded.h"
#include "server/access_log.h"
#include "server/application.h"
#include "server/module.h"

/* Limits and deadlines of HTTP connections, from the command line; 0: not given there. */
struct pf__http_settings {
    int64_t head_timeout_ns;
    int64_t idle_timeout_ns;
    int64_t body_timeout_ns;
    int64_t body_max, bodies_max;
    int64_t requests_max;
    int64_t age_max_ns;
    bool xheaders, proxy_protocol;
    struct pf__trusted {
        const char *text; /* as it was given; NULL: it was not */
        struct pf__networks networks;
    } trusted;
};

/* What pf_main() makes of an application: a service for the workers. */
struct pf__hosted {
    struct pf__facts facts;
    struct pf_app app;         /* of a module: all zeros until it is loaded */
    struct pf__module *module; /* NULL: it is linked to the program */
    struct pf__http_settings http;
    struct pf__access_log access_log;
    struct pf_column columns[PF_SERVICE_COLUMNS_MAX]; /* the facts', for the service */
};

/*
 * Fill in *service from hosted->facts; the rest of `hosted` is looked at when the service
 * runs, and all of it is borrowed. A module that is not loaded yet is loaded in each worker
 * before its worker_init; its pre_fork and on_crash are then not called.
 */
void pf__host(struct pf__hosted *hosted, struct pf_service *service);

/* The built-in applications; ends with NULL. */
extern const struct pf_app *const pf__apps[];

/* From the command line; what is not said is zero. */
struct pf__static_options {
    bool listing;
    const char *index, *cache_control;
};

/* The application static:DIR. Zeroed, there is none. */
struct pf__static {
    struct pf_app app;
    struct pf_http_route routes[2];
    pf_http_files *files;
};

/* Does this word of the command line ask for it? */
bool pf__static_is_meant(const char *word);

/*
 * Open what the word names; for the master, before it forks. Returns 0, or a negative errno
 * with a phrase in error[error_len]. *app stays where it is until pf__static_fini(), which
 * is fine for one that could not be made.
 */
int pf__static_init(struct pf__static *app, const char *word,
                    const struct pf__static_options *options, char *error,
                    size_t error_len);
void pf__static_fini(struct pf__static *app);

/* pf_main() over a choice of applications, the first of which is the default. */
int pf__main(int argc, char **argv, const struct pf_app *const *apps);

#endif
