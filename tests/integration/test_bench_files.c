/*
 * Files that prefork-bench is given and writes while it runs: a body, a mix with what its
 * answers must be, and the rows of the series.
 */
#include "tests/lib/bench.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static struct pf_bench bench; /* large */
static char path[64];

static double total(const char *name)
{
    return pf_bench_number(&bench, "totals", name);
}

static void write_file(const char *bytes, size_t len)
{
    snprintf(path, sizeof path, "/tmp/prefork-test-file.%ld", (long)getpid());
    FILE *to = fopen(path, "we");
    assert_non_null(to);
    assert_int_equal(fwrite(bytes, 1, len, to), len);
    assert_int_equal(fclose(to), 0);
}

/* ---- bodies ---------------------------------------------------------------------- */

/* One request, its body too. */
static void serve_body(struct pf_peer *peer, int fd, unsigned index)
{
    (void)index;
    size_t len = 0, want = SIZE_MAX;
    while (len < want && len < sizeof peer->request - 1) {
        ssize_t n = read(fd, peer->request + len, sizeof peer->request - 1 - len);
        if (n <= 0)
            return;
        len += (size_t)n;
        peer->request[len] = '\0';
        const char *end = strstr(peer->request, "\r\n\r\n");
        const char *field = strstr(peer->request, "Content-Length: ");
        if (end && field)
            want = (size_t)(end + 4 - peer->request) +
                   (size_t)strtol(field + strlen("Content-Length: "), NULL, 10);
    }
    pf_peer_say(fd, PF_PEER_HELLO);
    pf_peer_wait_for_end(fd);
}

static void body_of_a_file_is_sent_as_it_is(void **state)
{
    (void)state;
    static const char body[] = "{rand} {{ {what} }\n\0\xff\x80 {seq} {";
    size_t len = sizeof body - 1;
    char line[128];
    struct pf_peer peer = {.serve = serve_body};
    write_file(body, len);
    pf_peer_start(&peer);
    snprintf(line, sizeof line, "-c 1 -n 1 -b @%s", path);
    pf_bench_run(&bench, line, &peer);
    pf_peer_stop(&peer);
    unlink(path);
    pf_bench_exits(&bench, 0);
    pf_bench_says(peer.request, "POST / HTTP/1.1\r\n");
    const char *end = strstr(peer.request, "\r\n\r\n");
    assert_non_null(end);
    assert_memory_equal(end + 4, body, len);
}

/* ---- the same answer to the same request ------------------------------------------ */

/* The body is the path, its number and all. */
static void serve_path(struct pf_peer *peer, int fd, unsigned index)
{
    (void)peer;
    (void)index;
    char text[1024], answer[1200], target[64];
    for (;;) {
        ssize_t n = read(fd, text, sizeof text - 1);
        if (n <= 0)
            return;
        text[n] = '\0';
        if (sscanf(text, "%*s %63s", target) != 1)
            return;
        snprintf(answer, sizeof answer, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s",
                 strlen(target), target);
        pf_peer_say(fd, answer);
    }
}

/* Each connection has a body of its own. */
static void serve_index(struct pf_peer *peer, int fd, unsigned index)
{
    char answer[128];
    snprintf(answer, sizeof answer, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%c",
             'a' + (char)(index % 20));
    while (pf_peer_read_request(peer, fd))
        pf_peer_say(fd, answer);
}

static void each_request_of_a_mix_has_a_hash_of_its_own(void **state)
{
    (void)state;
    static const char mix[] = "1 GET /one\n1 GET /two\n2 GET /three\n",
                      other[] = "1 GET /{seq}\n";
    static const struct {
        const char *mix;
        size_t len;
        int status;
    } rows[] = {{mix, sizeof mix - 1, 0}, {other, sizeof other - 1, 4}};
    for (size_t i = 0; i < 2; i++) {
        char line[192];
        struct pf_peer peer = {.serve = serve_path};
        write_file(rows[i].mix, rows[i].len);
        pf_peer_start(&peer);
        snprintf(line, sizeof line,
                 "-c 4 -t 2 --procs 2 -n 100 --expect hash --requests %s", path);
        pf_bench_run(&bench, line, &peer);
        pf_peer_stop(&peer);
        unlink(path);
        if (rows[i].status == 0)
            pf_bench_measured(&bench);
        else
            pf_bench_exits(&bench, rows[i].status);
        assert_true(total("wrong") == (rows[i].status ? 99 : 0));
    }
}

static void all_threads_and_processes_must_get_the_same_body(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "-c 1 -t 1 -n 20 --expect hash",
        "-c 2 -t 2 -n 20 --expect hash",
        "-c 2 -t 2 --procs 2 -n 20 --expect hash",
    };
    for (size_t i = 0; i < 3; i++) {
        struct pf_peer peer = {.serve = serve_index};
        pf_peer_start(&peer);
        pf_bench_run(&bench, lines[i], &peer);
        pf_peer_stop(&peer);
        if (i == 0)
            pf_bench_measured(&bench);
        else
            pf_bench_exits(&bench, 4);
        assert_true(total("wrong") == (i ? 10 : 0));
    }
}

/* ---- rows as they come ------------------------------------------------------------ */

/* The first line of the file, once it is there whole. */
static void wait_for_line(char *line, size_t len)
{
    int64_t deadline = pf_bench_now_ms() + PF_TEST_DEADLINE_S * 1000;
    for (;;) {
        FILE *from = fopen(path, "re");
        bool whole = from && fgets(line, (int)len, from) && strchr(line, '\n');
        if (from)
            fclose(from);
        if (whole)
            return;
        assert_true(pf_bench_now_ms() < deadline);
        (void)poll(NULL, 0, 10);
    }
}

static unsigned count_lines(void)
{
    static char line[65536];
    unsigned count = 0;
    FILE *from = fopen(path, "re");
    assert_non_null(from);
    while (fgets(line, sizeof line, from))
        count += strncmp(line, "{\"t_ns\":", 8) == 0 && strstr(line, "}\n");
    fclose(from);
    return count;
}

static void events_are_there_while_the_run_goes_on(void **state)
{
    (void)state;
    static char row[65536];
    char line[512];
    struct pf_peer peer = {.serve = pf_peer_serve_always};
    write_file("of an earlier run\n", 18);
    pf_peer_start(&peer);
    snprintf(line, sizeof line, "-c 1 -R 100 -d 1h --server none --quiet --events %s %s",
             path, peer.url);
    memset(&bench, 0, sizeof bench);
    pf_bench_start(&bench, line);
    do
        wait_for_line(row, sizeof row);
    while (row[0] != '{');
    assert_int_equal(kill(bench.pid, SIGINT), 0); /* it has not ended by then */
    pf_bench_wait(&bench);
    pf_peer_stop(&peer);
    pf_bench_exits(&bench, 130);
    assert_true(count_lines() >= 1);
    unlink(path);
}

static void events_are_the_rows_of_the_result_and_of_several_runs_all(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        unsigned rows;
    } rows[] = {
        {"-c 1 -R 50 -d 1500ms", 2},
        {"-c 2 -t 2 --procs 2 -R 50 -d 100ms", 1},
        {"-c 1 -R 50 -d 100ms --repeat 3", 3},
        {"hold -c 4 -d 100ms", 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char line[512];
        struct pf_peer peer = {.serve = pf_peer_serve_always};
        write_file("of an earlier run\n", 18);
        pf_peer_start(&peer);
        snprintf(line, sizeof line, "%s --events %s", rows[i].line, path);
        if (strncmp(line, "hold", 4) == 0) {
            snprintf(line, sizeof line, "%s --server none --events %s %s", rows[i].line,
                     path, peer.url);
            memset(&bench, 0, sizeof bench);
            pf_bench_start(&bench, line);
            pf_bench_wait(&bench);
        } else {
            pf_bench_run(&bench, line, &peer);
        }
        pf_peer_stop(&peer);
        pf_bench_measured(&bench);
        if (count_lines() != rows[i].rows)
            print_error("%s: %u\n", rows[i].line, count_lines());
        assert_int_equal(count_lines(), rows[i].rows);
        unlink(path);
    }
}

static void events_that_cannot_be_written_are_told(void **state)
{
    (void)state;
    struct pf_peer peer = {.serve = pf_peer_serve_always};
    pf_peer_start(&peer);
    pf_bench_run(&bench, "-c 1 -R 50 -d 100ms --events /dev/full", &peer);
    pf_peer_stop(&peer);
    if (bench.status != 3) {
        pf_bench_exits(&bench, 1);
        pf_bench_says(bench.out, "exit 1: a file could not be written");
    }
    pf_bench_says(bench.err, "prefork-bench: --events /dev/full: No space left on device");
}

/* ---- an earlier run once more ------------------------------------------------------- */

static void an_earlier_run_is_made_again_but_for_what_is_given(void **state)
{
    (void)state;
    static const struct {
        const char *first, *again;
        double ok;
        const char *request;
    } rows[] = {
        {"-c 3 -n 12 -H 'X-A: 1'", "", 12, "X-A: 1\r\n"},
        {"-c 3 -n 12 -m DELETE", "-n 7 -m GET", 7, "GET / "},
        {"-c 1 -d 1h --stages 10s:5 -n 5", "", 0, NULL}, /* refused at once */
        {"-c 1 -R 50 -d 100ms --quiet", "-n 6 -R 100", 6, "GET / "},
        {"-c 1 --stages 100ms:50", "-n 4", 4, "GET / "},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char line[256];
        struct pf_peer peer = {.serve = pf_peer_serve_always},
                       other = {.serve = pf_peer_serve_always};
        pf_peer_start(&peer);
        pf_peer_start(&other);
        pf_bench_run(&bench, rows[i].first, &peer);
        if (rows[i].ok > 0) {
            pf_bench_measured(&bench);
            write_file(bench.json, strlen(bench.json));
            snprintf(line, sizeof line, "--from %s %s", path, rows[i].again);
            pf_bench_run(&bench, line, i % 2 ? &other : NULL);
            pf_bench_measured(&bench);
            assert_true(total("ok") == rows[i].ok);
            unlink(path);
        } else {
            pf_bench_exits(&bench, 1);
        }
        pf_peer_stop(&peer);
        pf_peer_stop(&other);
        if (rows[i].request)
            pf_bench_says(i % 2 ? other.request : peer.request, rows[i].request);
    }
}

static void the_command_of_a_document_begins_with_the_program(void **state)
{
    (void)state;
    static const char *const modes[] = {"storm", "run"};
    struct pf_peer peer = {.serve = pf_peer_serve_always};
    char line[256];
    pf_peer_start(&peer);
    for (size_t i = 0; i < 2; i++) {
        memset(&bench, 0, sizeof bench);
        snprintf(line, sizeof line, "%s -c 1 -n 3 --server none -o - %s", modes[i],
                 peer.url);
        pf_bench_start(&bench, line);
        pf_bench_wait(&bench);
        snprintf(line, sizeof line, "bin/prefork-bench\", \"%s\", \"-c\"", modes[i]);
        pf_bench_says(bench.out, line);
    }
    /* What is made again is the run, whatever it was called by. */
    write_file(bench.out, strlen(bench.out));
    snprintf(line, sizeof line, "--from %s", path);
    pf_bench_run(&bench, line, NULL);
    pf_bench_measured(&bench);
    assert_true(total("ok") == 3);
    unlink(path);
    pf_peer_stop(&peer);
}

static void what_cannot_be_made_again_is_refused(void **state)
{
    (void)state;
    static const char none[] = "{}";
    struct pf_peer peer = {.serve = pf_peer_serve_always};
    char line[256];
    pf_bench_run(&bench, "--from /no/such.json", NULL);
    pf_bench_exits(&bench, 1);
    pf_bench_says(bench.err, "--from /no/such.json: No such file");
    write_file(none, sizeof none - 1);
    snprintf(line, sizeof line, "--from %s", path);
    pf_bench_run(&bench, line, NULL);
    pf_bench_exits(&bench, 1);
    pf_bench_says(bench.err, "--from /tmp/");
    pf_peer_start(&peer);
    pf_bench_run(&bench, "-c 1 -n 1", &peer);
    write_file(bench.json, strlen(bench.json));
    pf_bench_run(&bench, line, NULL);
    pf_bench_measured(&bench);
    write_file(bench.json, strlen(bench.json));
    pf_bench_run(&bench, line, NULL); /* of one that was made so */
    pf_peer_stop(&peer);
    unlink(path);
    pf_bench_exits(&bench, 1);
    pf_bench_says(bench.err, "give that one");
}

/* ---- unusual files --------------------------------------------------------------- */

static void a_pipe_is_written_once_and_whole(void **state)
{
    (void)state;
    struct pf_peer peer = {.serve = pf_peer_serve_always};
    char line[256], fifo[64];
    pf_peer_start(&peer);
    snprintf(fifo, sizeof fifo, "/tmp/prefork-test-bench.%ld.fifo", (long)getpid());
    assert_int_equal(mkfifo(fifo, 0600), 0);
    snprintf(line, sizeof line, "-c 1 -n 10 --server none -o %s %s", fifo, peer.url);
    memset(&bench, 0, sizeof bench);
    pf_bench_start(&bench, line);
    FILE *from = fopen(fifo, "re");
    assert_non_null(from);
    size_t len = fread(bench.json, 1, sizeof bench.json - 1, from);
    fclose(from);
    unlink(fifo);
    if (len == 0) /* it would wait for another reader */
        kill(bench.pid, SIGKILL);
    assert_true(len > 0);
    pf_bench_wait(&bench);
    pf_peer_stop(&peer);
    pf_bench_measured(&bench);
    assert_true(total("ok") == 10);
}

static void a_limit_of_file_size_is_like_a_full_disk(void **state)
{
    (void)state;
    struct pf_peer peer = {.serve = pf_peer_serve_always};
    char line[512];
    pf_peer_start(&peer);
    snprintf(line, sizeof line, "-c 1 -n 10 --server none --html %s %s", path, peer.url);
    memset(&bench, 0, sizeof bench);
    struct rlimit before, limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = before;
    limit.rlim_cur = 512;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0); /* the program's: inherited */
    pf_bench_start(&bench, line);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    pf_bench_wait(&bench);
    pf_peer_stop(&peer);
    unlink(path);
    pf_bench_exits(&bench, 1);
    pf_bench_says(bench.err, "--html ");
    pf_bench_says(bench.err, "File too large");
    pf_bench_says(bench.out, "exit 1: a file could not be written");
}

/* ---- what is not known -------------------------------------------------------------- */

static void runs_in_which_nothing_succeeded_have_no_percentiles(void **state)
{
    (void)state;
    struct pf_peer peer = {.serve = pf_peer_serve_always};
    pf_peer_start(&peer);
    pf_bench_run(&bench, "-c 1 -n 10 --repeat 2 --expect status=204", &peer);
    pf_peer_stop(&peer);
    pf_bench_exits(&bench, 4);
    const char *repeat = strstr(bench.json, "\"repeat\":");
    assert_non_null(repeat);
    assert_null(strstr(repeat, "\"p99_ns\":0"));
    assert_null(strstr(repeat, "\"p99_ns\": 0"));
    assert_non_null(strstr(repeat, "null"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(body_of_a_file_is_sent_as_it_is),
        pf_test(each_request_of_a_mix_has_a_hash_of_its_own),
        pf_test(all_threads_and_processes_must_get_the_same_body),
        pf_test(events_are_there_while_the_run_goes_on),
        pf_test(events_are_the_rows_of_the_result_and_of_several_runs_all),
        pf_test(events_that_cannot_be_written_are_told),
        pf_test(an_earlier_run_is_made_again_but_for_what_is_given),
        pf_test(the_command_of_a_document_begins_with_the_program),
        pf_test(what_cannot_be_made_again_is_refused),
        pf_test(a_pipe_is_written_once_and_whole),
        pf_test(a_limit_of_file_size_is_like_a_full_disk),
        pf_test(runs_in_which_nothing_succeeded_have_no_percentiles),
    };
    return cmocka_run_group_tests_name("prefork-bench, files", tests, NULL, NULL);
}
