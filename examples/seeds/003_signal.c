/* 003_signal.c - seed 003, add_callback_from_signal: a signal handler that leaves all but
 * the call to the loop. SIGUSR1 is counted, SIGTERM ends the program.
 */
#include <prefork.h>

#include <signal.h>
#include <stdio.h>

static pf_loop *loop; /* for a handler, which has no argument of its own */

static int on_usr1(pf_loop *io_loop, void *arg)
{
    static unsigned count;
    (void)io_loop, (void)arg;
    printf("signal %u\n", ++count);
    return fflush(stdout);
}

static int on_term(pf_loop *io_loop, void *arg)
{
    (void)arg;
    puts("stopping");
    return pf_loop_stop(io_loop);
}

static void handle(int signo)
{
    (void)pf_loop_add_callback_from_signal(loop, signo == SIGTERM ? on_term : on_usr1,
                                           NULL);
}

int main(void)
{
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
    loop = pf_loop_current(true);
    if (!loop || sigaction(SIGUSR1, &action, NULL) != 0 ||
        sigaction(SIGTERM, &action, NULL) != 0)
        return 1;
    puts("waiting for signals");
    fflush(stdout);
    int err = pf_loop_start(loop);
    action.sa_handler = SIG_DFL; /* before the loop goes that they would call */
    (void)sigaction(SIGUSR1, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    pf_loop_close(loop, false);
    return err != 0;
}
