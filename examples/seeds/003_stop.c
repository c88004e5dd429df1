/* 003_stop.c - seed 003, start and stop in synchronous code: a method that answers later is
 * given the loop's stop for a callback, and start returns when it has answered.
 */
#include <prefork.h>

#include <stdio.h>

static int ioloop_stop(pf_loop *ioloop, void *arg)
{
    *(const char **)arg = "the answer";
    return pf_loop_stop(ioloop);
}

/* Has its answer in a while, and calls back. */
static int async_method(pf_loop *ioloop, pf_callback_fn *callback, void *arg)
{
    return pf_loop_call_later(ioloop, 20 * PF_MILLISECOND, callback, arg, NULL);
}

int main(void)
{
    pf_loop *ioloop;
    const char *answer = "nothing";
    if (pf_loop_new(NULL, &ioloop) != 0)
        return 1;
    int err = async_method(ioloop, ioloop_stop, &answer);
    if (!err)
        err = pf_loop_start(ioloop);
    printf("start has returned: %s\n", answer);
    pf_loop_close(ioloop, false);
    pf_loop_unref(ioloop);
    return err != 0;
}
