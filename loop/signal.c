/* signal.c - see signal.h. */
#include "loop/internal.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>

/* What was there before us; ordinary memory, since a child inherits our handler too.
 * Written before our handler is installed. */
static struct sigaction before[PF__SIGNALS + 1];

static unsigned long long bit_of(int signo)
{
    return 1ULL << (signo - 1);
}

/* ---- in signal context ----------------------------------------------------------- */

static void handle_signal(int signo);

static int install_ours(int signo)
{
    struct sigaction ours = {.sa_handler = handle_signal,
                             .sa_flags = SA_RESTART | SA_ONSTACK};
    sigemptyset(&ours.sa_mask);
    return sigaction(signo, &ours, NULL) == 0 ? 0 : -errno;
}

static bool somebody_takes(struct pf__process *process, int signo,
                           const struct pf__signals *besides)
{
    struct pf__signals *signals = atomic_load(&process->signals);
    for (; signals; signals = atomic_load(&signals->next))
        if (signals != besides && (atomic_load(&signals->taken) & bit_of(signo)))
            return true;
    return false;
}

/* Mark it in every loop that takes it; returns whether there is one. */
static bool tell(struct pf__process *process, int signo)
{
    bool taken = false;
    struct pf__signals *signals = atomic_load(&process->signals);
    for (; signals; signals = atomic_load(&signals->next)) {
        if (!(atomic_load(&signals->taken) & bit_of(signo)))
            continue;
        atomic_fetch_or(&signals->pending, bit_of(signo));
        pf__waker_wake(&signals->loop->waker);
        taken = true;
    }
    return taken;
}

static bool is_ours(int signo)
{
    struct sigaction found;
    return sigaction(signo, NULL, &found) == 0 && found.sa_handler == handle_signal;
}

/*
 * Nobody takes it. If our handler is not even there any more, it came while the last
 * registration went, which drops it. If it is, this is a child, where the old disposition
 * is to be in force; or another thread has taken it anew by now, or does at any moment, and
 * relies on our handler: so look again after each change, and leave it as it has to be.
 */
static void give_back_and_raise(struct pf__process *process, int signo)
{
    if (!is_ours(signo) || tell(process, signo))
        return;
    do {
        sigaction(signo, &before[signo], NULL);
        if (!tell(process, signo)) {
            (void)raise(signo);
            return;
        }
        (void)install_ours(signo); /* it was ours a moment ago */
    } while (!somebody_takes(process, signo, NULL));
}

static void handle_signal(int signo)
{
    int saved = errno;
    struct pf__process *process = pf__process();
    atomic_fetch_add(&process->signal_users, 1);
    if (!tell(process, signo))
        give_back_and_raise(process, signo);
    atomic_fetch_sub(&process->signal_users, 1);
    errno = saved;
}

/* ---- dispositions; under the process's lock -------------------------------------- */

static int install(int signo)
{
    struct sigaction found;
    if (sigaction(signo, NULL, &found) != 0)
        return -errno;
    if (found.sa_handler == handle_signal) /* by another loop, or inherited over a fork */
        return 0;
    before[signo] = found;
    return install_ours(signo);
}

/* ---- registrations --------------------------------------------------------------- */

static int check_signo(int signo)
{
    switch (signo) {
    case SIGKILL:
    case SIGSTOP:
        return -EINVAL;
    case SIGSEGV:
    case SIGBUS:
    case SIGFPE:
    case SIGILL:
        return -ENOTSUP;
    default:
        return signo >= 1 && signo <= PF__SIGNALS ? 0 : -EINVAL;
    }
}

static int make_signals(pf_loop *loop)
{
    if (loop->signals)
        return 0;
    struct pf__signals *signals = calloc(1, sizeof *signals);
    if (!signals)
        return -ENOMEM;
    signals->loop = loop;
    loop->signals = signals;
    struct pf__process *process = pf__process();
    pf__process_lock(process);
    atomic_store(&signals->next, atomic_load(&process->signals));
    atomic_store(&process->signals, signals);
    pf__process_unlock(process);
    return 0;
}

static int take_signal(struct pf__signals *signals, int signo)
{
    struct pf__process *process = pf__process();
    pf__process_lock(process);
    /* Marked first: one that comes in between is for us. */
    atomic_fetch_or(&signals->taken, bit_of(signo));
    int err = install(signo);
    if (err)
        atomic_fetch_and(&signals->taken, ~bit_of(signo));
    pf__process_unlock(process);
    return err;
}

static void give_signal_back(struct pf__signals *signals, int signo)
{
    struct pf__process *process = pf__process();
    pf__process_lock(process);
    if (!somebody_takes(process, signo, signals) &&
        is_ours(signo)) /* nobody came after us */
        (void)sigaction(signo, &before[signo], NULL);
    /* Only now: while our handler is there, somebody takes the signal. */
    atomic_fetch_and(&signals->taken, ~bit_of(signo));
    pf__process_unlock(process);
    atomic_fetch_and(&signals->pending, ~bit_of(signo));
    signals->due &= ~bit_of(signo);
}

int pf_loop_add_signal_full(pf_loop *loop, int signo, pf_signal_fn *fn, void *arg,
                            pf_destroy_fn *destroy, const char *where)
{
    int err = pf__loop_check(loop);
    if (!err)
        err = fn ? check_signo(signo) : -EINVAL;
    if (!err && loop->signals && loop->signals->at[signo].fn)
        err = -EEXIST;
    if (!err)
        err = pf__loop_open_waker(loop);
    if (!err)
        err = make_signals(loop);
    if (!err)
        err = take_signal(loop->signals, signo);
    if (err)
        return err;
    loop->signals->at[signo] = (struct pf__signal_entry){fn, arg, destroy, where,
                                                         pf__context_capture(&loop->hooks)};
    return 0;
}

int(pf_loop_add_signal)(pf_loop *loop, int signo, pf_signal_fn *fn, void *arg)
{
    return pf_loop_add_signal_full(loop, signo, fn, arg, NULL, NULL);
}

int pf_loop_remove_signal(pf_loop *loop, int signo)
{
    int err = pf__loop_check(loop);
    if (err)
        return err;
    struct pf__signals *signals = loop->signals;
    if (!signals || signo < 1 || signo > PF__SIGNALS || !signals->at[signo].fn)
        return -ENOENT;
    give_signal_back(signals, signo);
    struct pf__signal_entry entry = signals->at[signo];
    signals->at[signo] = (struct pf__signal_entry){0};
    if (signals->running == signo) {
        pf__loop_end_late(loop, entry.destroy, entry.arg, entry.context);
        signals->running = 0; /* what is added from inside is another registration */
    } else {
        pf__loop_end(loop, entry.destroy, entry.arg, entry.context);
    }
    return 0;
}

void pf__signal_collect(struct pf__signals *signals)
{
    if (signals && atomic_load_explicit(&signals->pending, memory_order_relaxed))
        signals->due |= atomic_exchange(&signals->pending, 0);
}

int pf__signal_next(struct pf__signals *signals)
{
    while (signals && signals->due) {
        int signo = __builtin_ctzll(signals->due) + 1;
        signals->due &= signals->due - 1;
        if (signals->at[signo].fn) /* else another thread's handler was late to mark it */
            return signo;
    }
    return 0;
}

/* ---- the end --------------------------------------------------------------------- */

static void unlist(struct pf__signals *signals)
{
    struct pf__process *process = pf__process();
    pf__process_lock(process);
    _Atomic(struct pf__signals *) *at = &process->signals;
    while (atomic_load(at) != signals)
        at = &atomic_load(at)->next;
    atomic_store(at, atomic_load(&signals->next));
    pf__process_unlock(process);
    while (atomic_load(&process->signal_users) != 0)
        sched_yield(); /* one that has found us is at work in another thread */
}

static void end_entries(pf_loop *loop, struct pf__signals *signals)
{
    for (int signo = 1; signo <= PF__SIGNALS; signo++) {
        const struct pf__signal_entry *entry = &signals->at[signo];
        if (entry->fn && signals->running == signo)
            pf__loop_end_late(loop, entry->destroy, entry->arg, entry->context);
        else if (entry->fn)
            pf__loop_end(loop, entry->destroy, entry->arg, entry->context);
    }
    free(signals);
}

void pf__signal_close(pf_loop *loop)
{
    struct pf__signals *signals = loop->signals;
    if (!signals)
        return;
    for (int signo = 1; signo <= PF__SIGNALS; signo++)
        if (signals->at[signo].fn)
            give_signal_back(signals, signo);
    unlist(signals);
    loop->signals = NULL;
    end_entries(loop, signals);
}

void pf__signal_discard(pf_loop *loop)
{
    struct pf__signals *signals = loop->signals;
    loop->signals = NULL;
    if (signals)
        end_entries(loop, signals);
}
