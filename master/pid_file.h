/*
 * pid_file.h - the file that says which process the server is, and that it runs once.
 *
 * Held by a lock that ends with the master (net/lock_file.h): what a killed server left is
 * taken over, whatever process has its number now, and what a living one holds is not.
 */
#ifndef PREFORK_MASTER_PID_FILE_H
#define PREFORK_MASTER_PID_FILE_H

#include <prefork/master.h>
#include <sys/types.h>

struct pf__pid_file {
    int fd; /* -1: none */
    pid_t owner;
    const char *path; /* borrowed from the options */
};
#define PF__PID_FILE_NONE                                                                  \
    {                                                                                      \
        .fd = -1                                                                           \
    }

/* Take options->pid_file, if there is one. Returns PF_EXIT_OK, or PF_EXIT_UNAVAILABLE with
 * one line in options->error. */
int pf__pid_file_open(struct pf__pid_file *file, const struct pf_master_options *options);

/* Remove it, if it is still ours, and let go; in a child: only close. */
void pf__pid_file_close(struct pf__pid_file *file);

#endif
