/*
 * member.h - what hangs on a loop and has to hear that the loop is gone: futures,
 * periodics.
 *
 * A member is embedded in its object and stands in the loop's list from the object's birth
 * to its end. When the loop is closed, or discarded in a child, each member is taken out
 * and told; it forgets the loop, and its object's calls answer -ESTALE or -ECHILD from then
 * on.
 */
#ifndef PREFORK_LOOP_MEMBER_H
#define PREFORK_LOOP_MEMBER_H

#include <prefork/loop.h>

struct pf__member;

/* Never frees the object: its owner does. Must not call the loop. */
typedef void pf__gone_fn(struct pf__member *member);

/* Show what the member will have called to pf_loop_walk(); NULL if that is timers and
 * callbacks. */
typedef int pf__each_fn(struct pf__member *member, pf_walk_fn *fn, void *arg);

struct pf__member {
    pf_loop *loop;   /* NULL once that is gone */
    uint64_t cookie; /* of the process that made it */
    pf__gone_fn *on_gone;
    pf__each_fn *each;             /* may be set after joining */
    struct pf__member *next, **at; /* `at` is what points here */
};

/* Join the loop's members; the caller has checked the loop. */
void pf__member_join(struct pf__member *member, pf_loop *loop, pf__gone_fn *on_gone);

/* Leave; fine after the loop is gone, and in a child that inherited both. */
void pf__member_part(struct pf__member *member);

/* May the calling thread use this object? 0, -ECHILD, -EPERM or -ESTALE. */
int pf__member_check(const struct pf__member *member);

/* The loop is gone: tell all, in no particular order. */
void pf__members_gone(struct pf__member **first);

#endif
