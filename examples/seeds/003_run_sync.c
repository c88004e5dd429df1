/* 003_run_sync.c - seed 003, IOLoop.current().run_sync(main): start the loop, run a
 * function in it, and stop when its future is done; or after a timeout.
 */
#include <prefork.h>

#include <errno.h>
#include <stdio.h>

static int on_answer(pf_loop *loop, void *future)
{
    static char answer[] = "the answer";
    (void)loop;
    return pf_future_set_value(future, answer, NULL);
}

/* The timer's own hold on it ends, whether it has come or not. */
static void drop_future(void *future)
{
    pf_future_unref(future);
}

/* Calls that answer later. */
static int async_main(pf_loop *loop, void *arg, pf_future **out)
{
    const int64_t *delay_ns = arg;
    pf_future *future;
    int err = pf_future_new(loop, &future);
    if (err)
        return err;
    err = pf_loop_call_later_full(loop, *delay_ns, on_answer, pf_future_ref(future),
                                  drop_future, PF_HERE, NULL);
    if (err) {
        drop_future(future);
        drop_future(future);
        return err;
    }
    *out = future;
    return 0;
}

int main(void)
{
    pf_loop *loop = pf_loop_current(true);
    int64_t soon = 20 * PF_MILLISECOND, late = 3600 * PF_SECOND;
    int error = 0;
    void *value = NULL;
    if (!loop || pf_loop_run_sync(loop, async_main, &soon, PF_NEVER, &error, &value) != 0)
        return 1;
    printf("run_sync: %s\n", error ? "failed" : (const char *)value);
    int err =
        pf_loop_run_sync(loop, async_main, &late, 20 * PF_MILLISECOND, &error, &value);
    printf("run_sync: %s\n", err == -ETIMEDOUT ? "timed out" : "not timed out");
    return pf_loop_close(loop, false) != 0;
}
