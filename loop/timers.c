/* timers.c - see timers.h. */
#include "loop/timers.h"

#include "loop/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    LEVEL_BITS = 8,
    ARITY = 4, /* of the heap */
    FIRST_CAPACITY = 64,
    STALE_KEYS_MIN = 64 /* in the heap, before it is swept for them */
};

/* The lists that a slot may be in; smaller numbers are the wheel's buckets. */
enum {
    RUN = PF__TIMER_LEVELS * PF__TIMER_BUCKETS,
    NEVER,
    ASIDE,
    HEAP,
    FREE
};

#define NONE UINT32_MAX

static const struct pf__timer_list empty = {NONE, NONE};

void pf__timers_init(struct pf__timers *timers)
{
    *timers = (struct pf__timers){
        .run = empty, .never = empty, .aside = empty, .free = NONE, .due_until = INT64_MIN};
}

void pf__timers_fini(struct pf__timers *timers)
{
    free(timers->wheel);
    free(timers->heap);
    free(timers->slots);
    free(timers->calls);
    free(timers->more);
    pf__timers_init(timers);
}

/* ---- room ------------------------------------------------------------------------ */

static int make_wheel(struct pf__timers *timers)
{
    if (timers->wheel)
        return 0;
    struct pf__timer_wheel *wheel = malloc(sizeof *wheel);
    if (!wheel)
        return -ENOMEM;
    memset(wheel->occupied, 0, sizeof wheel->occupied); /* so the rest is not looked at */
    timers->wheel = wheel;
    return 0;
}

/* If one of several fails, those before have merely grown: `capacity` still holds for all.
 */
#define GROW(table, used, count)                                                           \
    ((larger = pf__table_grow((table), (used), (count), sizeof *(table)))                  \
         ? ((table) = larger, 0)                                                           \
         : -ENOMEM)

int pf__timers_reserve(struct pf__timers *timers, size_t count)
{
    void *larger;
    if (count <= timers->capacity)
        return 0;
    if (count >= NONE / 2)
        return -ENOMEM;
    int err = make_wheel(timers);
    if (!err)
        err = GROW(timers->heap, timers->heap_count, count * 2);
    if (!err)
        err = GROW(timers->slots, timers->slots_used, count);
    if (!err)
        err = GROW(timers->calls, timers->slots_used, count);
    if (!err)
        err = GROW(timers->more, timers->slots_used, count);
    if (!err)
        timers->capacity = (uint32_t)count;
    return err;
}

/* ---- lists ----------------------------------------------------------------------- */

static struct pf__timer_list *list_of(struct pf__timers *timers, unsigned list)
{
    switch (list) {
    case RUN:
        return &timers->run;
    case NEVER:
        return &timers->never;
    case ASIDE:
        return &timers->aside;
    default:
        return &timers->wheel->buckets[list];
    }
}

static uint64_t *occupied_word(struct pf__timer_wheel *wheel, unsigned bucket)
{
    return &wheel->occupied[bucket / PF__TIMER_BUCKETS][bucket % PF__TIMER_BUCKETS / 64];
}

static uint64_t occupied_bit(unsigned bucket)
{
    return UINT64_C(1) << bucket % 64;
}

static void append(struct pf__timers *timers, unsigned list, uint32_t index)
{
    struct pf__timer_list *to = list_of(timers, list);
    struct pf__timer_slot *slot = &timers->slots[index];
    slot->list = (uint16_t)list;
    slot->next = NONE;
    slot->previous = to->tail;
    if (to->tail == NONE)
        to->head = index;
    else
        timers->slots[to->tail].next = index;
    to->tail = index;
}

static void unlink_slot(struct pf__timers *timers, const struct pf__timer_slot *slot)
{
    struct pf__timer_list *list = list_of(timers, slot->list);
    if (slot->previous == NONE)
        list->head = slot->next;
    else
        timers->slots[slot->previous].next = slot->next;
    if (slot->next == NONE)
        list->tail = slot->previous;
    else
        timers->slots[slot->next].previous = slot->previous;
    if (list->head == NONE && slot->list < RUN)
        *occupied_word(timers->wheel, slot->list) &= ~occupied_bit(slot->list);
}

/* ---- heap ------------------------------------------------------------------------ */

static bool before(const struct pf__timer_key *a, const struct pf__timer_key *b)
{
    return a->deadline != b->deadline ? a->deadline < b->deadline
                                      : a->sequence < b->sequence;
}

static void sift_up(struct pf__timer_key *heap, uint32_t at, struct pf__timer_key key)
{
    while (at > 0) {
        uint32_t parent = (at - 1) / ARITY;
        if (!before(&key, &heap[parent]))
            break;
        heap[at] = heap[parent];
        at = parent;
    }
    heap[at] = key;
}

static void sift_down(struct pf__timer_key *heap, uint32_t count, uint32_t at,
                      struct pf__timer_key key)
{
    for (;;) {
        uint32_t first = at * ARITY + 1;
        if (first >= count)
            break;
        uint32_t end = first + ARITY < count ? first + ARITY : count;
        uint32_t least = first;
        for (uint32_t child = first + 1; child < end; child++)
            if (before(&heap[child], &heap[least]))
                least = child;
        if (!before(&heap[least], &key))
            break;
        heap[at] = heap[least];
        at = least;
    }
    heap[at] = key;
}

static void pop(struct pf__timers *timers)
{
    struct pf__timer_key last = timers->heap[--timers->heap_count];
    if (timers->heap_count)
        sift_down(timers->heap, timers->heap_count, 0, last);
}

static bool is_stale(const struct pf__timers *timers, const struct pf__timer_key *key)
{
    const struct pf__timer_slot *slot = &timers->slots[key->slot];
    return slot->list != HEAP || slot->sequence != key->sequence;
}

/* Is there no room in the heap, or are most of its keys stale? */
static bool heap_is_stale(const struct pf__timers *timers)
{
    return timers->heap_count == 2 * timers->capacity ||
           timers->heap_count >= 2 * (uint64_t)timers->waiting + STALE_KEYS_MIN;
}

/* Drop the stale keys, which pays for itself: at least every second one is. */
static void sweep(struct pf__timers *timers)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < timers->heap_count; i++)
        if (!is_stale(timers, &timers->heap[i]))
            timers->heap[kept++] = timers->heap[i];
    timers->heap_count = kept;
    for (uint32_t at = kept / ARITY + 1; at-- > 0;)
        if (at < kept)
            sift_down(timers->heap, kept, at, timers->heap[at]);
}

/* ---- near and far ---------------------------------------------------------------- */

static struct pf__timer_key key_of(const struct pf__timers *timers, uint32_t index)
{
    const struct pf__timer_slot *slot = &timers->slots[index];
    return (struct pf__timer_key){slot->deadline, slot->sequence, index};
}

static void add_near(struct pf__timers *timers, uint32_t index)
{
    struct pf__timer_key key = key_of(timers, index);
    if (timers->run.tail != NONE) {
        struct pf__timer_key last = key_of(timers, timers->run.tail);
        if (before(&key, &last)) {
            if (heap_is_stale(timers))
                sweep(timers);
            timers->slots[index].list = HEAP;
            sift_up(timers->heap, timers->heap_count++, key);
            return;
        }
    }
    append(timers, RUN, index);
}

/* The earliest of the near ones, or NONE. */
static uint32_t first_near(struct pf__timers *timers)
{
    while (timers->heap_count && is_stale(timers, &timers->heap[0]))
        pop(timers);
    uint32_t head = timers->run.head;
    if (timers->heap_count == 0)
        return head;
    if (head == NONE)
        return timers->heap[0].slot;
    struct pf__timer_key key = key_of(timers, head);
    return before(&key, &timers->heap[0]) ? head : timers->heap[0].slot;
}

/* Where a far tick belongs: the level of the highest digit in which it differs from now. */
static unsigned bucket_of(const struct pf__timers *timers, uint64_t tick)
{
    unsigned top = 63 - (unsigned)__builtin_clzll(tick ^ timers->tick);
    unsigned level = top / LEVEL_BITS;
    unsigned digit = tick >> (level * LEVEL_BITS) & (PF__TIMER_BUCKETS - 1);
    return level * PF__TIMER_BUCKETS + digit;
}

static void add_far(struct pf__timers *timers, uint32_t index, unsigned bucket)
{
    struct pf__timer_wheel *wheel = timers->wheel;
    int64_t deadline = timers->slots[index].deadline;
    uint64_t *word = occupied_word(wheel, bucket);
    if (!(*word & occupied_bit(bucket))) {
        *word |= occupied_bit(bucket);
        wheel->buckets[bucket] = empty;
        wheel->least[bucket] = deadline;
    } else if (deadline < wheel->least[bucket]) {
        wheel->least[bucket] = deadline;
    }
    append(timers, bucket, index);
}

/* Put a slot that is in no list where its deadline belongs. */
static void file_slot(struct pf__timers *timers, uint32_t index)
{
    int64_t deadline = timers->slots[index].deadline;
    uint64_t tick = pf__timers_tick(deadline);
    if (deadline == PF_NEVER)
        append(timers, NEVER, index);
    else if (tick <= timers->tick)
        add_near(timers, index);
    else
        add_far(timers, index, bucket_of(timers, tick));
}

/* Take a slot out of its list. In the heap it leaves a key, which is stale from now on. */
static void take_out(struct pf__timers *timers, uint32_t index)
{
    struct pf__timer_slot *slot = &timers->slots[index];
    if (slot->list == HEAP)
        slot->list = FREE;
    else
        unlink_slot(timers, slot);
}

/* The bucket that time reaches first, or NONE: lower levels come before higher ones. */
static unsigned first_bucket(const struct pf__timers *timers)
{
    enum {
        WORDS = PF__TIMER_LEVELS * PF__TIMER_BUCKETS / 64
    };
    const uint64_t *words = timers->wheel ? &timers->wheel->occupied[0][0] : NULL;
    for (unsigned i = 0; words && i < WORDS; i++)
        if (words[i])
            return i * 64 + (unsigned)__builtin_ctzll(words[i]);
    return NONE;
}

static uint64_t start_of(const struct pf__timers *timers, unsigned bucket)
{
    unsigned shift = bucket / PF__TIMER_BUCKETS * LEVEL_BITS;
    uint64_t higher = timers->tick >> shift >> LEVEL_BITS << LEVEL_BITS;
    return (higher | bucket % PF__TIMER_BUCKETS) << shift;
}

/* Empty a list, and put all that was in it where it belongs now. */
static void file_again(struct pf__timers *timers, uint32_t index)
{
    while (index != NONE) {
        uint32_t next = timers->slots[index].next;
        if (next != NONE)
            __builtin_prefetch(&timers->slots[next]);
        __builtin_prefetch(&timers->calls[index]); /* it may well be called soon */
        file_slot(timers, index);
        index = next;
    }
}

/* Go on to the next bucket, if that begins by `tick`. */
static bool turn_wheel(struct pf__timers *timers, uint64_t tick)
{
    unsigned bucket = first_bucket(timers);
    if (bucket == NONE)
        return false;
    uint64_t start = start_of(timers, bucket);
    if (start > tick)
        return false;
    timers->tick = start;
    *occupied_word(timers->wheel, bucket) &= ~occupied_bit(bucket);
    file_again(timers, timers->wheel->buckets[bucket].head);
    return true;
}

/* ---- slots ----------------------------------------------------------------------- */

static void free_slot(struct pf__timers *timers, uint32_t index)
{
    struct pf__timer_slot *slot = &timers->slots[index];
    slot->list = FREE;
    slot->next = timers->free;
    timers->free = index;
}

static int take_free_slot(struct pf__timers *timers, uint32_t *out)
{
    if (timers->free != NONE) {
        *out = timers->free;
        timers->free = timers->slots[*out].next;
        return 0;
    }
    if (timers->slots_used == timers->capacity) {
        size_t more = timers->capacity ? (size_t)timers->capacity * 2 : FIRST_CAPACITY;
        int err = pf__timers_reserve(timers, more);
        if (err)
            return err;
    }
    *out = timers->slots_used++;
    timers->slots[*out].generation = 0;
    return 0;
}

/* The slot that a name stands for; NULL if it is stale. */
static struct pf__timer_slot *slot_of(const struct pf__timers *timers, pf_timer timer)
{
    uint32_t index = (uint32_t)timer.id;
    if (index >= timers->slots_used)
        return NULL;
    struct pf__timer_slot *slot = &timers->slots[index];
    return slot->generation == timer.id >> 32 && slot->list != FREE ? slot : NULL;
}

static void get(const struct pf__timers *timers, uint32_t index,
                struct pf__timer_call *call, struct pf__timer_more *more)
{
    *call = timers->calls[index];
    *more =
        timers->slots[index].has_more ? timers->more[index] : (struct pf__timer_more){0};
}

/* ---- from outside ---------------------------------------------------------------- */

int pf__timers_add(struct pf__timers *timers, int64_t deadline,
                   const struct pf__timer_call *call, const struct pf__timer_more *more,
                   pf_timer *out)
{
    uint32_t index;
    int err = take_free_slot(timers, &index);
    if (err)
        return err;
    struct pf__timer_slot *slot = &timers->slots[index];
    slot->deadline = deadline;
    slot->sequence = timers->next_sequence++;
    timers->calls[index] = *call;
    slot->has_end = call->destroy || (more && more->context);
    slot->has_more = more != NULL;
    if (more)
        timers->more[index] = *more;
    if (++slot->generation == 0)
        slot->generation = 1; /* so that no id is ever 0 */
    file_slot(timers, index);
    timers->waiting++;
    if (out)
        out->id = (uint64_t)slot->generation << 32 | index;
    return 0;
}

int pf__timers_move(struct pf__timers *timers, pf_timer timer, int64_t deadline)
{
    struct pf__timer_slot *slot = slot_of(timers, timer);
    if (!slot)
        return -ENOENT;
    bool is_later = deadline >= slot->deadline;
    slot->deadline = deadline;
    slot->sequence = timers->next_sequence++;
    if (slot->list < RUN &&
        is_later) /* its bucket comes early enough, and files it again */
        return 0;
    take_out(timers, (uint32_t)timer.id);
    file_slot(timers, (uint32_t)timer.id);
    return 0;
}

void *pf__timers_context(const struct pf__timers *timers, pf_timer timer)
{
    const struct pf__timer_slot *slot = slot_of(timers, timer);
    return slot && slot->has_more ? timers->more[(uint32_t)timer.id].context : NULL;
}

int pf__timers_describe(struct pf__timers *timers, pf_timer timer, const char *what)
{
    struct pf__timer_slot *slot = slot_of(timers, timer);
    if (!slot)
        return -ENOENT;
    struct pf__timer_more *more = &timers->more[(uint32_t)timer.id];
    if (!slot->has_more)
        *more = (struct pf__timer_more){0};
    more->what = what;
    slot->has_more = true;
    return 0;
}

int pf__timers_remove(struct pf__timers *timers, pf_timer timer,
                      struct pf__timer_call *call, struct pf__timer_more *more)
{
    const struct pf__timer_slot *slot = slot_of(timers, timer);
    if (!slot)
        return -ENOENT;
    uint32_t index = (uint32_t)timer.id;
    timers->waiting--;
    take_out(timers, index);
    if (slot->has_end) {
        get(timers, index, call, more);
    } else { /* as usual: then its call need not be looked at */
        *call = (struct pf__timer_call){0};
        *more = (struct pf__timer_more){0};
    }
    free_slot(timers, index);
    return 0;
}

int64_t pf__timers_next(struct pf__timers *timers)
{
    if (timers->aside.head != NONE) /* asked from inside a timer: these are due already */
        return timers->due_until;
    uint32_t near = first_near(timers);
    if (near != NONE)
        return timers->slots[near].deadline;
    unsigned bucket = first_bucket(timers);
    return bucket == NONE ? PF_NEVER : timers->wheel->least[bucket];
}

void pf__timers_set_due(struct pf__timers *timers, int64_t now)
{
    timers->due_until = now;
    timers->due_before = timers->next_sequence;
}

/* The next one with a deadline that has come, or NONE. Out of the heap, it is in no list
 * now. */
static uint32_t next_due(struct pf__timers *timers)
{
    uint64_t tick = pf__timers_tick(timers->due_until);
    uint32_t index;
    while ((index = first_near(timers)) == NONE)
        if (!turn_wheel(timers, tick))
            return NONE;
    if (timers->slots[index].deadline > timers->due_until)
        return NONE;
    if (timers->slots[index].list == HEAP)
        pop(timers); /* it is at the top */
    else
        take_out(timers, index);
    return index;
}

/* All are taken: time has reached where it was to go. */
static void end_due(struct pf__timers *timers)
{
    uint64_t tick = pf__timers_tick(timers->due_until);
    if (tick > timers->tick)
        timers->tick = tick;
    uint32_t aside = timers->aside.head;
    timers->aside = empty;
    file_again(timers, aside);
}

bool pf__timers_take(struct pf__timers *timers, struct pf__timer_call *call,
                     struct pf__timer_more *more, int64_t *late_ns)
{
    uint32_t index;
    while ((index = next_due(timers)) != NONE) {
        const struct pf__timer_slot *slot = &timers->slots[index];
        if (slot->sequence >= timers->due_before) { /* it came too late for this time */
            append(timers, ASIDE, index);
            continue;
        }
        /* Unsigned, and cut: the two may lie at far ends of the range. */
        uint64_t by = (uint64_t)timers->due_until - (uint64_t)slot->deadline;
        *late_ns = by < INT64_MAX ? (int64_t)by : INT64_MAX;
        get(timers, index, call, more);
        timers->waiting--;
        free_slot(timers, index);
        return true;
    }
    end_due(timers);
    return false;
}

bool pf__timers_each(const struct pf__timers *timers, uint32_t *at, pf_timer *timer,
                     int64_t *deadline, struct pf__timer_call *call,
                     struct pf__timer_more *more)
{
    while (*at < timers->slots_used && timers->slots[*at].list == FREE)
        ++*at;
    if (*at >= timers->slots_used)
        return false;
    const struct pf__timer_slot *slot = &timers->slots[*at];
    timer->id = (uint64_t)slot->generation << 32 | *at;
    *deadline = slot->deadline;
    get(timers, *at, call, more);
    ++*at;
    return true;
}
