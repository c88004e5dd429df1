/*
 * Whose share is whose: a crew is told what was seen of processes and heard of a server, in
 * rows, and is asked for its workers.
 */
#include "tests/lib/test.h"

#include "bench/crew.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct crew crew; /* large */

/* A process of a script: its pid tells when it was born, and whether it is a worker. */
struct seen {
    int64_t pid, cpu_ns, waited_ns;
};

#define ROOT 1

static crew_is_worker_fn below_root;

static bool below_root(void *arg, const struct proc *proc)
{
    (void)arg;
    return proc->pid != ROOT;
}

static void see(const struct seen *seen)
{
    struct proc procs[16];
    size_t count = 0;
    for (; seen->pid; seen++)
        procs[count++] = (struct proc){.pid = seen->pid,
                                       .born = 100 + (uint64_t)seen->pid,
                                       .cpu_ns = seen->cpu_ns,
                                       .user_ns = seen->cpu_ns / 4,
                                       .system_ns = seen->cpu_ns / 4 * 3,
                                       .waited_ns = seen->waited_ns,
                                       .rss = 1000 * seen->pid};
    crew_see(&crew, procs, count, below_root, NULL);
}

#define SEE(...) see((const struct seen[]){__VA_ARGS__, {0}})

static void tell(struct result_server *out)
{
    memset(out, 0, sizeof *out);
    assert_int_equal(crew_tell(&crew, out), 0);
}

static const struct result_worker *worker_of(const struct result_server *server,
                                             int64_t pid)
{
    for (unsigned i = 0; i < server->worker_count; i++)
        if (server->workers[i].pid == pid)
            return &server->workers[i];
    fail_msg("no place of worker %lld", (long long)pid);
    return NULL;
}

/* A server with two workers, at the beginning of the measurement; nobody has worked. */
static void begin_with_two(void)
{
    crew_init(&crew);
    SEE({ROOT, 0, 0}, {2, 0, 0}, {3, 0, 0});
    crew_seat(&crew);
    crew_begin(&crew);
}

static void only_what_comes_after_the_beginning_counts(void **state)
{
    (void)state;
    struct result_server server;
    crew_init(&crew);
    SEE({ROOT, 5000, 0}, {2, 7000, 0}, {3, 9000, 0});
    crew_seat(&crew);
    crew_begin(&crew);
    SEE({ROOT, 5004, 0}, {2, 7100, 0}, {3, 9300, 0});
    crew_seat(&crew);
    tell(&server);
    assert_int_equal(server.cpu_ns, 404);
    assert_int_equal(server.worker_count, 2);
    assert_int_equal(worker_of(&server, 2)->cpu_ns, 100);
    assert_int_equal(worker_of(&server, 3)->cpu_ns, 300);
    assert_int_equal(worker_of(&server, 2)->restarts, 0);
    assert_int_equal(worker_of(&server, 2)->requests, RESULT_UNKNOWN);
    assert_int_equal(server.requests, RESULT_UNKNOWN);
    assert_int_equal(server.rss_max, 6000);
    assert_true(fabs(server.jain - 400.0 * 400 / (2 * (100.0 * 100 + 300.0 * 300))) < 1e-9);
    free(server.workers);
}

static void user_and_system_time_are_shares_of_what_is_exact(void **state)
{
    (void)state;
    struct result_server server;
    crew_init(&crew);
    SEE({ROOT, 0, 0});
    crew_begin(&crew);
    SEE({ROOT, 4000, 0});
    tell(&server);
    assert_int_equal(server.cpu_ns, 4000);
    assert_int_equal(server.cpu_user_ns, 1000);
    assert_int_equal(server.cpu_system_ns, 3000);
    free(server.workers);
}

static void a_successor_takes_over_the_place_of_a_worker_that_ended(void **state)
{
    (void)state;
    struct result_server server;
    crew_init(&crew);
    SEE({ROOT, 0, 0}, {2, 1000, 0}, {3, 1000, 0});
    crew_seat(&crew);
    crew_begin(&crew);
    SEE({ROOT, 0, 0}, {2, 1500, 0}, {3, 1500, 0});
    crew_seat(&crew);
    SEE({ROOT, 0, 0}, {3, 2000, 0}); /* 2 has ended */
    crew_seat(&crew);
    SEE({ROOT, 0, 0}, {3, 2000, 0}, {4, 70, 0});
    crew_seat(&crew);
    tell(&server);
    assert_int_equal(server.worker_count, 2);
    assert_int_equal(worker_of(&server, 4)->cpu_ns, 570);
    assert_int_equal(worker_of(&server, 4)->restarts, 1);
    assert_int_equal(worker_of(&server, 3)->cpu_ns, 1000);
    assert_int_equal(worker_of(&server, 3)->restarts, 0);
    assert_int_equal(server.cpu_ns, 1570);
    free(server.workers);
}

/* As nginx does on a reload. */
static void successors_may_be_there_before_the_others_have_ended(void **state)
{
    (void)state;
    struct result_server server;
    begin_with_two();
    SEE({ROOT, 0, 0}, {2, 10, 0}, {3, 20, 0}, {4, 1, 0}, {5, 2, 0});
    crew_seat(&crew);
    SEE({ROOT, 0, 0}, {3, 20, 0}, {4, 3, 0}, {5, 4, 0});
    crew_seat(&crew);
    SEE({ROOT, 0, 0}, {4, 5, 0}, {5, 6, 0});
    crew_seat(&crew);
    tell(&server);
    assert_int_equal(server.worker_count, 2);
    assert_int_equal(worker_of(&server, 4)->restarts + worker_of(&server, 5)->restarts, 2);
    assert_int_equal(worker_of(&server, 4)->cpu_ns + worker_of(&server, 5)->cpu_ns, 41);
    assert_int_equal(server.cpu_ns, 41);
    free(server.workers);
}

static void a_place_without_a_successor_keeps_what_was_counted(void **state)
{
    (void)state;
    struct result_server server;
    begin_with_two();
    SEE({ROOT, 0, 0}, {2, 10, 0}, {3, 20, 0});
    crew_seat(&crew);
    SEE({ROOT, 0, 0}, {3, 30, 0});
    crew_seat(&crew);
    tell(&server);
    assert_int_equal(server.worker_count, 2);
    assert_int_equal(worker_of(&server, 2)->cpu_ns, 10);
    assert_int_equal(worker_of(&server, 2)->rss, 0);
    assert_int_equal(worker_of(&server, 3)->cpu_ns, 30);
    free(server.workers);
}

/* What a worker had between the last look and its end is with its parent, which waited. */
static void what_ended_unseen_counts_by_the_parent_that_waited_for_it(void **state)
{
    (void)state;
    struct result_server server;
    crew_init(&crew);
    SEE({ROOT, 0, 500}, {2, 1000, 0});
    crew_seat(&crew);
    crew_begin(&crew);
    SEE({ROOT, 7, 500 + 1900});
    crew_seat(&crew);
    tell(&server);
    assert_int_equal(server.cpu_ns, 907);
    free(server.workers);
}

static void a_clock_that_falls_back_to_ticks_takes_nothing_away(void **state)
{
    (void)state;
    struct result_server server;
    crew_init(&crew);
    SEE({ROOT, 1000, 0});
    crew_begin(&crew);
    SEE({ROOT, 3999, 0});
    SEE({ROOT, 3000, 0});
    tell(&server);
    assert_int_equal(server.cpu_ns, 2999);
    free(server.workers);
}

/* ---- a server that speaks for itself --------------------------------------------- */

static struct ctl_status status; /* large */

static void hear(int64_t total, size_t count, const struct ctl_worker *workers)
{
    status = (struct ctl_status){.pid = ROOT, .requests = total, .worker_count = count};
    memcpy(status.workers, workers, count * sizeof *workers);
    crew_hear(&crew, &status);
}

#define HEAR(total, count, ...)                                                            \
    hear((total), (count), (const struct ctl_worker[]){__VA_ARGS__})

static void slots_are_the_places_of_a_server_that_names_them(void **state)
{
    (void)state;
    struct result_server server;
    crew_init(&crew);
    SEE({ROOT, 0, 0}, {2, 100, 0}, {3, 100, 0});
    HEAR(500, 2, {0, 2, 1, 200, 9}, {1, 3, 1, 300, 9});
    crew_begin(&crew);
    SEE({ROOT, 0, 0}, {2, 130, 0}, {3, 140, 0});
    HEAR(560, 2, {0, 2, 1, 220, 5}, {1, 3, 1, 340, 6});
    SEE({ROOT, 0, 0}, {2, 140, 0}, {4, 25, 0}); /* 3 has ended, 4 sits there now */
    HEAR(590, 2, {0, 2, 1, 235, 7}, {1, 4, 2, 355, 2});
    crew_end(&crew); /* connections are closed, and what they had asked is counted */
    HEAR(600, 2, {0, 2, 1, 240, 0}, {1, 4, 2, 360, 0});
    tell(&server);
    assert_int_equal(server.requests, 100);
    assert_int_equal(server.worker_count, 2);
    const struct result_worker *two = worker_of(&server, 2), *four = worker_of(&server, 4);
    assert_int_equal(two->requests, 40);
    assert_int_equal(two->restarts, 0);
    assert_int_equal(two->connections_min, 5);
    assert_int_equal(two->connections_max, 7);
    assert_int_equal(two->cpu_ns, 40);
    assert_int_equal(four->requests, 60);
    assert_int_equal(four->restarts, 1);
    assert_int_equal(four->connections_min, 2);
    assert_int_equal(four->connections_max, 6);
    assert_int_equal(four->cpu_ns, 65);
    assert_true(fabs(server.jain - 100.0 * 100 / (2 * (40.0 * 40 + 60.0 * 60))) < 1e-9);
    free(server.workers);
}

static void a_slot_that_came_later_counts_from_nought(void **state)
{
    (void)state;
    struct result_server server;
    crew_init(&crew);
    SEE({ROOT, 0, 0}, {2, 0, 0});
    HEAR(10, 1, {0, 2, 1, 10, 0});
    crew_begin(&crew);
    SEE({ROOT, 0, 0}, {2, 0, 0}, {3, 11, 0});
    HEAR(40, 2, {0, 2, 1, 20, 0}, {1, 3, 1, 20, 0});
    tell(&server);
    assert_int_equal(worker_of(&server, 3)->requests, 20);
    assert_int_equal(worker_of(&server, 3)->restarts, 0);
    assert_int_equal(worker_of(&server, 3)->cpu_ns, 11);
    free(server.workers);
}

/* It did not answer at the beginning: what it had counted by then, nobody knows. */
static void a_server_that_speaks_late_has_unknown_counts(void **state)
{
    (void)state;
    struct result_server server;
    crew_init(&crew);
    SEE({ROOT, 0, 0}, {2, 100, 0});
    crew_begin(&crew);
    SEE({ROOT, 0, 0}, {2, 150, 0});
    HEAR(500, 1, {0, 2, 3, 500, 4});
    HEAR(600, 1, {0, 2, 3, 600, 4});
    tell(&server);
    assert_int_equal(server.requests, RESULT_UNKNOWN);
    assert_int_equal(worker_of(&server, 2)->requests, RESULT_UNKNOWN);
    assert_int_equal(worker_of(&server, 2)->restarts, 0);
    assert_int_equal(worker_of(&server, 2)->connections_max, 4);
    assert_int_equal(worker_of(&server, 2)->cpu_ns, 50);
    free(server.workers);
}

static void another_server_in_its_place_makes_requests_unknown(void **state)
{
    (void)state;
    struct result_server server;
    crew_init(&crew);
    SEE({ROOT, 0, 0}, {2, 0, 0});
    HEAR(500, 1, {0, 2, 3, 500, 0});
    crew_begin(&crew);
    SEE({5, 0, 0}, {6, 9, 0});
    status = (struct ctl_status){.pid = 5, .requests = 600, .worker_count = 1};
    status.workers[0] = (struct ctl_worker){0, 6, 1, 600, 0};
    crew_hear(&crew, &status);
    tell(&server);
    assert_int_equal(server.requests, RESULT_UNKNOWN);
    assert_int_equal(worker_of(&server, 6)->requests, RESULT_UNKNOWN);
    free(server.workers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(only_what_comes_after_the_beginning_counts),
        pf_test(user_and_system_time_are_shares_of_what_is_exact),
        pf_test(a_successor_takes_over_the_place_of_a_worker_that_ended),
        pf_test(successors_may_be_there_before_the_others_have_ended),
        pf_test(a_place_without_a_successor_keeps_what_was_counted),
        pf_test(what_ended_unseen_counts_by_the_parent_that_waited_for_it),
        pf_test(a_clock_that_falls_back_to_ticks_takes_nothing_away),
        pf_test(slots_are_the_places_of_a_server_that_names_them),
        pf_test(a_slot_that_came_later_counts_from_nought),
        pf_test(a_server_that_speaks_late_has_unknown_counts),
        pf_test(another_server_in_its_place_makes_requests_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
