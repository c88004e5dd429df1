/* callbacks.c - see callbacks.h. */
#include "loop/callbacks.h"

#include <errno.h>
#include <stdlib.h>

enum {
    CHUNKS_KEPT = 8 /* after a burst, where no more were reserved */
};

void pf__callbacks_init(struct pf__callbacks *callbacks, size_t max)
{
    *callbacks = (struct pf__callbacks){.max = max, .chunks_wanted = CHUNKS_KEPT};
    pthread_mutex_init(&callbacks->lock, NULL); /* cannot fail with default attributes */
}

void pf__callbacks_fini(struct pf__callbacks *callbacks)
{
    pthread_mutex_destroy(&callbacks->lock);
}

/* ---- chunks; under the lock ------------------------------------------------------- */

static int add_spare(struct pf__callbacks *callbacks)
{
    struct pf__callback_chunk *chunk = malloc(sizeof *chunk);
    if (!chunk)
        return -ENOMEM;
    chunk->next = callbacks->spare;
    callbacks->spare = chunk;
    callbacks->spares++;
    callbacks->chunks++;
    return 0;
}

static void drop_spare(struct pf__callbacks *callbacks)
{
    struct pf__callback_chunk *chunk = callbacks->spare;
    callbacks->spare = chunk->next;
    callbacks->spares--;
    callbacks->chunks--;
    free(chunk);
}

/* Go on to a spare chunk. The loop finds it once something in it counts as added. */
void pf__callbacks_use_spare(struct pf__callbacks *callbacks)
{
    struct pf__callback_chunk *chunk = callbacks->spare;
    callbacks->spare = chunk->next;
    callbacks->spares--;
    chunk->next = NULL;
    chunk->first = atomic_load_explicit(&callbacks->added, memory_order_relaxed);
    atomic_store_explicit(&chunk->first_end, PF__CHUNK, memory_order_relaxed);
    if (callbacks->tail)
        callbacks->tail->next = chunk;
    else
        callbacks->head = chunk; /* the loop has taken all, and has no head */
    callbacks->tail = chunk;
}

static uint64_t added(struct pf__callbacks *callbacks)
{
    return atomic_load_explicit(&callbacks->added, memory_order_relaxed);
}

static uint64_t waiting(struct pf__callbacks *callbacks)
{
    return added(callbacks) - atomic_load_explicit(&callbacks->done, memory_order_relaxed);
}

/* Places there are, in the tail and in spare chunks. */
static uint64_t places(struct pf__callbacks *callbacks)
{
    uint64_t used = added(callbacks) % PF__CHUNK;
    return (used ? PF__CHUNK - used : 0) + (uint64_t)callbacks->spares * PF__CHUNK;
}

/* How far `added` may go without a look at anything else. */
static void measure_room(struct pf__callbacks *callbacks)
{
    uint64_t taken = waiting(callbacks), free = places(callbacks);
    uint64_t room = free > callbacks->promised ? free - callbacks->promised : 0;
    uint64_t allowed = callbacks->max > taken ? callbacks->max - taken : 0;
    if (callbacks->closed)
        room = 0;
    callbacks->room_until = added(callbacks) + (room < allowed ? room : allowed);
}

/* Have a place for one more, beside what is promised. */
static int have_place(struct pf__callbacks *callbacks, bool allowed)
{
    if (callbacks->closed)
        return -ESTALE;
    if (!allowed)
        return -ENOSPC;
    if (places(callbacks) <= callbacks->promised)
        return add_spare(callbacks);
    return 0;
}

int pf__callbacks_make_room(struct pf__callbacks *callbacks)
{
    int err = have_place(callbacks, waiting(callbacks) < callbacks->max);
    measure_room(callbacks);
    return err;
}

/* ---- producers ------------------------------------------------------------------- */

int pf__callbacks_promise(struct pf__callbacks *callbacks)
{
    pthread_mutex_lock(&callbacks->lock);
    uint64_t max = callbacks->max, promised = callbacks->promised;
    int err =
        have_place(callbacks, promised < max && waiting(callbacks) + promised < 2 * max);
    if (!err)
        callbacks->promised++;
    measure_room(callbacks);
    pthread_mutex_unlock(&callbacks->lock);
    return err;
}

void pf__callbacks_unpromise(struct pf__callbacks *callbacks)
{
    pthread_mutex_lock(&callbacks->lock);
    callbacks->promised--;
    measure_room(callbacks);
    pthread_mutex_unlock(&callbacks->lock);
}

int pf__callbacks_keep_locked(struct pf__callbacks *callbacks,
                              const struct pf__callback *add)
{
    pthread_mutex_lock(&callbacks->lock);
    callbacks->promised--;
    if (callbacks->closed) {
        pthread_mutex_unlock(&callbacks->lock);
        return -ESTALE;
    }
    pf__callbacks_append(callbacks, add); /* there is a place: that was the promise */
    measure_room(callbacks);
    return 0;
}

int pf__callbacks_reserve(struct pf__callbacks *callbacks, size_t count)
{
    if (count > callbacks->max) /* so many cannot wait */
        return -ENOMEM;
    /* A chunk more, because some of those in the first one may have run. */
    size_t wanted = count / PF__CHUNK + 2;
    int err = 0;
    pthread_mutex_lock(&callbacks->lock);
    size_t before = callbacks->chunks;
    while (count && !err && callbacks->chunks < wanted)
        err = add_spare(callbacks);
    while (err && callbacks->chunks > before)
        drop_spare(callbacks);
    if (!err && callbacks->chunks_wanted < wanted)
        callbacks->chunks_wanted = wanted;
    measure_room(callbacks);
    pthread_mutex_unlock(&callbacks->lock);
    return err;
}

/* ---- the loop -------------------------------------------------------------------- */

static uint64_t done(struct pf__callbacks *callbacks)
{
    return atomic_load_explicit(&callbacks->done, memory_order_relaxed);
}

bool pf__callbacks_wait(struct pf__callbacks *callbacks)
{
    return atomic_load_explicit(&callbacks->added, memory_order_relaxed) != done(callbacks);
}

bool pf__callbacks_wait_locked(struct pf__callbacks *callbacks)
{
    pthread_mutex_lock(&callbacks->lock);
    bool any = pf__callbacks_wait(callbacks);
    pthread_mutex_unlock(&callbacks->lock);
    return any;
}

uint64_t pf__callbacks_mark(struct pf__callbacks *callbacks)
{
    return atomic_load_explicit(&callbacks->added, memory_order_acquire);
}

void pf__callbacks_retire_head(struct pf__callbacks *callbacks)
{
    pthread_mutex_lock(&callbacks->lock);
    struct pf__callback_chunk *chunk = callbacks->head;
    bool keep = callbacks->chunks <= callbacks->chunks_wanted;
    callbacks->head = chunk->next;
    if (callbacks->tail == chunk)
        callbacks->tail = NULL;
    if (keep) {
        chunk->next = callbacks->spare;
        callbacks->spare = chunk;
        callbacks->spares++;
    } else {
        callbacks->chunks--;
    }
    pthread_mutex_unlock(&callbacks->lock);
    if (!keep)
        free(chunk);
}

int pf__callbacks_each(struct pf__callbacks *callbacks, pf__each_callback_fn *fn, void *arg)
{
    int result = 0;
    uint64_t first = done(callbacks), mark = pf__callbacks_mark(callbacks);
    const struct pf__callback_chunk *chunk = NULL;
    for (uint64_t number = first; !result && number != mark; number++) {
        if (number == first) { /* if none waits, a producer may be making a head */
            chunk = callbacks->head;
            /* In a child: its thread was about to retire it when another one forked. */
            if (number - chunk->first >= PF__CHUNK)
                chunk = chunk->next;
        } else if (number % PF__CHUNK == 0) {
            chunk = chunk->next;
        }
        struct pf__callback callback = pf__callback_at(chunk, number % PF__CHUNK);
        result = fn(&callback, arg);
    }
    return result;
}

/* ---- the end --------------------------------------------------------------------- */

static void free_chunks(struct pf__callback_chunk *chunk)
{
    while (chunk) {
        struct pf__callback_chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
}

struct drop {
    pf__drop_fn *fn;
    void *arg;
};

static int drop_one(const struct pf__callback *callback, void *arg)
{
    const struct drop *drop = arg;
    drop->fn(callback, drop->arg);
    return 0;
}

/* Nobody adds any more. Destroy functions run without the lock. */
static void drop_all(struct pf__callbacks *callbacks, struct drop drop)
{
    uint64_t mark = pf__callbacks_mark(callbacks);
    (void)pf__callbacks_each(callbacks, drop_one, &drop);
    atomic_store(&callbacks->done, mark);
}

static void close_locked(struct pf__callbacks *callbacks, struct drop drop)
{
    callbacks->closed = true;
    callbacks->room_until = 0;
    pthread_mutex_unlock(&callbacks->lock);
    drop_all(callbacks, drop);
    free_chunks(callbacks->head);
    free_chunks(callbacks->spare);
    callbacks->head = callbacks->tail = callbacks->spare = NULL;
}

void pf__callbacks_close(struct pf__callbacks *callbacks, pf__drop_fn *drop, void *arg)
{
    pthread_mutex_lock(&callbacks->lock);
    close_locked(callbacks, (struct drop){drop, arg});
}

void pf__callbacks_discard(struct pf__callbacks *callbacks, pf__drop_fn *drop, void *arg)
{
    /* A thread that held the lock at the fork is not in the child to let go of it, or to
     * finish what it did to the list of chunks: their memory is left alone. */
    if (pthread_mutex_trylock(&callbacks->lock) == 0)
        close_locked(callbacks, (struct drop){drop, arg});
    else
        drop_all(callbacks, (struct drop){drop, arg});
}

/* ---- the ring -------------------------------------------------------------------- */

/*
 * A cell's turn equals a producer's position when it may fill it, position + 1 when it is
 * filled, and position + size when it is free for the next round. A handler that interrupts
 * another between the two steps simply takes the next cell; the loop waits for neither, it
 * stops at the first cell that is not filled and is woken again by the one that fills it.
 */
static unsigned turn_of(struct pf__signal_ring *ring, unsigned at)
{
    unsigned index = at % PF_LOOP_SIGNAL_CALLBACKS_MAX;
    return atomic_load(&ring->turns[index]) + index;
}

static void set_turn(struct pf__signal_ring *ring, unsigned at, unsigned turn)
{
    unsigned index = at % PF_LOOP_SIGNAL_CALLBACKS_MAX;
    atomic_store(&ring->turns[index], turn - index);
}

static struct pf__callback in_cell(const struct pf__signal_ring *ring, unsigned at)
{
    unsigned index = at % PF_LOOP_SIGNAL_CALLBACKS_MAX;
    return (struct pf__callback){.fn = ring->cells[index].fn,
                                 .arg = ring->cells[index].arg};
}

int pf__signal_ring_put(struct pf__signal_ring *ring, pf_callback_fn *fn, void *arg)
{
    unsigned at = atomic_load(&ring->head);
    for (;;) {
        unsigned turn = turn_of(ring, at);
        if (turn == at) {
            if (atomic_compare_exchange_weak(&ring->head, &at, at + 1))
                break;
        } else if ((int)(turn - at) < 0) {
            return -EAGAIN; /* still holds what was put a round ago */
        } else {
            at = atomic_load(&ring->head);
        }
    }
    unsigned index = at % PF_LOOP_SIGNAL_CALLBACKS_MAX;
    ring->cells[index].fn = fn;
    ring->cells[index].arg = arg;
    set_turn(ring, at, at + 1);
    return 0;
}

unsigned pf__signal_ring_head(struct pf__signal_ring *ring)
{
    return atomic_load(&ring->head);
}

bool pf__signal_ring_get(struct pf__signal_ring *ring, unsigned head,
                         struct pf__callback *out)
{
    unsigned at = ring->tail;
    if (at == head || turn_of(ring, at) != at + 1)
        return false;
    *out = in_cell(ring, at);
    set_turn(ring, at, at + PF_LOOP_SIGNAL_CALLBACKS_MAX);
    ring->tail++;
    return true;
}

bool pf__signal_ring_empty(struct pf__signal_ring *ring)
{
    return turn_of(ring, ring->tail) != ring->tail + 1;
}

int pf__signal_ring_each(struct pf__signal_ring *ring, pf__each_callback_fn *fn, void *arg)
{
    int result = 0;
    for (unsigned at = ring->tail; !result && turn_of(ring, at) == at + 1; at++) {
        struct pf__callback callback = in_cell(ring, at);
        result = fn(&callback, arg);
    }
    return result;
}
