/* test_ear.c - what a worker says before it is ready: real pipes, one of them in the place
 * of our standard error. */
#include "tests/lib/test.h"

#include "master/ear.h"
#include <prefork/testing.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct pf_test_clock test_clock;
static pf_loop *loop;
static struct pf__ear ear;
static int mouth;  /* where the worker's words go in */
static int passed; /* where what was passed on comes out */
static int before; /* our own standard error */

static void hear(void)
{
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    mouth = fds[1];
    assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(pf__ear_open(&ear, loop, fds[0]), 0);
}

static void open_stage(void)
{
    int fds[2];
    test_clock = (struct pf_test_clock){0};
    assert_int_equal(pf_test_loop_new(&test_clock, &loop), 0);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    passed = fds[0];
    assert_int_equal(fcntl(passed, F_SETFL, O_NONBLOCK), 0);
    fflush(NULL);
    before = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    assert_true(before >= 0);
    assert_int_equal(dup2(fds[1], STDERR_FILENO), STDERR_FILENO);
    close(fds[1]);
    hear();
}

/* First of all, or a failure would be told to nobody. */
static void our_own_stderr(void)
{
    if (before != -1)
        dup2(before, STDERR_FILENO);
    close(before);
    before = -1;
}

static void stop_talking(void)
{
    if (mouth != -1)
        close(mouth);
    mouth = -1;
}

static void close_stage(void)
{
    our_own_stderr();
    pf__ear_close(&ear);
    stop_talking();
    close(passed);
    assert_int_equal(pf_loop_close(loop, false), 0);
    pf_loop_unref(loop);
}

static void settle(void)
{
    assert_true(pf_test_run_until_idle(loop) >= 0);
}

/* As much at a time as the pipe takes. */
static void say_bytes(const char *text, size_t len)
{
    while (len) {
        size_t piece = len < 30000 ? len : 30000;
        assert_int_equal(write(mouth, text, piece), piece);
        text += piece;
        len -= piece;
        settle();
    }
}

static void say(const char *text)
{
    say_bytes(text, strlen(text));
}

static const char *last_words(void)
{
    static char text[PF__EAR_TAIL + 2];
    pf__ear_last_words(&ear, text, sizeof text);
    return text;
}

/* ---- the last words -------------------------------------------------------------- */

static void the_last_words_are_the_last_two_lines(void **state)
{
    (void)state;
    static const struct {
        const char *said, *words;
    } rows[] = {
        {"", ""},
        {"\n", ""},
        {"\n\n\n", ""},
        {"one\n", "one"},
        {"one", "one"},
        {"\none\n", "one"},
        {"one\ntwo\n", "one | two"},
        {"one\ntwo", "one | two"},
        {"one\ntwo\n\n\n", "one | two"},
        {"one\n\n\ntwo\n", "one | two"},
        {"one\ntwo\nthree\n", "two | three"},
        {"one\ntwo\nthree", "two | three"},
        {"a\nb\nc\nd\n", "c | d"},
        {"%s %n\n%d\n", "%s %n | %d"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        open_stage();
        say(rows[i].said);
        close_stage();
        assert_string_equal(last_words(), rows[i].words);
    }
}

static void words_that_do_not_fit_are_cut(void **state)
{
    (void)state;
    open_stage();
    say("one\ntwo\n");
    close_stage();
    char text[8];
    pf__ear_last_words(&ear, text, sizeof text);
    assert_string_equal(text, "one | t");
    pf__ear_last_words(&ear, text, 1);
    assert_string_equal(text, "");
}

static void of_a_long_line_the_end_is_kept(void **state)
{
    (void)state;
    char line[3 * PF__EAR_TAIL];
    for (size_t i = 0; i < sizeof line; i++)
        line[i] = (char)('a' + i % 26);
    for (size_t over = 0; over < 3; over++) {
        size_t len = PF__EAR_TAIL - 2 + over; /* just fits, and does not */
        open_stage();
        say_bytes(line, len);
        close_stage();
        size_t kept = len < PF__EAR_TAIL - 1 ? len : PF__EAR_TAIL - 1;
        assert_int_equal(strlen(last_words()), kept);
        assert_memory_equal(last_words(), line + len - kept, kept);
    }
    open_stage();
    say_bytes(line, sizeof line);
    say("\nthe end\n");
    close_stage();
    const char *bar = strstr(last_words(), " | the end");
    assert_non_null(bar);
    assert_true(bar - last_words() > PF__EAR_TAIL / 2);
    assert_memory_equal(bar - 26, line + sizeof line - 26, 26);
}

/* Whatever the pieces are in which it comes. */
static void the_tail_is_the_end_of_all_that_was_said(void **state)
{
    (void)state;
    enum {
        LEN = 20000
    };
    static char all[LEN];
    for (size_t i = 0; i < LEN; i++)
        all[i] = i % 37 ? (char)('a' + i % 26) : '\n';
    for (size_t piece = 1; piece <= LEN; piece = piece * 3 + 1) {
        open_stage();
        for (size_t at = 0; at < LEN; at += piece)
            say_bytes(all + at, at + piece <= LEN ? piece : LEN - at);
        close_stage();
        assert_int_equal(ear.len, PF__EAR_TAIL - 1);
        assert_memory_equal(ear.tail, all + LEN - ear.len, ear.len);
        assert_int_equal(ear.tail[ear.len], '\0');
    }
}

/* ---- passing on ------------------------------------------------------------------ */

static void what_is_said_is_passed_on(void **state)
{
    (void)state;
    static char said[40000], heard[40001];
    for (size_t i = 0; i < sizeof said; i++)
        said[i] = (char)i;
    open_stage();
    say_bytes(said, sizeof said);
    ssize_t n = read(passed, heard, sizeof heard);
    close_stage();
    assert_int_equal(n, sizeof said);
    assert_memory_equal(heard, said, sizeof said);
}

/* Nobody reads what is passed on: the rest of it is left out, and the end is still kept. */
static void a_standard_error_that_is_full_holds_up_nobody(void **state)
{
    (void)state;
    static char said[300000], heard[300000];
    memset(said, 'x', sizeof said);
    open_stage();
    say_bytes(said, sizeof said);
    say("\nthe end\n");
    ssize_t n = read(passed, heard, sizeof heard);
    say("more\n"); /* there is room again */
    char more[8] = "";
    ssize_t m = read(passed, more, sizeof more - 1);
    close_stage();
    assert_in_range(n, 512, sizeof said - 1);
    assert_int_equal(m, 5);
    assert_string_equal(more, "more\n");
    assert_string_equal(last_words(), "the end | more");
}

/* ---- its end --------------------------------------------------------------------- */

static void it_ends_when_the_last_writer_has_closed(void **state)
{
    (void)state;
    open_stage();
    int other = fcntl(mouth, F_DUPFD_CLOEXEC, 0);
    stop_talking();
    settle();
    bool open_before = ear.open;
    assert_int_equal(write(other, "bye\n", 4), 4);
    close(other);
    settle();
    bool open_after = ear.open, closed = fcntl(ear.fd, F_GETFD) == -1;
    pf__ear_close(&ear); /* nothing */
    close_stage();
    assert_true(open_before);
    assert_false(open_after);
    assert_true(closed);
    assert_string_equal(last_words(), "bye");
}

static void what_stands_in_the_pipe_is_taken_when_it_is_closed(void **state)
{
    (void)state;
    open_stage();
    assert_int_equal(write(mouth, "last\nwords\n", 11), 11);
    pf__ear_close(&ear); /* no turn of the loop between */
    char heard[16] = "";
    ssize_t n = read(passed, heard, sizeof heard - 1);
    close_stage();
    assert_false(ear.open);
    assert_int_equal(n, 11);
    assert_string_equal(last_words(), "last | words");
}

static void closing_one_that_was_never_open_does_nothing(void **state)
{
    (void)state;
    struct pf__ear none = {0};
    pf__ear_close(&none);
    char text[4] = "?";
    pf__ear_last_words(&none, text, sizeof text);
    assert_string_equal(text, "");
}

static void what_cannot_be_watched_is_closed(void **state)
{
    (void)state;
    open_stage();
    struct pf__ear other;
    int regular = memfd_create("regular", MFD_CLOEXEC);
    int err = pf__ear_open(&other, loop, regular);
    pf__ear_close(&other);
    close_stage();
    assert_int_equal(err, -ENOTSUP);
    assert_false(other.open);
    assert_int_equal(fcntl(regular, F_GETFD), -1);
}

static void close_in_child(void *arg)
{
    (void)arg;
    our_own_stderr();
    pf__ear_close(&ear);
    assert_false(ear.open);
    assert_int_equal(fcntl(ear.fd, F_GETFD), -1);
    assert_int_equal(ear.len, 0);
}

/* The words are for the master: a child of its takes none of them. */
static void a_child_closes_it_without_taking_anything(void **state)
{
    (void)state;
    open_stage();
    assert_int_equal(write(mouth, "for you\n", 8), 8);
    pf_test_in_child(close_in_child, NULL);
    settle();
    say("more\n");
    close_stage();
    assert_string_equal(last_words(), "for you | more");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(the_last_words_are_the_last_two_lines),
        pf_test(words_that_do_not_fit_are_cut),
        pf_test(of_a_long_line_the_end_is_kept),
        pf_test(the_tail_is_the_end_of_all_that_was_said),
        pf_test(what_is_said_is_passed_on),
        pf_test(a_standard_error_that_is_full_holds_up_nobody),
        pf_test(it_ends_when_the_last_writer_has_closed),
        pf_test(what_stands_in_the_pipe_is_taken_when_it_is_closed),
        pf_test(closing_one_that_was_never_open_does_nothing),
        pf_test(what_cannot_be_watched_is_closed),
        pf_test(a_child_closes_it_without_taking_anything),
    };
    return cmocka_run_group_tests_name("ear", tests, NULL, NULL);
}
