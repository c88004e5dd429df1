/* table.c - see table.h. */
#include "server/ctl/table.h"

#include "server/ctl/find.h"

#include <prefork/base.h>

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum column {
    WORKER,
    PID,
    STATE,
    CPU,
    UP,
    STARTS,
    CONNS,
    ACCEPTED,
    REQUESTS,
    MB_OUT,
    COLUMNS,
};

struct row {
    char cells[COLUMNS][32];
    char note[128];
};

static const struct row heading = {{"WORKER", "PID", "STATE", "CPU", "UP", "STARTS",
                                    "CONNS", "ACCEPTED", "REQUESTS", "MB OUT"},
                                   "NOTE"};

/* ---- what the answer holds ------------------------------------------------------- */

static const char *text_of(const json_t *object, const char *key, const char *otherwise)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : otherwise;
}

/* A number's value; `otherwise` if there is none. */
static json_int_t number_of(const json_t *object, const char *key, json_int_t otherwise)
{
    const json_t *value = json_object_get(object, key);
    return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

static double seconds_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : -1;
}

/* ---- how it is shown ------------------------------------------------------------- */

/* "12.3s", "3m12s", "2h05m", "3d04h"; "-" for none. */
static const char *show_time(double s, char text[32])
{
    int64_t whole = (int64_t)s;
    if (s < 0)
        snprintf(text, 32, "-");
    else if (s < 60)
        snprintf(text, 32, "%.1fs", s);
    else if (s < 3600)
        snprintf(text, 32, "%" PRId64 "m%02ds", whole / 60, (int)(whole % 60));
    else if (s < 86400)
        snprintf(text, 32, "%" PRId64 "h%02dm", whole / 3600, (int)(whole / 60 % 60));
    else
        snprintf(text, 32, "%" PRId64 "d%02dh", whole / 86400, (int)(whole / 3600 % 24));
    return text;
}

static void show_number(char cell[32], json_int_t value)
{
    if (value < 0)
        snprintf(cell, 32, "-");
    else
        snprintf(cell, 32, "%" JSON_INTEGER_FORMAT, value);
}

static PF_PRINTF(2, 3) void add_note(struct row *row, const char *format, ...)
{
    size_t len = strlen(row->note);
    if (len)
        len += (size_t)snprintf(row->note + len, sizeof row->note - len, ", ");
    va_list args;
    va_start(args, format);
    if (len < sizeof row->note)
        vsnprintf(row->note + len, sizeof row->note - len, format, args);
    va_end(args);
}

/* ---- rows ------------------------------------------------------------------------ */

struct table {
    struct row *rows;
    size_t count;
    json_int_t threads; /* lanes of a worker */
};

static struct row *add_row(struct table *table)
{
    struct row *row = &table->rows[table->count++];
    for (int i = 0; i < COLUMNS; i++)
        row->cells[i][0] = 0;
    row->note[0] = 0;
    return row;
}

static void note_lane(const struct table *table, struct row *row, const json_t *lane)
{
    char time[32];
    json_int_t age = number_of(lane, "beat_age_ms", -1);
    json_int_t adopter = number_of(lane, "adopted_by", -1);
    if (json_is_true(json_object_get(lane, "stuck")))
        add_note(row, "stuck %s", age < 0 ? "" : show_time((double)age / 1e3, time));
    if (adopter < 0)
        return;
    if (table->threads > 1)
        add_note(row, "adopted by %" JSON_INTEGER_FORMAT ".%" JSON_INTEGER_FORMAT,
                 adopter / table->threads, adopter % table->threads);
    else
        add_note(row, "adopted by %" JSON_INTEGER_FORMAT, adopter);
}

static void fill_counts(struct row *row, json_int_t connections, json_int_t accepted,
                        json_int_t requests, json_int_t bytes)
{
    show_number(row->cells[CONNS], connections);
    show_number(row->cells[ACCEPTED], accepted);
    show_number(row->cells[REQUESTS], requests);
    snprintf(row->cells[MB_OUT], sizeof row->cells[MB_OUT], "%.1f", (double)bytes / 1e6);
}

static void add_lane(struct table *table, json_int_t worker, const json_t *lane)
{
    struct row *row = add_row(table);
    snprintf(row->cells[WORKER], sizeof row->cells[WORKER],
             "%" JSON_INTEGER_FORMAT ".%" JSON_INTEGER_FORMAT, worker,
             number_of(lane, "thread", 0));
    snprintf(row->cells[STATE], sizeof row->cells[STATE], "%s",
             text_of(lane, "state", "-"));
    show_number(row->cells[CPU], number_of(lane, "cpu", -1));
    fill_counts(row, number_of(lane, "connections", 0), number_of(lane, "accepted", 0),
                number_of(lane, "requests", 0), number_of(lane, "bytes_out", 0));
    note_lane(table, row, lane);
}

static void note_worker(struct row *row, const json_t *worker)
{
    char time[32];
    const char *last = text_of(worker, "last_end", NULL);
    double next = seconds_of(worker, "next_start_s");
    if (next >= 0)
        add_note(row, "next start in %s", show_time(next, time));
    if (last)
        add_note(row, "last end %s", last);
}

static void add_worker(struct table *table, const json_t *worker)
{
    struct row *row = add_row(table);
    const json_t *lanes = json_object_get(worker, "lanes");
    json_int_t slot = number_of(worker, "worker", 0), counts[4] = {0};
    const json_t *lane;
    size_t i;
    json_array_foreach(lanes, i, lane)
    {
        counts[0] += number_of(lane, "connections", 0);
        counts[1] += number_of(lane, "accepted", 0);
        counts[2] += number_of(lane, "requests", 0);
        counts[3] += number_of(lane, "bytes_out", 0);
    }
    show_number(row->cells[WORKER], slot);
    show_number(row->cells[PID], number_of(worker, "pid", -1));
    snprintf(row->cells[STATE], sizeof row->cells[STATE], "%s",
             text_of(worker, "state", "-"));
    (void)show_time(seconds_of(worker, "uptime_s"), row->cells[UP]);
    show_number(row->cells[STARTS], number_of(worker, "starts", 0));
    fill_counts(row, counts[0], counts[1], counts[2], counts[3]);
    if (json_array_size(lanes) == 1) {
        show_number(row->cells[CPU], number_of(json_array_get(lanes, 0), "cpu", -1));
        note_lane(table, row, json_array_get(lanes, 0));
    }
    note_worker(row, worker);
    if (json_array_size(lanes) > 1)
        json_array_foreach(lanes, i, lane) add_lane(table, slot, lane);
}

static void print_rows(FILE *to, const struct table *table)
{
    int widths[COLUMNS] = {0};
    for (size_t r = 0; r < table->count; r++)
        for (int i = 0; i < COLUMNS; i++)
            if ((int)strlen(table->rows[r].cells[i]) > widths[i])
                widths[i] = (int)strlen(table->rows[r].cells[i]);
    for (size_t r = 0; r < table->count; r++) {
        const struct row *row = &table->rows[r];
        for (int i = 0; i < COLUMNS; i++) {
            bool left = i == WORKER || i == STATE;
            fprintf(to, "%s%*s", i ? "  " : "", left ? -widths[i] : widths[i],
                    row->cells[i]);
        }
        fprintf(to, "%s%s\n", row->note[0] ? "  " : "", row->note);
    }
}

static int print_workers(FILE *to, const json_t *answer)
{
    const json_t *workers = json_object_get(answer, "workers"), *worker;
    size_t i, rows = 1;
    json_array_foreach(workers, i, worker) rows +=
        1 + json_array_size(json_object_get(worker, "lanes"));
    struct table table = {.rows = calloc(rows, sizeof *table.rows),
                          .threads = number_of(answer, "threads", 1)};
    if (!table.rows)
        return -ENOMEM;
    *add_row(&table) = heading;
    json_array_foreach(workers, i, worker) add_worker(&table, worker);
    print_rows(to, &table);
    free(table.rows);
    return 0;
}

/* ---- what stands above them ------------------------------------------------------ */

static void print_addresses(FILE *to, const json_t *answer)
{
    const json_t *address;
    size_t i;
    json_array_foreach(json_object_get(answer, "addresses"), i, address)
    {
        json_int_t queue = number_of(address, "queue", -1);
        json_int_t limit = number_of(address, "queue_limit", -1);
        fprintf(to, "%-12s%s %s", i ? "" : "listens", text_of(address, "kind", "?"),
                text_of(address, "address", "?"));
        if (queue >= 0)
            fprintf(to, ", %" JSON_INTEGER_FORMAT " waiting", queue);
        if (limit >= 0)
            fprintf(to, ", at most %" JSON_INTEGER_FORMAT, limit);
        fputc('\n', to);
    }
}

/* "3 crashes, 1 restart", and nothing of what has not happened. */
static void print_supervision(FILE *to, const json_t *answer)
{
    static const char *const words[][3] = {
        {"restarts", "restart", "restarts"},    {"crashes", "crash", "crashes"},
        {"adoptions", "adoption", "adoptions"}, {"stuck", "stuck lane", "stuck lanes"},
        {"undead", "undead", "undead"},
    };
    const json_t *counts = json_object_get(answer, "supervision");
    const char *before = "since start ";
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        json_int_t n = number_of(counts, words[i][0], 0);
        if (n <= 0)
            continue;
        fprintf(to, "%s%" JSON_INTEGER_FORMAT " %s", before, n, words[i][n == 1 ? 1 : 2]);
        before = ", ";
    }
    if (before[0] == ',')
        fputc('\n', to);
}

static void print_head(FILE *to, const json_t *answer)
{
    char up[32];
    const json_t *totals = json_object_get(answer, "totals");
    json_int_t refused = number_of(totals, "refused", 0);
    fprintf(to, "prefork %s  %s  pid %" JSON_INTEGER_FORMAT "  up %s\n",
            text_of(answer, "version", "?"), text_of(answer, "state", "?"),
            number_of(answer, "pid", 0), show_time(seconds_of(answer, "uptime_s"), up));
    print_addresses(to, answer);
    json_int_t threads = number_of(answer, "threads", 1);
    fprintf(to,
            "workers     %" JSON_INTEGER_FORMAT ", %" JSON_INTEGER_FORMAT
            " thread%s each; accept %s, steer %s, pin %s\n",
            number_of(answer, "workers_wanted", 0), threads, threads == 1 ? "" : "s",
            text_of(answer, "accept", "?"), text_of(answer, "steer", "?"),
            text_of(answer, "pin", "?"));
    fprintf(to,
            "totals      %" JSON_INTEGER_FORMAT " open, %" JSON_INTEGER_FORMAT
            " accepted, %" JSON_INTEGER_FORMAT " requests, %.1f MB out",
            number_of(totals, "connections", 0), number_of(totals, "accepted", 0),
            number_of(totals, "requests", 0),
            (double)number_of(totals, "bytes_out", 0) / 1e6);
    if (refused > 0)
        fprintf(to, ", %" JSON_INTEGER_FORMAT " refused", refused);
    fputc('\n', to);
    print_supervision(to, answer);
    fputc('\n', to);
}

/* ---- answers --------------------------------------------------------------------- */

static int complain(char *error, const char *what, const char *why)
{
    snprintf(error, CTL_ERROR_MAX, "%s%s", what, why);
    for (char *at = error; *at; at++) /* one line, and nothing that a terminal obeys */
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = '?';
    return PF_EXIT_SOFTWARE;
}

/* The answer as an object that says "ok", with this member of this type. */
static int read_answer(const char *answer, const char *member, json_type type, json_t **out,
                       char *error)
{
    json_error_t why;
    json_t *root = json_loads(answer, JSON_REJECT_DUPLICATES, &why);
    if (!root)
        return complain(error, "the answer is not understood: ", why.text);
    int status = PF_EXIT_OK;
    const json_t *value = json_object_get(root, member);
    if (json_is_false(json_object_get(root, "ok")))
        status =
            complain(error, "the server refuses: ", text_of(root, "error", "no reason"));
    else if (!json_is_true(json_object_get(root, "ok")) || !value ||
             json_typeof(value) != type)
        status = complain(error, "the answer is not understood: it has no ", member);
    if (status == PF_EXIT_OK)
        *out = root;
    else
        json_decref(root);
    return status;
}

int print_ping(FILE *to, const char *answer, char *error)
{
    json_t *root;
    int status = read_answer(answer, "pid", JSON_INTEGER, &root, error);
    if (status != PF_EXIT_OK)
        return status;
    fprintf(to, "prefork %s answers, pid %" JSON_INTEGER_FORMAT "\n",
            text_of(root, "version", "?"), number_of(root, "pid", 0));
    json_decref(root);
    return PF_EXIT_OK;
}

int print_status(FILE *to, const char *answer, char *error)
{
    json_t *root;
    int status = read_answer(answer, "workers", JSON_ARRAY, &root, error);
    if (status != PF_EXIT_OK)
        return status;
    print_head(to, root);
    if (print_workers(to, root) != 0)
        status = complain(error, "out of memory", "");
    json_decref(root);
    return status;
}
