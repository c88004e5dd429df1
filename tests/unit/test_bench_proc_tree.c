/*
 * Processes as /proc tells of them: a real tree is forked and looked at. And the kernel's
 * counters of this network namespace.
 */
#include "tests/lib/test.h"

#include "bench/netstat.h"
#include "bench/proc_tree.h"
#include <errno.h>
#include <fcntl.h>
#include <prefork/base.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- a tree ---------------------------------------------------------------------- */

/* What one process of it does before it waits to be killed. */
typedef void deed_fn(void);

struct child {
    pid_t pid;
    int ready; /* it closes its end when it has done its deed */
};

static void nothing(void)
{
}

static int64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec * PF_SECOND + now.tv_nsec;
}

#define BURN_NS (60 * PF_MILLISECOND)

static void burn(void)
{
    for (int64_t until = cpu_ns() + BURN_NS; cpu_ns() < until;)
        ;
}

static void *burn_thread(void *arg)
{
    burn();
    return arg;
}

/* In a thread that has ended by the time somebody looks. */
static void burn_aside(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, burn_thread, NULL) == 0)
        pthread_join(thread, NULL);
}

#define GROW_BYTES (32 << 20)

static void grow(void)
{
    void *memory = mmap(NULL, GROW_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    (void)memory;
}

static void fork_one(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            pause();
    }
}

static void burn_in_a_child(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        burn();
        _exit(0);
    }
    waitpid(pid, NULL, 0);
}

static struct child start(deed_fn *deed)
{
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    struct child child = {.pid = fork(), .ready = fds[0]};
    assert_true(child.pid >= 0);
    if (child.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        deed();
        (void)!write(fds[1], "r", 1);
        close(fds[1]);
        for (;;)
            pause();
    }
    close(fds[1]);
    char byte;
    assert_int_equal(read(child.ready, &byte, 1), 1);
    return child;
}

static void end(struct child *child)
{
    kill(child->pid, SIGKILL);
    waitpid(child->pid, NULL, 0);
    close(child->ready);
}

static struct proc procs[PROC_TREE_MAX];

static const struct proc *find(size_t count, int64_t pid)
{
    for (size_t i = 0; i < count; i++)
        if (procs[i].pid == pid)
            return &procs[i];
    return NULL;
}

/* ---- what is told of it ---------------------------------------------------------- */

static void a_tree_is_the_root_its_children_and_theirs(void **state)
{
    (void)state;
    struct child one = start(nothing), two = start(fork_one);
    size_t count = proc_tree_read(getpid(), procs, PROC_TREE_MAX);
    assert_int_equal(count, 4);
    assert_int_equal(procs[0].pid, getpid());
    assert_int_equal(procs[0].parent, getppid());
    assert_non_null(find(count, one.pid));
    assert_non_null(find(count, two.pid));
    assert_int_equal(procs[3].parent, two.pid);
    assert_int_equal(proc_tree_read(two.pid, procs, PROC_TREE_MAX), 2);
    assert_int_equal(proc_tree_read(getpid(), procs, 2), 2);
    end(&one);
    end(&two);
}

static void one_that_is_gone_is_no_tree(void **state)
{
    (void)state;
    struct child child = start(nothing);
    struct proc proc;
    end(&child);
    assert_int_equal(proc_read(child.pid, &proc), -ESRCH);
    assert_int_equal(proc_tree_read(child.pid, procs, PROC_TREE_MAX), 0);
    assert_int_equal(proc_switches(child.pid), -1);
    assert_int_equal(proc_read(0, &proc), -ESRCH);
    assert_int_equal(proc_read(-1, &proc), -ESRCH);
}

static void one_that_has_ended_says_so_until_it_is_waited_for(void **state)
{
    (void)state;
    struct child child = start(nothing);
    struct proc alive, ended;
    assert_int_equal(proc_read(child.pid, &alive), 0);
    assert_false(alive.ended);
    kill(child.pid, SIGKILL);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)child.pid, &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(proc_read(child.pid, &ended), 0);
    assert_true(ended.ended);
    assert_true(ended.born == alive.born);
    end(&child);
}

static void cpu_time_is_that_of_all_threads_ended_ones_too(void **state)
{
    (void)state;
    static deed_fn *const deeds[] = {burn, burn_aside};
    for (size_t i = 0; i < 2; i++) {
        struct child child = start(deeds[i]);
        struct proc proc;
        assert_int_equal(proc_read(child.pid, &proc), 0);
        assert_true(proc.cpu_ns >= BURN_NS);
        assert_true(proc.cpu_ns < BURN_NS + PF_TEST_DEADLINE_S * PF_SECOND);
        assert_true(proc.user_ns + proc.system_ns <= proc.cpu_ns);
        assert_int_equal(proc.waited_ns, 0);
        end(&child);
    }
}

static void what_a_child_had_is_with_its_parent_afterwards(void **state)
{
    (void)state;
    struct child child = start(burn_in_a_child);
    struct proc proc;
    assert_int_equal(proc_read(child.pid, &proc), 0);
    assert_true(proc.waited_ns >= BURN_NS - 20 * PF_MILLISECOND); /* two ticks */
    end(&child);
}

static void memory_is_what_is_resident(void **state)
{
    (void)state;
    struct child plain = start(nothing), large = start(grow);
    struct proc a, b;
    assert_int_equal(proc_read(plain.pid, &a), 0);
    assert_int_equal(proc_read(large.pid, &b), 0);
    assert_true(a.rss > 0);
    assert_true(b.rss - a.rss > GROW_BYTES / 10 * 9);
    end(&plain);
    end(&large);
}

/* Not each wait needs a switch: a child may have ended before it is waited for. */
static void switches_grow_with_waiting(void **state)
{
    (void)state;
    int64_t before = proc_switches(getpid());
    assert_true(before >= 0);
    for (int i = 0; i < 1000 && proc_switches(getpid()) == before; i++) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(0);
        waitpid(pid, NULL, 0);
    }
    assert_true(proc_switches(getpid()) > before);
}

static void a_name_may_hold_spaces_and_parentheses(void **state)
{
    (void)state;
    char name[PROC_NAME_MAX], before[PROC_NAME_MAX];
    struct proc proc;
    proc_name(getpid(), before);
    assert_int_equal(prctl(PR_SET_NAME, ") Z 1 (a b"), 0);
    assert_int_equal(proc_read(getpid(), &proc), 0);
    proc_name(getpid(), name);
    prctl(PR_SET_NAME, before);
    assert_string_equal(name, ") Z 1 (a b");
    assert_int_equal(proc.parent, getppid());
    assert_false(proc.ended);
}

/* ---- the kernel's counters ------------------------------------------------------- */

static void counters_are_found_by_group_and_name(void **state)
{
    (void)state;
    static const char text[] = "Ip: A B\nIp: 7 8\nTcpExt: SyncookiesSent A ListenDrops\n"
                               "TcpExt: 1 -2 33\nTcp: ListenDrops\nTcp: 4\nOdd: A B\n"
                               "Odd: 1\nLast: A";
    static const struct {
        const char *group, *name;
        int64_t value;
    } rows[] = {
        {"Ip", "B", 8},           {"TcpExt", "ListenDrops", 33},
        {"TcpExt", "A", -2},      {"Tcp", "ListenDrops", 4},
        {"TcpExt", "Listen", -1}, {"Udp", "A", -1},
        {"Odd", "B", -1},         {"Last", "A", -1},
        {"Ext", "A", -1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(netstat_find(text, rows[i].group, rows[i].name), rows[i].value);
    assert_int_equal(netstat_find("", "Ip", "A"), -1);
}

static void this_kernel_counts_listen_drops(void **state)
{
    (void)state;
    struct netstat now;
    netstat_read(&now);
    assert_true(now.listen_drops >= 0);
    assert_true(now.listen_overflows >= 0);
    assert_true(now.syn_retries >= 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(a_tree_is_the_root_its_children_and_theirs),
        pf_test(one_that_is_gone_is_no_tree),
        pf_test(one_that_has_ended_says_so_until_it_is_waited_for),
        pf_test(cpu_time_is_that_of_all_threads_ended_ones_too),
        pf_test(what_a_child_had_is_with_its_parent_afterwards),
        pf_test(memory_is_what_is_resident),
        pf_test(switches_grow_with_waiting),
        pf_test(a_name_may_hold_spaces_and_parentheses),
        pf_test(counters_are_found_by_group_and_name),
        pf_test(this_kernel_counts_listen_drops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
