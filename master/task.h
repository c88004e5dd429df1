/* task.h - what /proc says of a thread: see proc(5). */
#ifndef PREFORK_MASTER_TASK_H
#define PREFORK_MASTER_TASK_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The first line of /proc/PID/task/TID/NAME, into text[len]: "" if it cannot be read. */
const char *pf__task_read(pid_t pid, uint64_t tid, const char *name, char *text,
                          size_t len);

/* R, S, D, T, t, Z ... '?' if it cannot be told. */
char pf__task_state(pid_t pid, uint64_t tid);

#endif
