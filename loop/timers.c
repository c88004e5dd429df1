/* timers.c - see timers.h. */
#include "loop/timers.h"

#include <errno.h>
#include <stdlib.h>

enum {
    ARITY = 4,
    FIRST_CAPACITY = 64
};

/* FREE -> WAITING -> DUE -> FREE; a waiting one that is removed is FREE at once, a due one
 * is REMOVED until the chain reaches it. */
enum {
    FREE,
    WAITING,
    DUE,
    REMOVED
};

void pf__timers_init(struct pf__timers *timers)
{
    *timers = (struct pf__timers){
        .free = PF__TIMER_NONE, .due_head = PF__TIMER_NONE, .due_tail = PF__TIMER_NONE};
}

void pf__timers_fini(struct pf__timers *timers)
{
    for (uint32_t i = 0; i < timers->slots_used; i++) {
        struct pf__timer_call *call = &timers->slots[i].call;
        if (call->fn && call->destroy)
            call->destroy(call->arg);
    }
    free(timers->heap);
    free(timers->slots);
    pf__timers_init(timers);
}

int pf__timers_reserve(struct pf__timers *timers, size_t count)
{
    if (count <= timers->capacity)
        return 0;
    if (count >= PF__TIMER_NONE)
        return -ENOMEM;
    /* If the second one fails the first has merely grown: `capacity` still holds for both.
     */
    struct pf__timer_key *heap = realloc(timers->heap, count * sizeof *heap);
    if (!heap)
        return -ENOMEM;
    timers->heap = heap;
    struct pf__timer_slot *slots = realloc(timers->slots, count * sizeof *slots);
    if (!slots)
        return -ENOMEM;
    timers->slots = slots;
    timers->capacity = (uint32_t)count;
    return 0;
}

static bool before(const struct pf__timer_key *a, const struct pf__timer_key *b)
{
    return a->deadline != b->deadline ? a->deadline < b->deadline
                                      : a->sequence < b->sequence;
}

static void place(struct pf__timers *timers, uint32_t at, struct pf__timer_key key)
{
    timers->heap[at] = key;
    timers->slots[key.slot].link = at;
}

static void sift_up(struct pf__timers *timers, uint32_t at, struct pf__timer_key key)
{
    while (at > 0) {
        uint32_t parent = (at - 1) / ARITY;
        if (!before(&key, &timers->heap[parent]))
            break;
        place(timers, at, timers->heap[parent]);
        at = parent;
    }
    place(timers, at, key);
}

static void sift_down(struct pf__timers *timers, uint32_t at, struct pf__timer_key key)
{
    for (;;) {
        uint32_t first = at * ARITY + 1;
        if (first >= timers->count)
            break;
        uint32_t end = first + ARITY < timers->count ? first + ARITY : timers->count;
        uint32_t least = first;
        for (uint32_t child = first + 1; child < end; child++)
            if (before(&timers->heap[child], &timers->heap[least]))
                least = child;
        if (!before(&timers->heap[least], &key))
            break;
        place(timers, at, timers->heap[least]);
        at = least;
    }
    place(timers, at, key);
}

static void remove_from_heap(struct pf__timers *timers, uint32_t at)
{
    struct pf__timer_key last = timers->heap[--timers->count];
    if (at == timers->count)
        return;
    if (before(&last, &timers->heap[at]))
        sift_up(timers, at, last);
    else
        sift_down(timers, at, last);
}

static void free_slot(struct pf__timers *timers, uint32_t index)
{
    struct pf__timer_slot *slot = &timers->slots[index];
    slot->call.fn = NULL;
    slot->state = FREE;
    slot->link = timers->free;
    timers->free = index;
}

static int take_free_slot(struct pf__timers *timers, uint32_t *out)
{
    if (timers->free != PF__TIMER_NONE) {
        *out = timers->free;
        timers->free = timers->slots[*out].link;
        return 0;
    }
    if (timers->slots_used == timers->capacity) {
        size_t more = timers->capacity ? (size_t)timers->capacity * 2 : FIRST_CAPACITY;
        int err = pf__timers_reserve(timers, more);
        if (err)
            return err;
    }
    *out = timers->slots_used++;
    timers->slots[*out] = (struct pf__timer_slot){.state = FREE};
    return 0;
}

int pf__timers_add(struct pf__timers *timers, int64_t deadline,
                   const struct pf__timer_call *call, pf_timer *out)
{
    uint32_t index;
    int err = take_free_slot(timers, &index);
    if (err)
        return err;
    struct pf__timer_slot *slot = &timers->slots[index];
    slot->call = *call;
    slot->state = WAITING;
    if (++slot->generation == 0)
        slot->generation = 1; /* so that no id is ever 0 */
    struct pf__timer_key key = {deadline, timers->next_sequence++, index};
    sift_up(timers, timers->count++, key);
    if (out)
        out->id = (uint64_t)slot->generation << 32 | index;
    return 0;
}

int pf__timers_remove(struct pf__timers *timers, pf_timer timer, struct pf__timer_call *out)
{
    uint32_t index = (uint32_t)timer.id;
    if (index >= timers->slots_used)
        return -ENOENT;
    struct pf__timer_slot *slot = &timers->slots[index];
    if (slot->generation != timer.id >> 32)
        return -ENOENT;
    if (slot->state == WAITING) {
        *out = slot->call;
        remove_from_heap(timers, slot->link);
        free_slot(timers, index);
        return 0;
    }
    if (slot->state == DUE) {
        *out = slot->call;
        slot->call.fn = NULL;
        slot->state = REMOVED;
        timers->due_count--;
        return 0;
    }
    return -ENOENT;
}

int64_t pf__timers_next(const struct pf__timers *timers)
{
    return timers->count ? timers->heap[0].deadline : PF_NEVER;
}

void pf__timers_collect(struct pf__timers *timers, int64_t now)
{
    while (timers->count && timers->heap[0].deadline <= now &&
           timers->heap[0].deadline != PF_NEVER) {
        uint32_t index = timers->heap[0].slot;
        remove_from_heap(timers, 0);
        timers->slots[index].state = DUE;
        timers->slots[index].link = PF__TIMER_NONE;
        if (timers->due_tail == PF__TIMER_NONE)
            timers->due_head = index;
        else
            timers->slots[timers->due_tail].link = index;
        timers->due_tail = index;
        timers->due_count++;
    }
}

bool pf__timers_take(struct pf__timers *timers, struct pf__timer_call *out)
{
    while (timers->due_head != PF__TIMER_NONE) {
        uint32_t index = timers->due_head;
        struct pf__timer_slot *slot = &timers->slots[index];
        bool live = slot->state == DUE;
        *out = slot->call;
        timers->due_head = slot->link;
        if (timers->due_head == PF__TIMER_NONE)
            timers->due_tail = PF__TIMER_NONE;
        free_slot(timers, index);
        if (live) {
            timers->due_count--;
            return true;
        }
    }
    return false;
}
