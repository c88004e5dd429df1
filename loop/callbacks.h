/*
 * callbacks.h - functions waiting to be called by the loop's thread.
 *
 * Three ways in. The queue takes them from any thread: a list of chunks, to which producers
 * append under a mutex, and from which the loop takes without one, but for the moment in
 * which it gives back a chunk: it only looks how many have been appended, which is also its
 * snapshot, since what is added from then on runs in the next iteration. A place in the
 * queue can be promised beforehand, to what must not fail when its time has come; those are
 * counted apart, up to a limit of the same size, so that many promises lock nobody out. The
 * ring takes them from signal handlers: a bounded lock-free queue (D. Vyukov's bounded MPMC
 * queue, with one consumer), in which a handler never waits for whatever it interrupted.
 *
 * What a callback costs is the cache lines that go to and fro between producer and loop.
 * The line of the lock holds all that appending needs; the callbacks lie close together.
 */
#ifndef PREFORK_LOOP_CALLBACKS_H
#define PREFORK_LOOP_CALLBACKS_H

#include <prefork/loop.h>
#include <pthread.h>
#include <stdatomic.h>

struct pf__callback {
    pf_callback_fn *fn;
    void *arg;
    pf_destroy_fn *destroy;
    const char *where;
    void *context; /* see context.h */
};

#define PF__CHUNK 256

struct pf__callback_entry {
    pf_callback_fn *fn;
    void *arg;
    const char *where;
};

struct pf__callback_end {
    pf_destroy_fn *destroy;
    void *context;
};

struct pf__callback_chunk {
    uint64_t first; /* number of its first entry */
    struct pf__callback_chunk *next;
    atomic_uint_least32_t
        first_end; /* entries before it have no end: as a rule, none has */
    struct pf__callback_entry at[PF__CHUNK];
    struct pf__callback_end ends[PF__CHUNK];
};

/* What is to be done for one that is dropped unrun: its loop knows. */
typedef void pf__drop_fn(const struct pf__callback *callback, void *arg);

/* Not 0 ends the walk and is its result. */
typedef int pf__each_callback_fn(const struct pf__callback *callback, void *arg);

/* The n-th callback of all is entry n % PF__CHUNK of its chunk. */
struct pf__callbacks {
    struct pf__callback_chunk *head; /* the loop's: where it goes on taking */
    atomic_uint_least64_t done;      /* taken of all; read by producers now and then */

    _Alignas(64) pthread_mutex_t lock; /* guards the rest */
    atomic_uint_least64_t added;       /* of all; this alone is read without the lock */
    uint64_t room_until;               /* `added` may go up to this as things are */
    struct pf__callback_chunk *tail;

    _Alignas(64) struct pf__callback_chunk *spare;
    size_t spares;
    size_t chunks, chunks_wanted; /* in all; kept after a burst */
    uint64_t max, promised;
    bool closed;
};

struct pf__signal_ring {
    /* Which producer or consumer may use a cell next; counted from the cell's own index, so
     * that a ring of zeros is an empty one. */
    atomic_uint turns[PF_LOOP_SIGNAL_CALLBACKS_MAX];
    atomic_uint head; /* next cell to fill */
    unsigned tail;    /* next cell to empty; the loop's thread only */
    struct {          /* need not be zero */
        pf_callback_fn *fn;
        void *arg;
    } cells[PF_LOOP_SIGNAL_CALLBACKS_MAX];
};

void pf__callbacks_init(struct pf__callbacks *callbacks, size_t max);

/* Hand all that wait to `drop`; refuse more from now on (-ESTALE). */
void pf__callbacks_close(struct pf__callbacks *callbacks, pf__drop_fn *drop, void *arg);

/* The same in a child. The memory of a queue that another thread was just changing is left
 * alone. */
void pf__callbacks_discard(struct pf__callbacks *callbacks, pf__drop_fn *drop, void *arg);

/* After the close, when nobody else can call any more. */
void pf__callbacks_fini(struct pf__callbacks *callbacks);

/* Room for `count` waiting ones without allocation. Returns 0 or -ENOMEM. */
int pf__callbacks_reserve(struct pf__callbacks *callbacks, size_t count);

/* What adding takes when room_until is reached; under the lock. */
int pf__callbacks_make_room(struct pf__callbacks *callbacks);
void pf__callbacks_use_spare(struct pf__callbacks *callbacks);

/* Append: there is a place. Under the lock. */
static inline void pf__callbacks_append(struct pf__callbacks *callbacks,
                                        const struct pf__callback *add)
{
    uint64_t number = atomic_load_explicit(&callbacks->added, memory_order_relaxed);
    uint32_t i = number % PF__CHUNK;
    if (i == 0)
        pf__callbacks_use_spare(callbacks);
    struct pf__callback_chunk *chunk = callbacks->tail;
    chunk->at[i] = (struct pf__callback_entry){add->fn, add->arg, add->where};
    uint32_t first = atomic_load_explicit(&chunk->first_end, memory_order_relaxed);
    if (add->destroy || add->context || i > first) {
        chunk->ends[i] = (struct pf__callback_end){add->destroy, add->context};
        if (i < first) /* before it counts as added, so whoever reads it there knows */
            atomic_store_explicit(&chunk->first_end, i, memory_order_relaxed);
    }
    atomic_store_explicit(&callbacks->added, number + 1, memory_order_release);
}

/* Returns 0, -ESTALE, -ENOSPC or -ENOMEM. Holds the lock when it returns 0, so that the
 * caller can wake the loop before a close takes the waker away: then unlock. */
static inline int pf__callbacks_add_locked(struct pf__callbacks *callbacks,
                                           const struct pf__callback *add)
{
    pthread_mutex_lock(&callbacks->lock);
    uint64_t number = atomic_load_explicit(&callbacks->added, memory_order_relaxed);
    int err = number < callbacks->room_until ? 0 : pf__callbacks_make_room(callbacks);
    if (err)
        pthread_mutex_unlock(&callbacks->lock);
    else
        pf__callbacks_append(callbacks, add);
    return err;
}

/* Put a place aside: the loop's thread only. Returns 0, -ESTALE, -ENOSPC or -ENOMEM. */
int pf__callbacks_promise(struct pf__callbacks *callbacks);

/* Give it back; any thread. */
void pf__callbacks_unpromise(struct pf__callbacks *callbacks);

/* As add_locked, into a promised place: returns 0 or -ESTALE. */
int pf__callbacks_keep_locked(struct pf__callbacks *callbacks,
                              const struct pf__callback *add);

/* The rest is for the loop's thread. */

/* Does any wait? */
bool pf__callbacks_wait(struct pf__callbacks *callbacks);

/* The same before a sleep, which has been announced: whoever adds one after this sees that.
 */
bool pf__callbacks_wait_locked(struct pf__callbacks *callbacks);

/* Those that wait now: a snapshot for next(). */
uint64_t pf__callbacks_mark(struct pf__callbacks *callbacks);

static inline struct pf__callback pf__callback_at(const struct pf__callback_chunk *chunk,
                                                  uint32_t i)
{
    struct pf__callback callback = {chunk->at[i].fn, chunk->at[i].arg, NULL,
                                    chunk->at[i].where, NULL};
    if (i >= atomic_load_explicit(&chunk->first_end, memory_order_relaxed)) {
        callback.destroy = chunk->ends[i].destroy;
        callback.context = chunk->ends[i].context;
    }
    return callback;
}

/* The head has run: it is spare now, or goes. */
void pf__callbacks_retire_head(struct pf__callbacks *callbacks);

/* Take the next one, if it was there at the mark. */
static inline bool pf__callbacks_next(struct pf__callbacks *callbacks, uint64_t mark,
                                      struct pf__callback *out)
{
    uint64_t number = atomic_load_explicit(&callbacks->done, memory_order_relaxed);
    if (number == mark)
        return false;
    *out = pf__callback_at(callbacks->head, number % PF__CHUNK);
    atomic_store_explicit(&callbacks->done, ++number, memory_order_relaxed);
    if (number % PF__CHUNK == 0)
        pf__callbacks_retire_head(callbacks);
    return true;
}

/* Call fn for each that waits, oldest first, under no lock, until it does not return 0. */
int pf__callbacks_each(struct pf__callbacks *callbacks, pf__each_callback_fn *fn,
                       void *arg);

/* Async-signal-safe. Returns 0 or -EAGAIN. */
int pf__signal_ring_put(struct pf__signal_ring *ring, pf_callback_fn *fn, void *arg);

/* How many were put so far; get() up to that many is a snapshot. */
unsigned pf__signal_ring_head(struct pf__signal_ring *ring);

/* The next one, if it was put before `head`. */
bool pf__signal_ring_get(struct pf__signal_ring *ring, unsigned head,
                         struct pf__callback *out);

bool pf__signal_ring_empty(struct pf__signal_ring *ring);

/* Call fn for each that waits, oldest first; the loop's thread only. */
int pf__signal_ring_each(struct pf__signal_ring *ring, pf__each_callback_fn *fn, void *arg);

#endif
