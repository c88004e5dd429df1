/*
 * main.c - pf_main(): from a command line to a running server.
 */
#include "master/standard.h"
#include "server/banner.h"
#include "server/choice.h"
#include "server/daemon.h"

#include <prefork/log.h>
#include <prefork/master.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *program_name(const char *argv0)
{
    if (!argv0)
        return "prefork-server";
    const char *slash = strrchr(argv0, '/');
    return slash ? slash + 1 : argv0;
}

static int complain(const char *program, const char *line)
{
    fprintf(stderr, "%s: %s\n", program, line);
    return PF_EXIT_USAGE;
}

static void help_apps(const struct pf_app *const *apps)
{
    for (size_t i = 0; apps[i]; i++)
        printf("  %-12s %s%s\n", apps[i]->name, apps[i]->summary ? apps[i]->summary : "",
               i == 0 ? " (default)" : "");
    printf("  %-12s HTTP; the files below the directory DIR\n", "static:DIR");
    printf("  %-12s %s\n\n", "./APP.so",
           "a module; ./APP.so:SYMBOL if it is not "
           "called " PF__MODULE_SYMBOL);
}

static void help(const char *program, const struct pf_app *const *apps)
{
    bool choice = apps[1] != NULL;
    printf("usage: %s [options]%s\n\n", program, choice ? " [APP [options of APP]]" : "");
    if (choice)
        help_apps(apps);
    pf__settings_help(apps);
    printf(
        "\nTERM or QUIT stops gracefully, INT at once. Exit status: 0 stopped as told,\n"
        "64 bad command line, 69 cannot bind, or open a file, 70 a start-up step failed\n"
        "that no option can mend, 75 all workers keep failing, 78 bad application, or no\n"
        "worker could boot.\n");
}

/* What is done when the server is up. */
struct announcement {
    const struct pf__facts *facts;
    struct pf__daemon *daemon;
};

static void announce(const struct pf_master_status *status, void *arg)
{
    const struct announcement *what = arg;
    int fd = what->daemon->fd;
    pf__banner_print(status, what->facts, fd == -1 ? STDOUT_FILENO : fd);
    pf__daemon_up(what->daemon);
}

/* Everything of the application that the master needs. Returns an exit status. */
static int host(const struct pf__settings *settings, struct pf__choice *choice,
                struct pf__hosted *hosted, char *error, size_t error_len)
{
    char why[256];
    hosted->http = settings->http;
    hosted->facts = choice->facts;
    if (choice->is_module) {
        hosted->module = &choice->module;
        int status = PF_EXIT_OK;
        if (settings->preload)
            status = pf__module_load(&choice->module, error, error_len);
        hosted->app = choice->module.app;
        return status;
    }
    hosted->app = *choice->app;
    if (pf__app_facts(&hosted->app, &hosted->facts, why, sizeof why) != 0) {
        snprintf(error, error_len, "the application: %s", why);
        return PF_EXIT_USAGE;
    }
    return PF_EXIT_OK;
}

static int open_access_log(const struct pf__settings *settings, struct pf__hosted *hosted,
                           char *error, size_t error_len)
{
    if (!settings->access_log || settings->print_plan)
        return PF_EXIT_OK;
    int err = pf__access_log_open(&hosted->access_log, settings->access_log,
                                  (enum pf__access_format)settings->access_log_format);
    if (err == -ENXIO)
        snprintf(error, error_len,
                 "--access-log %s: nobody reads this pipe; start its reader before",
                 settings->access_log);
    else if (err)
        snprintf(error, error_len, "--access-log %s: %s; name a file that can be written",
                 settings->access_log, strerror(-err));
    return err ? PF_EXIT_UNAVAILABLE : PF_EXIT_OK;
}

static int run_master(const struct pf__settings *settings, struct pf__hosted *hosted,
                      struct pf__daemon *daemon, char *error, size_t error_len)
{
    struct pf_service service;
    pf__host(hosted, &service);
    struct pf_master_options master = PF_MASTER_OPTIONS_INIT;
    pf__settings_take(settings, &master);
    master.service = &service;
    struct announcement what = {.facts = &hosted->facts, .daemon = daemon};
    master.on_ready = announce;
    master.arg = &what;
    master.error = error;
    master.error_len = error_len;
    return settings->print_plan ? pf_master_print_plan(&master, stdout)
                                : pf_master_run(&master);
}

static int serve(const char *program, const struct pf__settings *settings,
                 struct pf__choice *choice, struct pf__daemon *daemon)
{
    char error[1536] = "";
    struct pf__hosted hosted = {.access_log = PF__ACCESS_LOG_NONE};
    int status = host(settings, choice, &hosted, error, sizeof error);
    if (status == PF_EXIT_OK)
        status = pf__settings_check_app(settings, &hosted.facts, choice->is_module, error,
                                        sizeof error);
    if (status == PF_EXIT_OK)
        status = open_access_log(settings, &hosted, error, sizeof error);
    if (status == PF_EXIT_OK)
        status = run_master(settings, &hosted, daemon, error, sizeof error);
    pf__access_log_close(&hosted.access_log);
    if (error[0])
        complain(program, error);
    else if (status < 0)
        complain(program, strerror(-status));
    return status < 0 ? PF_EXIT_SOFTWARE : status;
}

/* The options point into it, and titles are written over the arguments. */
static char **copy_arguments(int argc, char *const *argv)
{
    size_t len = ((size_t)argc + 1) * sizeof *argv, at = len;
    for (int i = 0; i < argc; i++)
        len += strlen(argv[i]) + 1;
    char **copy = malloc(len);
    for (int i = 0; copy && i < argc; i++) {
        size_t size = strlen(argv[i]) + 1;
        copy[i] = memcpy((char *)copy + at, argv[i], size);
        at += size;
    }
    if (copy)
        copy[argc] = NULL;
    return copy;
}

static int begin_daemon(const char *program, struct pf__daemon *daemon, int *status)
{
    *status = PF_EXIT_SOFTWARE;
    int is_first = pf__daemon_begin(daemon, program, status);
    if (is_first < 0)
        complain(program, strerror(-is_first));
    return is_first;
}

static int run_choice(const char *program, const struct pf__settings *settings,
                      const struct pf_app *const *apps, int argc, char **argv,
                      struct pf__choice *choice)
{
    char error[1536];
    int status = pf__choose(apps, settings, argc, argv, choice, error, sizeof error);
    if (status != PF_EXIT_OK) {
        complain(program, error);
        return status;
    }
    if (settings->help)
        return status;
    struct pf__daemon daemon = PF__DAEMON_NONE;
    if (settings->daemon && !settings->print_plan &&
        begin_daemon(program, &daemon, &status) != 0)
        return status;
    return serve(program, settings, choice, &daemon);
}

static int run(int argc, char **argv, const struct pf_app *const *apps)
{
    const char *program = program_name(argv[0]);
    struct pf__settings settings = {0};
    char error[PF_OPTION_ERROR_MAX + 256];
    pf_log_set_level(PF_LOG_INFO);
    (void)pf_log_set_named_level(PF__ACCESS_NAME, PF_LOG_INFO); /* whatever the others' */
    int at = pf__settings_parse(argc, argv, apps, &settings, error);
    if (at < 0)
        return complain(program, error);
    if (settings.help)
        help(program, apps);
    if (settings.version && !settings.help)
        printf("prefork %s\n", pf_version());
    if (settings.version || (settings.help && at == argc))
        return PF_EXIT_OK;
    if (!settings.help && pf__settings_check(&settings, error, sizeof error) != PF_EXIT_OK)
        return complain(program, error);
    static const enum pf_log_format formats[] = {PF_LOG_AUTO, PF_LOG_PLAIN, PF_LOG_PRETTY,
                                                 PF_LOG_JSON};
    pf_log_set_format(formats[settings.log_format]);
    struct pf__choice choice = {.module = PF__MODULE_NONE};
    int status = run_choice(program, &settings, apps, argc - at, argv + at, &choice);
    pf__static_fini(&choice.files);
    pf__module_close(&choice.module);
    return status;
}

int pf__main(int argc, char **argv, const struct pf_app *const *apps)
{
    pf__standard_descriptors(); /* before anything is opened, or said */
    char **copy = copy_arguments(argc, argv);
    if (!copy) {
        complain(program_name(argv[0]), strerror(ENOMEM));
        return PF_EXIT_SOFTWARE;
    }
    int status = run(argc, copy, apps);
    free(copy);
    return status;
}

int pf_main(int argc, char **argv, const struct pf_app *app)
{
    struct pf_app taken;
    char why[256] = "there is none", line[300];
    if (!app || pf__app_take(app, &taken, why, sizeof why) != 0) {
        snprintf(line, sizeof line, "the application: %s", why);
        return complain(program_name(argv[0]), line);
    }
    const struct pf_app *const apps[] = {&taken, NULL};
    return pf__main(argc, argv, apps);
}
