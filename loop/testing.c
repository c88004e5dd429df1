/*
 * testing.c - see prefork/testing.h.
 *
 * The poller here stands in front of a real one: it asks that without sleeping, and where
 * the loop would sleep it moves the test's clock.
 */
#include <prefork/testing.h>

#include "loop/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* ---- time ------------------------------------------------------------------------ */

struct state {
    struct pf_test_clock *clock;
    const struct pf_poller_ops *real;
    void *real_state;
};

static const struct pf_poller_ops poller;

static int test_open(void *arg, void **state)
{
    struct state *s = malloc(sizeof *s);
    if (!s)
        return -ENOMEM;
    void *real_arg;
    s->clock = arg;
    s->real = pf__loop_default_poller(&real_arg);
    if (s->real == &poller) { /* configured: it cannot stand in front of itself */
        s->real = pf_poller_find(NULL);
        real_arg = NULL;
    }
    int err = s->real->open(real_arg, &s->real_state);
    if (err)
        free(s);
    else
        *state = s;
    return err;
}

static void test_close(void *state)
{
    struct state *s = state;
    s->real->close(s->real_state);
    free(s);
}

static int test_add(void *state, int fd, unsigned events, uint64_t tag)
{
    const struct state *s = state;
    return s->real->add(s->real_state, fd, events, tag);
}

static int test_modify(void *state, int fd, unsigned events, uint64_t tag)
{
    const struct state *s = state;
    return s->real->modify(s->real_state, fd, events, tag);
}

static int test_remove(void *state, int fd)
{
    const struct state *s = state;
    return s->real->remove(s->real_state, fd);
}

static int test_wait(void *state, struct pf_poll_event *events, int max, int64_t timeout_ns)
{
    const struct state *s = state;
    int n = s->real->wait(s->real_state, events, max, 0);
    if (n == 0 && timeout_ns != 0 && s->clock->patience_ns > 0)
        n = s->real->wait(s->real_state, events, max, s->clock->patience_ns);
    if (n != 0 || timeout_ns == 0)
        return n;
    if (timeout_ns < 0)
        return -EDEADLK; /* nothing will ever happen */
    if (__builtin_add_overflow(s->clock->now_ns, timeout_ns, &s->clock->now_ns))
        s->clock->now_ns = INT64_MAX;
    return 0;
}

static int test_fd(void *state)
{
    const struct state *s = state;
    return s->real->fd(s->real_state);
}

static int test_reserve(void *state, size_t fds)
{
    const struct state *s = state;
    return s->real->reserve ? s->real->reserve(s->real_state, fds) : 0;
}

static const struct pf_poller_ops poller = {
    PF_POLLER_OPS,   .name = "test",          .open = test_open,     .close = test_close,
    .add = test_add, .modify = test_modify,   .remove = test_remove, .wait = test_wait,
    .fd = test_fd,   .reserve = test_reserve,
};

static int64_t read_clock(void *arg)
{
    const struct pf_test_clock *clock = arg;
    return clock->now_ns;
}

struct pf_loop_options pf_test_options(struct pf_test_clock *clock)
{
    struct pf_loop_options options = PF_LOOP_OPTIONS_INIT;
    options.clock = read_clock;
    options.clock_arg = clock;
    options.poller = &poller;
    options.poller_arg = clock;
    return options;
}

int pf_test_loop_new_at(struct pf_test_clock *clock, const char *where, pf_loop **out)
{
    if (!clock)
        return -EINVAL;
    struct pf_loop_options options = pf_test_options(clock);
    return pf_loop_new_at(&options, where, out);
}

int(pf_test_loop_new)(struct pf_test_clock *clock, pf_loop **out)
{
    return pf_test_loop_new_at(clock, NULL, out);
}

int pf_test_run_until_idle(pf_loop *loop)
{
    int ran = 0;
    for (int turns = 0; turns < PF_TEST_TURNS_MAX; turns++) {
        bool stops =
            loop && loop->stop_asked; /* then the turn does not look at descriptors */
        int n = pf_loop_turn(loop, 0);
        if (n < 0)
            return n;
        if (n == 0 && !stops && !pf__loop_has_calls(loop))
            return ran;
        ran += n;
    }
    return -EDEADLK;
}

int pf_test_advance(pf_loop *loop, struct pf_test_clock *clock, int64_t ns)
{
    int64_t end, next;
    int ran = 0, n;
    if (!clock || ns < 0 || __builtin_add_overflow(clock->now_ns, ns, &end))
        return -EINVAL;
    while ((n = pf_test_run_until_idle(loop)) >= 0) {
        ran += n;
        int err = pf_loop_next_deadline(loop, &next);
        if (err)
            return err;
        if (clock->now_ns >= end)
            return ran;
        clock->now_ns = next < end ? next : end;
    }
    return n;
}

/* ---- what is left ---------------------------------------------------------------- */

/* Texts, one after the other, cut where there is no more room. */
struct text {
    char *at;
    size_t left;
    bool any;
};

static void PF_PRINTF(2, 3) add_text(struct text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text->at, text->left, format, args);
    va_end(args);
    size_t written = n < 0 ? 0 : (size_t)n < text->left ? (size_t)n : text->left - 1;
    text->at += text->left ? written : 0;
    text->left -= text->left ? written : 0;
}

static void add_separator(struct text *text)
{
    if (text->any)
        add_text(text, ", ");
    text->any = true;
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) != -1;
}

static bool has_children(void)
{
    siginfo_t child;
    return waitid(P_ALL, 0, &child, WEXITED | WNOHANG | WNOWAIT) == 0;
}

void pf_test_mark(struct pf_test_mark *mark)
{
    *mark = (struct pf_test_mark){.children = has_children(), .loops = pf_loop_owned()};
    for (int fd = 0; fd < PF_TEST_DESCRIPTORS; fd++)
        if (is_open(fd))
            mark->open[fd / 64] |= UINT64_C(1) << fd % 64;
}

static const char *kind_of(int fd)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return "?";
    return S_ISSOCK(status.st_mode)   ? "socket"
           : S_ISFIFO(status.st_mode) ? "pipe"
           : S_ISREG(status.st_mode)  ? "file"
                                      : "other";
}

int pf_test_check(const struct pf_test_mark *mark, char *why, size_t why_size)
{
    struct text text = {why, why ? why_size : 0, false};
    for (int fd = 0; fd < PF_TEST_DESCRIPTORS; fd++) {
        if (mark->open[fd / 64] >> fd % 64 & 1 || !is_open(fd))
            continue;
        add_separator(&text);
        add_text(&text, "descriptor %d (%s)", fd, kind_of(fd));
    }
    if (has_children() && !mark->children) {
        add_separator(&text);
        add_text(&text, "a child process");
    }
    const char *owned = pf_loop_owned();
    if (owned && !mark->loops) {
        add_separator(&text);
        add_text(&text, "a loop made at %s", owned);
    }
    return text.any ? -EBUSY : 0;
}

static int describe(const struct pf_loop_item *item, void *arg)
{
    static const char *const kinds[] = {"handler", "timer", "callback", "signal", "future"};
    struct text *text = arg;
    add_text(text, "%s", kinds[item->kind]);
    if (item->kind == PF_LOOP_HANDLER)
        add_text(text, " of descriptor %d", item->fd);
    if (item->kind == PF_LOOP_SIGNAL)
        add_text(text, " %d", item->signo);
    if (item->what)
        add_text(text, " (%s)", item->what);
    add_text(text, ", registered at %s", item->where ? item->where : "?");
    return -EBUSY;
}

int pf_test_check_loop(pf_loop *loop, char *why, size_t why_size)
{
    struct text text = {why, why ? why_size : 0, false};
    return pf_loop_walk(loop, describe, &text);
}
