/*
 * The loop benchmark's programs, and `prefork-bench loop` over them: here they are scripts,
 * whose times are known.
 */
#include "tests/lib/bench.h"

#include "bench/cli.h"
#include "bench/contest.h"
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- a folder of programs -------------------------------------------------------- */

static char folder[64];
static const char *const files[] = {"loop_prefork", "loop_liba", "loop_libb",
                                    "loop_libb.o",  "loop_mute", "other",
                                    "loop_locked",  "out.json"};

/* A program that needs so many CPU ns for each operation of a job, and notes each run; it
 * fails `fails`. */
static void put_program(const char *name, const char *subject, int ns, const char *fails,
                        mode_t mode)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fprintf(file,
            "#!/bin/sh\n"
            "case $1 in\n"
            "-v) echo '{\"subject\":\"%s\",\"version\":\"1.2\",\"backend\":\"epoll\"}' ;;\n"
            "-l) printf 'pipes-1 peers 30 5 single\\nposts-2 peers 20 0 threads\\n"
            "epoll-1 own 10 0 single\\nnonsense\\n' ;;\n"
            "%s) echo no >&2; exit 1 ;;\n"
            "*) echo %s \"$1\" >>%s/runs\n"
            "   echo \"{\\\"subject\\\":\\\"%s\\\",\\\"job\\\":\\\"$1\\\",\\\"unit\\\":"
            "\\\"byte\\\",\\\"ops\\\":$2,\\\"cpu_ns\\\":$(($2 * %d)),\\\"wall_ns\\\":"
            "$(($2 * 1000))}\" ;;\n"
            "esac\n",
            subject, fails, subject, folder, subject, ns);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static int folder_setup(void **state)
{
    snprintf(folder, sizeof folder, "/tmp/prefork-test-XXXXXX");
    assert_non_null(mkdtemp(folder));
    put_program("loop_prefork", "prefork", 100, "none", 0755);
    put_program("loop_libb", "libb", 50, "none", 0755);
    put_program("loop_liba", "liba", 250, "posts-2", 0755);
    return pf_test_setup(state);
}

static int folder_teardown(void **state)
{
    char path[128];
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        unlink(path);
    }
    snprintf(path, sizeof path, "%s/runs", folder);
    unlink(path);
    rmdir(folder);
    return pf_test_teardown(state);
}

static struct contest_subject subjects[CONTEST_SUBJECTS_MAX]; /* large */
static struct contest_job jobs[CONTEST_JOBS_MAX];

static void put_text(const char *name, const char *text, mode_t mode)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
}

/* ---- the programs ---------------------------------------------------------------- */

static void programs_are_found_ours_first(void **state)
{
    (void)state;
    put_text("loop_libb.o", "", 0755);
    put_text("other", "", 0755);
    put_text("loop_mute", "#!/bin/sh\nexit 0\n", 0755);
    assert_int_equal(contest_find(folder, subjects, CONTEST_SUBJECTS_MAX), 3);
    assert_string_equal(subjects[0].name, "prefork");
    assert_string_equal(subjects[0].title, "prefork 1.2 (epoll)");
    assert_string_equal(subjects[1].name, "liba");
    assert_string_equal(subjects[2].name, "libb");
    assert_int_equal(contest_find("/nowhere/at/all", subjects, 1), -ENOENT);
}

static void jobs_are_what_a_program_lists(void **state)
{
    (void)state;
    assert_int_equal(contest_find(folder, subjects, CONTEST_SUBJECTS_MAX), 3);
    assert_int_equal(contest_list(&subjects[0], jobs, CONTEST_JOBS_MAX), 3);
    assert_string_equal(jobs[0].name, "pipes-1");
    assert_true(jobs[0].peers && !jobs[0].threads);
    assert_int_equal(jobs[0].ops, 30);
    assert_true(jobs[1].peers && jobs[1].threads);
    assert_false(jobs[2].peers);
    put_text("loop_mute", "#!/bin/sh\necho hello\n", 0755);
    snprintf(subjects[0].path, sizeof subjects[0].path, "%s/loop_mute", folder);
    assert_int_equal(contest_list(&subjects[0], jobs, CONTEST_JOBS_MAX), -EPROTO);
}

static void a_run_takes_what_the_program_says(void **state)
{
    (void)state;
    struct contest_time time;
    assert_int_equal(contest_find(folder, subjects, CONTEST_SUBJECTS_MAX), 3);
    assert_int_equal(contest_list(&subjects[0], jobs, CONTEST_JOBS_MAX), 3);
    assert_int_equal(contest_run(&subjects[1], &jobs[0], 0, &time), 0);
    assert_true(fabs(time.cpu_ns - 250) < 1e-9);
    assert_true(fabs(time.wall_ns - 1000) < 1e-9);
    assert_string_equal(time.unit, "byte");
    assert_int_equal(contest_run(&subjects[1], &jobs[0], 7, &time), 0);
    assert_true(fabs(time.cpu_ns - 250) < 1e-9);
}

static void what_is_no_time_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "{",
        "[]",
        "{\"job\":\"a\",\"ops\":1,\"cpu_ns\":1}",
        "{\"job\":\"b\",\"ops\":1,\"cpu_ns\":1,\"wall_ns\":1}",
        "{\"job\":\"a\",\"ops\":0,\"cpu_ns\":1,\"wall_ns\":1}",
        "{\"job\":\"a\",\"ops\":1,\"cpu_ns\":\"1\",\"wall_ns\":1}"};
    struct contest_time time = {.cpu_ns = -1};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_int_equal(contest_parse(texts[i], "a", &time), -EPROTO);
    assert_true(time.cpu_ns < 0); /* untouched */
    static const char right[] = "{\"job\":\"a\",\"ops\":4,\"cpu_ns\":10,\"wall_ns\":20}";
    assert_int_equal(contest_parse(right, "a", &time), 0);
    assert_true(fabs(time.cpu_ns - 2.5) < 1e-9);
}

/* ---- the command ----------------------------------------------------------------- */

static struct pf_bench bench; /* large */

/* Run `loop` on the folder with these arguments; what it says is in bench.out and err. */
static int loop(const char *args)
{
    char line[512];
    bench.out[0] = bench.err[0] = 0;
    snprintf(line, sizeof line, "loop --dir %s %s", folder, args);
    pf_bench_start(&bench, line);
    pf_bench_wait(&bench);
    return bench.status;
}

static void says(const char *text)
{
    pf_bench_says(bench.out, text);
}

static void a_job_is_a_row_with_ratios_to_ours(void **state)
{
    (void)state;
    assert_int_equal(loop("--work pipes --rounds 6"), EXIT_RUN_OK);
    says("prefork 1.2 (epoll)\n  liba 1.2 (epoll)\n  libb 1.2 (epoll)\n");
    says("95 % interval");
    says("pipes-1                    100");
    says("      250    2.50 ( 2.50 -  2.50)");
    says("     50.0 <  0.50 ( 0.50 -  0.50)"); /* it is ahead */
    pf_bench_silent_about(bench.out, "posts");
    pf_bench_silent_about(bench.out, "epoll-1 "); /* a job of our own pollers */
}

static void rounds_go_forwards_and_backwards_in_turn(void **state)
{
    (void)state;
    char path[128], runs[1024];
    assert_int_equal(loop("--work pipes --rounds 3"), EXIT_RUN_OK);
    snprintf(path, sizeof path, "%s/runs", folder);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    runs[fread(runs, 1, sizeof runs - 1, file)] = 0;
    fclose(file);
    assert_string_equal(runs, "prefork pipes-1\nliba pipes-1\nlibb pipes-1\n"
                              "libb pipes-1\nliba pipes-1\nprefork pipes-1\n"
                              "prefork pipes-1\nliba pipes-1\nlibb pipes-1\n");
}

static void only_the_libraries_that_are_named_compete(void **state)
{
    (void)state;
    assert_int_equal(loop("--work pipes --rounds 1 --lib ours,libb"), EXIT_RUN_OK);
    says("0.50 ( 0.50 -  0.50)");
    pf_bench_silent_about(bench.out, "2.50");
}

static void a_library_that_is_not_there_is_refused_and_the_known_are_named(void **state)
{
    (void)state;
    static const char *const lists[] = {"--rounds 1 --lib libq", "--lib ours,libq,libb",
                                        "--lib libb,libq --list"};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        assert_int_equal(loop(lists[i]), EXIT_USAGE);
        pf_bench_says(bench.err, "prefork-bench: --lib libq: no program loop_libq; there "
                                 "are ours, liba, libb; make bench-deps");
        pf_bench_silent_about(bench.out, "ratio");
    }
}

static void a_run_that_fails_is_a_gap_and_no_success(void **state)
{
    (void)state;
    assert_int_equal(loop("--rounds 2"), EXIT_INVALID);
    says("posts-2                    100         -"); /* liba */
    pf_bench_says(bench.err, "1 of 2 jobs: a run has failed");
    says("2.50 ( 2.50 -  2.50)"); /* the other job is there */
}

static void its_document_has_all_of_it(void **state)
{
    (void)state;
    char path[128], args[192];
    snprintf(path, sizeof path, "%s/out.json", folder);
    snprintf(args, sizeof args, "--rounds 2 --json %s", path);
    assert_int_equal(loop(args), EXIT_INVALID);
    json_t *root = json_load_file(path, 0, NULL);
    assert_non_null(root);
    assert_string_equal(json_string_value(json_object_get(root, "schema")),
                        "prefork-bench-loop/1");
    const json_t *all = json_object_get(root, "jobs");
    assert_int_equal(json_array_size(all), 2);
    const json_t *pipes = json_array_get(all, 0), *posts = json_array_get(all, 1);
    const json_t *libb = json_object_get(json_object_get(pipes, "ratio"), "libb");
    assert_true(fabs(json_real_value(json_object_get(libb, "median")) - 0.5) < 1e-9);
    assert_true(
        json_is_null(json_object_get(json_object_get(posts, "cpu_ns_per_op"), "liba")));
    json_decref(root);
    assert_int_equal(loop("--rounds 1 --work pipes --json -"), EXIT_RUN_OK);
    /* Nothing else stands there; the table is on the other one. */
    root = json_loads(bench.out, 0, NULL);
    assert_non_null(root);
    assert_string_equal(json_string_value(json_object_get(root, "schema")),
                        "prefork-bench-loop/1");
    json_decref(root);
    pf_bench_says(bench.err, "liba 1.2 (epoll)");
    pf_bench_says(bench.err, "pipes-1                    100");
}

static void what_cannot_be_is_said_in_a_line(void **state)
{
    (void)state;
    static const struct {
        const char *args, *says;
    } rows[] = {
        {"--work nothing", "prefork-bench: --work nothing: no job begins so"},
        {"--rounds 0", "prefork-bench: --rounds"},
        {"--rounds 41", "prefork-bench: --rounds"},
        {"--ops x", "prefork-bench: --ops"},
        {"more", "prefork-bench: more: loop takes options only"},
        {"--dir /nowhere", "prefork-bench: --dir /nowhere: No such file or directory"},
        {"--dir /tmp", "no program loop_prefork; make bench-loop builds them"},
        {"--work pipes --json /nowhere/x", "--json /nowhere/x: cannot write it"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(loop(rows[i].args), EXIT_USAGE);
        pf_bench_says(bench.err, rows[i].says);
    }
}

#define folder_test(name)                                                                  \
    cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        folder_test(programs_are_found_ours_first),
        folder_test(jobs_are_what_a_program_lists),
        folder_test(a_run_takes_what_the_program_says),
        folder_test(what_is_no_time_is_refused),
        folder_test(a_job_is_a_row_with_ratios_to_ours),
        folder_test(rounds_go_forwards_and_backwards_in_turn),
        folder_test(only_the_libraries_that_are_named_compete),
        folder_test(a_library_that_is_not_there_is_refused_and_the_known_are_named),
        folder_test(a_run_that_fails_is_a_gap_and_no_success),
        folder_test(its_document_has_all_of_it),
        folder_test(what_cannot_be_is_said_in_a_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
