/*
 * mode_loop.c - `prefork-bench loop`: our event loop against those of other libraries, job
 * by job. The programs that do the work are those of `make bench-loop` (contest.h).
 *
 * The rounds are interleaved, and every other one goes backwards, so that what drifts
 * slowly hits all alike; a ratio is taken within a round. What `make bench-loop` has beside
 * that (system calls, instructions, phases, our own pollers) is not looked at here.
 */
#include "bench/cli.h"

#include "bench/contest.h"
#include "bench/mode_line.h"
#include "bench/quantity.h"
#include "bench/stats.h"
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SCHEMA       "prefork-bench-loop/1"
#define NAMES_AT_ALL "all"

struct config {
    const char *libs, *work, *dir, *json;
    int64_t rounds, ops;
    bool list;
};

#define AT(field) .at = offsetof(struct config, field)

static const struct pf_option options[] = {
    {.name = "lib",
     .type = PF_OPTION_STRING,
     AT(libs),
     .argument = "NAME,...",
     .help = "these libraries beside ours, by the names of their programs (all)"},
    {.name = "work",
     .type = PF_OPTION_STRING,
     AT(work),
     .argument = "NAME,...",
     .help = "the jobs whose names begin so: pipes, timers, posts, churn ... (all)"},
    {.name = "rounds",
     .type = PF_OPTION_INT,
     AT(rounds),
     .min = 1,
     .max = STATS_RUNS_MAX,
     .argument = "N",
     .help = "runs of each job and library (6)"},
    {.name = "ops",
     .type = PF_OPTION_CUSTOM,
     AT(ops),
     .parse = quantity_parse_count,
     .argument = "N",
     .help = "operations of each run (as many as the job says)"},
    {.name = "dir",
     .type = PF_OPTION_STRING,
     AT(dir),
     .argument = "DIR",
     .help = "where the programs loop_NAME are (../bench beside this program)"},
    {.name = "json",
     .letter = 'o',
     .type = PF_OPTION_STRING,
     AT(json),
     .argument = "FILE",
     .help = "write the numbers as JSON; - is standard output"},
    {.name = "list",
     .type = PF_OPTION_FLAG,
     AT(list),
     .help = "list libraries and jobs, and exit"},
    {0},
};

struct contest {
    struct contest_subject subjects[CONTEST_SUBJECTS_MAX];
    struct contest_job jobs[CONTEST_JOBS_MAX];
    size_t subject_count, job_count;
};

/* The runs of one job: NAN where one failed. Only what succeeded is counted. */
struct scores {
    double cpu_ns[CONTEST_SUBJECTS_MAX][STATS_RUNS_MAX];
    char unit[32];
};

/* ---- what is asked for ----------------------------------------------------------- */

typedef bool fits_fn(const char *name, const char *wanted, size_t len);

static bool is_same(const char *name, const char *wanted, size_t len)
{
    return strlen(name) == len && strncmp(name, wanted, len) == 0;
}

static bool begins_so(const char *name, const char *wanted, size_t len)
{
    return len > 0 && strncmp(name, wanted, len) == 0;
}

/* Does one of the names in the list, which commas separate, fit? All do without a list. */
static bool is_wanted(const char *list, const char *name, fits_fn *fits)
{
    if (!list || strcmp(list, NAMES_AT_ALL) == 0)
        return true;
    for (const char *at = list; at; at = strchr(at, ',')) {
        at += *at == ',';
        if (fits(name, at, strcspn(at, ",")))
            return true;
    }
    return false;
}

/* A document that goes to standard output has that for itself. */
static FILE *table_of(const struct config *config)
{
    return config->json && strcmp(config->json, "-") == 0 ? stderr : stdout;
}

/* A library that was asked for by name, and is not there: nobody wants the others alone.
 * Returns 0 or an exit status. */
static int check_libs(const struct config *config, const struct contest *contest)
{
    if (!config->libs || strcmp(config->libs, NAMES_AT_ALL) == 0)
        return 0;
    for (const char *at = config->libs; at; at = strchr(at, ',')) {
        at += *at == ',';
        size_t len = strcspn(at, ",");
        bool there = is_same("ours", at, len);
        char known[CONTEST_SUBJECTS_MAX * (CONTEST_NAME_MAX + 2)] = "ours";
        size_t used = strlen(known);
        for (size_t i = 0; i < contest->subject_count; i++) {
            there |= is_same(contest->subjects[i].name, at, len);
            if (i > 0) /* the first is ours */
                used += (size_t)snprintf(known + used, sizeof known - used, ", %s",
                                         contest->subjects[i].name);
        }
        if (!there)
            return cli_fail("--lib %.*s: no program loop_%.*s; there are %s; make "
                            "bench-deps and make bench-loop build others",
                            (int)len, at, (int)len, at, known);
    }
    return 0;
}

/* Ours is always among them: it is what the others are compared with. */
static void choose(const struct config *config, struct contest *contest)
{
    size_t subjects = 1, jobs = 0;
    for (size_t i = 1; i < contest->subject_count; i++)
        if (is_wanted(config->libs, contest->subjects[i].name, is_same))
            contest->subjects[subjects++] = contest->subjects[i];
    for (size_t i = 0; i < contest->job_count; i++)
        if (contest->jobs[i].peers &&
            is_wanted(config->work, contest->jobs[i].name, begins_so))
            contest->jobs[jobs++] = contest->jobs[i];
    contest->subject_count = subjects;
    contest->job_count = jobs;
}

/* Where make puts them: build/release/bin/prefork-bench, build/release/bench/loop_x. */
static int find_folder(char *path, size_t room)
{
    static const char beside[] = "/../bench";
    ssize_t n = readlink("/proc/self/exe", path, room - sizeof beside);
    if (n < 0)
        return -errno;
    path[n] = 0;
    char *last = strrchr(path, '/');
    snprintf(last ? last : path, sizeof beside, "%s", beside);
    return 0;
}

/* Returns 0 or an exit status. */
static int gather(const struct config *config, struct contest *contest)
{
    char folder[PATH_MAX];
    int err = 0;
    if (config->dir)
        snprintf(folder, sizeof folder, "%s", config->dir);
    else
        err = find_folder(folder, sizeof folder);
    int count = err ? err : contest_find(folder, contest->subjects, CONTEST_SUBJECTS_MAX);
    if (count <= 0 || strcmp(contest->subjects[0].name, CONTEST_OURS) != 0)
        return cli_fail("--dir %s: %s; make bench-loop builds them, and --dir says where",
                        folder,
                        count < 0 ? strerror(-count) : "no program loop_" CONTEST_OURS);
    contest->subject_count = (size_t)count;
    count = contest_list(&contest->subjects[0], contest->jobs, CONTEST_JOBS_MAX);
    if (count < 0)
        return cli_fail("%s -l: says nothing of its jobs; build it anew",
                        contest->subjects[0].path);
    contest->job_count = (size_t)count;
    for (size_t i = 0; i < contest->subject_count; i++)
        fprintf(table_of(config), "  %s\n", contest->subjects[i].title);
    int status = check_libs(config, contest);
    if (status)
        return status;
    choose(config, contest);
    if (contest->job_count == 0)
        return cli_fail("--work %s: no job begins so; see --list", config->work);
    return 0;
}

/* ---- doing it -------------------------------------------------------------------- */

static void do_job(const struct config *config, const struct contest *contest,
                   const struct contest_job *job, struct scores *scores)
{
    for (int64_t round = 0; round < config->rounds; round++)
        for (size_t i = 0; i < contest->subject_count; i++) {
            size_t at = round % 2 ? contest->subject_count - 1 - i : i;
            struct contest_time time;
            bool ok = contest_run(&contest->subjects[at], job, config->ops, &time) == 0;
            scores->cpu_ns[at][round] = ok ? time.cpu_ns : NAN;
            if (ok)
                snprintf(scores->unit, sizeof scores->unit, "%s", time.unit);
        }
}

struct spread {
    size_t runs;
    double median, low, high;
};

/* Of the numbers that there are; their order is not kept. */
static struct spread spread_of(double *values, size_t count)
{
    struct spread spread = {.median = NAN, .low = NAN, .high = NAN};
    for (size_t i = 0; i < count; i++)
        if (!isnan(values[i]))
            values[spread.runs++] = values[i];
    if (spread.runs == 0)
        return spread;
    (void)stats_median_interval(values, spread.runs, &spread.low, &spread.high);
    spread.median = stats_median(values, spread.runs);
    return spread;
}

static struct spread time_of(const struct scores *scores, size_t subject, size_t rounds)
{
    double values[STATS_RUNS_MAX];
    memcpy(values, scores->cpu_ns[subject], rounds * sizeof values[0]);
    return spread_of(values, rounds);
}

/* Theirs to ours, within each round. */
static struct spread ratio_of(const struct scores *scores, size_t subject, size_t rounds)
{
    double values[STATS_RUNS_MAX];
    for (size_t i = 0; i < rounds; i++)
        values[i] = scores->cpu_ns[subject][i] / scores->cpu_ns[0][i];
    return spread_of(values, rounds);
}

/* ---- showing it ------------------------------------------------------------------ */

static void show_header(const struct config *config, const struct contest *contest,
                        FILE *to)
{
    fprintf(to,
            "CPU ns per operation, median of %" PRId64 " round%s; theirs with the ratio to "
            "ours and its %s;\n<: they are ahead in all of it\n\n%-20s %9s",
            config->rounds, config->rounds == 1 ? "" : "s",
            config->rounds < 6 ? "range" : "95 % interval", "job",
            contest->subjects[0].name);
    for (size_t i = 1; i < contest->subject_count; i++)
        fprintf(to, "  %32s", contest->subjects[i].name);
    fputc('\n', to);
}

static void print_ns(double ns, FILE *to)
{
    if (isnan(ns))
        fprintf(to, " %9s", "-");
    else
        fprintf(to, ns < 100 ? " %9.1f" : " %9.0f", ns);
}

static void show_job(const struct contest *contest, const struct contest_job *job,
                     const struct scores *scores, size_t rounds, FILE *to)
{
    fprintf(to, "%-20s", job->name);
    print_ns(time_of(scores, 0, rounds).median, to);
    for (size_t i = 1; i < contest->subject_count; i++) {
        struct spread ratio = ratio_of(scores, i, rounds);
        print_ns(time_of(scores, i, rounds).median, to);
        if (ratio.runs == 0)
            fprintf(to, "  %22s", "-");
        else
            fprintf(to, " %s%6.2f (%5.2f - %5.2f)", ratio.high < 1 ? "<" : " ",
                    ratio.median, ratio.low, ratio.high);
    }
    fputc('\n', to);
    fflush(to);
}

/* "key": {runs, median, low, high}; null where nothing is known. */
static json_t *spread_json(struct spread spread)
{
    if (spread.runs == 0)
        return json_null();
    return json_pack("{s:I,s:f,s:f,s:f}", "runs", (json_int_t)spread.runs, "median",
                     spread.median, "low", spread.low, "high", spread.high);
}

static json_t *job_json(const struct contest *contest, const struct contest_job *job,
                        const struct scores *scores, size_t rounds)
{
    json_t *times = json_object(), *ratios = json_object();
    for (size_t i = 0; i < contest->subject_count; i++) {
        const char *name = contest->subjects[i].name;
        json_object_set_new(times, name, spread_json(time_of(scores, i, rounds)));
        if (i)
            json_object_set_new(ratios, name, spread_json(ratio_of(scores, i, rounds)));
    }
    return json_pack("{s:s,s:s,s:o,s:o}", "job", job->name, "unit", scores->unit,
                     "cpu_ns_per_op", times, "ratio", ratios);
}

static json_t *document(const struct config *config, const struct contest *contest)
{
    json_t *subjects = json_object();
    for (size_t i = 0; i < contest->subject_count; i++)
        json_object_set_new(subjects, contest->subjects[i].name,
                            json_string(contest->subjects[i].title));
    return json_pack("{s:s,s:s,s:I,s:o,s:[]}", "schema", SCHEMA, "version", pf_version(),
                     "rounds", (json_int_t)config->rounds, "subjects", subjects, "jobs");
}

/* "-" is standard output. */
static int write_json(const json_t *root, const char *path)
{
    bool ok = strcmp(path, "-") == 0 ? json_dumpf(root, stdout, JSON_INDENT(1)) == 0
                                     : json_dump_file(root, path, JSON_INDENT(1)) == 0;
    return ok ? 0 : cli_fail("--json %s: cannot write it: %s", path, strerror(errno));
}

/* ---- all of it ------------------------------------------------------------------- */

/* A job that one of the libraries has failed is said, and makes the result one that is not
 * to be trusted. */
static bool is_whole(const struct contest *contest, const struct scores *scores,
                     size_t rounds)
{
    for (size_t i = 0; i < contest->subject_count; i++)
        if (time_of(scores, i, rounds).runs < rounds)
            return false;
    return true;
}

static int compete(const struct config *config, const struct contest *contest)
{
    size_t rounds = (size_t)config->rounds, failed = 0;
    json_t *root = config->json ? document(config, contest) : NULL;
    FILE *to = table_of(config);
    show_header(config, contest, to);
    for (size_t i = 0; i < contest->job_count; i++) {
        struct scores scores = {.unit = ""};
        do_job(config, contest, &contest->jobs[i], &scores);
        show_job(contest, &contest->jobs[i], &scores, rounds, to);
        failed += !is_whole(contest, &scores, rounds);
        if (root)
            json_array_append_new(json_object_get(root, "jobs"),
                                  job_json(contest, &contest->jobs[i], &scores, rounds));
    }
    int status = root ? write_json(root, config->json) : 0;
    json_decref(root);
    if (status || !failed)
        return status;
    (void)cli_fail("%zu of %zu jobs: a run has failed; see above", failed,
                   contest->job_count);
    return EXIT_INVALID;
}

static void list(const struct contest *contest)
{
    for (size_t i = 0; i < contest->job_count; i++)
        printf("%-20s %" PRId64 " operations\n", contest->jobs[i].name,
               contest->jobs[i].ops);
}

static const struct mode_line line = {
    .mode = &mode_loop,
    .options = options,
    .ending = "\nExit status: 0 done; 1 wrong usage; 3 a run has failed.\n",
    .excess = "loop takes options only",
};

static int loop_main(const struct mode *mode, int argc, char **argv)
{
    (void)mode;
    struct config config = {.rounds = 6};
    int count, status = mode_line_read(&line, &config, argc, argv, NULL, 0, &count);
    if (status >= 0)
        return status;
    struct contest *contest = calloc(1, sizeof *contest);
    if (!contest)
        return cli_fail("out of memory");
    status = gather(&config, contest);
    if (!status && config.list)
        list(contest);
    else if (!status)
        status = compete(&config, contest);
    free(contest);
    return status;
}

const struct mode mode_loop = {
    .name = "loop",
    .usage = "[options]",
    .help = "Our event loop against those of other libraries, job by job.",
    .main = loop_main,
};
