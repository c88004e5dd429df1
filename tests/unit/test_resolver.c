/* test_resolver.c - names to addresses: literals, a table, the system. */
#include "tests/lib/test.h"

#include "tests/lib/alloc.h"
#include "tests/lib/backend.h"

#include <prefork/resolver.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- a system that the test directs ---------------------------------------------- */

static int gai_result; /* of names; literals are looked at in earnest */
static sem_t entered, may_leave;
static bool holds; /* a look-up of a name waits */

int getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                struct addrinfo **out)
{
    struct in_addr in;
    struct in6_addr in6;
    bool is4 = inet_pton(AF_INET, host, &in) == 1;
    bool is6 = inet_pton(AF_INET6, host, &in6) == 1;
    if (!is4 && !is6) {
        if (hints->ai_flags & AI_NUMERICHOST)
            return EAI_NONAME;
        if (holds) {
            sem_post(&entered);
            sem_wait(&may_leave);
        }
        if (gai_result) {
            errno = ENETDOWN;
            return gai_result;
        }
        inet_pton(AF_INET, "192.0.2.7", &in);
        is4 = true;
    }
    if ((is4 && hints->ai_family == AF_INET6) || (is6 && hints->ai_family == AF_INET))
        return EAI_ADDRFAMILY;
    struct {
        struct addrinfo info;
        struct sockaddr_storage address;
    } *made = calloc(1, sizeof *made);
    if (!made)
        return EAI_MEMORY;
    if (is4) {
        struct sockaddr_in to = {
            .sin_family = AF_INET, .sin_addr = in, .sin_port = htons((uint16_t)atoi(port))};
        memcpy(&made->address, &to, sizeof to);
        made->info.ai_addrlen = sizeof to;
    } else {
        struct sockaddr_in6 to = {.sin6_family = AF_INET6,
                                  .sin6_addr = in6,
                                  .sin6_port = htons((uint16_t)atoi(port))};
        memcpy(&made->address, &to, sizeof to);
        made->info.ai_addrlen = sizeof to;
    }
    made->info.ai_addr = (struct sockaddr *)&made->address;
    *out = &made->info;
    return 0;
}

void freeaddrinfo(struct addrinfo *info)
{
    free(info);
}

/* ---- the stage ------------------------------------------------------------------- */

static pf_loop *loop;
static pf_executor *executor;
static pf_resolver *resolver;
static struct pf_resolver_override overrides[3];
static struct pf_endpoint table[2];
static struct pf_resolver_options options;

static struct {
    int answers, err, cancelled;
    size_t count;
    bool has_why;
    char text[INET6_ADDRSTRLEN];
    unsigned port;
} seen;

static bool inside_a_call;
static unsigned reports;

static void on_error(pf_loop *of, const struct pf_loop_error *error, void *arg)
{
    (void)of, (void)error, (void)arg;
    reports++;
}

static int on_resolved(const struct pf_resolved *result, void *arg)
{
    (void)arg;
    assert_false(inside_a_call);
    seen.answers++;
    seen.err = result->err;
    seen.cancelled += result->err == -ECANCELED;
    seen.has_why = result->why && *result->why;
    seen.count = result->count;
    assert_true((result->err == 0) == (result->count > 0));
    if (result->count) {
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        memcpy(&in, &result->addresses[0].storage, sizeof in);
        memcpy(&in6, &result->addresses[0].storage, sizeof in6);
        seen.port = ntohs(in.sin_port);
        if (in.sin_family == AF_INET)
            inet_ntop(AF_INET, &in.sin_addr, seen.text, sizeof seen.text);
        else
            inet_ntop(AF_INET6, &in6.sin6_addr, seen.text, sizeof seen.text);
    }
    return 0;
}

static void endpoint4(struct pf_endpoint *to, const char *text, unsigned port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, text, &in.sin_addr);
    to->len = sizeof in;
    memcpy(&to->storage, &in, sizeof in);
}

static void open_stage(void)
{
    memset(&seen, 0, sizeof seen);
    gai_result = 0;
    holds = false;
    sem_init(&entered, 0, 0);
    sem_init(&may_leave, 0, 0);
    endpoint4(&table[0], "10.0.0.1", 0);
    endpoint4(&table[1], "10.0.0.2", 99);
    overrides[0] = (struct pf_resolver_override){"two.example", table, 2};
    overrides[1] = (struct pf_resolver_override){"none.example", NULL, 0};
    struct pf_loop_options reporting = PF_LOOP_OPTIONS_INIT;
    reporting.on_error = on_error;
    reports = 0;
    assert_int_equal(pf_loop_new(&reporting, &loop), 0);
    struct pf_executor_options one = {PF_EXECUTOR_OPTIONS, .threads = 1};
    assert_int_equal(pf_executor_new(&one, &executor), 0);
    options = (struct pf_resolver_options){PF_RESOLVER_OPTIONS, .executor = executor,
                                           .overrides = overrides, .override_count = 2,
                                           .pending_max = 2};
    assert_int_equal(pf_resolver_new(loop, &options, &resolver), 0);
}

static void close_stage(void)
{
    pf_resolver_free(resolver);
    pf_executor_free(executor);
    pf_loop_unref(loop);
    assert_int_equal(reports, 0); /* answers are the program's to look at */
}

static int64_t real_time(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * PF_SECOND + t.tv_nsec;
}

static void turn_until_answers(int count)
{
    int64_t give_up = real_time() + PF_TEST_DEADLINE_S * PF_SECOND;
    while (seen.answers < count) {
        assert_true(real_time() < give_up);
        assert_true(pf_loop_turn(loop, 10 * PF_MILLISECOND) >= 0);
    }
    assert_int_equal(seen.answers, count);
}

static int ask(const char *host, int family, pf_resolving **out)
{
    inside_a_call = true;
    int err = pf_resolve(resolver, host, 80, family, on_resolved, NULL, out);
    inside_a_call = false;
    return err;
}

static void assert_answer(const char *host, int family, const char *text)
{
    seen.answers = 0;
    assert_int_equal(ask(host, family, NULL), 0);
    turn_until_answers(1);
    assert_int_equal(seen.err, 0);
    assert_string_equal(seen.text, text);
    assert_int_equal(seen.port, 80);
}

static size_t waiting_or_running(void)
{
    size_t waits, runs;
    assert_int_equal(pf_executor_load(executor, &waits, &runs), 0);
    return waits + runs;
}

/* ---- tests ----------------------------------------------------------------------- */

static void literals_and_known_names_need_no_thread(void **unused)
{
    (void)unused;
    open_stage();
    holds = true; /* a thread would never come back */
    assert_answer("127.0.0.1", AF_UNSPEC, "127.0.0.1");
    assert_answer("::1", AF_UNSPEC, "::1");
    assert_answer("TWO.example", AF_UNSPEC, "10.0.0.1");
    assert_int_equal(seen.count, 2);
    assert_int_equal(waiting_or_running(), 0);
    close_stage();
}

static void names_are_looked_up_in_the_executor(void **unused)
{
    (void)unused;
    open_stage();
    assert_answer("some.example", AF_INET, "192.0.2.7");
    close_stage();
}

static void failures_are_told_as_errno_and_in_words(void **unused)
{
    (void)unused;
    static const struct {
        int gai, err;
    } rows[] = {
        {EAI_NONAME, -ENOENT},           {EAI_AGAIN, -EAGAIN},   {EAI_FAIL, -EIO},
        {EAI_FAMILY, -EAFNOSUPPORT},     {EAI_NODATA, -ENODATA}, {EAI_MEMORY, -ENOMEM},
        {EAI_ADDRFAMILY, -EAFNOSUPPORT}, {EAI_SYSTEM, -ENETDOWN}};
    open_stage();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        gai_result = rows[i].gai;
        seen.answers = 0;
        assert_int_equal(ask("bad.example", AF_UNSPEC, NULL), 0);
        turn_until_answers(1);
        assert_int_equal(seen.err, rows[i].err);
        assert_true(seen.has_why);
    }
    seen.answers = 0;
    assert_int_equal(ask("none.example", AF_UNSPEC, NULL), 0);
    turn_until_answers(1);
    assert_int_equal(seen.err, -ENOENT);
    seen.answers = 0;
    assert_int_equal(ask("two.example", AF_INET6, NULL), 0);
    turn_until_answers(1);
    assert_int_equal(seen.err, -ENODATA);
    close_stage();
}

static void cancelled_question_is_not_answered(void **unused)
{
    (void)unused;
    open_stage();
    pf_resolving *running, *queued, *known;
    holds = true;
    assert_int_equal(ask("one.example", AF_UNSPEC, &running), 0);
    sem_wait(&entered);
    assert_int_equal(ask("other.example", AF_UNSPEC, &queued), 0);
    assert_int_equal(ask("127.0.0.1", AF_UNSPEC, NULL), -EAGAIN); /* pending_max */
    assert_int_equal(pf_resolve_cancel(queued), 0);
    assert_int_equal(ask("127.0.0.1", AF_UNSPEC, &known), 0);
    assert_int_equal(pf_resolve_cancel(known), 0);
    assert_int_equal(pf_resolve_cancel(running), 0);
    sem_post(&may_leave);
    holds = false;
    assert_answer("third.example", AF_UNSPEC, "192.0.2.7"); /* the same thread, after it */
    assert_int_equal(pf_resolve_cancel(NULL), 0);
    close_stage();
}

static void freeing_forgets_open_questions(void **unused)
{
    (void)unused;
    open_stage();
    holds = true;
    assert_int_equal(ask("one.example", AF_UNSPEC, NULL), 0);
    assert_int_equal(ask("127.0.0.1", AF_UNSPEC, NULL), 0);
    sem_wait(&entered);
    pf_resolver_free(resolver);
    resolver = NULL;
    sem_post(&may_leave);
    for (int i = 0; i < 5; i++)
        assert_true(pf_loop_turn(loop, 0) >= 0);
    assert_int_equal(seen.answers, 0);
    close_stage();
}

static void loop_that_closes_first_leaves_nothing_behind(void **unused)
{
    (void)unused;
    open_stage();
    holds = true;
    assert_int_equal(ask("one.example", AF_UNSPEC, NULL), 0);
    assert_int_equal(ask("127.0.0.1", AF_UNSPEC, NULL), 0);
    sem_wait(&entered);
    assert_int_equal(pf_loop_close(loop, false), 0);
    assert_int_equal(ask("127.0.0.1", AF_UNSPEC, NULL), -ESTALE);
    pf_resolver_free(resolver);
    resolver = NULL;
    sem_post(&may_leave);
    close_stage();
}

/* While a look-up is held the executor cannot go: it is safe to look at. */
static void *let_go_when_nothing_waits(void *arg)
{
    size_t waits = 1;
    (void)arg;
    while (pf_executor_load(executor, &waits, NULL) == 0 && waits > 0)
        sched_yield();
    sem_post(&may_leave);
    return NULL;
}

/* One look-up runs, and the others never come to it. */
static void end_executor(void)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, let_go_when_nothing_waits, NULL), 0);
    pf_executor_free(executor);
    executor = NULL;
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void ask_for_two(pf_resolving **second)
{
    holds = true;
    assert_int_equal(ask("one.example", AF_UNSPEC, NULL), 0);
    sem_wait(&entered);
    assert_int_equal(ask("other.example", AF_UNSPEC, second), 0);
}

/* What is told by the leak checker. */
static void lookup_that_never_runs_goes_with_the_executor(void **unused)
{
    (void)unused;
    for (int resolver_first = 0; resolver_first <= 1; resolver_first++) {
        open_stage();
        ask_for_two(NULL);
        assert_int_equal(pf_loop_close(loop, false), 0);
        if (resolver_first) {
            pf_resolver_free(resolver);
            resolver = NULL;
        }
        end_executor();
        assert_int_equal(seen.answers, 0);
        close_stage();
    }
}

static void lookup_that_never_runs_is_answered_or_forgotten(void **unused)
{
    (void)unused;
    for (int forgotten = 0; forgotten <= 1; forgotten++) {
        pf_resolving *second;
        open_stage();
        ask_for_two(&second);
        end_executor();
        if (forgotten) /* on its way to the loop */
            assert_int_equal(pf_resolve_cancel(second), 0);
        turn_until_answers(forgotten ? 1 : 2);
        assert_int_equal(seen.cancelled, forgotten ? 0 : 1);
        assert_true(pf_loop_turn(loop, 0) >= 0);
        assert_int_equal(seen.answers, forgotten ? 1 : 2);
        close_stage();
    }
}

static int free_resolver(const struct pf_resolved *result, void *arg)
{
    pf_resolver_free(resolver);
    resolver = NULL;
    return on_resolved(result, arg); /* the answer is still there */
}

static void resolver_may_be_freed_in_an_answer(void **unused)
{
    (void)unused;
    static const char *const hosts[] = {"127.0.0.1", "some.example"};
    for (int i = 0; i < 2; i++) {
        open_stage();
        assert_int_equal(
            pf_resolve(resolver, hosts[i], 80, AF_UNSPEC, free_resolver, NULL, NULL), 0);
        turn_until_answers(1);
        assert_int_equal(seen.count, 1);
        close_stage();
    }
}

static void resolver_may_be_freed_when_its_executor_has_ended(void **unused)
{
    (void)unused;
    open_stage();
    pf_resolver_free(resolver);
    options.pending_max = 3;
    assert_int_equal(pf_resolver_new(loop, &options, &resolver), 0);
    holds = true;
    assert_int_equal(ask("running.example", AF_UNSPEC, NULL), 0);
    sem_wait(&entered);
    assert_int_equal(
        pf_resolve(resolver, "first.example", 80, AF_UNSPEC, free_resolver, NULL, NULL), 0);
    assert_int_equal(ask("last.example", AF_UNSPEC, NULL), 0);
    end_executor();
    turn_until_answers(1);
    for (int i = 0; i < 5; i++)
        assert_true(pf_loop_turn(loop, 0) >= 0);
    assert_int_equal(seen.answers, 1);
    assert_int_equal(seen.cancelled, 1);
    close_stage();
}

static void mistakes_are_answered(void **unused)
{
    (void)unused;
    char longest[PF_RESOLVER_HOST_MAX + 1];
    memset(longest, 'a', sizeof longest);
    longest[PF_RESOLVER_HOST_MAX] = 0;
    open_stage();
    assert_int_equal(ask("", AF_UNSPEC, NULL), -EINVAL);
    assert_int_equal(ask(NULL, AF_UNSPEC, NULL), -EINVAL);
    assert_int_equal(ask("a", AF_UNIX, NULL), -EINVAL);
    assert_int_equal(ask(longest, AF_UNSPEC, NULL), -ENAMETOOLONG);
    assert_int_equal(pf_resolve(resolver, "a", 65536, AF_UNSPEC, on_resolved, NULL, NULL),
                     -EINVAL);
    assert_int_equal(pf_resolve(NULL, "a", 1, AF_UNSPEC, on_resolved, NULL, NULL), -EINVAL);
    close_stage();
}

static void in_a_child(void *arg)
{
    (void)arg;
    assert_int_equal(ask("127.0.0.1", AF_UNSPEC, NULL), -ECHILD);
    pf_resolver_free(resolver);
    assert_int_equal(pf_loop_discard(loop), 0);
}

static void child_may_only_free_it(void **unused)
{
    (void)unused;
    open_stage();
    assert_int_equal(ask("127.0.0.1", AF_UNSPEC, NULL), 0);
    pf_test_in_child(in_a_child, NULL);
    turn_until_answers(1);
    close_stage();
}

static void every_allocation_may_fail(void **unused)
{
    (void)unused;
    pf_alloc_needed();
    static const char *const hosts[] = {"127.0.0.1", "some.example"};
    for (int i = 0; i < 2; i++) {
        for (int n = 1, err = -ENOMEM; err; n++) {
            open_stage();
            pf_alloc_fail(n);
            err = ask(hosts[i], AF_UNSPEC, NULL);
            pf_alloc_stop();
            assert_true(err == 0 || err == -ENOMEM || err == -EAGAIN);
            if (!err)
                turn_until_answers(1);
            close_stage();
        }
    }
}

int main(void)
{
    pf_backend_configure();
    const struct CMUnitTest tests[] = {
        pf_test(literals_and_known_names_need_no_thread),
        pf_test(names_are_looked_up_in_the_executor),
        pf_test(failures_are_told_as_errno_and_in_words),
        pf_test(cancelled_question_is_not_answered),
        pf_test(freeing_forgets_open_questions),
        pf_test(loop_that_closes_first_leaves_nothing_behind),
        pf_test(lookup_that_never_runs_goes_with_the_executor),
        pf_test(lookup_that_never_runs_is_answered_or_forgotten),
        pf_test(resolver_may_be_freed_in_an_answer),
        pf_test(resolver_may_be_freed_when_its_executor_has_ended),
        pf_test(mistakes_are_answered),
        pf_test(child_may_only_free_it),
        pf_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("resolver", tests, NULL, NULL);
}
