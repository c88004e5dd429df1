/* 003_thread.c - seed 003, a thread that hands over by add_callback, "the only method that
 * other threads may call": the work is done on the thread, the rest on the loop's.
 */
#include <prefork.h>

#include <pthread.h>
#include <stdio.h>

struct work {
    pf_loop *loop;
    pthread_t home;
    unsigned sum;
};

static int on_worked(pf_loop *loop, void *arg)
{
    const struct work *work = arg;
    printf("%u, told on the %s thread\n", work->sum,
           pthread_equal(pthread_self(), work->home) ? "loop's" : "wrong");
    return pf_loop_stop(loop);
}

static void *work_on_a_thread(void *arg)
{
    struct work *work = arg;
    for (unsigned i = 1; i <= 1000; i++)
        work->sum += i;
    if (pf_loop_add_callback(work->loop, on_worked, work) != 0)
        fputs("no way back\n", stderr);
    return NULL;
}

int main(void)
{
    struct work work = {.loop = pf_loop_current(true), .home = pthread_self()};
    pthread_t thread;
    if (!work.loop || pthread_create(&thread, NULL, work_on_a_thread, &work) != 0)
        return 1;
    int err = pf_loop_start(work.loop);
    pthread_join(thread, NULL);
    pf_loop_close(work.loop, false);
    return err != 0;
}
