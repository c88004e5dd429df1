/*
 * settings.h - what the command line of a server says.
 *
 *     parse    options.c: its table of options, and what they write
 *     check    settings.c: does it fit together?
 *     take     settings.c: what the master makes of it
 */
#ifndef PREFORK_SERVER_SETTINGS_H
#define PREFORK_SERVER_SETTINGS_H

#include "server/internal.h"

#include <prefork/master.h>
#include <prefork/options.h>

#define PF__DEFAULT_BIND "127.0.0.1:8888"

/* What is not said is zero. */
struct pf__settings {
    unsigned workers; /* 0: auto */
    int64_t threads;
    struct pf_option_list binds;
    int accept, steer;
    struct pf__pin {
        enum pf_pin how;
        const char *list;
    } pin;
    const char *nic;
    int64_t backlog, defer_accept_ns, fast_open;
    unsigned unix_mode;
    int64_t connections_soft, connections_max, connections_per_client;
    int64_t drain_ns, boot_ns, hang_soft_ns, hang_hard_ns, spin_ns;
    int64_t recycle_requests, recycle_after_ns, recycle_memory;
    int orphan, all_failing;
    const char *user, *group, *chroot;
    int no_new_privileges;
    const char *pid_file;
    int64_t oom_score_adj;
    const char *control;
    struct pf__http_settings http;
    struct pf__static_options files;
    const char *access_log;
    int access_log_format;
    int log_format;
    bool preload, daemon, print_plan, help, version;
};

/*
 * Read the server's options, and among them those of a program's only application. Returns
 * the index of the first word behind them, or -EINVAL with one line in `error`
 * (PF_OPTION_ERROR_MAX bytes). Strings are borrowed from argv.
 */
int pf__settings_parse(int argc, char **argv, const struct pf_app *const *apps,
                       struct pf__settings *settings, char *error);

/* Print the options to standard output: those of the application, or for choosing one, and
 * the server's. */
void pf__settings_help(const struct pf_app *const *apps);

/* Are there two options of which one makes the other senseless? Returns PF_EXIT_OK, or
 * PF_EXIT_USAGE with one line in `error`: option, value, remedy. */
int pf__settings_check(const struct pf__settings *settings, char *error, size_t error_len);

/* Is there an option that what is served would not heed, or could not be served with?
 * Returns likewise. */
int pf__settings_check_app(const struct pf__settings *settings,
                           const struct pf__facts *facts, bool is_module, char *error,
                           size_t error_len);

/* Fill in the master's options, all but those that speak of the application. */
void pf__settings_take(const struct pf__settings *settings,
                       struct pf_master_options *master);

#endif
