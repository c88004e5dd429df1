/* callbacks.c - see callbacks.h. */
#include "loop/callbacks.h"

#include <errno.h>
#include <stdlib.h>

enum {
    FIRST_CAPACITY = 64,
    KEEP_CAPACITY = 16384
};

void pf__callbacks_init(struct pf__callbacks *callbacks, size_t max)
{
    *callbacks = (struct pf__callbacks){.max = max};
    pthread_mutex_init(&callbacks->lock, NULL); /* cannot fail with default attributes */
}

static void drop(struct pf__callback_list *list)
{
    for (size_t i = list->taken; i < list->count; i++)
        if (list->at[i].destroy)
            list->at[i].destroy(list->at[i].arg);
    free(list->at);
    *list = (struct pf__callback_list){0};
}

/* Take everything out, then unlock: destroy functions run without the lock. */
static void close_locked(struct pf__callbacks *callbacks)
{
    struct pf__callback_list queue = callbacks->queue;
    callbacks->queue = (struct pf__callback_list){0};
    callbacks->closed = true;
    atomic_store(&callbacks->waiting, 0);
    pthread_mutex_unlock(&callbacks->lock);
    drop(&callbacks->batch);
    drop(&queue);
}

void pf__callbacks_close(struct pf__callbacks *callbacks)
{
    pthread_mutex_lock(&callbacks->lock);
    close_locked(callbacks);
}

void pf__callbacks_discard(struct pf__callbacks *callbacks)
{
    /* A thread that held the lock at the fork is not in the child to let go of it. */
    if (pthread_mutex_trylock(&callbacks->lock) == 0)
        close_locked(callbacks);
    else
        drop(&callbacks->batch);
}

void pf__callbacks_fini(struct pf__callbacks *callbacks)
{
    pthread_mutex_destroy(&callbacks->lock);
}

static int reserve(struct pf__callback_list *list, size_t count)
{
    if (count <= list->capacity)
        return 0;
    if (count > SIZE_MAX / sizeof *list->at)
        return -ENOMEM;
    struct pf__callback *at = realloc(list->at, count * sizeof *at);
    if (!at)
        return -ENOMEM;
    list->at = at;
    list->capacity = count;
    return 0;
}

int pf__callbacks_reserve(struct pf__callbacks *callbacks, size_t count)
{
    /* The two lists trade places every iteration, so both need the room. */
    pthread_mutex_lock(&callbacks->lock);
    int err = reserve(&callbacks->queue, count);
    pthread_mutex_unlock(&callbacks->lock);
    if (!err)
        err = reserve(&callbacks->batch, count);
    if (!err && count > callbacks->reserved)
        callbacks->reserved = count;
    return err;
}

static int append(struct pf__callbacks *callbacks, const struct pf__callback *add)
{
    struct pf__callback_list *queue = &callbacks->queue;
    if (callbacks->closed)
        return -ESTALE;
    if (queue->count >= callbacks->max)
        return -ENOSPC;
    if (queue->count == queue->capacity) {
        int err = reserve(queue, queue->capacity ? queue->capacity * 2 : FIRST_CAPACITY);
        if (err)
            return err;
    }
    queue->at[queue->count++] = *add;
    atomic_store(&callbacks->waiting, queue->count);
    return 0;
}

int pf__callbacks_add_locked(struct pf__callbacks *callbacks,
                             const struct pf__callback *add)
{
    pthread_mutex_lock(&callbacks->lock);
    int err = append(callbacks, add);
    if (err)
        pthread_mutex_unlock(&callbacks->lock);
    return err;
}

void pf__callbacks_take(struct pf__callbacks *callbacks)
{
    if (atomic_load(&callbacks->waiting) == 0)
        return;
    pthread_mutex_lock(&callbacks->lock);
    struct pf__callback_list empty = callbacks->batch;
    callbacks->batch = callbacks->queue;
    callbacks->queue = empty;
    atomic_store(&callbacks->waiting, 0);
    pthread_mutex_unlock(&callbacks->lock);
}

/* After a burst: keep what was reserved. */
static void give_back(struct pf__callback_list *batch, size_t reserved)
{
    struct pf__callback *less = NULL;
    if (reserved) {
        less = realloc(batch->at, reserved * sizeof *less);
        if (!less)
            return; /* then it stays */
    } else {
        free(batch->at);
    }
    batch->at = less;
    batch->capacity = reserved;
}

bool pf__callbacks_next(struct pf__callbacks *callbacks, struct pf__callback *out)
{
    struct pf__callback_list *batch = &callbacks->batch;
    if (batch->taken == batch->count)
        return false;
    *out = batch->at[batch->taken++];
    return true;
}

void pf__callbacks_done(struct pf__callbacks *callbacks)
{
    struct pf__callback_list *batch = &callbacks->batch;
    batch->count = batch->taken = 0;
    if (batch->capacity > KEEP_CAPACITY && batch->capacity > callbacks->reserved)
        give_back(batch, callbacks->reserved);
}

void pf__signal_ring_init(struct pf__signal_ring *ring)
{
    for (unsigned i = 0; i < PF_LOOP_SIGNAL_CALLBACKS_MAX; i++)
        atomic_init(&ring->cells[i].turn, i);
    atomic_init(&ring->head, 0);
    ring->tail = 0;
}

/*
 * A cell's turn equals a producer's position when it may fill it, position + 1 when it is
 * filled, and position + size when it is free for the next round. A handler that interrupts
 * another between the two steps simply takes the next cell; the loop waits for neither, it
 * stops at the first cell that is not filled and is woken again by the one that fills it.
 */
int pf__signal_ring_put(struct pf__signal_ring *ring, pf_callback_fn *fn, void *arg)
{
    unsigned at = atomic_load(&ring->head);
    struct pf__signal_cell *cell;
    for (;;) {
        cell = &ring->cells[at % PF_LOOP_SIGNAL_CALLBACKS_MAX];
        unsigned turn = atomic_load_explicit(&cell->turn, memory_order_acquire);
        if (turn == at) {
            if (atomic_compare_exchange_weak(&ring->head, &at, at + 1))
                break;
        } else if ((int)(turn - at) < 0) {
            return -EAGAIN; /* still holds what was put a round ago */
        } else {
            at = atomic_load(&ring->head);
        }
    }
    cell->fn = fn;
    cell->arg = arg;
    atomic_store(&cell->turn, at + 1);
    return 0;
}

unsigned pf__signal_ring_head(struct pf__signal_ring *ring)
{
    return atomic_load(&ring->head);
}

bool pf__signal_ring_get(struct pf__signal_ring *ring, unsigned head,
                         struct pf__callback *out)
{
    if (ring->tail == head)
        return false;
    struct pf__signal_cell *cell = &ring->cells[ring->tail % PF_LOOP_SIGNAL_CALLBACKS_MAX];
    if (atomic_load_explicit(&cell->turn, memory_order_acquire) != ring->tail + 1)
        return false;
    *out = (struct pf__callback){.fn = cell->fn, .arg = cell->arg};
    atomic_store_explicit(&cell->turn, ring->tail + PF_LOOP_SIGNAL_CALLBACKS_MAX,
                          memory_order_release);
    ring->tail++;
    return true;
}

bool pf__signal_ring_empty(struct pf__signal_ring *ring)
{
    struct pf__signal_cell *cell = &ring->cells[ring->tail % PF_LOOP_SIGNAL_CALLBACKS_MAX];
    return atomic_load(&cell->turn) != ring->tail + 1;
}
