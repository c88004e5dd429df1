/* choice.c - see choice.h. */
#include "server/choice.h"

#include <stdio.h>
#include <string.h>

static const struct pf_app *find_app(const struct pf_app *const *apps, const char *name)
{
    for (; *apps; apps++)
        if (strcmp((*apps)->name, name) == 0)
            return *apps;
    return NULL;
}

static int refuse_app(const struct pf_app *const *apps, const char *word, char *error,
                      size_t error_len)
{
    int n = snprintf(error, error_len, "APP %s: unknown; use", word);
    for (size_t i = 0; apps[i] && n > 0 && (size_t)n < error_len; i++)
        n += snprintf(error + n, error_len - (size_t)n, " %s,", apps[i]->name);
    if (n > 0 && (size_t)n < error_len)
        snprintf(error + n, error_len - (size_t)n, " static:DIR, or a module, as ./APP.so");
    return PF_EXIT_USAGE;
}

/* The options of static:DIR, without it. */
static int refuse_files_option(const struct pf__static_options *files, char *error,
                               size_t error_len)
{
    const char *name = files->listing         ? "listing"
                       : files->index         ? "index"
                       : files->cache_control ? "cache-control"
                                              : NULL;
    if (!name)
        return PF_EXIT_OK;
    snprintf(error, error_len, "--%s: only for APP static:DIR; leave it out", name);
    return PF_EXIT_USAGE;
}

static int choose_module(const struct pf__settings *settings, int argc, char **argv,
                         struct pf__choice *choice, char *error, size_t error_len)
{
    int status = pf__module_open(&choice->module, argc, argv, error, error_len);
    choice->is_module = true;
    if (status == PF_EXIT_OK)
        status = pf__module_probe(&choice->module, settings->help,
                                  settings->boot_ns ? settings->boot_ns : PF_MASTER_BOOT_NS,
                                  &choice->facts, error, error_len);
    return status;
}

/* An application of that name, which has no options of its own. */
static int choose_by_name(const struct pf_app *const *apps,
                          const struct pf__settings *settings, const char *word,
                          struct pf__choice *choice, char *error, size_t error_len)
{
    if (pf__static_is_meant(word)) {
        choice->app = &choice->files.app;
        return pf__static_init(&choice->files, word, &settings->files, error, error_len)
                   ? PF_EXIT_USAGE
                   : PF_EXIT_OK;
    }
    choice->app = find_app(apps, word);
    return choice->app ? refuse_files_option(&settings->files, error, error_len)
                       : refuse_app(apps, word, error, error_len);
}

int pf__choose(const struct pf_app *const *apps, const struct pf__settings *settings,
               int argc, char **argv, struct pf__choice *choice, char *error,
               size_t error_len)
{
    choice->app = apps[0];
    if (argc == 0)
        return refuse_files_option(&settings->files, error, error_len);
    if (!apps[1]) {
        snprintf(error, error_len, "%s: unexpected; this program takes options only",
                 argv[0]);
        return PF_EXIT_USAGE;
    }
    if (pf__module_is_meant(argv[0])) {
        int status = refuse_files_option(&settings->files, error, error_len);
        return status == PF_EXIT_OK
                   ? choose_module(settings, argc, argv, choice, error, error_len)
                   : status;
    }
    int status = choose_by_name(apps, settings, argv[0], choice, error, error_len);
    if (status == PF_EXIT_OK && argc > 1) {
        snprintf(error, error_len, "%s: unexpected after APP %s; options come before APP",
                 argv[1], argv[0]);
        return PF_EXIT_USAGE;
    }
    return status;
}
