/*
 * oom.h - whom the kernel kills when memory runs out: a worker, which is replaced, rather
 * than the master.
 */
#ifndef PREFORK_MASTER_OOM_H
#define PREFORK_MASTER_OOM_H

/* What oom_score_adj goes up to. */
#define PF__OOM_MAX 1000

/*
 * Raise this process's oom_score_adj by so much, up to PF__OOM_MAX. Needs no privilege, but
 * it has to come before others are given up: the file may be root's then.
 *
 * Returns 0 or a negative errno. Source: proc(5).
 */
int pf__oom_raise(unsigned by);

#endif
