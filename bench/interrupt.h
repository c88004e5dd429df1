/*
 * interrupt.h - SIGINT and SIGTERM from the first moment on.
 *
 * Either ends what is measured early, with a summary of what there is; a second one ends
 * the program at once. While nobody else takes them (a run's loop does) the first one is
 * only noted: whoever begins something looks.
 */
#ifndef PREFORK_BENCH_INTERRUPT_H
#define PREFORK_BENCH_INTERRUPT_H

#include <stdbool.h>

/* Note them from here on. To be called before anything takes time. */
void interrupt_note(void);

/* Leave them to the kernel again: for what has nothing to tell of a half. */
void interrupt_forget(void);

/* Has one come, noted or told of with interrupt_came()? */
bool interrupt_is_noted(void);

/* Another handler has had one: the next that comes here is the second. */
void interrupt_came(void);

#endif
