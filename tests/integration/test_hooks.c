/* test_hooks.c - the hooks of a service: which runs where, when and how often; and the two
 * examples that have them.
 *
 * They write down, through a pipe, that they ran. A worker asserts nothing: what it finds
 * out is in its lines, which the test reads when all is over. */
#include "tests/lib/server.h"

#include "ipc/catalogue.h"
#include "worker/lane.h"
#include <prefork.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const any_port[] = {"127.0.0.1:0"};

enum {
    THREADS = 3,
    NOTES = 256
};

/* ---- notes ----------------------------------------------------------------------- */

enum what {
    PRE_FORK = 1,
    WORKER_INIT,
    LANE_INIT,
    ON_READY,
    ON_DRAIN,
    LANE_EXIT,
    WORKER_EXIT,
    ON_CRASH,
    RESULT, /* of a call that a test makes in a worker */
    NEVER,  /* this should not have run */
};

struct note {
    enum what what;
    pid_t pid, tid;
    unsigned slot, thread; /* of a lane */
    bool current;          /* its loop is the thread's */
    long value;
    char text[32];
};

static int notes_fds[2];
static struct note notes[NOTES];
static unsigned note_count;

/* One write, shorter than PIPE_BUF: notes are never mixed. */
static void put(struct note note)
{
    note.pid = getpid();
    note.tid = gettid();
    (void)!write(notes_fds[1], &note, sizeof note); /* the test misses it */
}

static void put_lane(enum what what, pf_lane *lane)
{
    put((struct note){.what = what,
                      .slot = pf_lane_slot(lane),
                      .thread = pf_lane_thread(lane),
                      .current = pf_loop_current(false) == pf_lane_loop(lane)});
}

static void put_value(enum what what, long value)
{
    put((struct note){.what = what, .value = value});
}

/* Those of this kind, of a process, or of all (0). */
static unsigned count(enum what what, pid_t pid)
{
    unsigned sum = 0;
    for (unsigned i = 0; i < note_count; i++)
        sum += notes[i].what == what && (!pid || notes[i].pid == pid);
    return sum;
}

/* The place of the n-th of a kind in a process, from 0. */
static unsigned place(enum what what, pid_t pid, unsigned n)
{
    for (unsigned i = 0; i < note_count; i++)
        if (notes[i].what == what && notes[i].pid == pid && n-- == 0)
            return i;
    fail_msg("process %d has no note %d", pid, what);
    return 0;
}

static const struct note *nth(enum what what, unsigned n)
{
    for (unsigned i = 0; i < note_count; i++)
        if (notes[i].what == what && n-- == 0)
            return &notes[i];
    fail_msg("there is no note %d", what);
    return NULL;
}

/* ---- a run ----------------------------------------------------------------------- */

struct run {
    struct pf_service service;
    struct pf_master_options options;
    char error[512];
    char directory[32];
};

static void drop(pf_lane *lane, int fd, const struct sockaddr *peer, socklen_t len,
                 void *arg)
{
    (void)peer, (void)len, (void)arg;
    close(fd);
    (void)pf_lane_closed(lane, fd);
}

static void stop_self(const struct pf_master_status *status, void *arg)
{
    (void)arg;
    kill(status->pid, SIGTERM);
}

static void keep_quiet(enum pf_log_level level, const char *line, size_t len, void *arg)
{
    (void)level, (void)line, (void)len, (void)arg;
}

static void prepare(struct run *run)
{
    *run = (struct run){
        .service = {.size = sizeof run->service, .name = "test", .on_connection = drop},
        .options = PF_MASTER_OPTIONS_INIT,
        .directory = "/tmp/prefork-test-XXXXXX"};
    run->options.service = &run->service;
    run->options.binds = any_port;
    run->options.bind_count = 1;
    run->options.workers = 1;
    run->options.on_ready = stop_self;
    run->options.error = run->error;
    run->options.error_len = sizeof run->error;
    assert_non_null(mkdtemp(run->directory));
    setenv("XDG_RUNTIME_DIR", run->directory, 1);
    unsetenv("RUNTIME_DIRECTORY");
    assert_int_equal(pipe2(notes_fds, O_CLOEXEC), 0);
}

static void read_notes(void)
{
    close(notes_fds[1]);
    note_count = 0;
    while (note_count < NOTES &&
           read(notes_fds[0], &notes[note_count], sizeof *notes) == (ssize_t)sizeof *notes)
        note_count++;
    close(notes_fds[0]);
    assert_true(note_count < NOTES);
}

/* What a sanitizer finds in a worker, only standard error tells. */
static void read_words(int words)
{
    static char text[65536];
    ssize_t n = pread(words, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    close(words);
    if (strstr(text, "Sanitizer") || strstr(text, "runtime error:"))
        fail_msg("a sanitizer has found something: %s", text);
}

static void remove_directory(const char *path)
{
    pid_t pid = fork();
    if (pid == 0) {
        execlp("rm", "rm", "-rf", path, (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static int run_it(struct run *run)
{
    int words = memfd_create("words", MFD_CLOEXEC);
    int before = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    assert_true(words >= 0 && before >= 0);
    fflush(NULL);
    assert_int_equal(dup2(words, STDERR_FILENO), STDERR_FILENO);
    pf_log_set_sink(keep_quiet, NULL);
    int status = pf_master_run(&run->options);
    pf_log_set_sink(NULL, NULL);
    assert_int_equal(dup2(before, STDERR_FILENO), STDERR_FILENO);
    close(before);
    read_notes();
    remove_directory(run->directory);
    read_words(words);
    return status;
}

/* ---- hooks that only take notes -------------------------------------------------- */

static pf_lane *lanes[THREADS]; /* of this worker, by thread; each thread writes its own */

static int note_pre_fork(void *arg)
{
    put_value(PRE_FORK, arg == any_port);
    return 0;
}

static int note_worker_init(void *arg)
{
    put_value(WORKER_INIT, arg == any_port);
    return 0;
}

static int note_lane_init(pf_lane *lane, void *arg)
{
    (void)arg;
    lanes[pf_lane_thread(lane)] = lane;
    put_lane(LANE_INIT, lane);
    return 0;
}

/* How many lanes accept by now: their rows in the scoreboard say so. */
static void note_on_ready(void *arg)
{
    (void)arg;
    long accepting = 0;
    for (unsigned i = 0; i < THREADS; i++)
        accepting += __atomic_load_n(lanes[i]->cells[PF__COLUMN_STATE], __ATOMIC_ACQUIRE) ==
                     PF_WORKER_ACCEPTING;
    put_value(ON_READY, accepting);
}

static void note_on_drain(pf_lane *lane, void *arg)
{
    (void)arg;
    put_lane(ON_DRAIN, lane);
}

static void note_lane_exit(pf_lane *lane, void *arg)
{
    (void)arg;
    put_lane(LANE_EXIT, lane);
}

static void note_worker_exit(void *arg)
{
    (void)arg;
    put_value(WORKER_EXIT, 0);
}

static void note_on_crash(const struct pf_crash *crash, void *arg)
{
    (void)arg;
    struct note note = {.what = ON_CRASH, .slot = crash->slot, .value = crash->pid};
    snprintf(note.text, sizeof note.text, "%s %d %d", crash->cause, crash->signal,
             crash->status);
    note.current = crash->size == sizeof *crash && crash->uptime_ns >= 0 &&
                   (crash->signal == SIGABRT || !crash->core_dumped);
    put(note);
}

static void take_notes(struct run *run)
{
    prepare(run);
    run->service.arg = (void *)(uintptr_t)any_port;
    run->service.pre_fork = note_pre_fork;
    run->service.worker_init = note_worker_init;
    run->service.lane_init = note_lane_init;
    run->service.on_drain = note_on_drain;
    run->service.lane_exit = note_lane_exit;
    run->service.worker_exit = note_worker_exit;
    run->service.on_crash = note_on_crash;
}

/* ---- which runs where and when --------------------------------------------------- */

/* One of each lane, each on its own thread with its own loop; lane 0 on the first. */
static void assert_each_lane_has(enum what what, pid_t pid)
{
    assert_int_equal(count(what, pid), THREADS);
    for (unsigned i = 0; i < THREADS; i++) {
        const struct note *note = &notes[place(what, pid, i)];
        const struct note *init = NULL;
        for (unsigned n = 0; n < THREADS; n++)
            if (notes[place(LANE_INIT, pid, n)].thread == note->thread)
                init = &notes[place(LANE_INIT, pid, n)];
        assert_non_null(init);
        assert_true(note->current);
        assert_int_equal(note->tid, init->tid);
        assert_int_equal(note->slot, init->slot);
        assert_int_equal(note->tid == pid, note->thread == 0);
        for (unsigned n = 0; n < i; n++) {
            assert_int_not_equal(note->tid, notes[place(what, pid, n)].tid);
            assert_int_not_equal(note->thread, notes[place(what, pid, n)].thread);
        }
    }
}

/* All of one kind before all of the other. */
static void assert_order(pid_t pid, enum what first, enum what then)
{
    assert_true(place(first, pid, count(first, pid) - 1) < place(then, pid, 0));
}

static void assert_life(pid_t pid)
{
    assert_int_equal(count(WORKER_INIT, pid), 1);
    assert_int_equal(count(ON_READY, pid), 1);
    assert_int_equal(count(WORKER_EXIT, pid), 1);
    assert_each_lane_has(LANE_INIT, pid);
    assert_each_lane_has(ON_DRAIN, pid);
    assert_each_lane_has(LANE_EXIT, pid);
    assert_order(pid, WORKER_INIT, LANE_INIT);
    assert_order(pid, LANE_INIT, ON_READY);
    assert_order(pid, ON_READY, ON_DRAIN);
    assert_order(pid, LANE_EXIT, WORKER_EXIT);
    for (unsigned i = 0; i < THREADS; i++) { /* each lane drains before it exits */
        const struct note *drain = &notes[place(ON_DRAIN, pid, i)];
        for (unsigned n = 0; n < THREADS; n++) {
            const struct note *left = &notes[place(LANE_EXIT, pid, n)];
            assert_true(left->thread != drain->thread || drain < left);
        }
    }
    assert_int_equal(notes[place(ON_READY, pid, 0)].tid, pid);
    assert_int_equal(notes[place(ON_READY, pid, 0)].value, THREADS);
    assert_int_equal(notes[place(WORKER_EXIT, pid, 0)].tid, pid);
}

static void each_hook_runs_in_its_place_as_often_as_it_should(void **state)
{
    (void)state;
    struct run run;
    take_notes(&run);
    run.service.on_ready = note_on_ready;
    run.options.workers = 2;
    run.options.threads = THREADS;
    assert_int_equal(run_it(&run), PF_EXIT_OK);
    assert_int_equal(notes[0].what, PRE_FORK); /* before everything else */
    assert_int_equal(notes[0].pid, getpid());
    assert_int_equal(notes[0].value, 1);
    assert_int_equal(count(PRE_FORK, 0), 1);
    assert_int_equal(count(WORKER_INIT, 0), 2);
    assert_int_equal(nth(WORKER_INIT, 0)->value, 1);
    pid_t one = nth(WORKER_INIT, 0)->pid, other = nth(WORKER_INIT, 1)->pid;
    assert_true(one != other && one != getpid() && other != getpid());
    assert_life(one);
    assert_life(other);
    assert_int_not_equal(notes[place(LANE_INIT, one, 0)].slot,
                         notes[place(LANE_INIT, other, 0)].slot);
    assert_int_equal(count(ON_CRASH, 0), 0);
    assert_int_equal(note_count, 1 + 2 * (3 + 3 * THREADS));
}

static void a_service_without_any_hook_serves(void **state)
{
    (void)state;
    struct run run;
    prepare(&run);
    run.options.threads = THREADS;
    assert_int_equal(run_it(&run), PF_EXIT_OK);
}

/* ---- before the fork ------------------------------------------------------------- */

#define LOADED_SIZE ((size_t)1024 * 1024)
static long *loaded;

static int load(void *arg)
{
    (void)arg;
    void *map =
        mmap(NULL, LOADED_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED)
        return -errno;
    loaded = map;
    for (size_t i = 0; i < LOADED_SIZE / sizeof *loaded; i++)
        loaded[i] = 1234;
    return 0;
}

/* How much of the mapping that `loaded` is in is shared: proc(5), smaps. */
static long shared_bytes(void)
{
    FILE *smaps = fopen("/proc/self/smaps", "re");
    char line[512];
    long kib = -1, sum = 0;
    bool here = false;
    while (smaps && fgets(line, sizeof line, smaps)) {
        unsigned long from, to;
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
            here = from <= (unsigned long)loaded && (unsigned long)loaded < to;
        else if (here && (sscanf(line, "Shared_Dirty: %ld", &kib) == 1 ||
                          sscanf(line, "Shared_Clean: %ld", &kib) == 1))
            sum += kib * 1024;
    }
    if (smaps)
        fclose(smaps);
    return sum;
}

static int read_and_write_loaded(void *arg)
{
    (void)arg;
    put_value(RESULT, shared_bytes());
    put_value(WORKER_INIT, loaded[1]);
    loaded[1] = getpid();
    return 0;
}

static void read_loaded(pf_lane *lane, void *arg)
{
    (void)lane, (void)arg;
    put_value(ON_DRAIN, loaded[1]);
}

/* By the time of a drain all workers have written. */
static void what_pre_fork_loads_is_shared_and_what_a_worker_writes_is_its_own(void **state)
{
    (void)state;
    struct run run;
    prepare(&run);
    run.service.pre_fork = load;
    run.service.worker_init = read_and_write_loaded;
    run.service.on_drain = read_loaded;
    run.options.workers = 2;
    assert_int_equal(run_it(&run), PF_EXIT_OK);
    assert_int_equal(count(WORKER_INIT, 0), 2);
    for (unsigned i = 0; i < 2; i++) {
        pid_t pid = nth(WORKER_INIT, i)->pid;
        assert_true(nth(RESULT, i)->value >= (long)LOADED_SIZE);
        assert_int_equal(nth(WORKER_INIT, i)->value, 1234);
        assert_int_equal(notes[place(ON_DRAIN, pid, 0)].value, pid);
    }
    assert_int_equal(loaded[1], 1234);
    assert_int_equal(munmap(loaded, LOADED_SIZE), 0);
}

static int fail_minus(void *arg)
{
    (void)arg;
    return -ENOENT;
}

static int fail_plus(void *arg)
{
    (void)arg;
    return ENOENT;
}

static void a_pre_fork_that_fails_is_the_end_before_any_worker(void **state)
{
    (void)state;
    static int (*const fails[])(void *) = {fail_minus, fail_plus};
    for (unsigned i = 0; i < 2; i++) {
        struct run run;
        take_notes(&run);
        run.service.pre_fork = fails[i];
        assert_int_equal(run_it(&run), PF_EXIT_CONFIG);
        assert_string_equal(run.error,
                            "the application's pre_fork failed: No such file or directory");
        assert_int_equal(note_count, 0);
    }
}

static pf_loop *left_loop;

static int leave_a_loop(void *arg)
{
    (void)arg;
    return pf_loop_new(NULL, &left_loop);
}

static void a_pre_fork_that_leaves_a_loop_behind_is_refused(void **state)
{
    (void)state;
    struct run run;
    take_notes(&run);
    run.service.pre_fork = leave_a_loop;
    assert_int_equal(run_it(&run), PF_EXIT_SOFTWARE);
    assert_non_null(strstr(run.error, "test_hooks.c:"));
    assert_int_equal(note_count, 0);
    assert_int_equal(pf_loop_close(left_loop, false), 0);
    pf_loop_unref(left_loop);
}

static pthread_t left_thread;
static int left_fds[2];

static void *wait_for_end(void *arg)
{
    char c;
    while (read(*(int *)arg, &c, 1) == -1 && errno == EINTR)
        ;
    return NULL;
}

static int leave_a_thread(void *arg)
{
    (void)arg;
    if (pipe2(left_fds, O_CLOEXEC) != 0)
        return -errno;
    return pthread_create(&left_thread, NULL, wait_for_end, &left_fds[0]);
}

static void a_pre_fork_that_leaves_a_thread_behind_is_refused(void **state)
{
    (void)state;
    struct run run;
    take_notes(&run);
    run.service.pre_fork = leave_a_thread;
    assert_int_equal(run_it(&run), PF_EXIT_SOFTWARE);
    assert_non_null(strstr(run.error, "other threads run"));
    assert_int_equal(note_count, 0);
    close(left_fds[1]);
    pthread_join(left_thread, NULL);
    close(left_fds[0]);
}

/* ---- boot ------------------------------------------------------------------------ */

static int fail_in_lane_2(pf_lane *lane, void *arg)
{
    put_lane(LANE_INIT, lane);
    (void)arg;
    return pf_lane_thread(lane) == 2 ? -ENOENT : 0;
}

/* Lanes that had begun are ended properly; the one that failed is not. */
static void one_lane_of_three_that_cannot_start_fails_the_boot(void **state)
{
    (void)state;
    struct run run;
    take_notes(&run);
    run.service.lane_init = fail_in_lane_2;
    run.options.threads = THREADS;
    assert_int_equal(run_it(&run), PF_EXIT_CONFIG);
    assert_non_null(strstr(run.error, "no worker could boot"));
    unsigned tries = count(WORKER_INIT, 0);
    assert_true(tries > 1);
    assert_int_equal(count(WORKER_EXIT, 0), tries);
    assert_int_equal(count(ON_DRAIN, 0), 0);
    for (unsigned i = 0; i < tries; i++) {
        pid_t pid = nth(WORKER_INIT, i)->pid;
        unsigned begun = 0;
        for (unsigned n = 0; n < count(LANE_INIT, pid); n++)
            begun += notes[place(LANE_INIT, pid, n)].thread != 2;
        assert_int_equal(count(LANE_EXIT, pid), begun);
        for (unsigned n = 0; n < begun; n++)
            assert_int_not_equal(notes[place(LANE_EXIT, pid, n)].thread, 2);
        assert_order(pid, WORKER_INIT, WORKER_EXIT);
    }
    assert_int_equal(count(ON_CRASH, 0), tries);
    assert_non_null(strstr(nth(ON_CRASH, 0)->text, "boot-failure 0 78"));
}

static void a_worker_init_that_fails_is_not_followed_by_anything(void **state)
{
    (void)state;
    struct run run;
    take_notes(&run);
    run.service.worker_init = fail_minus;
    assert_int_equal(run_it(&run), PF_EXIT_CONFIG);
    assert_int_equal(count(LANE_INIT, 0) + count(LANE_EXIT, 0) + count(WORKER_EXIT, 0), 0);
    assert_true(count(ON_CRASH, 0) > 1);
}

/* ---- on_crash -------------------------------------------------------------------- */

static unsigned *starts; /* shared by all processes */

static int share_starts(void *arg)
{
    (void)arg;
    void *map = mmap(NULL, sizeof *starts, PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED)
        return -errno;
    starts = map;
    return 0;
}

/* One worker after the other, each of which leaves in another way. */
static void leave_somehow(void *arg)
{
    (void)arg;
    put_value(ON_READY, 0);
    switch ((*starts)++) {
    case 0:
        raise(SIGABRT);
        break;
    case 1:
        _exit(3);
    case 2:
        raise(SIGKILL);
        break;
    case 3:
        raise(SIGTERM); /* an order, if not the master's */
        break;
    default:
        kill(getppid(), SIGTERM);
    }
}

static void the_master_is_told_of_each_end_that_was_not_ordered(void **state)
{
    (void)state;
    static const char *const told[] = {"crash 6 0", "crash 0 3", "killed 9 0"};
    struct run run;
    take_notes(&run);
    run.service.pre_fork = share_starts;
    run.service.on_ready = leave_somehow;
    run.options.on_ready = NULL;
    assert_int_equal(run_it(&run), PF_EXIT_OK);
    assert_int_equal(*starts, 5);
    assert_int_equal(munmap(starts, sizeof *starts), 0);
    assert_int_equal(count(ON_CRASH, 0), 3);
    for (unsigned i = 0; i < 3; i++) {
        const struct note *crash = nth(ON_CRASH, i);
        assert_string_equal(crash->text, told[i]);
        assert_int_equal(crash->pid, getpid());
        assert_int_equal(crash->slot, 0);
        assert_int_equal(crash->value, nth(ON_READY, i)->pid);
        assert_true(crash->current); /* the rest of what it was told */
    }
    assert_int_equal(count(WORKER_EXIT, 0), 2);
}

static void abort_at_once(void *arg)
{
    (void)arg;
    raise(SIGABRT);
}

static void stop_for_crash(const struct pf_crash *crash, void *arg)
{
    note_on_crash(crash, arg);
    kill(getpid(), SIGTERM);
}

/* Nor does whoever names the backtrace outlive the server: see pf_test_teardown(). */
static void a_crash_in_the_last_moment_leaves_no_process_behind(void **state)
{
    (void)state;
    struct run run;
    take_notes(&run);
    run.service.on_ready = abort_at_once;
    run.service.on_crash = stop_for_crash;
    run.options.on_ready = NULL;
    assert_int_equal(run_it(&run), PF_EXIT_OK);
    assert_int_equal(count(ON_CRASH, 0), 1);
}

/* ---- lanes are apart ------------------------------------------------------------- */

static int ignore_event(pf_loop *loop, int fd, unsigned events, void *arg)
{
    (void)loop, (void)fd, (void)events, (void)arg;
    return 0;
}

static int ignore_call(pf_loop *loop, void *arg)
{
    (void)loop, (void)arg;
    return 0;
}

/* Everything of another's lane that only its own thread may call. */
static void touch(pf_lane *lane)
{
    pf_loop *loop = pf_lane_loop(lane);
    put_value(RESULT, pf_lane_closed(lane, 0));
    put_value(RESULT, pf_lane_answered(lane, 1));
    put_value(RESULT, pf_lane_busy(lane, 0));
    put_value(RESULT,
              pf_loop_add_handler(loop, notes_fds[1], PF_WRITE, ignore_event, NULL));
    put_value(RESULT, pf_loop_update_handler(loop, notes_fds[1], PF_WRITE));
    put_value(RESULT, pf_loop_remove_handler(loop, notes_fds[1]));
    put_value(RESULT, pf_loop_call_later(loop, 0, ignore_call, NULL, NULL));
    put_value(RESULT, pf_loop_stop(loop));
}

enum {
    TOUCHES = 8
};

static int on_crossed(pf_loop *loop, void *arg);

static void cross(unsigned to)
{
    if (pf_loop_add_callback(pf_lane_loop(lanes[to]), on_crossed, lanes[to]) != 0)
        put_value(NEVER, to);
}

/* From lane to lane, until the first has its turn again. */
static int on_crossed(pf_loop *loop, void *arg)
{
    pf_lane *lane = arg;
    unsigned thread = pf_lane_thread(lane);
    put_lane(ON_READY, lane);
    if (loop != pf_lane_loop(lane))
        put_value(NEVER, 0);
    touch(lanes[(thread + 1) % THREADS]);
    if (thread == 0)
        kill(getppid(), SIGTERM);
    else
        cross((thread + 1) % THREADS);
    return 0;
}

static void begin_crossing(void *arg)
{
    (void)arg;
    cross(1);
}

static void lanes_reach_each_other_by_callbacks_only(void **state)
{
    (void)state;
    struct run run;
    take_notes(&run);
    run.service.on_ready = begin_crossing;
    run.options.on_ready = NULL;
    run.options.threads = THREADS;
    assert_int_equal(run_it(&run), PF_EXIT_OK);
    assert_int_equal(count(NEVER, 0), 0);
    assert_int_equal(count(ON_READY, 0), THREADS);
    assert_each_lane_has(ON_READY, nth(ON_READY, 0)->pid);
    assert_int_equal(count(RESULT, 0), THREADS * TOUCHES);
    for (unsigned i = 0; i < THREADS * TOUCHES; i++)
        assert_int_equal(nth(RESULT, i)->value, -EPERM);
}

/* ---- programs of before ---------------------------------------------------------- */

static int never_int(void *arg)
{
    (void)arg;
    put_value(NEVER, 0);
    return -EIO;
}

static void never(void *arg)
{
    (void)never_int(arg);
}

/* What lies behind the structs in its memory is nothing to us. */
static void a_program_that_knows_only_the_first_fields_is_served(void **state)
{
    (void)state;
    struct run run;
    take_notes(&run);
    run.service.size = offsetof(struct pf_service, pre_fork);
    run.service.pre_fork = never_int;
    run.service.on_ready = never;
    run.options.size = offsetof(struct pf_master_options, threads);
    run.options.threads = 1000000;
    run.options.pin_list = "nonsense";
    run.options.nic = "nonsense";
    run.options.distribution = (enum pf_distribution)77;
    assert_int_equal(run_it(&run), PF_EXIT_OK);
    assert_int_equal(count(NEVER, 0), 0);
    pid_t pid = nth(WORKER_INIT, 0)->pid;
    assert_order(pid, WORKER_INIT, LANE_INIT);
    assert_order(pid, LANE_INIT, ON_DRAIN);
    assert_order(pid, ON_DRAIN, LANE_EXIT);
    assert_order(pid, LANE_EXIT, WORKER_EXIT);
    assert_int_equal(note_count, 5);
}

/* ---- examples/echo --------------------------------------------------------------- */

static struct pf_test_server server; /* big */

static int connect_unix(const char *name)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval limit = {.tv_sec = PF_TEST_DEADLINE_S};
    size_t len = strlen(name);
    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    memcpy(address.sun_path + 1, name, len); /* abstract: unix(7) */
    assert_int_equal(connect(fd, (struct sockaddr *)&address,
                             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len)),
                     0);
    return fd;
}

static int connect_udp(void)
{
    const char *on = strstr(server.text, "udp:127.0.0.1:");
    assert_non_null(on);
    int port = (int)strtol(on + strlen("udp:127.0.0.1:"), NULL, 10);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct timeval limit = {.tv_sec = PF_TEST_DEADLINE_S};
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void expect_echo(int fd, const char *text)
{
    char back[64] = "";
    size_t len = strlen(text), got = 0;
    assert_int_equal(pf_test_send_text(fd, text), 0);
    while (got < len) {
        ssize_t n = recv(fd, back + got, len - got, 0);
        assert_true(n > 0);
        got += (size_t)n;
    }
    assert_string_equal(back, text);
}

/* More than the sockets hold: the server has to wait until we read. */
static void expect_much(int fd)
{
    enum {
        MUCH = 16 * 1024 * 1024,
        PIECE = 65536
    };
    static char out[PIECE], back[PIECE];
    size_t sent = 0, got = 0;
    while (got < MUCH) {
        size_t left = MUCH - sent < PIECE ? MUCH - sent : PIECE;
        for (size_t i = 0; i < left; i++)
            out[i] = (char)((sent + i) / 1000);
        ssize_t n = left ? send(fd, out, left, MSG_NOSIGNAL | MSG_DONTWAIT) : -1;
        if (n > 0) {
            sent += (size_t)n;
            continue;
        }
        n = recv(fd, back, PIECE, 0);
        assert_true(n > 0);
        for (size_t i = 0; i < (size_t)n; i++)
            if (back[i] != (char)((got + i) / 1000))
                fail_msg("byte %zu is another", got + i);
        got += (size_t)n;
    }
    assert_int_equal(got, MUCH);
}

static void the_example_echo_answers_on_each_kind_of_socket(void **state)
{
    (void)state;
    char name[64], bind[72], who[64];
    snprintf(name, sizeof name, "prefork-test-%d", getpid());
    snprintf(bind, sizeof bind, "unix:@%s", name);
    const char *const args[] = {"--workers", "2",     "--bind", "127.0.0.1:0",
                                "--bind",    bind,    "--bind", "udp:127.0.0.1:0",
                                "--log",     "debug", NULL};
    pf_test_program_start(&server, "examples/echo", args);
    int tcp = pf_test_connect(server.port), unix_fd = connect_unix(name);
    int udp = connect_udp();
    assert_true(tcp >= 0);
    for (int i = 0; i < 3; i++) {
        expect_echo(tcp, "over tcp");
        expect_echo(unix_fd, "over a unix socket");
        expect_echo(udp, "over udp");
    }
    snprintf(who, sizeof who, "client pid=%d uid=%u gid=%u", getpid(), getuid(), getgid());
    pf_test_server_expect(&server, 0, who);
    expect_much(tcp);
    close(udp);

    /* Both are idle, which is how they end: at once, not at the drain limit. */
    assert_int_equal(kill(server.pid, SIGTERM), 0);
    char none[8];
    assert_int_equal(pf_test_read_all(tcp, none, sizeof none), 0);
    assert_int_equal(pf_test_read_all(unix_fd, none, sizeof none), 0);
    close(tcp);
    close(unix_fd);
    assert_int_equal(pf_test_server_wait(&server), PF_EXIT_OK);
    assert_null(strstr(server.text, "drain-limit"));
}

/* ---- examples/embed -------------------------------------------------------------- */

static void ask_for_a_prime(int port)
{
    char text[64];
    unsigned slot, prime;
    int fd = pf_test_connect(port);
    assert_true(fd >= 0);
    assert_true(pf_test_read_all(fd, text, sizeof text) > 0);
    close(fd);
    assert_int_equal(sscanf(text, "worker %u: %u", &slot, &prime), 2);
    assert_true(slot < 2 && prime >= 2);
    for (unsigned i = 2; i * i <= prime; i++)
        assert_true(prime % i != 0);
}

static void start_embed(const char *address, pid_t workers[2])
{
    const char *const args[] = {address, "1000", NULL};
    pf_test_program_spawn(&server, NULL, "examples/embed", args);
    pf_test_server_expect(&server, 0, ", workers ");
    const char *on = strstr(server.text, "1000 primes on 127.0.0.1:");
    assert_non_null(on);
    pf_test_server_expect(&server, (size_t)(on - server.text), "\n");
    assert_int_equal(sscanf(on, "1000 primes on 127.0.0.1:%d, workers %d %d", &server.port,
                            &workers[0], &workers[1]),
                     3);
}

static void the_example_embed_serves_and_replaces_a_worker_that_was_killed(void **state)
{
    (void)state;
    pid_t workers[2];
    start_embed("127.0.0.1:0", workers);
    for (int i = 0; i < 20; i++)
        ask_for_a_prime(server.port);
    size_t before = server.text_len;
    char gone[64];
    snprintf(gone, sizeof gone, "worker 0 (pid %d): killed, signal 9, status 0\n",
             workers[0]);
    assert_int_equal(kill(workers[0], SIGKILL), 0);
    pf_test_server_expect(&server, before, gone);
    pf_test_server_expect(&server, before, "worker-accepts worker=0 ");
    for (int i = 0; i < 20; i++)
        ask_for_a_prime(server.port);
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), PF_EXIT_OK);
    assert_null(strstr(server.text, "worker 1 (pid "));
}

static void the_example_embed_ends_with_the_status_of_pf_master_run(void **state)
{
    (void)state;
    static struct pf_test_server second;
    char address[32];
    pid_t workers[2];
    start_embed("127.0.0.1:0", workers);
    snprintf(address, sizeof address, "127.0.0.1:%d", server.port);
    const char *const args[] = {address, NULL};
    pf_test_program_spawn(&second, NULL, "examples/embed", args);
    assert_int_equal(pf_test_server_wait(&second), PF_EXIT_UNAVAILABLE);
    assert_non_null(strstr(second.text, address));
    assert_int_equal(pf_test_server_stop(&server, SIGINT), PF_EXIT_OK);
    assert_null(strstr(server.text, "(pid "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(each_hook_runs_in_its_place_as_often_as_it_should),
        pf_test(a_service_without_any_hook_serves),
        pf_test(what_pre_fork_loads_is_shared_and_what_a_worker_writes_is_its_own),
        pf_test(a_pre_fork_that_fails_is_the_end_before_any_worker),
        pf_test(a_pre_fork_that_leaves_a_loop_behind_is_refused),
        pf_test(a_pre_fork_that_leaves_a_thread_behind_is_refused),
        pf_test(one_lane_of_three_that_cannot_start_fails_the_boot),
        pf_test(a_worker_init_that_fails_is_not_followed_by_anything),
        pf_test(the_master_is_told_of_each_end_that_was_not_ordered),
        pf_test(a_crash_in_the_last_moment_leaves_no_process_behind),
        pf_test(lanes_reach_each_other_by_callbacks_only),
        pf_test(a_program_that_knows_only_the_first_fields_is_served),
        pf_test(the_example_echo_answers_on_each_kind_of_socket),
        pf_test(the_example_embed_serves_and_replaces_a_worker_that_was_killed),
        pf_test(the_example_embed_ends_with_the_status_of_pf_master_run),
    };
    return cmocka_run_group_tests_name("hooks", tests, NULL, NULL);
}
