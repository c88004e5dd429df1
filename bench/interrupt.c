/* interrupt.c - see interrupt.h. */
#include "bench/interrupt.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t noted;

static const int signals[] = {SIGINT, SIGTERM};

static void set_all(void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        (void)sigaction(signals[i], &action, NULL); /* two that can be taken */
}

static void on_signal(int signo)
{
    if (noted) {
        set_all(SIG_DFL);
        (void)raise(signo);
    }
    noted = 1;
}

void interrupt_note(void)
{
    set_all(on_signal);
}

void interrupt_forget(void)
{
    set_all(SIG_DFL);
}

bool interrupt_is_noted(void)
{
    return noted != 0;
}

void interrupt_came(void)
{
    noted = 1;
}
