/*
 * timers.h - deadlines in order, at the price of a list while they are far away.
 *
 * Most timers are removed or moved long before they are due, so a far deadline is not
 * sorted: it waits in a bucket of a wheel, which is a list. Level 0 has 256 buckets of
 * about a millisecond (2^20 ns), each further level 256 of the width of all before; six
 * levels span the whole range. As time passes, the bucket that it reaches is emptied into
 * the levels below, and at last, within its last millisecond, a timer becomes *near*:
 * sorted, exact to the nanosecond, equal deadlines in the order in which they were added.
 * The near ones that come in order form a list, the *run*, and only the others need a heap:
 * where all timers have the same delay the heap stays empty.
 *
 * Adding, moving and removing are O(1) for far timers, O(log of the near ones) for near
 * ones. A timer that is left alone is moved down at most once for each level.
 *
 * A timer is a slot; its name is slot and generation, so a stale name is told from the
 * slot's next user. Removal is real and at once. What may stay behind is a key in the heap,
 * until it comes to the top or more than every second one is such a stale key. Due timers
 * are taken out into a list of their own before any of them runs; from there, too, one can
 * be removed.
 *
 * Source: G. Varghese, A. Lauck, "Hashed and Hierarchical Timing Wheels", SOSP 1987,
 * scheme 7.
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

/* What few timers have, in a table of its own. */
struct pf__timer_more {
    const char *what;
    void *context; /* see context.h */
};

/* What adding, moving and removing touch. What is called lies in a table beside it. */
struct pf__timer_slot {
    int64_t deadline;
    uint64_t sequence;       /* orders equal deadlines; no two slots ever have the same */
    uint32_t next, previous; /* in its list */
    uint32_t generation;
    uint16_t list; /* which list; private to timers.c */
    bool has_end;  /* a destroy function or a context */
    bool has_more;
};

struct pf__timer_key {
    int64_t deadline;
    uint64_t sequence;
    uint32_t slot;
};

enum {
    PF__TIMER_LEVELS = 6,
    PF__TIMER_BUCKETS = 256, /* of each level */
};

/* Valid only if it is not empty, which is said elsewhere. */
struct pf__timer_list {
    uint32_t head, tail;
};

/* The lists, made with the first timer: a loop without any does without. */
struct pf__timer_wheel {
    uint64_t occupied[PF__TIMER_LEVELS][PF__TIMER_BUCKETS / 64]; /* a bit for each bucket */
    struct pf__timer_list buckets[PF__TIMER_LEVELS * PF__TIMER_BUCKETS];
    /* The least deadline in a bucket, or one that was there and has gone: never too late.
     */
    int64_t least[PF__TIMER_LEVELS * PF__TIMER_BUCKETS];
};

struct pf__timers {
    struct pf__timer_wheel *wheel;
    uint64_t tick; /* timers up to this one are near */
    struct pf__timer_list run, never, aside;
    struct pf__timer_key *heap; /* some may be stale: their slot has another sequence now */
    uint32_t heap_count;

    struct pf__timer_slot *slots;
    struct pf__timer_call *calls;
    struct pf__timer_more *more;
    uint32_t capacity; /* of slots, calls and more; the heap has twice that */
    uint32_t slots_used;
    uint32_t free; /* chain of free slots */
    uint32_t waiting;
    uint64_t next_sequence;

    /* what pf__timers_take() gives out */
    int64_t due_until;
    uint64_t due_before; /* this sequence */
};

/* The wheel's unit of time, 2^20 ns. Ticks keep the order of deadlines, negative ones too.
 */
static inline uint64_t pf__timers_tick(int64_t deadline)
{
    return ((uint64_t)deadline ^ UINT64_C(1) << 63) >> 20;
}

void pf__timers_init(struct pf__timers *timers);

/* Frees the memory. */
void pf__timers_fini(struct pf__timers *timers);

/* Room for `count` timers in all. Returns 0 or -ENOMEM. */
int pf__timers_reserve(struct pf__timers *timers, size_t count);

/* It is about `now`: for whoever adds the first one, since far is far from now. Before that
 * the wheel does not turn. */
static inline void pf__timers_set_now(struct pf__timers *timers, int64_t now)
{
    if (timers->waiting == 0)
        timers->tick = pf__timers_tick(now);
}

/* `more` may be NULL. Returns 0 or -ENOMEM. */
int pf__timers_add(struct pf__timers *timers, int64_t deadline,
                   const struct pf__timer_call *call, const struct pf__timer_more *more,
                   pf_timer *out);

/* Returns 0 or -ENOENT. */
int pf__timers_move(struct pf__timers *timers, pf_timer timer, int64_t deadline);

/* Its context, borrowed; NULL: none. */
void *pf__timers_context(const struct pf__timers *timers, pf_timer timer);

/* Describe it; returns 0 or -ENOENT. */
int pf__timers_describe(struct pf__timers *timers, pf_timer timer, const char *what);

/* Returns 0 and what is to be ended of what was removed (zeros: nothing), or -ENOENT. */
int pf__timers_remove(struct pf__timers *timers, pf_timer timer,
                      struct pf__timer_call *call, struct pf__timer_more *more);

/* The earliest deadline, or PF_NEVER. If the earliest was removed or moved on while far it
 * may be that one's, but only until the clock has passed it. */
int64_t pf__timers_next(struct pf__timers *timers);

/* Those that wait now and have a deadline of up to `now` are due. */
void pf__timers_set_due(struct pf__timers *timers, int64_t now);

/* Take the next due one: its slot is free again, its name stale. *late_ns is how long
 * before the `now` of set_due its deadline was. */
bool pf__timers_take(struct pf__timers *timers, struct pf__timer_call *call,
                     struct pf__timer_more *more, int64_t *late_ns);

/* The timer in slot `*at` or the next one that has a timer, for a walk from 0; false at the
 * end. Moves *at on. */
bool pf__timers_each(const struct pf__timers *timers, uint32_t *at, pf_timer *timer,
                     int64_t *deadline, struct pf__timer_call *call,
                     struct pf__timer_more *more);

#endif
