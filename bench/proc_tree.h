/*
 * proc_tree.h - a process and its descendants, as /proc tells of them: who they are, what
 * CPU time they have had, what memory they have.
 *
 *     size_t n = proc_tree_read(root, procs, PROC_TREE_MAX);
 *
 * CPU time is the kernel's own clock of the process, in ns, over all its threads, ended
 * ones too; /proc/PID/schedstat knows the main thread alone, and /proc/PID/stat counts in
 * ticks of 10 ms. Those remain where the clock is not to be read. Of a process on another
 * CPU the clock may be a tick old.
 */
#ifndef PREFORK_BENCH_PROC_TREE_H
#define PREFORK_BENCH_PROC_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Processes of a tree; more are not looked at. */
#define PROC_TREE_MAX 2048

/* Room for a process's name: TASK_COMM_LEN in sched.h. */
#define PROC_NAME_MAX 16

struct proc {
    int64_t pid, parent;
    uint64_t born;              /* ticks since boot: with the pid it names one process */
    bool ended;                 /* and not yet waited for */
    int64_t threads;            /* now */
    int64_t cpu_ns;             /* it has had */
    int64_t user_ns, system_ns; /* the same, to a tick */
    int64_t waited_ns;          /* its children had, those it has waited for; to a tick */
    int64_t rss;                /* bytes; pages shared with others count in each of them */
};

/* Returns 0 or -ESRCH. Three files and a clock are read. */
int proc_read(int64_t pid, struct proc *out);

/*
 * The process and all its descendants, each behind its parent; the root is the first.
 * Returns how many, 0 if the root is gone. One that is born or ends meanwhile may be
 * missing.
 */
size_t proc_tree_read(int64_t root, struct proc *out, size_t max);

/* Context switches of all its threads that live; -1 if it is gone. A file for each thread.
 */
int64_t proc_switches(int64_t pid);

/* May its descriptors be looked at? True too if it is gone. */
bool proc_is_open(int64_t pid);

/* Its name, or "". */
void proc_name(int64_t pid, char name[PROC_NAME_MAX]);

#endif
