/* 003_timer.c - seed 003, a timer: add_timeout, "which does what time.sleep does and does
 * not block": while one waits, the loop has time for others.
 */
#include <prefork.h>

#include <stdio.h>

static int on_timeout(pf_loop *loop, void *text)
{
    (void)loop;
    puts(text);
    return 0;
}

static int on_last(pf_loop *loop, void *text)
{
    puts(text);
    return pf_loop_stop(loop);
}

int main(void)
{
    pf_loop *loop = pf_loop_current(true);
    static char first[] = "the first", last[] = "the last", never[] = "never",
                meanwhile[] = "meanwhile";
    pf_timer removed;
    int64_t now;
    if (!loop || pf_loop_time(loop, &now) != 0)
        return 1;
    int err = pf_loop_call_later(loop, 60 * PF_MILLISECOND, on_last, last, NULL);
    if (!err)
        err = pf_loop_call_at(loop, now + 20 * PF_MILLISECOND, on_timeout, first, NULL);
    if (!err)
        err = pf_loop_call_later(loop, 40 * PF_MILLISECOND, on_timeout, never, &removed);
    if (!err)
        err = pf_loop_remove_timeout(loop, removed);
    if (!err)
        err = pf_loop_add_callback(loop, on_timeout, meanwhile);
    if (!err)
        err = pf_loop_start(loop);
    pf_loop_close(loop, false);
    return err != 0;
}
