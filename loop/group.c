/*
 * group.c - futures that are done when several others are, built on what anybody
 * can call.
 *
 * A group lives as long as one of its waits: each part's wait has end_wait() for its
 * destroy function, so a group also ends when the loop is closed. It holds a reference to
 * each part and, as the one who sets it, to the whole.
 */
#include "loop/future.h"

#include <errno.h>
#include <stdlib.h>

struct group {
    pf_loop *loop;
    pf_future *whole;
    size_t waits; /* and one more while the group is worked upon */
    size_t pending;
    size_t count;
    pf_future *parts[];
};

static void put(struct group *group)
{
    if (--group->waits > 0)
        return;
    for (size_t i = 0; i < group->count; i++)
        pf_future_unref(group->parts[i]);
    pf_future_unref(group->whole);
    free(group);
}

static void end_wait(void *arg)
{
    put(arg);
}

/* Wait for no part any more; the group may be gone afterwards. */
static void let_go(struct group *group, pf_future_fn *on_part)
{
    group->waits++;
    for (size_t i = 0; i < group->count; i++)
        (void)pf_loop_remove_future(group->loop, group->parts[i], on_part, group);
    put(group);
}

static int wait_for_parts(struct group *group, pf_future_fn *on_part, const char *where)
{
    int err = 0;
    group->waits++;
    for (size_t i = 0; !err && i < group->count; i++) {
        group->waits++;
        err = pf_loop_add_future_full(group->loop, group->parts[i], on_part, group,
                                      end_wait, where);
        if (err)
            group->waits--;
    }
    if (err)
        let_go(group, on_part);
    put(group);
    return err;
}

/* `futures` has been checked. Returns 0 or -ENOMEM. */
static int make(pf_loop *loop, pf_future *const *futures, size_t count, const char *where,
                struct group **out)
{
    if (count > (SIZE_MAX - sizeof(struct group)) / sizeof *futures)
        return -ENOMEM;
    struct group *group = calloc(1, sizeof *group + count * sizeof *futures);
    if (!group)
        return -ENOMEM;
    int err = pf_future_new_at(loop, where, &group->whole);
    if (err) {
        free(group);
        return err;
    }
    group->loop = loop;
    group->count = group->pending = count;
    for (size_t i = 0; i < count; i++)
        group->parts[i] = pf_future_ref(futures[i]);
    *out = group;
    return 0;
}

static int check(pf_loop *loop, pf_future *const *futures, size_t count, pf_future **out)
{
    int err = pf_loop_check(loop);
    if (!err && (!out || (count && !futures)))
        err = -EINVAL;
    for (size_t i = 0; !err && i < count; i++)
        err = pf__future_check(futures[i], loop);
    return err;
}

/* Begin to wait, and give the whole to the caller. */
static int begin(struct group *group, pf_future_fn *on_part, pf_cancel_fn *on_cancel,
                 const char *where, pf_future **out)
{
    pf_future *whole = pf_future_ref(group->whole);
    (void)pf_future_on_cancel(whole, on_cancel, group); /* new: it is pending */
    int err = wait_for_parts(group, on_part, where);
    if (err)
        pf_future_unref(whole);
    else
        *out = whole;
    return err;
}

/* ---- all ------------------------------------------------------------------------- */

/* Also asks for the errors that come after the first: whoever gets that one knows. */
static void finish_all(struct group *group)
{
    int first = 0;
    for (size_t i = 0; i < group->count; i++) {
        int error = 0;
        (void)pf_future_result(group->parts[i], &error, NULL);
        if (!first)
            first = error;
    }
    if (first) /* either fails only if the whole was cancelled */
        (void)pf_future_set_error(group->whole, first);
    else
        (void)pf_future_set_value(group->whole, NULL, NULL);
}

static int on_part_of_all(pf_loop *loop, pf_future *future, void *arg)
{
    struct group *group = arg;
    (void)loop, (void)future;
    if (--group->pending == 0)
        finish_all(group);
    return 0;
}

static int on_cancel_all(pf_future *whole, void *arg)
{
    struct group *group = arg;
    (void)whole;
    group->waits++;
    for (size_t i = 0; i < group->count; i++)
        (void)pf_future_cancel(group->parts[i]); /* what cannot be stopped goes on */
    put(group);
    return 0;
}

int pf_future_all(pf_loop *loop, pf_future *const *futures, size_t count, pf_future **out)
{
    struct group *group = NULL;
    int err = check(loop, futures, count, out);
    if (!err)
        err = make(loop, futures, count, "pf_future_all", &group);
    if (!err && count == 0)
        finish_all(group);
    return err ? err : begin(group, on_part_of_all, on_cancel_all, "pf_future_all", out);
}

/* ---- any ------------------------------------------------------------------------- */

static void unref_part(void *part)
{
    pf_future_unref(part);
}

static int on_part_of_any(pf_loop *loop, pf_future *future, void *arg)
{
    struct group *group = arg;
    (void)loop;
    if (pf_future_set_value(group->whole, pf_future_ref(future), unref_part) != 0)
        pf_future_unref(future);
    let_go(group, on_part_of_any);
    return 0;
}

static int on_cancel_any(pf_future *whole, void *arg)
{
    (void)whole;
    let_go(arg, on_part_of_any);
    return 0;
}

int pf_future_any(pf_loop *loop, pf_future *const *futures, size_t count, pf_future **out)
{
    struct group *group = NULL;
    int err = check(loop, futures, count, out);
    if (!err && count == 0)
        err = -EINVAL;
    if (!err)
        err = make(loop, futures, count, "pf_future_any", &group);
    return err ? err : begin(group, on_part_of_any, on_cancel_any, "pf_future_any", out);
}
