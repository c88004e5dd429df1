/*
 * internal.h - what the files of server/ share.
 */
#ifndef PREFORK_SERVER_INTERNAL_H
#define PREFORK_SERVER_INTERNAL_H

#include <prefork/server.h>

/* Limits and deadlines of HTTP connections, from the command line. */
struct pf__http_settings {
    int64_t head_timeout_ns;
    int64_t idle_timeout_ns;
};

/* What pf_main() makes of an application: a service for the workers. */
struct pf__hosted {
    const struct pf_app *app;
    struct pf__http_settings http;
};

/* Fill in *service; `hosted` and its app are borrowed. Returns 0, or -EINVAL: an
 * application with neither routes nor a function for connections or datagrams, or with
 * both. */
int pf__host(const struct pf__hosted *hosted, struct pf_service *service);

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
