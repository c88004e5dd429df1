/*
 * What a worker's signal handlers tell its master, each in a child of its own; and that
 * nothing else is taken for it.
 */
#include "tests/lib/test.h"

#include "worker/crash.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))

#if defined(__SANITIZE_ADDRESS__)
#define UNDER_ASAN 1
#elif defined(__has_feature)
#define UNDER_ASAN __has_feature(address_sanitizer)
#else
#define UNDER_ASAN 0
#endif
#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__has_feature)
#define UNDER_TSAN __has_feature(thread_sanitizer)
#else
#define UNDER_TSAN 0
#endif

/* Where the interrupted instruction is known: elsewhere the first frames are others. */
#if defined(__x86_64__) || defined(__aarch64__)
#define PC_KNOWN 1
#else
#define PC_KNOWN 0
#endif

/* ---- pipes and records ----------------------------------------------------------- */

static int ends[2]; /* records: a child writes into [1] */

static void open_pipe(void)
{
    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
}

static void close_pipe(void)
{
    close(ends[0]);
    close(ends[1]);
}

static bool is_readable(int fd, int timeout_ms)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    int n;
    do
        n = poll(&wait, 1, timeout_ms);
    while (n == -1 && errno == EINTR);
    return n == 1;
}

static void assert_no_record(void)
{
    assert_false(is_readable(ends[0], 0));
}

static struct pf_crash_record take_record(pid_t pid, enum pf_crash_cause cause)
{
    struct pf_crash_record bytes, record;
    assert_true(is_readable(ends[0], PF_TEST_DEADLINE_S * 1000));
    ssize_t len = read(ends[0], &bytes, sizeof bytes);
    assert_int_equal(len, sizeof bytes);
    assert_true(pf__crash_valid(&bytes, (size_t)len, pid, &record));
    assert_int_equal(record.cause, cause);
    assert_int_equal(record.pid, pid);
    assert_true(record.count >= 1);
    return record;
}

/* Functions here are far shorter. */
static bool is_in(uint64_t pc, void (*function)(void))
{
    return pc >= (uintptr_t)function && pc < (uintptr_t)function + 2048;
}

static void install_as(unsigned lane)
{
    assert_int_equal(pf__crash_install(ends[1]), 0);
    assert_int_equal(pf__crash_thread(lane), 0);
}

/* ---- asked ----------------------------------------------------------------------- */

static void dump_body(void *arg)
{
    (void)arg;
    install_as(3);
    for (int i = 0; i < 3; i++) {
        errno = EXDEV;
        assert_int_equal(raise(PF_CRASH_SIGNAL_DUMP), 0);
        assert_int_equal(errno, EXDEV);
    }
    for (int i = 0; i < 3; i++) {
        struct pf_crash_record record = take_record(getpid(), PF_CRASH_DUMP);
        assert_int_equal(record.tid, getpid());
        assert_int_equal(record.lane, 3);
        assert_int_equal(record.signo, PF_CRASH_SIGNAL_DUMP);
        assert_int_equal(record.code, SI_TKILL);
        assert_int_equal(record.address, 0);
        assert_true(record.count >= 3);
    }
    assert_no_record();
    pf__crash_thread_end();
}

static void one_that_is_asked_tells_where_it_is_and_goes_on(void **state)
{
    (void)state;
    open_pipe();
    pf_test_in_child(dump_body, NULL);
    assert_no_record();
    close_pipe();
}

/* ---- children that are looked at from outside ------------------------------------ */

static volatile int *word; /* shared with them */
static int go[2];          /* they wait at [0], in a blocking read */

static void open_all(void)
{
    open_pipe();
    assert_int_equal(pipe2(go, O_CLOEXEC), 0);
    word =
        mmap(NULL, sizeof *word, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(word, MAP_FAILED);
}

static void close_all(void)
{
    munmap((void *)(uintptr_t)word, sizeof *word);
    close(go[0]);
    close(go[1]);
    close_pipe();
}

/* cmocka has handlers for faults of its own, and so have sanitizers. */
static void forget_handlers(void)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS};
    struct sigaction standard = {.sa_handler = SIG_DFL};
    struct rlimit none = {0, 0};
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        sigaction(faults[i], &standard, NULL);
    setrlimit(RLIMIT_CORE, &none);
}

typedef int body_fn(void);

/* In a child with the handlers, whose thread runs lane 1, exit with what body returns. */
static pid_t start(body_fn *body)
{
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    forget_handlers();
    if (pf__crash_install(ends[1]) != 0 || pf__crash_thread(1) != 0)
        _exit(99);
    _exit(body());
}

static int end_of(pid_t pid)
{
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static NOINLINE void spin_here(void)
{
    while (*word != 2)
        continue;
}

static int spin_until_told(void)
{
    *word = 1;
    spin_here();
    return *word == 2 ? 0 : 1;
}

static void the_first_frame_is_what_was_interrupted(void **state)
{
    (void)state;
    if (!PC_KNOWN || UNDER_TSAN) /* it holds the signal back from one that only spins */
        skip();
    pf_test_skip_under_valgrind(); /* which lets it run on */
    open_all();
    pid_t pid = start(spin_until_told);
    while (*word != 1)
        sched_yield();
    struct pf_crash_record record;
    int tries = 1000; /* it is on the way there, or there */
    do {
        assert_int_equal(kill(pid, PF_CRASH_SIGNAL_DUMP), 0);
        record = take_record(pid, PF_CRASH_DUMP);
    } while (!is_in(record.pc[0], spin_here) && --tries);
    *word = 2;
    assert_int_equal(end_of(pid), 0);
    assert_true(is_in(record.pc[0], spin_here));
    assert_true(record.count > 1);
    close_all();
}

static int wait_here(void)
{
    char byte = 0;
    *word = 1;
    return read(go[0], &byte, 1) == 1 && byte == 'x' ? 0 : 1;
}

static void a_system_call_that_is_interrupted_goes_on(void **state)
{
    (void)state;
    if (UNDER_TSAN) /* it holds the signal back until the call is over */
        skip();
    open_all();
    pid_t pid = start(wait_here);
    while (*word != 1)
        sched_yield();
    for (int i = 0; i < 20; i++) { /* the first may come before the call */
        assert_int_equal(kill(pid, PF_CRASH_SIGNAL_DUMP), 0);
        (void)take_record(pid, PF_CRASH_DUMP);
    }
    assert_int_equal(write(go[1], "x", 1), 1);
    assert_int_equal(end_of(pid), 0);
    close_all();
}

/* ---- spinning -------------------------------------------------------------------- */

enum {
    TICK_MS = 5
};

static int64_t ns_by(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * PF_SECOND + now.tv_nsec;
}

static int64_t cpu_ns(void)
{
    return ns_by(CLOCK_THREAD_CPUTIME_ID);
}

/* Ticks come no more often than the kernel's own, 10 ms apart at worst. */
static void burn_ticks(int ticks, uint64_t *beat, uint64_t step)
{
    int64_t until = cpu_ns() + ticks * 10 * PF_MILLISECOND;
    while (cpu_ns() < until)
        __atomic_fetch_add(beat, step, __ATOMIC_RELAXED);
}

static void burn_until_told(void)
{
    int64_t limit = cpu_ns() + PF_TEST_DEADLINE_S * PF_SECOND;
    while (!is_readable(ends[0], 0))
        assert_true(cpu_ns() < limit);
}

static void spin_body(void *arg)
{
    uint64_t beat = 7;
    (void)arg;
    install_as(2);
    assert_int_equal(pf__crash_watch_cpu(&beat, TICK_MS * PF_MILLISECOND), 0);
    assert_int_equal(pf__crash_watch_cpu(&beat, TICK_MS * PF_MILLISECOND), -EALREADY);
    int64_t began = ns_by(CLOCK_MONOTONIC);
    burn_until_told();
    struct pf_crash_record record = take_record(getpid(), PF_CRASH_SPIN);
    assert_int_equal(record.lane, 2);
    assert_int_equal(record.tid, getpid());
    assert_int_equal(record.signo, PF_CRASH_SIGNAL_TICK);
    burn_ticks(10, &beat, 0);
    assert_no_record(); /* the same stall */
    beat = 9;
    burn_ticks(10, &beat, 0);
    if (ns_by(CLOCK_MONOTONIC) - began < PF__CRASH_SPIN_EVERY_NS)
        assert_no_record(); /* another, too soon; if the machine let us burn so fast */
    pf__crash_thread_end();
}

static void a_loop_that_spins_is_told_of_once(void **state)
{
    (void)state;
    pf_test_skip_under_valgrind(); /* no signal by CPU time of a thread */
    open_pipe();
    pf_test_in_child(spin_body, NULL);
    close_pipe();
}

static void turning_body(void *arg)
{
    uint64_t beat = 1;
    (void)arg;
    install_as(2);
    assert_int_equal(pf__crash_watch_cpu(&beat, TICK_MS * PF_MILLISECOND), 0);
    burn_ticks(10, &beat, 2);
    assert_no_record(); /* each turn is another */
    beat = 8;
    burn_ticks(10, &beat, 0);
    assert_no_record(); /* whatever it does, it is not in a handler */
    pf__crash_unwatch();
    beat = 9;
    burn_ticks(10, &beat, 0);
    assert_no_record(); /* nobody watches */
    assert_int_equal(pf__crash_watch_cpu(&beat, TICK_MS * PF_MILLISECOND), 0);
    burn_until_told();
    (void)take_record(getpid(), PF_CRASH_SPIN);
    pf__crash_thread_end();
    pf__crash_thread_end();
}

static void one_that_turns_or_sleeps_never_is(void **state)
{
    (void)state;
    pf_test_skip_under_valgrind();
    open_pipe();
    pf_test_in_child(turning_body, NULL);
    close_pipe();
}

/* ---- dying ----------------------------------------------------------------------- */

/* No code and no data is there. */
static void *nowhere(void)
{
    return mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static char *bad_address;

static NOINLINE void fault_here(void)
{
    *(volatile char *)bad_address = 1;
}

static int fault(void)
{
    fault_here();
    return 1;
}

static int fault_bus(void)
{
    return raise(SIGBUS);
}

static int fault_fpe(void)
{
    return raise(SIGFPE);
}

static int fault_ill(void)
{
    return raise(SIGILL);
}

static int fault_sys(void)
{
    return raise(SIGSYS);
}

static int fault_abort(void)
{
    abort();
}

static void a_crash_is_told_of_and_ends_as_it_would_have(void **state)
{
    (void)state;
    static const struct {
        int signo;
        body_fn *body;
    } rows[] = {
        {SIGSEGV, fault},    {SIGBUS, fault_bus}, {SIGFPE, fault_fpe},
        {SIGILL, fault_ill}, {SIGSYS, fault_sys}, {SIGABRT, fault_abort},
    };
    bad_address = nowhere();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        open_all();
        pid_t pid = start(rows[i].body);
        struct pf_crash_record record = take_record(pid, PF_CRASH_FATAL);
        int status = end_of(pid);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), rows[i].signo);
        assert_int_equal(record.signo, rows[i].signo);
        assert_int_equal(record.lane, 1);
        assert_int_equal(record.tid, pid);
        assert_no_record();
        if (rows[i].body == fault) {
            assert_int_equal(record.code, SEGV_ACCERR);
            assert_int_equal(record.address, (uintptr_t)bad_address);
            assert_true(!PC_KNOWN || is_in(record.pc[0], fault_here));
        }
        close_all();
    }
    munmap(bad_address, 4096);
}

static NOINLINE int call_nowhere(void)
{
    int (*function)(void);
    memcpy(&function, &bad_address, sizeof function);
    return function() + 1; /* no tail call */
}

static int call(void)
{
    return call_nowhere();
}

static void a_call_to_nowhere_names_its_caller(void **state)
{
    (void)state;
    char *addresses[] = {NULL, nowhere()};
    if (!PC_KNOWN)
        skip();
    for (int i = 0; i < 2; i++) {
        bad_address = addresses[i];
        open_all();
        pid_t pid = start(call);
        struct pf_crash_record record = take_record(pid, PF_CRASH_FATAL);
        int status = end_of(pid);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGSEGV);
        assert_int_equal(record.pc[0], (uintptr_t)bad_address);
        assert_int_equal(record.address, (uintptr_t)bad_address);
        assert_true(record.count >= 2);
        assert_true(is_in(record.pc[1], (void (*)(void))call_nowhere));
        close_all();
    }
    munmap(addresses[1], 4096);
}

static NOINLINE int deepen(volatile char *above)
{
    volatile char here[4096];
    here[0] = above[0];
    return here[0] ? 0 : deepen(here) + here[0];
}

static int overflow(void)
{
    struct rlimit little = {1 << 20, 1 << 20};
    volatile char here[1] = {0};
    setrlimit(RLIMIT_STACK, &little);
    return deepen(here);
}

static void a_stack_overflow_is_told_of(void **state)
{
    (void)state;
    pf_test_skip_under_valgrind(); /* which has a stack of its own there */
    open_all();
    pid_t pid = start(overflow);
    struct pf_crash_record record = take_record(pid, PF_CRASH_FATAL);
    int status = end_of(pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSEGV);
    assert_int_equal(record.count, PF_CRASH_FRAMES_MAX);
    close_all();
}

#if defined(__x86_64__)
static NOINLINE int lose_stack(void)
{
    __asm__ volatile("mov $8, %rsp\n mov $8, %rbp\n ud2");
    return 1;
}

static void a_stack_that_cannot_be_walked_is_told_of_all_the_same(void **state)
{
    (void)state;
    if (UNDER_ASAN || UNDER_TSAN) /* the second fault is theirs, on a stack that is none */
        skip();
    pf_test_skip_under_valgrind();
    open_all();
    pid_t pid = start(lose_stack);
    struct pf_crash_record record = take_record(pid, PF_CRASH_FATAL);
    int status = end_of(pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGILL);
    assert_int_equal(record.signo, SIGILL);
    assert_int_equal(record.count, 1);
    assert_true(is_in(record.pc[0], (void (*)(void))lose_stack));
    assert_no_record();
    close_all();
}
#endif

static void *lane_that_faults(void *arg)
{
    if (arg && pf__crash_thread(7) != 0)
        _exit(1);
    raise(SIGILL);
    return NULL;
}

static int fault_in_lane(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, lane_that_faults, &go) == 0)
        pthread_join(thread, NULL);
    return 1;
}

static int fault_in_stranger(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, lane_that_faults, NULL) == 0)
        pthread_join(thread, NULL);
    return 1;
}

static void a_thread_is_told_of_by_its_lane_if_it_has_one(void **state)
{
    (void)state;
    static const struct {
        body_fn *body;
        unsigned lane;
    } rows[] = {{fault_in_lane, 7}, {fault_in_stranger, PF_CRASH_LANE_NONE}};
    for (int i = 0; i < 2; i++) {
        open_all();
        pid_t pid = start(rows[i].body);
        struct pf_crash_record record = take_record(pid, PF_CRASH_FATAL);
        int status = end_of(pid);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGILL);
        assert_int_equal(record.lane, rows[i].lane);
        assert_int_not_equal(record.tid, pid);
        close_all();
    }
}

static void leave_with_42(int signo)
{
    (void)signo;
    _exit(42);
}

static void kept_body(void *arg)
{
    struct sigaction own = {.sa_handler = leave_with_42}, ignore = {.sa_handler = SIG_IGN};
    struct sigaction now;
    (void)arg;
    forget_handlers();
    sigaction(SIGILL, &own, NULL);
    sigaction(SIGSYS, &ignore, NULL);
    install_as(0);
    sigaction(SIGILL, NULL, &now);
    assert_ptr_equal(now.sa_handler, leave_with_42);
    sigaction(SIGSYS, NULL, &now);
    assert_ptr_equal(now.sa_handler, SIG_IGN);
    sigaction(SIGABRT, NULL, &now);
    assert_true(now.sa_flags & SA_SIGINFO); /* this one is taken */
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        raise(SIGILL);
    int status = end_of(pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 42);
}

static void a_handler_that_stands_is_kept(void **state)
{
    (void)state;
    open_pipe();
    pf_test_in_child(kept_body, NULL);
    assert_no_record();
    close_pipe();
}

/* ---- what is not told ------------------------------------------------------------ */

static void grandchild_body(void *arg)
{
    (void)arg;
    forget_handlers();
    install_as(0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        raise(PF_CRASH_SIGNAL_DUMP);
        abort();
    }
    int status = end_of(pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    assert_no_record();
    raise(PF_CRASH_SIGNAL_DUMP);
    (void)take_record(getpid(), PF_CRASH_DUMP);
}

static void a_child_of_a_worker_writes_nothing(void **state)
{
    (void)state;
    open_pipe();
    pf_test_in_child(grandchild_body, NULL);
    assert_no_record();
    close_pipe();
}

static void full_body(void *arg)
{
    static const char bytes[4096];
    size_t before = 0;
    (void)arg;
    install_as(0);
    for (ssize_t n; (n = write(ends[1], bytes, sizeof bytes)) > 0;)
        before += (size_t)n;
    errno = 0;
    raise(PF_CRASH_SIGNAL_DUMP); /* returns, or the test never ends */
    assert_int_equal(errno, 0);
    char drained[4096];
    for (ssize_t n; (n = read(ends[0], drained, sizeof drained)) > 0;)
        before -= (size_t)n;
    assert_int_equal(before, 0);
    raise(PF_CRASH_SIGNAL_DUMP);
    (void)take_record(getpid(), PF_CRASH_DUMP);
}

static void a_record_that_the_pipe_has_no_room_for_is_dropped(void **state)
{
    (void)state;
    open_pipe();
    pf_test_in_child(full_body, NULL);
    close_pipe();
}

/* ---- installing ------------------------------------------------------------------ */

static void install_body(void *arg)
{
    int blocking[2];
    uint64_t beat = 0;
    struct sigaction own = {.sa_handler = leave_with_42},
                     standard = {.sa_handler = SIG_DFL}, now;
    (void)arg;
    assert_int_equal(pipe2(blocking, O_CLOEXEC), 0);
    assert_int_equal(pf__crash_install(-1), -EBADF);
    assert_int_equal(pf__crash_install(ends[0]), -EINVAL);
    assert_int_equal(pf__crash_install(blocking[1]), -EINVAL);
    assert_int_equal(pf__crash_thread(0), -ENOTCONN);
    assert_int_equal(pf__crash_watch_cpu(&beat, 1), -ENOTCONN);
    sigaction(PF_CRASH_SIGNAL_TICK, &own, NULL);
    assert_int_equal(pf__crash_install(ends[1]), -EBUSY);
    sigaction(PF_CRASH_SIGNAL_DUMP, NULL, &now);
    assert_ptr_equal(now.sa_handler, SIG_DFL);
    sigaction(PF_CRASH_SIGNAL_TICK, &standard, NULL);
    assert_int_equal(pf__crash_install(ends[1]), 0);
    assert_int_equal(pf__crash_install(ends[1]), -EALREADY);
    assert_int_equal(pf__crash_watch_cpu(NULL, 1), -EINVAL);
    assert_int_equal(pf__crash_watch_cpu(&beat, 0), -EINVAL);
    assert_int_equal(pf__crash_thread(0), 0);
    assert_int_equal(pf__crash_thread(0), -EALREADY);
    close(blocking[0]);
    close(blocking[1]);
}

static void what_cannot_be_installed_is_refused(void **state)
{
    (void)state;
    open_pipe();
    pf_test_in_child(install_body, NULL);
    close_pipe();
}

static void again_body(void *arg)
{
    (void)arg;
    install_as(1);
    pf_test_in_child(dump_body, NULL); /* a worker of its own: lane 3 */
    raise(PF_CRASH_SIGNAL_DUMP);
    assert_int_equal(take_record(getpid(), PF_CRASH_DUMP).lane, 1);
    pf__crash_thread_end();
}

static void a_child_may_install_its_own(void **state)
{
    (void)state;
    open_pipe();
    pf_test_in_child(again_body, NULL);
    close_pipe();
}

static void thread_body(void *arg)
{
    sigset_t all, now;
    stack_t before, during, after;
    (void)arg;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    assert_int_equal(pf__crash_install(ends[1]), 0);
    sigaltstack(NULL, &before);
    assert_int_equal(pf__crash_thread(0), 0);
    sigaltstack(NULL, &during);
    assert_false(during.ss_flags & SS_DISABLE);
    assert_true((before.ss_flags & SS_DISABLE) || before.ss_sp == during.ss_sp);
    pthread_sigmask(SIG_SETMASK, NULL, &now);
    assert_false(sigismember(&now, PF_CRASH_SIGNAL_DUMP));
    assert_false(sigismember(&now, PF_CRASH_SIGNAL_TICK));
    assert_false(sigismember(&now, SIGSEGV));
    assert_true(sigismember(&now, SIGTERM));
    pf__crash_thread_end();
    sigaltstack(NULL, &after);
    assert_int_equal(after.ss_flags, before.ss_flags);
    raise(PF_CRASH_SIGNAL_DUMP); /* the handlers stay */
    assert_int_equal(take_record(getpid(), PF_CRASH_DUMP).lane, PF_CRASH_LANE_NONE);
}

static void a_lanes_thread_gets_a_stack_and_lets_the_signals_through(void **state)
{
    (void)state;
    pf_test_skip_under_valgrind(); /* it goes on using a stack that was disabled */
    open_pipe();
    pf_test_in_child(thread_body, NULL);
    close_pipe();
}

/* ---- what comes out of the pipe -------------------------------------------------- */

static struct pf_crash_record good(void)
{
    return (struct pf_crash_record){.magic = PF_CRASH_MAGIC,
                                    .version = PF_CRASH_VERSION,
                                    .cause = PF_CRASH_FATAL,
                                    .pid = 17,
                                    .tid = 18,
                                    .signo = SIGSEGV,
                                    .count = 2,
                                    .pc = {1, 2}};
}

#define ROW(field, value)                                                                  \
    {                                                                                      \
        offsetof(struct pf_crash_record, field),                                           \
            sizeof((struct pf_crash_record *)0)->field, (uint64_t)(value),                 \
            #field "=" #value                                                              \
    }

static void nonsense_is_refused(void **state)
{
    (void)state;
    const struct {
        size_t at, size;
        uint64_t value; /* its first bytes: little-endian machines, or ones that fill it */
        const char *what;
    } rows[] = {
        ROW(magic, 0),
        ROW(magic, PF_CRASH_MAGIC + 1),
        ROW(version, PF_CRASH_VERSION + 1),
        ROW(cause, 0),
        ROW(cause, PF_CRASH_FATAL + 1),
        ROW(cause, UINT16_MAX),
        ROW(cause, PF_CRASH_DUMP), /* SIGSEGV asks for no dump */
        ROW(cause, PF_CRASH_SPIN),
        ROW(pid, 0),
        ROW(pid, -1),
        ROW(pid, 18),
        ROW(tid, 0),
        ROW(tid, INT32_MIN),
        ROW(signo, 0),
        ROW(signo, -1),
        ROW(signo, SIGRTMIN),
        ROW(signo, INT32_MAX),
        ROW(count, PF_CRASH_FRAMES_MAX + 1),
        ROW(count, UINT32_MAX),
        ROW(count, 1), /* and a second frame */
        ROW(pc[PF_CRASH_FRAMES_MAX - 1], 1),
    };
    struct pf_crash_record untouched, out;
    memset(&untouched, 0x5a, sizeof untouched);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pf_crash_record record = good();
        memcpy((char *)&record + rows[i].at, &rows[i].value, rows[i].size);
        out = untouched;
        if (pf__crash_valid(&record, sizeof record, 17, &out))
            fail_msg("%s was taken for a record", rows[i].what);
        assert_memory_equal(&out, &untouched, sizeof out);
    }
}

static void a_record_is_whole_or_nothing(void **state)
{
    (void)state;
    char bytes[sizeof(struct pf_crash_record) + 2];
    struct pf_crash_record record = good(), out;
    memset(bytes, 0, sizeof bytes);
    memcpy(bytes + 1, &record, sizeof record); /* at an odd address */
    for (size_t len = 0; len <= sizeof record + 1; len++)
        assert_int_equal(pf__crash_valid(bytes + 1, len, 17, &out), len == sizeof record);
    assert_memory_equal(&out, &record, sizeof out);
    assert_true(pf__crash_valid(bytes + 1, sizeof record, 0, &out)); /* anybody's */
    record.count = 0;
    record.pc[0] = record.pc[1] = 0;
    assert_true(pf__crash_valid(&record, sizeof record, 17, &out));
    record.count = PF_CRASH_FRAMES_MAX;
    assert_true(pf__crash_valid(&record, sizeof record, 17, &out));
}

static void causes_have_names(void **state)
{
    (void)state;
    assert_string_equal(pf__crash_cause_name(PF_CRASH_DUMP), "dump");
    assert_string_equal(pf__crash_cause_name(PF_CRASH_SPIN), "spin");
    assert_string_equal(pf__crash_cause_name(PF_CRASH_FATAL), "fatal");
    assert_string_equal(pf__crash_cause_name(0), "?");
    assert_string_equal(pf__crash_cause_name(PF_CRASH_FATAL + 1), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(one_that_is_asked_tells_where_it_is_and_goes_on),
        pf_test(the_first_frame_is_what_was_interrupted),
        pf_test(a_system_call_that_is_interrupted_goes_on),
        pf_test(a_loop_that_spins_is_told_of_once),
        pf_test(one_that_turns_or_sleeps_never_is),
        pf_test(a_crash_is_told_of_and_ends_as_it_would_have),
        pf_test(a_call_to_nowhere_names_its_caller),
        pf_test(a_stack_overflow_is_told_of),
#if defined(__x86_64__)
        pf_test(a_stack_that_cannot_be_walked_is_told_of_all_the_same),
#endif
        pf_test(a_thread_is_told_of_by_its_lane_if_it_has_one),
        pf_test(a_handler_that_stands_is_kept),
        pf_test(a_child_of_a_worker_writes_nothing),
        pf_test(a_record_that_the_pipe_has_no_room_for_is_dropped),
        pf_test(what_cannot_be_installed_is_refused),
        pf_test(a_child_may_install_its_own),
        pf_test(a_lanes_thread_gets_a_stack_and_lets_the_signals_through),
        pf_test(nonsense_is_refused),
        pf_test(a_record_is_whole_or_nothing),
        pf_test(causes_have_names),
    };
    return cmocka_run_group_tests_name("crash", tests, NULL, NULL);
}
