/*
 * descriptors.h - how many descriptors this process may have: the soft limit is raised to
 * the hard one, which is always allowed, and beyond that is for who started it to decide.
 */
#ifndef PREFORK_BENCH_DESCRIPTORS_H
#define PREFORK_BENCH_DESCRIPTORS_H

/* Raise the limit as far as it goes. Returns how many there may be then; 0: unknown. */
unsigned descriptors_raise(void);

/* The same, without those that a process needs itself: so many connections it can hold. */
unsigned descriptors_spare(void);

#endif
