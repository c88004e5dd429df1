/*
 * timers.h - deadlines in order: a 4-ary heap over a table of slots.
 *
 * A timer is a slot; its name is slot and generation, so a stale name is told from the
 * slot's next user. The heap holds the keys inline, for one cache line of children a step,
 * and each slot knows its place in it: removal is real and at once, and leaves nothing
 * behind. Equal deadlines come out in the order they went in.
 *
 * Due timers are taken out of the heap into a chain before any of them runs; one removed
 * while it waits in the chain stays there, empty, until the chain reaches it.
 */
#ifndef PREFORK_LOOP_TIMERS_H
#define PREFORK_LOOP_TIMERS_H

#include <prefork/loop.h>

struct pf__timer_call {
    pf_callback_fn *fn;
    void *arg;
    pf_destroy_fn *destroy;
    const char *where;
};

struct pf__timer_slot {
    struct pf__timer_call call; /* fn is NULL in a free slot, and in a removed due one */
    uint32_t generation;
    uint32_t link; /* waiting: place in the heap; due or free: next slot in the chain */
    uint8_t state; /* private to timers.c */
};

struct pf__timer_key {
    int64_t deadline;
    uint64_t sequence;
    uint32_t slot;
};

#define PF__TIMER_NONE UINT32_MAX

struct pf__timers {
    struct pf__timer_key *heap;
    struct pf__timer_slot *slots;
    uint32_t count;    /* in the heap */
    uint32_t capacity; /* of both arrays */
    uint32_t slots_used;
    uint32_t free; /* chain of free slots */
    uint32_t due_head, due_tail;
    uint32_t due_count; /* due and not removed */
    uint64_t next_sequence;
};

void pf__timers_init(struct pf__timers *timers);

/* Frees the memory, calling every destroy function. */
void pf__timers_fini(struct pf__timers *timers);

/* Room for `count` timers in all. Returns 0 or -ENOMEM. */
int pf__timers_reserve(struct pf__timers *timers, size_t count);

/* Returns 0 or -ENOMEM. */
int pf__timers_add(struct pf__timers *timers, int64_t deadline,
                   const struct pf__timer_call *call, pf_timer *out);

/* Returns 0 and what was removed, or -ENOENT. */
int pf__timers_remove(struct pf__timers *timers, pf_timer timer,
                      struct pf__timer_call *out);

/* The earliest deadline, or PF_NEVER. */
int64_t pf__timers_next(const struct pf__timers *timers);

/* Move all that are due at `now` from the heap into the chain. */
void pf__timers_collect(struct pf__timers *timers, int64_t now);

/* Take the next timer from the chain: its slot is free again, its name stale. */
bool pf__timers_take(struct pf__timers *timers, struct pf__timer_call *out);

#endif
