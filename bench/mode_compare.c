/*
 * mode_compare.c - `prefork-bench compare A.json... -- B.json...`: is B slower than A, or
 * would chance do? The arithmetic is compare.h's.
 *
 * A document that holds several runs (--repeat) counts as those, any other as one run. A
 * single document that was made with --vs has both sides in it.
 */
#include "bench/cli.h"

#include "bench/compare.h"
#include "bench/figure.h"
#include "bench/mode_line.h"
#include "bench/report_files.h"
#include "bench/stats.h"
#include "bench/utf8.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FILES_MAX STATS_RUNS_MAX

struct config {
    double min_effect;
    bool markdown;
};

static pf_option_parse_fn parse_share;

#define AT(field) .at = offsetof(struct config, field)

static const struct pf_option options[] = {
    {.name = "min-effect",
     .type = PF_OPTION_CUSTOM,
     AT(min_effect),
     .parse = parse_share,
     .argument = "SHARE",
     .help = "changes of less do not count (2%)"},
    {.name = "markdown",
     .type = PF_OPTION_FLAG,
     AT(markdown),
     .help = "a table in Markdown"},
    {0},
};

/* "2%" or "0.02". */
static int parse_share(const char *value, void *field, char *why, size_t why_len)
{
    char *end;
    double share = strtod(value, &end);
    bool percent = *end == '%';
    if (end == value || end[percent] != '\0' || !(share >= 0) ||
        share > (percent ? 100 : 1)) {
        snprintf(why, why_len, "must be a share, such as 2%% or 0.02");
        return -EINVAL;
    }
    *(double *)field = percent ? share / 100 : share;
    return 0;
}

/* ---- the sides ----------------------------------------------------------------------- */

struct side {
    struct result_run *runs; /* owned */
    size_t count;
    struct result *first; /* of its documents: owned; NULL: that of the other side */
};

static void free_side(struct side *side)
{
    free(side->runs);
    result_free(side->first);
}

/* Add the runs of a document's side; one that has none is itself a run. */
static int add_runs(struct side *side, const struct result *result, char which)
{
    struct result_run *runs = NULL;
    int count = compare_side(result, which, &runs);
    if (count == 0 && which == 'A')
        runs[count++] = compare_as_run(result);
    struct result_run *more =
        count > 0 ? realloc(side->runs, (side->count + (size_t)count) * sizeof *more)
                  : NULL;
    if (more) {
        side->runs = more;
        memcpy(more + side->count, runs, (size_t)count * sizeof *more);
        side->count += (size_t)count;
    }
    free(runs);
    return count < 0 || (count > 0 && !more) ? -ENOMEM : 0;
}

/* Beside the first document of its own side, or of the other. */
static int check_document(const char *path, const struct result *first,
                          const struct result *result, bool one_side)
{
    char why[256];
    if (compare_check(first, result, one_side, why, sizeof why) == 0)
        return 0;
    return cli_fail("compare %s: %s", path, why);
}

/* `other`: the first document of the other side, or NULL. */
static int read_side(const char *const *paths, int count, const struct result *other,
                     struct side *side)
{
    for (int i = 0; i < count; i++) {
        struct result *result;
        int err = report_file_read("compare", paths[i], &result);
        if (err)
            return err;
        const struct result *first = side->first ? side->first : other ? other : result;
        err = check_document(paths[i], first, result, side->first != NULL);
        if (err) {
            result_free(result);
            return err;
        }
        err = add_runs(side, result, 'A');
        if (!side->first)
            side->first = result;
        else
            result_free(result);
        if (err)
            return cli_fail("compare %s: %s", paths[i], strerror(-err));
    }
    return 0;
}

/* ---- what is printed ----------------------------------------------------------------- */

static const char *const words[] = {[COMPARE_UNKNOWN] = "-",
                                    [COMPARE_SAME] = "~",
                                    [COMPARE_BETTER] = "better",
                                    [COMPARE_WORSE] = "worse"};

/* To a tenth of a percent, and no -0. */
static const char *signed_share(double share, char *text)
{
    double tenths = round(share * 1000) / 10;
    if (isnan(share))
        snprintf(text, FIGURE_MAX, "-");
    else if (isinf(share))
        snprintf(text, FIGURE_MAX, "%s", share < 0 ? "-inf" : "+inf");
    else
        snprintf(text, FIGURE_MAX, "%+.1f%%", tenths == 0 ? 0 : tenths);
    return text;
}

static void interval(const struct compare_row *row, char *text)
{
    char low[FIGURE_MAX], high[FIGURE_MAX];
    if (isnan(row->change))
        snprintf(text, 3 * FIGURE_MAX, "-");
    else if (isinf(row->low) || isinf(row->high))
        snprintf(text, 3 * FIGURE_MAX, "too few runs");
    else
        snprintf(text, 3 * FIGURE_MAX, "%s to %s", signed_share(row->low, low),
                 signed_share(row->high, high));
}

static void print_row(enum compare_number number, const struct compare_row *row,
                      bool markdown)
{
    char a[FIGURE_MAX], b[FIGURE_MAX], change[FIGURE_MAX], range[3 * FIGURE_MAX],
        p[FIGURE_MAX];
    bool told = row->verdict == COMPARE_BETTER || row->verdict == COMPARE_WORSE;
    const char *bold = told ? "**" : "";
    interval(row, range);
    snprintf(p, sizeof p, "%.3f", row->p);
    if (isnan(row->p))
        snprintf(p, sizeof p, "-");
    if (markdown)
        printf("| %s | %s | %s | %s%s%s | %s | %s | %s%s%s |\n", compare_name(number),
               compare_figure(number, row->a, a), compare_figure(number, row->b, b), bold,
               signed_share(row->change, change), bold, range, p, bold,
               told || row->verdict == COMPARE_UNKNOWN ? words[row->verdict] : "\\~", bold);
    else
        printf("  %-8s %10s %10s %9s  %18s  %6s  %s\n", compare_name(number),
               compare_figure(number, row->a, a), compare_figure(number, row->b, b),
               signed_share(row->change, change), range, p, words[row->verdict]);
}

static void print_side(const char *name, const struct side *side, const char *target,
                       bool markdown)
{
    size_t doubtful = 0;
    for (size_t i = 0; i < side->count; i++)
        doubtful += side->runs[i].verdict != RESULT_VALID;
    printf("%s%s  %zu run%s of ", markdown ? "- " : "  ", name, side->count,
           side->count == 1 ? "" : "s");
    (void)utf8_print(target ? target : "-", false, stdout);
    if (doubtful)
        printf(", %zu of them not VALID", doubtful);
    putchar('\n');
}

/* What makes two plans two different questions. */
static void print_difference(const struct result_plan *a, const struct result_plan *b)
{
    const struct {
        const char *name;
        int64_t a, b;
    } rows[] = {{"connections", a->connections, b->connections},
                {"loops", a->loops, b->loops},
                {"pipeline", a->pipeline, b->pipeline},
                {"requests per connection", a->reqs_per_conn, b->reqs_per_conn}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].a != rows[i].b)
            printf("note: the plans differ: %" PRId64 " against %" PRId64 " %s\n",
                   rows[i].a, rows[i].b, rows[i].name);
    if (!isnan(a->rate_per_s) && !isnan(b->rate_per_s) && a->rate_per_s != b->rate_per_s)
        printf("note: the plans differ: %.6g/s against %.6g/s\n", a->rate_per_s,
               b->rate_per_s);
}

static void print_all(const struct config *config, const struct side *a,
                      const struct side *b, const struct compare_row *rows)
{
    print_side("A", a, a->first->plan.target, config->markdown);
    print_side("B", b, b->first ? b->first->plan.target : "--vs", config->markdown);
    if (config->markdown)
        puts("\n| | A | B | change | 95 % | p | |\n|---|---:|---:|---:|---:|---:|---|");
    else
        printf("  %-8s %10s %10s %9s  %18s  %6s\n", "", "A", "B", "change", "95 %", "p");
    for (int i = 0; i < COMPARE_NUMBERS; i++)
        print_row((enum compare_number)i, &rows[i], config->markdown);
    if (config->markdown)
        putchar('\n');
    if (b->first)
        print_difference(&a->first->plan, &b->first->plan);
    if (a->count < COMPARE_RUNS_SURE || b->count < COMPARE_RUNS_SURE)
        printf(
            "note: %zu against %zu runs cannot tell a change from chance; %d of each can\n",
            a->count, b->count, COMPARE_RUNS_SURE);
}

/* ---- all of it ----------------------------------------------------------------------- */

/* Returns the exit status. */
static int say_ending(unsigned worse, unsigned sure)
{
    if (sure)
        printf("exit %d: %u of %d numbers got worse\n", EXIT_SLO, sure, COMPARE_NUMBERS);
    else if (worse)
        printf("exit 0: %u of %d numbers look worse, as chance may do to one of so many\n",
               worse, COMPARE_NUMBERS);
    else
        puts("exit 0: nothing got worse");
    if (fflush(stdout) != 0 || ferror(stdout))
        return cli_fail("compare: cannot write: %s", strerror(errno));
    return sure ? EXIT_SLO : EXIT_RUN_OK;
}

static int judge(const struct config *config, const struct side *a, const struct side *b)
{
    struct compare_row rows[COMPARE_NUMBERS];
    int err = compare_runs(a->runs, a->count, b->runs, b->count, config->min_effect, rows);
    if (err)
        return cli_fail("compare: %s",
                        err == -E2BIG ? "more runs of a side than 40" : strerror(-err));
    print_all(config, a, b, rows);
    return say_ending(compare_worse(rows), compare_surely_worse(rows));
}

/* A single document: A and B are in it. */
static int split(struct side *a, struct side *b, const char *path)
{
    int err = report_file_read("compare", path, &a->first);
    if (err)
        return err;
    err = add_runs(a, a->first, 'A');
    if (!err)
        err = add_runs(b, a->first, 'B');
    if (err)
        return cli_fail("compare %s: %s", path, strerror(-err));
    if (b->count == 0)
        return cli_fail(
            "compare %s: it holds one side only; give two documents, or several "
            "of each: A... -- B...",
            path);
    return 0;
}

static int read_sides(const char *const *paths, int count, int a_count, struct side *a,
                      struct side *b)
{
    if (count == 1)
        return split(a, b, paths[0]);
    if (a_count == 0 || a_count == count)
        return cli_fail("compare: give documents on both sides of --: A... -- B...");
    int err = read_side(paths, a_count, NULL, a);
    return err ? err : read_side(paths + a_count, count - a_count, a->first, b);
}

static const struct mode_line line = {
    .mode = &mode_compare,
    .options = options,
    .ending =
        "\nEach document is a run, or as many as --repeat made. \"~\": no change that "
        "chance\n"
        "would not account for (exact Mann-Whitney test, p < 0.05), or a smaller one than\n"
        "--min-effect. Each line is judged alone, and needs four runs of each side. The\n"
        "exit status is of all of them together (Holm's method: where nothing has changed\n"
        "it is 99 in less than 5 % of comparisons), and needs five.\n"
        "\n"
        "Exit status: 0 nothing got worse for sure; 1 wrong usage, or no document; 99\n"
        "something did.\n",
    .excess = "too many documents",
};

static int compare_main(const struct mode *mode, int argc, char **argv)
{
    (void)mode;
    struct config config = {.min_effect = COMPARE_MIN_EFFECT};
    const char *paths[2 * FILES_MAX];
    int border = 1, a_count, b_count = 0;
    while (border < argc && strcmp(argv[border], "--") != 0)
        border++;
    int status = mode_line_read(&line, &config, border, argv, paths, FILES_MAX, &a_count);
    if (status < 0 && border < argc)
        status = mode_line_read(&line, &config, argc - border, argv + border,
                                paths + a_count, FILES_MAX, &b_count);
    if (status >= 0)
        return status;
    if (a_count + b_count == 0)
        return cli_fail("compare: no documents; give A.json B.json, or A... -- B...");
    /* Two without a border: one of each. */
    if (border == argc && a_count == 2)
        a_count = b_count = 1;
    struct side a = {NULL, 0, NULL}, b = {NULL, 0, NULL};
    status = read_sides(paths, a_count + b_count, a_count, &a, &b);
    if (status == 0)
        status = judge(&config, &a, &b);
    free_side(&a);
    free_side(&b);
    return status;
}

const struct mode mode_compare = {.name = "compare",
                                  .usage = "[options] A.json... -- B.json...",
                                  .help =
                                      "Say what changed from A to B, and whether chance "
                                      "would do.",
                                  .main = compare_main};
