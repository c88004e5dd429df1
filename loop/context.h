/*
 * context.h - what was around a registration is around its call again.
 *
 * A registration keeps what capture() gave it, as a pointer that only the hooks understand;
 * NULL, which is all there ever is without hooks, costs one comparison.
 */
#ifndef PREFORK_LOOP_CONTEXT_H
#define PREFORK_LOOP_CONTEXT_H

#include <prefork/loop.h>

/* The context for a registration of this loop's; any thread. */
static inline void *pf__context_capture(const struct pf_context_hooks *hooks)
{
    return hooks->capture ? hooks->capture(hooks->arg) : NULL;
}

/* Around a call: enter's result is for leave. */
static inline void *pf__context_enter(const struct pf_context_hooks *hooks, void *context)
{
    return context && hooks->enter ? hooks->enter(context, hooks->arg) : NULL;
}

static inline void pf__context_leave(const struct pf_context_hooks *hooks, void *context,
                                     void *entered)
{
    if (context && hooks->leave)
        hooks->leave(context, entered, hooks->arg);
}

/* The registration is over. */
static inline void pf__context_release(const struct pf_context_hooks *hooks, void *context)
{
    if (context && hooks->release)
        hooks->release(context, hooks->arg);
}

/* Have the handler of fd called in the context of this timer, whatever was around its own
 * registration: for an object that has one context and registers its descriptor late. */
void pf__context_share(pf_loop *loop, pf_timer timer, int fd);

#endif
