/*
 * The commands that read documents, as their user meets them: report, compare, merge; on
 * documents of results made by hand.
 */
#include "tests/lib/bench.h"

#include "bench/report.h"
#include "tests/lib/sample_result.h"
#include <dirent.h>
#include <unistd.h>

static struct pf_bench bench; /* large */
static char folder[] = "/tmp/prefork-documents-XXXXXX";

/* ---- documents ----------------------------------------------------------------------- */

static void write_document(const char *name, struct result *result)
{
    static int64_t more; /* no two measurements take the same time */
    result->totals.elapsed_ns += more++;
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *to = fopen(path, "w");
    assert_non_null(to);
    assert_int_equal(report_json(result, to), 0);
    assert_int_equal(fclose(to), 0);
    result_free(result);
}

/* One run of a side: its rate, and a little more for each further one. */
static void write_run(const char *side, int number, uint64_t ok)
{
    char name[32];
    struct result *result = sample_open();
    result->totals.ok = ok + (uint64_t)number * 100;
    result->totals.ok_in_time = (int64_t)result->totals.ok;
    snprintf(name, sizeof name, "%s%d.json", side, number);
    write_document(name, result);
}

static int make_documents(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    write_document("open.json", sample_open());
    write_document("modes.json", sample_modes());
    write_document("modes2.json", sample_modes());
    struct result *other = sample_open();
    other->plan.pipeline = 16;
    write_document("pipelined.json", other);
    other = sample_open();
    free(other->plan.load);
    other->plan.load = strdup("closed");
    write_document("closed.json", other);
    for (int i = 1; i <= 5; i++) {
        write_run("fast", i, 499980);
        write_run("slow", i, 399980);
    }
    char path[128];
    snprintf(path, sizeof path, "%s/broken.json", folder);
    FILE *to = fopen(path, "w");
    if (!to)
        return -1;
    fputs("{\n\"schema\": \"prefork-bench/1\",\n\"plan\" 3}\n", to);
    return fclose(to);
}

static int remove_documents(void **state)
{
    (void)state;
    DIR *dir = opendir(folder);
    if (!dir)
        return -1;
    for (struct dirent *entry; (entry = readdir(dir));)
        if (entry->d_name[0] != '.')
            (void)unlinkat(dirfd(dir), entry->d_name, 0);
    closedir(dir);
    return rmdir(folder);
}

/* `line` is for the shell; each @ in it is the folder of the documents. */
static void run(const char *line)
{
    char full[4096];
    size_t len = 0;
    for (; *line; line++) {
        assert_true(len + sizeof folder + 1 < sizeof full);
        if (*line == '@')
            len += (size_t)snprintf(full + len, sizeof full - len, "%s/", folder);
        else
            full[len++] = *line;
    }
    full[len] = '\0';
    memset(&bench, 0, sizeof bench);
    pf_bench_start(&bench, full);
    pf_bench_wait(&bench);
}

static void assert_file_holds(const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *from = fopen(path, "r");
    assert_non_null(from);
    size_t room = 8 << 20;
    char *all = calloc(1, room);
    assert_non_null(all);
    assert_true(fread(all, 1, room - 1, from) > 0);
    fclose(from);
    if (!strstr(all, text))
        fail_msg("no \"%s\" in %s", text, name);
    free(all);
}

/* ---- tests --------------------------------------------------------------------------- */

struct row {
    const char *line;
    int status;
    const char *out, *err; /* what they hold; NULL: nothing at all */
};

static void check(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        run(rows[i].line);
        if (bench.status != rows[i].status ||
            (rows[i].out ? !strstr(bench.out, rows[i].out) : bench.out[0] != '\0') ||
            (rows[i].err ? !strstr(bench.err, rows[i].err) : bench.err[0] != '\0'))
            fail_msg("%s: status %d\n%s%s", rows[i].line, bench.status, bench.out,
                     bench.err);
        size_t lines = 0;
        for (const char *at = bench.err; (at = strchr(at, '\n')); at++)
            lines++;
        assert_true(lines <= 1); /* one line says what is wrong */
    }
}

static void a_document_is_shown_in_any_form(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"report @open.json", 0, "exit 99: 1 of 2 SLOs failed", NULL},
        {"report @modes.json", 0, "LOST 0 of 1,000", NULL},
        {"report - < @open.json", 0, "exit 99: 1 of 2 SLOs failed", NULL},
        {"report --quiet @open.json", 0, "VALID  http://127.0.0.1:8080/", NULL},
        {"report @open.json --quiet", 0, "VALID  http://127.0.0.1:8080/", NULL},
        {"report @open.json --csv -", 0, "t_ns,span_ns,planned", NULL},
        {"report --events - @open.json", 0, "{\"t_ns\": 1000000000,", NULL},
        {"report --hgrm=- @open.json", 0, "1/(1-Percentile)", NULL},
        {"report --hlog - @open.json", 0, "Tag=service,0.000,10.000,", NULL},
        {"report @open.json -o @again.json --html @open.html --csv @open.csv --hlog "
         "@open.hlog --hgrm @open.hgrm --events @open.ndjson --baseline @modes.json",
         0, "exit 99", NULL},
        {"report --help", 0, "usage: prefork-bench report", NULL},
    };
    check(rows, sizeof rows / sizeof rows[0]);
    assert_file_holds("again.json", "\"schema\": \"prefork-bench/1\"");
    assert_file_holds("open.html", "Against the baseline");
    assert_file_holds("open.csv", "srv_rss\n1000000000,");
    assert_file_holds("open.hlog", "Tag=lag,");
    assert_file_holds("open.hgrm", "#[Buckets =");
    assert_file_holds("open.ndjson", "\"heat\": [[9, 20000]");
    /* The same bytes, however often. */
    run("report -o @third.json @again.json && cmp @again.json @third.json");
    pf_bench_exits(&bench, 0);
}

static void only_one_form_stands_on_standard_output(void **state)
{
    (void)state;
    run("report --csv - @open.json");
    pf_bench_exits(&bench, 0);
    assert_int_equal(strncmp(bench.out, "t_ns,", 5), 0);
    pf_bench_silent_about(bench.out, "exit");
}

static void what_is_no_document_is_said_in_a_line(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"report", 1, NULL, "prefork-bench: report: no document; give"},
        {"report @none.json", 1, NULL, "none.json: No such file or directory"},
        {"report @broken.json", 1, NULL, "broken.json: line 3: not JSON"},
        {"report /dev/null", 1, NULL, "report /dev/null: line 1: not JSON"},
        {"report @", 1, NULL, "Is a directory"},
        {"report @open.json @modes.json", 1, NULL, "modes.json: one document is enough"},
        {"report --cvs x @open.json", 1, NULL, "--cvs"},
        {"report --csv", 1, NULL, "--csv"},
        {"report @open.json --baseline @modes.json", 1, NULL, "add --html FILE"},
        {"report @open.json --csv @none/x.csv", 1, "exit 99", "--csv "},
        {"report @open.json > /dev/full", 1, NULL,
         "cannot write the summary: No space left"},
        {"report @open.json --csv /dev/full", 1, "exit 99",
         "--csv /dev/full: No space left"},
        {"merge @open.json @fast1.json -o @x.json > /dev/full", 1, NULL,
         "cannot write the summary: No space left"},
        {"merge @open.json @fast1.json > /dev/full", 1, NULL, "--json -: "},
        {"compare @open.json @open.json > /dev/full", 1, NULL,
         "compare: cannot write: No space left"},
        {"merge @open.json @fast1.json -o @x.json --html @x.json", 1, NULL, "--html "},
        {"merge @open.json @fast1.json -o @x.json --html @x.json", 1, NULL,
         "x.json: --json goes there, too"},
        {"merge @open.json @fast1.json -o @x.json --baseline @x.json", 1, NULL,
         "x.json: --json goes there, too"},
        {"merge @open.json @fast1.json --csv @x.csv --baseline @open.json", 1, NULL,
         "open.json: it is drawn in a page; add --html FILE"},
        {"report @open.json --html @x.html --baseline @broken.json", 1, NULL,
         "broken.json: line 3: not JSON"},
        {"report @open.json --html /dev/full", 1, "exit 99",
         "--html /dev/full: No space left on device"},
        {"report @open.json > /dev/full", 1, NULL, "No space left on device"},
        {"merge @open.json @fast1.json > /dev/full", 1, NULL, "No space left on device"},
        {"http://127.0.0.1:1/ --baseline @open.json", 1, NULL,
         "open.json: it is drawn in a page; add --html FILE"},
        {"http://127.0.0.1:1/ --html @x.html --baseline @broken.json", 1, NULL,
         "broken.json: line 3: not JSON"},
        {"merge", 1, NULL, "merge: give two documents or more"},
        {"merge @open.json", 1, NULL, "merge: give two documents or more"},
        {"merge @open.json @broken.json", 1, NULL, "broken.json: line 3: not JSON"},
        {"merge @open.json @pipelined.json", 1, NULL, "pipelined.json: its plan.pipeline"},
        {"merge @open.json @fast1.json @open.json", 1, NULL,
         "open.json: is the same measurement as "},
        {"merge @modes.json @modes2.json", 1, NULL, "is no sum"},
        {"compare", 1, NULL, "compare: no documents"},
        {"compare @open.json", 1, NULL, "one side only"},
        {"compare @open.json --", 1, NULL, "one side only"},
        {"compare @open.json @open.json @open.json", 1, NULL, "both sides of --"},
        {"compare -- @open.json @open.json", 1, NULL, "both sides of --"},
        {"compare @open.json @broken.json", 1, NULL, "broken.json: line 3"},
        {"compare @open.json @modes.json", 1, NULL,
         "modes.json: is of search, the first of run: their numbers mean different things"},
        {"compare @modes.json @modes2.json", 1, NULL,
         "modes.json: is of search, whose numbers are of its last trial"},
        {"compare @open.json @closed.json", 1, NULL,
         "closed.json: is of a loop that is closed, the first of one that is open"},
        {"compare @open.json @pipelined.json -- @open.json", 1, NULL,
         "pipelined.json: its plan.pipeline is not that of the first"},
        {"compare @open.json -- @open.json @pipelined.json", 1, NULL,
         "pipelined.json: its plan.pipeline is not that of the first"},
        {"compare --min-effect 2x @open.json @open.json", 1, NULL,
         "must be a share, such as 2% or 0.02"},
        {"compare --min-effect=-1% @open.json @open.json", 1, NULL, "must be a share"},
    };
    check(rows, sizeof rows / sizeof rows[0]);
}

static void a_slower_side_is_found_out(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"compare @fast*.json -- @slow*.json", 99, "exit 99: 2 of 6 numbers got worse",
         NULL},
        {"compare @slow*.json -- @fast*.json", 0, "exit 0: nothing got worse", NULL},
        {"compare @fast*.json -- @fast*.json", 0, "exit 0: nothing got worse", NULL},
        {"compare --min-effect 30% @fast*.json -- @slow*.json", 0, "nothing got worse",
         NULL},
        {"compare @fast*.json -- @slow*.json --min-effect 30%", 0, "nothing got worse",
         NULL},
        {"compare @fast1.json @slow1.json", 0, "1 against 1 runs cannot tell", NULL},
        {"compare --markdown @fast*.json -- @slow*.json", 99,
         "| req/s | 50,028 | 40,028 | **-20.0%** |", NULL},
        {"compare @modes.json", 99, "numbers got worse", NULL},
        {"compare @open.json -- @pipelined.json", 0,
         "the plans differ: 1 against 16 pipeline", NULL},
        {"compare @fast[1-4].json -- @slow[1-4].json", 0,
         "exit 0: 2 of 6 numbers look worse, as chance may do", NULL},
        {"compare --help", 0, "Holm's method", NULL},
    };
    check(rows, sizeof rows / sizeof rows[0]);
}

static void documents_add_up(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"merge @open.json @fast2.json @fast1.json -o @sum.json", 0, "150,000/s poisson",
         NULL},
        {"report @sum.json", 0, "c=768 t=12", NULL},
        {"report @sum.json", 0, "200 x 1,499,946   503 x 36", NULL},
        {"merge --help", 0, "usage: prefork-bench merge", NULL},
    };
    check(rows, sizeof rows / sizeof rows[0]);
    run("merge @open.json @fast1.json > @two.json");
    pf_bench_exits(&bench, 0);
    assert_file_holds("two.json", "\"conns_opened\": 512");
    assert_file_holds("two.json", "\"sent\": 999996");
}

/* A goal is judged anew; of the rest the worst remains, in whichever order. */
static void a_sum_ends_as_badly_as_its_worst_part(void **state)
{
    (void)state;
    static const struct {
        const char *lines[2];
        int code;
        const char *why;
    } rows[] = {
        {{"merge @missed.json @lost.json", "merge @lost.json @missed.json"}, 4, "2 lost"},
        {{"merge @late.json @lost.json", "merge @lost.json @late.json"}, 4, "2 lost"},
        {{"merge @late.json @missed.json", "merge @missed.json @late.json"}, 3, "late"},
        {{"merge @well.json @lost.json", "merge @lost.json @well.json"}, 4, "2 lost"},
        {{"merge @missed.json @well.json", "merge @well.json @well2.json"}, 99, "1 of 2"},
    };
    static const struct {
        const char *name, *why;
        int code;
    } documents[] = {{"missed.json", "1 of 2 SLOs failed", 99},
                     {"lost.json", "2 lost", 4},
                     {"late.json", "late", 3},
                     {"well.json", "", 0},
                     {"well2.json", "", 0}};
    for (size_t i = 0; i < sizeof documents / sizeof documents[0]; i++) {
        struct result *result = sample_open();
        result_set_exit(result, documents[i].code, "%s", documents[i].why);
        write_document(documents[i].name, result);
    }
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (int n = 0; n < 2; n++) {
            char line[128], last[64];
            snprintf(line, sizeof line, "%s -o @sum.json", rows[i].lines[n]);
            run(line);
            pf_bench_exits(&bench, 0);
            snprintf(last, sizeof last, "exit %d: %s", rows[i].code, rows[i].why);
            pf_bench_says(bench.out, last);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(a_document_is_shown_in_any_form),
        pf_test(only_one_form_stands_on_standard_output),
        pf_test(what_is_no_document_is_said_in_a_line),
        pf_test(a_slower_side_is_found_out),
        pf_test(documents_add_up),
        pf_test(a_sum_ends_as_badly_as_its_worst_part),
    };
    return cmocka_run_group_tests(tests, make_documents, remove_documents);
}
