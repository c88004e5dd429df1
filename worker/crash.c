/*
 * crash.c - see crash.h.
 *
 * A fault inside the fatal handler is one of a stack too broken to walk: the handler is
 * entered again (SA_NODEFER), finds that the thread is dying, and sends what was known
 * before the walk.
 */
#include "worker/crash.h"

#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id /* glibc before 2.38 has the field, not its name */
#define sigev_notify_thread_id _sigev_un._tid
#endif

enum {
    STACK_SIZE = 64 * 1024, /* a record, a walk, and the kernel's frame: 11 KiB with AMX */
    HANDLER_FRAMES = 8,     /* ours, the kernel's, and those of a sanitizer's wrapper */
};

static const int fatal_signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS};

struct thread {
    unsigned lane;
    bool has_lane;
    void *stack;                   /* ours, of STACK_SIZE above a guard page; NULL: none */
    struct pf_crash_record *dying; /* being filled in by the fatal handler */
    timer_t timer;
    int64_t last_spin_ns; /* 0: none yet */
    uint64_t last_beat;   /* as of the last tick */
    bool told;            /* of the stall at last_beat */
};

static struct {
    atomic_int fd;
    _Atomic pid_t pid; /* 0: not installed */
} installed;

/* The first use may be in a handler, which a lazily allocated one would call malloc() in.
 */
#define EARLY __attribute__((tls_model("initial-exec")))
static _Thread_local struct thread thread EARLY = {.lane = PF_CRASH_LANE_NONE};
static _Thread_local _Atomic(const uint64_t *) watched EARLY; /* NULL: the timer is not */

static bool is_installed(void)
{
    return atomic_load(&installed.pid) == getpid();
}

/* ---- a record -------------------------------------------------------------------- */

static bool interrupted_at(const ucontext_t *context, uint64_t *pc)
{
#if defined(__x86_64__)
    *pc = (uint64_t)context->uc_mcontext.gregs[REG_RIP];
    return true;
#elif defined(__aarch64__)
    *pc = context->uc_mcontext.pc;
    return true;
#else
    (void)context, (void)pc;
    return false;
#endif
}

/* Who called what is no code: the unwinder would fault there. So may this. */
static uint64_t caller_of(const ucontext_t *context)
{
#if defined(__x86_64__)
    uint64_t return_address;
    memcpy(&return_address, (const void *)context->uc_mcontext.gregs[REG_RSP],
           sizeof return_address);
    return return_address;
#elif defined(__aarch64__)
    return context->uc_mcontext.regs[30];
#else
    (void)context;
    return 0;
#endif
}

static void push(struct pf_crash_record *record, uint64_t pc)
{
    if (record->count < PF_CRASH_FRAMES_MAX)
        record->pc[record->count++] = pc;
}

static void begin(struct pf_crash_record *record, enum pf_crash_cause cause,
                  const siginfo_t *info, const ucontext_t *context)
{
    memset(record, 0, sizeof *record);
    record->magic = PF_CRASH_MAGIC;
    record->version = PF_CRASH_VERSION;
    record->cause = (uint16_t)cause;
    record->pid = getpid();
    record->tid = (int32_t)syscall(SYS_gettid);
    record->lane = thread.lane;
    record->signo = info->si_signo;
    record->code = info->si_code;
    if (cause == PF_CRASH_FATAL && info->si_code > 0)
        record->address = (uintptr_t)info->si_addr;
    uint64_t pc;
    if (interrupted_at(context, &pc))
        push(record, pc);
}

/* The handler's own frames end where pc[0] is found, if that is known. */
static void walk(struct pf_crash_record *record)
{
    void *frames[PF_CRASH_FRAMES_MAX + HANDLER_FRAMES];
    int count = backtrace(frames, sizeof frames / sizeof *frames), i = 0;
    if (record->count == 1)
        while (i < count && (uintptr_t)frames[i++] != record->pc[0])
            continue;
    for (; i < count; i++)
        push(record, (uintptr_t)frames[i]);
}

static void send(const struct pf_crash_record *record)
{
    if (is_installed()) /* no room, or no reader: nobody is left to tell */
        while (write(atomic_load(&installed.fd), record, sizeof *record) == -1 &&
               errno == EINTR)
            continue;
}

static void tell(enum pf_crash_cause cause, const siginfo_t *info,
                 const ucontext_t *context)
{
    struct pf_crash_record record;
    begin(&record, cause, info, context);
    walk(&record);
    send(&record);
}

/* ---- handlers -------------------------------------------------------------------- */

static void on_dump(int signo, siginfo_t *info, void *context)
{
    (void)signo;
    int before = errno;
    if (is_installed())
        tell(PF_CRASH_DUMP, info, context);
    errno = before;
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * PF_SECOND + now.tv_nsec;
}

/* Does this tick find the loop where the one before it did? */
static bool has_stalled(uint64_t beat)
{
    bool same = beat == thread.last_beat && beat % 2 == 1;
    thread.told = thread.told && same;
    thread.last_beat = beat;
    return same;
}

/* A stall that began too soon after the last one is told of later, if it still lasts. */
static bool may_tell(void)
{
    int64_t now = now_ns();
    if (thread.told ||
        (thread.last_spin_ns && now - thread.last_spin_ns < PF__CRASH_SPIN_EVERY_NS))
        return false;
    thread.told = true;
    thread.last_spin_ns = now;
    return true;
}

static void on_tick(int signo, siginfo_t *info, void *context)
{
    (void)signo;
    int before = errno;
    const uint64_t *beat = atomic_load(&watched);
    if (beat && is_installed() && has_stalled(__atomic_load_n(beat, __ATOMIC_RELAXED)) &&
        may_tell())
        tell(PF_CRASH_SPIN, info, context);
    errno = before;
}

/* Will the instruction fault again when the handler returns? Then the core dump is of the
 * fault itself. */
static bool comes_again(const siginfo_t *info)
{
    bool of_instruction = info->si_code > 0 && info->si_code != SI_KERNEL;
    switch (info->si_signo) {
    case SIGSEGV:
    case SIGILL:
    case SIGFPE:
        return of_instruction;
    case SIGBUS:
        return of_instruction && info->si_code != BUS_MCEERR_AO;
    default:
        return false;
    }
}

static void send_last_words(const struct pf_crash_record *record)
{
    struct sigaction standard = {.sa_handler = SIG_DFL};
    send(record);
    sigaction(record->signo, &standard, NULL);
}

static void on_fatal(int signo, siginfo_t *info, void *context)
{
    struct pf_crash_record record;
    if (thread.dying) {
        send_last_words(thread.dying);
        raise(thread.dying->signo);
    }
    begin(&record, PF_CRASH_FATAL, info, context);
    thread.dying = &record;
    atomic_signal_fence(memory_order_seq_cst); /* from here on it may be sent as it is */
    if (record.count == 1 && record.address == record.pc[0])
        push(&record, caller_of(context));
    else
        walk(&record);
    send_last_words(&record);
    if (!comes_again(info))
        raise(signo);
}

/* ---- installation ---------------------------------------------------------------- */

static int check_pipe(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags == -1)
        return -errno;
    bool can_write = (flags & O_ACCMODE) != O_RDONLY;
    return can_write && (flags & O_NONBLOCK) ? 0 : -EINVAL;
}

typedef void handler_fn(int signo, siginfo_t *info, void *context);

/* Is the signal handled or ignored, by somebody else? A parent's handlers may be ours. */
static bool is_taken(int signo, handler_fn *ours)
{
    struct sigaction now;
    sigaction(signo, NULL, &now);
    if (now.sa_flags & SA_SIGINFO)
        return now.sa_sigaction != ours;
    return now.sa_handler != SIG_DFL;
}

static void handle(int signo, handler_fn *fn, int flags)
{
    struct sigaction action = {.sa_sigaction = fn,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK | flags};
    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, PF_CRASH_SIGNAL_DUMP);
    sigaddset(&action.sa_mask, PF_CRASH_SIGNAL_TICK);
    sigaction(signo, &action, NULL);
}

int pf__crash_install(int fd)
{
    void *frame;
    int err = check_pipe(fd);
    if (err)
        return err;
    if (is_installed())
        return -EALREADY;
    if (is_taken(PF_CRASH_SIGNAL_DUMP, on_dump) || is_taken(PF_CRASH_SIGNAL_TICK, on_tick))
        return -EBUSY;
    (void)backtrace(&frame, 1);
    thread.has_lane = false; /* a parent's lane and timer, if any; its stack stays in use */
    atomic_store(&watched, NULL);
    atomic_store(&installed.fd, fd);
    atomic_store(&installed.pid, getpid());
    handle(PF_CRASH_SIGNAL_DUMP, on_dump, SA_RESTART);
    handle(PF_CRASH_SIGNAL_TICK, on_tick, SA_RESTART);
    for (size_t i = 0; i < sizeof fatal_signals / sizeof *fatal_signals; i++)
        if (!is_taken(fatal_signals[i], on_fatal))
            handle(fatal_signals[i], on_fatal, SA_NODEFER);
    return 0;
}

/* ---- threads --------------------------------------------------------------------- */

static size_t guard_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static int give_stack(void)
{
    stack_t stack;
    if (sigaltstack(NULL, &stack) != 0)
        return -errno;
    if (!(stack.ss_flags & SS_DISABLE))
        return 0;
    size_t guard = guard_size();
    char *memory = mmap(NULL, guard + STACK_SIZE, PROT_NONE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED)
        return -errno;
    stack = (stack_t){.ss_sp = memory + guard, .ss_size = STACK_SIZE};
    if (mprotect(stack.ss_sp, STACK_SIZE, PROT_READ | PROT_WRITE) != 0 ||
        sigaltstack(&stack, NULL) != 0) {
        int err = -errno;
        munmap(memory, guard + STACK_SIZE);
        return err;
    }
    thread.stack = memory;
    return 0;
}

static void take_stack(void)
{
    stack_t none = {.ss_flags = SS_DISABLE};
    if (!thread.stack)
        return;
    sigaltstack(&none, NULL);
    munmap(thread.stack, guard_size() + STACK_SIZE);
    thread.stack = NULL;
}

static void let_signals_through(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, PF_CRASH_SIGNAL_DUMP);
    sigaddset(&set, PF_CRASH_SIGNAL_TICK);
    for (size_t i = 0; i < sizeof fatal_signals / sizeof *fatal_signals; i++)
        sigaddset(&set, fatal_signals[i]);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

int pf__crash_thread(unsigned lane)
{
    if (!is_installed())
        return -ENOTCONN;
    if (thread.has_lane)
        return -EALREADY;
    int err = give_stack();
    if (err)
        return err;
    thread.lane = lane;
    thread.has_lane = true;
    let_signals_through();
    return 0;
}

void pf__crash_thread_end(void)
{
    pf__crash_unwatch();
    take_stack();
    thread.lane = PF_CRASH_LANE_NONE;
    thread.has_lane = false;
}

int pf__crash_watch_cpu(const uint64_t *beat, int64_t cpu_ns)
{
    if (!beat || cpu_ns <= 0)
        return -EINVAL;
    if (!is_installed())
        return -ENOTCONN;
    if (atomic_load(&watched))
        return -EALREADY;
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID,
                             .sigev_signo = PF_CRASH_SIGNAL_TICK};
    event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
    if (timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &thread.timer) != 0)
        return -errno;
    struct itimerspec every = {.it_interval = {cpu_ns / PF_SECOND, cpu_ns % PF_SECOND}};
    every.it_value = every.it_interval;
    thread.last_beat = 0;
    atomic_store(&watched, beat);
    if (timer_settime(thread.timer, 0, &every, NULL) != 0) {
        int err = -errno;
        pf__crash_unwatch();
        return err;
    }
    return 0;
}

/* A tick that is on its way already finds nothing to look at. */
void pf__crash_unwatch(void)
{
    if (!atomic_load(&watched))
        return;
    atomic_store(&watched, NULL);
    timer_delete(thread.timer);
}
