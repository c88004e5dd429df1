#include "bench/run_internal.h"

#include "bench/child.h"
#include "bench/clock.h"
#include "bench/interrupt.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* From the order to go until it is time: enough for all units to have read it. With a
 * watcher that is to look before the first request: for that, too. */
#define GO_NS         (2 * PF_MILLISECOND)
#define GO_WATCHED_NS (30 * PF_MILLISECOND)
/* Of a drain that takes longer than that the series has a row. */
#define LONG_DRAIN_NS PF_SECOND
/* So much behind its end a process of the load has ended, if it runs at all. */
#define OVERDUE_NS (10 * PF_SECOND)
/* Between two looks at the processes: child.h. */
#define LOOK_NS PF_SECOND
/* Between two frames of the screen. */
#define FRAME_NS (250 * PF_MILLISECOND)

static pf_callback_fn run_on_begun, run_on_second, run_on_over, run_on_frame,
    run_on_overdue, run_on_look;
static pf_signal_fn run_on_interrupt;
static pf_io_fn run_on_word;

/* Units end by themselves when they are told to, or when the time is over. A process that
 * has not by then stands still: it was stopped, perhaps. */
static int run_on_overdue(pf_loop *loop, void *arg)
{
    (void)loop;
    run_crew_kill(arg);
    return 0;
}

/* A run by number has no end by which to tell, and one that sets up none yet. */
static int run_on_look(pf_loop *loop, void *arg)
{
    struct run *run = arg;
    for (unsigned i = 0; i < run->plan->procs; i++) {
        struct run_process *process = &run->processes[i];
        if (process->pid > 0 && !process->gone &&
            child_is_stuck(process->pid, &process->stopped))
            run_crew_give_up(process);
    }
    return pf_loop_call_later(loop, LOOK_NS, run_on_look, run, NULL);
}

static int give_up_at(struct run *run, int64_t end_ns)
{
    if (run->plan->procs == 1 || !run->loop)
        return 0;
    return pf_loop_call_at(run->loop, end_ns + run->plan->drain_ns + OVERDUE_NS,
                           run_on_overdue, run, NULL);
}

static void stop(struct run *run)
{
    if (!run->stopping) {
        run_crew_order(run, UNIT_STOP);
        (void)give_up_at(run, clock_ns()); /* else a second signal has to end it */
    }
    run->stopping = true;
}

/* ---- rows ------------------------------------------------------------------------ */

static struct series_sample sample_at(struct run *run, int64_t now)
{
    run_sum_live(run);
    const struct tally *sum = run->sum;
    return (struct series_sample){
        .t_ns = now - run->began_ns,
        .planned = sum->planned,
        .sent = sum->sent,
        .ok = sum->ok,
        .err = sum->failed + sum->wrong,
        .in_flight = sum->in_flight,
        .backlog = sum->backlog,
        .hdr = run_main_hdr(run, sum),
    };
}

static void ask_server(const struct run *run, struct result_row *row)
{
    if (run->watcher && run->watcher->sample)
        run->watcher->sample(run->watcher->arg, row);
}

static void show_row(struct run *run, const struct result_row *row)
{
    const struct run_watcher *watcher = run->watcher;
    if (watcher && watcher->row && watcher->row(watcher->arg, row))
        stop(run);
}

static void add_row(struct run *run, int64_t now)
{
    struct series_sample sample = sample_at(run, now);
    struct result_row *row = series_add(&run->series, &sample);
    const struct run_watcher *watcher = run->watcher;
    ask_server(run, row);
    /* What was asked when the time was over is of this row, unless it had one of its own.
     */
    if (run->over.hdr && run->over_row.server_cpu_ns >= 0 && row->server_cpu_ns >= 0)
        row->server_cpu_ns += run->over_row.server_cpu_ns;
    show_row(run, row);
    if (run->so_far && run_fill_so_far(run, sample.t_ns, run->so_far) == 0 &&
        watcher->judge(watcher->arg, run->so_far))
        stop(run);
}

/* The time is over. If the drain is short, it belongs to the last second, else it has a row
 * of its own: so what there is now is put by. */
static int run_on_over(pf_loop *loop, void *arg)
{
    (void)loop;
    struct run *run = arg;
    if (run->stopping)
        return 0;
    run->over = sample_at(run, clock_ns());
    *run->over_hdr = *run->over.hdr;
    run->over.hdr = run->over_hdr;
    run->over_row.server_cpu_ns = run->over_row.server_rss = RESULT_UNKNOWN;
    ask_server(run, &run->over_row);
    return 0;
}

static void add_last_rows(struct run *run)
{
    int64_t now = clock_ns();
    if (run->over.hdr && now - run->began_ns - run->over.t_ns > LONG_DRAIN_NS) {
        struct result_row *row = series_add(&run->series, &run->over);
        row->server_cpu_ns = run->over_row.server_cpu_ns;
        row->server_rss = run->over_row.server_rss;
        show_row(run, row);
        run->over.hdr = NULL;
    }
    if (now > run->began_ns + run->series.last_ns)
        add_row(run, now);
}

static const struct result_row *last_row(const struct run *run)
{
    return &run->series.rows[run->series.count - 1];
}

/* A second of the measurement is over. The last one's row is made at the end: it holds what
 * is answered shortly behind it. */
static int run_on_second(pf_loop *loop, void *arg)
{
    struct run *run = arg;
    int64_t now = clock_ns();
    run->seconds = (now - run->began_ns) / PF_SECOND + 1;
    if (run->plan->duration_ns && run->seconds * PF_SECOND > run->plan->duration_ns)
        run->seconds = run->plan->duration_ns / PF_SECOND + 1;
    int64_t duration = run->plan->duration_ns;
    if (!duration || now - run->began_ns < duration) {
        add_row(run, now);
        run_progress_line(run, last_row(run), run->sum->failed);
    }
    int64_t next = run->seconds * PF_SECOND;
    if ((duration && next >= duration) || run->stopping)
        return 0;
    return pf_loop_call_at(loop, run->began_ns + next, run_on_second, run, NULL);
}

static int run_on_frame(pf_loop *loop, void *arg)
{
    struct run *run = arg;
    if (!run->screen || run->stopping)
        return 0;
    run_sum_live(run);
    run_progress_draw(run, clock_ns());
    return pf_loop_call_later(loop, FRAME_NS, run_on_frame, run, NULL);
}

/* ---- begin ----------------------------------------------------------------------- */

/* What the watcher counts from here on is to be what the measurement does: without a
 * warm-up that is before the first request, while the connections stand and are quiet. */
static void tell_begin(struct run *run)
{
    const struct run_watcher *watcher = run->watcher;
    if (watcher && watcher->begin)
        run->error = watcher->begin(watcher->arg, run->loop, run->began_ns);
    run->begun = !run->error; /* else there is nothing to end */
    if (run->error)
        stop(run);
}

static int run_on_begun(pf_loop *loop, void *arg)
{
    struct run *run = arg;
    if (run->stopping)
        return 0;
    if (!run->begun)
        tell_begin(run);
    if (run->error)
        return 0;
    int64_t duration = run->plan->duration_ns;
    int err = duration
                  ? pf_loop_call_at(loop, run->began_ns + duration, run_on_over, run, NULL)
                  : 0;
    if (!err && duration)
        err = give_up_at(run, run->began_ns + duration);
    if (err || (duration && duration <= PF_SECOND))
        return err;
    return pf_loop_call_at(loop, run->began_ns + PF_SECOND, run_on_second, run, NULL);
}

static bool is_connected(const struct run *run)
{
    uint64_t opened = 0;
    for (unsigned i = 0; i < run->plan->threads; i++)
        opened += tally_read(&run->shared->tallies[i].opened);
    return opened > 0;
}

static int go(struct run *run)
{
    const struct run_watcher *watcher = run->watcher;
    if (!is_connected(run) || run->interrupted) {
        run->stopping = false;
        stop(run);
        return 0;
    }
    bool watched = watcher && watcher->begin && run->plan->warmup_ns == 0;
    int64_t at = clock_ns() + (watched ? GO_WATCHED_NS : GO_NS);
    __atomic_store_n(&run->shared->go_ns, at, __ATOMIC_RELEASE);
    run->began_ns = at + run->plan->warmup_ns;
    if (watched)
        tell_begin(run);
    if (run->stopping)
        return 0;
    run_crew_order(run, UNIT_GO);
    run_progress_open(run);
    run->drawn_ns = at;
    int err = run->screen ? run_on_frame(run->loop, run) : 0;
    return err ? err : pf_loop_call_at(run->loop, run->began_ns, run_on_begun, run, NULL);
}

/* ---- what units say, and others -------------------------------------------------- */

static int end_of_units(struct run *run, unsigned count)
{
    run->ended += count;
    return run->ended == run->plan->threads ? pf_loop_stop(run->loop) : 0;
}

/* The pipe has ended: with the process, or, here, never. */
static int process_gone(struct run_process *process)
{
    struct run *run = process->run;
    unsigned missing = process->count - process->ended;
    process->gone = true;
    if (missing > 0) {
        run_progress_close(run);
        run_crew_bury(run, process, clock_ns());
        fprintf(stderr, "prefork-bench: %s: what it had under way is lost\n",
                run->how_died);
        run->died = true;
        stop(run);
    }
    int err = end_of_units(run, missing);
    return err ? err : PF_DONE;
}

static int run_on_word(pf_loop *loop, int fd, unsigned events, void *arg)
{
    (void)loop;
    (void)events;
    struct run_process *process = arg;
    struct run *run = process->run;
    char word;
    ssize_t n = read(fd, &word, 1);
    if (n < 0)
        return errno == EINTR ? 0 : -errno;
    if (n == 0)
        return process_gone(process);
    if (word == RUN_READY)
        return ++run->ready == run->plan->threads ? go(run) : 0;
    if (word == RUN_FAILED) {
        run->error = __atomic_load_n(&run->shared->failed, __ATOMIC_ACQUIRE);
        stop(run);
    }
    process->ended++;
    return end_of_units(run, 1);
}

/* A second one ends the program: by then it is not taken any more. */
static int run_on_interrupt(pf_loop *loop, int signo, void *arg)
{
    struct run *run = arg;
    interrupt_came();
    run->interrupted = true;
    run_progress_close(run); /* a second one would leave the terminal as it is */
    stop(run);
    /* The other one would be taken still. */
    (void)pf_loop_remove_signal(loop, signo == SIGINT ? SIGTERM : SIGINT);
    return PF_DONE;
}

static int take_interrupts(struct run *run)
{
    int err = pf_loop_add_signal(run->loop, SIGINT, run_on_interrupt, run);
    if (!err)
        err = pf_loop_add_signal(run->loop, SIGTERM, run_on_interrupt, run);
    run->interrupted = interrupt_is_noted(); /* before we took them: go() looks */
    return err;
}

/* ---- all of it ------------------------------------------------------------------- */

static int make_loop(struct run *run)
{
    struct pf_loop_options options = PF_LOOP_OPTIONS_INIT;
    options.error_policy = PF_ERROR_STOP;
    int err = pf_loop_new(&options, &run->loop);
    for (unsigned i = 0; i < run->plan->procs && !err; i++)
        err = pf_loop_add_handler(run->loop, run->processes[i].says[0], PF_READ,
                                  run_on_word, &run->processes[i]);
    if (!err && run->plan->procs > 1)
        err = pf_loop_call_later(run->loop, LOOK_NS, run_on_look, run, NULL);
    return err ? err : take_interrupts(run);
}

static int coordinate(struct run *run)
{
    const struct run_watcher *watcher = run->watcher;
    int err = run_crew_fork(run);
    if (!err)
        err = make_loop(run);
    if (!err)
        err = run_crew_start(run);
    if (!err)
        err = pf_loop_start(run->loop);
    run_progress_close(run);
    if (run->begun) {
        if (!err)
            add_last_rows(run);
        if (watcher && watcher->end)
            watcher->end(watcher->arg, run->loop);
    }
    run_crew_join(run);
    return err;
}

static int status_of(const struct run *run)
{
    if (run->error)
        return run->error;
    if (run->died)
        return -ECHILD;
    return run->interrupted ? -EINTR : 0;
}

int run_plan(const struct plan *plan, const struct run_watcher *watcher,
             enum run_progress progress, struct result *result)
{
    struct run run = {
        .plan = plan, .watcher = watcher, .progress = progress, .result = result};
    run.sum = malloc(sizeof *run.sum);
    run.over_hdr = malloc(sizeof *run.over_hdr);
    if (watcher && watcher->judge)
        run.so_far = result_new();
    bool full = run.sum && run.over_hdr && (run.so_far || !watcher || !watcher->judge);
    int err = full ? series_init(&run.series) : -ENOMEM;
    if (!err)
        err = run_crew_make(&run);
    if (!err)
        err = coordinate(&run);
    if (!err)
        err = run_fill_result(&run);
    run_crew_free(&run);
    if (run.loop) {
        (void)pf_loop_close(run.loop, false); /* ours and not running: cannot fail */
        pf_loop_unref(run.loop);
    }
    series_fini(&run.series);
    free(run.over_hdr);
    free(run.sum);
    result_free(run.so_far);
    return err ? err : status_of(&run);
}
