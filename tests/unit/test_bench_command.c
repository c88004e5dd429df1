/* A command that is run again and again. */
#include "tests/lib/test.h"

#include "bench/command.h"
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define EVENTS_MAX 64

static struct {
    pf_loop *loop;
    struct command *command;
    struct command_event events[EVENTS_MAX];
    char output[COMMAND_OUTPUT_MAX]; /* of the last end */
    unsigned count;
} bench;

static void bench_on_event(const struct command_event *event, void *arg)
{
    (void)arg;
    if (bench.count < EVENTS_MAX)
        bench.events[bench.count++] = *event;
    if (event->ended)
        snprintf(bench.output, sizeof bench.output, "%s", event->output);
}

static void start(const char *text)
{
    pf_test_skip_under_valgrind(); /* it cannot deliver SIGCHLD on a loop's stack */
    memset(&bench, 0, sizeof bench);
    struct pf_loop_options options = PF_LOOP_OPTIONS_INIT;
    assert_int_equal(pf_loop_new(&options, &bench.loop), 0);
    struct command_options wanted = {
        .text = text, .every_ns = PF_MILLISECOND, .on_event = bench_on_event};
    assert_int_equal(command_start(bench.loop, &wanted, &bench.command), 0);
}

static void turn_until(unsigned events)
{
    int64_t now, until;
    pf_loop_time(bench.loop, &until);
    until += PF_TEST_DEADLINE_S * PF_SECOND;
    while (bench.count < events) {
        pf_loop_time(bench.loop, &now);
        assert_true(now < until);
        assert_true(pf_loop_turn(bench.loop, PF_SECOND) >= 0);
    }
}

static void stop(void)
{
    command_stop(bench.command);
    pf_loop_close(bench.loop, false);
    pf_loop_unref(bench.loop);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child is left */
}

static void each_run_begins_and_ends_with_a_number(void **state)
{
    (void)state;
    start("true");
    turn_until(6);
    for (unsigned i = 0; i < 6; i++) {
        assert_int_equal(bench.events[i].number, i / 2 + 1);
        assert_int_equal(bench.events[i].ended, i % 2);
        assert_int_equal(bench.events[i].status, 0);
    }
    stop();
}

static void its_status_and_what_it_says_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int status;
        const char *output;
    } rows[] = {
        {"echo 'it is'; echo wrong >&2; exit 7", 7, "it is wrong "},
        {"kill -TERM $$", -15, ""},
        {"printf 'a\\tb\\001c'", 0, "a b c"},
        {"echo \"$0 $#\" 'quoted \"twice\"'", 0, "sh 1 quoted \"twice\" "},
        {"no-such-program-here 2>/dev/null", 127, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        start(rows[i].text);
        turn_until(2);
        assert_int_equal(bench.events[1].status, rows[i].status);
        assert_string_equal(bench.output, rows[i].output);
        stop();
    }
}

static void of_much_that_it_says_the_first_is_kept(void **state)
{
    (void)state;
    start("i=0; while [ $i -lt 20000 ]; do echo 0123456789; i=$((i+1)); done");
    turn_until(2);
    assert_int_equal(bench.events[1].status, 0);
    assert_int_equal(strlen(bench.output), COMMAND_OUTPUT_MAX - 1);
    assert_memory_equal(bench.output, "0123456789 0123456789", 21);
    stop();
}

static void one_that_leaves_a_program_behind_has_ended_all_the_same(void **state)
{
    (void)state;
    /* It holds the pipe, until we close our end of it: then it dies of SIGPIPE. */
    start("(while echo x; do :; done) & exit 3");
    turn_until(2);
    assert_true(bench.events[1].ended);
    assert_int_equal(bench.events[1].status, 3);
    stop();
}

static void one_that_runs_is_killed_at_the_stop(void **state)
{
    (void)state;
    start("exec sleep 1000");
    turn_until(1);
    assert_int_equal(pf_loop_turn(bench.loop, 0) >= 0, 1);
    assert_int_equal(bench.count, 1);
    stop();
}

/* No descriptor is left for its pipe; the loop has its own by then. */
static void one_that_cannot_be_run_is_told_so_once(void **state)
{
    (void)state;
    struct rlimit limit, none;
    start("true");
    turn_until(2);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = limit;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    turn_until(bench.count + 4); /* one may be under way */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    turn_until(bench.count + 4);
    bool not_run = false;
    for (unsigned i = 0; i < bench.count; i++) {
        assert_int_equal(bench.events[i].number, i / 2 + 1);
        assert_int_equal(bench.events[i].ended, i % 2);
        not_run |= bench.events[i].status == COMMAND_NOT_RUN;
    }
    assert_true(not_run);
    assert_int_equal(bench.events[(bench.count - 2) | 1].status, 0);
    stop();
}

static void an_ending_is_told_in_words(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *text;
    } rows[] = {{0, "exit status 0"},
                {7, "exit status 7"},
                {-15, "ended by signal 15"},
                {COMMAND_NOT_RUN, "could not be run"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[32];
        command_ending(rows[i].status, text, sizeof text);
        assert_string_equal(text, rows[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(each_run_begins_and_ends_with_a_number),
        pf_test(its_status_and_what_it_says_are_told),
        pf_test(of_much_that_it_says_the_first_is_kept),
        pf_test(one_that_leaves_a_program_behind_has_ended_all_the_same),
        pf_test(one_that_runs_is_killed_at_the_stop),
        pf_test(one_that_cannot_be_run_is_told_so_once),
        pf_test(an_ending_is_told_in_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
