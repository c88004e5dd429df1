/*
 * static.c - the built-in application static:DIR: the files below a directory.
 */
#include "server/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PREFIX "static:"

bool pf__static_is_meant(const char *word)
{
    return strncmp(word, PREFIX, sizeof PREFIX - 1) == 0;
}

/* pf_http_files_new() has refused one of the two: try each alone. */
static bool is_refused(const char *root, const struct pf_http_files_options *options)
{
    pf_http_files *files = NULL;
    int err = pf_http_files_new(root, options, &files);
    pf_http_files_free(files);
    return err == -EINVAL;
}

static void say_why(const char *word, const char *root,
                    const struct pf__static_options *options, int err, char *error,
                    size_t error_len)
{
    const struct pf_http_files_options index = {PF_HTTP_FILES_OPTIONS,
                                                .index = options->index};
    if (!*root)
        snprintf(error, error_len, "APP %s: has no directory; use static:DIR", word);
    else if (err != -EINVAL)
        snprintf(error, error_len, "APP %s: %s; name a directory that can be read", word,
                 strerror(-err));
    else if (is_refused(root, &index))
        snprintf(error, error_len,
                 "--index %s: must be the name of a file, and not begin with a dot",
                 options->index);
    else
        snprintf(error, error_len, "--cache-control: must be the value of a field");
}

int pf__static_init(struct pf__static *app, const char *word,
                    const struct pf__static_options *options, char *error, size_t error_len)
{
    const char *root = word + sizeof PREFIX - 1;
    const struct pf_http_files_options files = {
        PF_HTTP_FILES_OPTIONS, .index = options->index,
        .cache_control = options->cache_control, .listing = options->listing};
    memset(app, 0, sizeof *app);
    int err = *root ? pf_http_files_new(root, &files, &app->files) : -EINVAL;
    if (err) {
        say_why(word, root, options, err, error, error_len);
        return err;
    }
    app->routes[0] = (struct pf_http_route){.method = "GET",
                                            .path = "/{path...}",
                                            .handler = pf_http_files_handler,
                                            .arg = app->files};
    app->app = (struct pf_app){PF_APP, .name = "static", .routes = app->routes};
    return 0;
}

void pf__static_fini(struct pf__static *app)
{
    pf_http_files_free(app->files);
    app->files = NULL;
}
