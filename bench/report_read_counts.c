/* Reading a document back: what was counted and how long it took. */
#include "bench/document_read.h"

#include "bench/hdr_codec.h"
#include "bench/latency.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Every errno and tally_reason is below. */
#define REASONS_MAX 2000

/* ---- latencies ----------------------------------------------------------------------- */

static bool is_number_from(const json_t *object, const char *key, int64_t least,
                           int64_t *out)
{
    return document_int(json_object_get(object, key), out) && *out >= least;
}

/* The last slot is that of all beyond HDR_HIGHEST. */
static bool shares_slot(int64_t value, int64_t slots_own)
{
    unsigned slot = hdr_slot(slots_own);
    return slot == HDR_SLOTS - 1 ? value > HDR_HIGHEST : hdr_slot(value) == slot;
}

/* What the slots tell must agree with what is said beside them. */
static int check_hdr(const struct document_reader *reader, const json_t *latency,
                     const char *name, struct hdr *hdr)
{
    int64_t count, clamped, min, max;
    if (!is_number_from(latency, "n", 0, &count) || (uint64_t)count != hdr->count)
        return document_refuse(reader, "latency.%s.n must be the count of its hdr_v2",
                               name);
    if (!is_number_from(latency, "clamped", 0, &clamped) ||
        (uint64_t)clamped != hdr->slots[HDR_SLOTS - 1])
        return document_refuse(
            reader, "latency.%s.clamped must be what its hdr_v2's last slot holds", name);
    if (!document_wide(json_object_get(latency, "sum_ns"), &hdr->sum))
        return document_refuse(reader, "latency.%s.sum_ns must be a whole number", name);
    hdr->clamped = (uint64_t)clamped;
    if (count == 0)
        return 0;
    if (!is_number_from(latency, "min_ns", 0, &min) || !shares_slot(min, hdr->min))
        return document_refuse(
            reader, "latency.%s.min_ns must be in the first slot of its hdr_v2", name);
    if (!is_number_from(latency, "max_ns", min, &max) || !shares_slot(max, hdr->max))
        return document_refuse(
            reader, "latency.%s.max_ns must be in the last slot of its hdr_v2", name);
    hdr->min = min;
    hdr->max = max;
    return 0;
}

static int read_latency(const struct document_reader *reader, const json_t *value,
                        const char *name, struct result_latency *latency)
{
    char why[128];
    const char *text = json_string_value(json_object_get(value, "hdr_v2"));
    if (!text)
        return document_refuse(reader, "latency.%s.hdr_v2 must be a string", name);
    latency->hdr = malloc(sizeof *latency->hdr);
    if (!latency->hdr)
        return -ENOMEM;
    int err = hdr_decode(text, latency->hdr, why, sizeof why);
    if (err == -EINVAL)
        return document_refuse(reader, "latency.%s.hdr_v2: %s", name, why);
    if (!err)
        err = check_hdr(reader, value, name, latency->hdr);
    const json_t *bound = json_object_get(value, "censored_at");
    if (!err && bound && !document_int(bound, &latency->censored_at_ns))
        return document_refuse(reader, "latency.%s.censored_at must be a whole number",
                               name);
    return err;
}

int document_read_latencies(const struct document_reader *reader, const json_t *root,
                            struct result *result)
{
    const json_t *latencies = json_object_get(root, "latency");
    for (int kind = 0; kind < RESULT_KINDS; kind++) {
        const char *name = latency_name((enum result_kind)kind);
        const json_t *value = json_object_get(latencies, name);
        if (!value || json_is_null(value))
            continue;
        int err = read_latency(reader, value, name, &result->latency[kind]);
        if (err)
            return err;
    }
    return 0;
}

/* ---- what came ----------------------------------------------------------------------- */

int document_read_status(const struct document_reader *reader, const json_t *root,
                         struct result *result)
{
    const char *key;
    json_t *value, *object = json_object_get(root, "status");
    json_object_foreach(object, key, value)
    {
        char *end;
        int64_t count;
        unsigned long status = strtoul(key, &end, 10);
        if (key[0] < '0' || key[0] > '9' || *end || status >= TALLY_STATUS_MAX)
            return document_refuse(reader, "status: names must be from 0 to %d",
                                   TALLY_STATUS_MAX - 1);
        if (!document_int(value, &count) || count < 0)
            return document_refuse(reader, "status.%lu must be a whole number", status);
        result->status[status] = (uint64_t)count;
    }
    return 0;
}

/* The number that has this name here: those of errnos differ between systems. */
static int reason_of(const char *name, int code)
{
    if (code >= 0 && code < REASONS_MAX && strcmp(tally_reason_name(code), name) == 0)
        return code;
    for (int reason = 0; reason < REASONS_MAX; reason++)
        if (strcmp(tally_reason_name(reason), name) == 0)
            return reason;
    return -1;
}

static int read_error(const struct document_reader *reader, const json_t *entry,
                      const char *place, void *at)
{
    struct tally_error *error = at;
    static const enum tally_phase phases[] = {TALLY_CONNECT, TALLY_WRITE,    TALLY_READ,
                                              TALLY_PARSE,   TALLY_VALIDATE, TALLY_TIMEOUT};
    static const enum tally_when whens[] = {TALLY_OPENING, TALLY_IDLE,     TALLY_SENT,
                                            TALLY_PARTIAL, TALLY_ANSWERED, TALLY_TAKEN};
    const char *phase = json_string_value(json_object_get(entry, "phase"));
    const char *when = json_string_value(json_object_get(entry, "when"));
    const char *reason = json_string_value(json_object_get(entry, "reason"));
    int64_t code = -1;
    (void)document_signed(json_object_get(entry, "code"), &code);
    if (code >= REASONS_MAX)
        code = -1;
    size_t p = 0, w = 0;
    while (phase && p < sizeof phases / sizeof phases[0] &&
           strcmp(tally_phase_name(phases[p]), phase) != 0)
        p++;
    while (when && w < sizeof whens / sizeof whens[0] &&
           strcmp(tally_when_name(whens[w]), when) != 0)
        w++;
    if (!phase || p == sizeof phases / sizeof phases[0])
        return document_refuse(reader, "%s.phase is none that is known", place);
    if (!when || w == sizeof whens / sizeof whens[0])
        return document_refuse(reader, "%s.when is none that is known", place);
    error->phase = phases[p];
    error->when = whens[w];
    error->reason = reason ? reason_of(reason, (int)code) : -1;
    return error->reason < 0
               ? document_refuse(reader, "%s.reason is none that is known", place)
               : 0;
}

static const struct document_field error_fields[] = {
    {"n", DOCUMENT_COUNT, offsetof(struct tally_error, count), 0},
    {"first_ns", DOCUMENT_SIGNED, offsetof(struct tally_error, first_ns), 0},
    {"sample", DOCUMENT_CHARS, offsetof(struct tally_error, sample), TALLY_SAMPLE_MAX},
    {NULL, DOCUMENT_INT, 0, 0}};

int document_read_errors(const struct document_reader *reader, const json_t *root,
                         struct result *result)
{
    static const struct document_array form = {
        "errors", TALLY_ERRORS_MAX, sizeof(struct tally_error), error_fields, read_error};
    int64_t beyond = 0;
    const json_t *value = json_object_get(root, "errors_beyond");
    if (value && (!document_int(value, &beyond) || beyond < 0))
        return document_refuse(reader, "errors_beyond must be a whole number");
    result->errors_beyond = (uint64_t)beyond;
    return document_read_array_into(reader, root, &form, result->errors,
                                    &result->error_count);
}

static int read_heat(const struct document_reader *reader, const json_t *entry,
                     const char *place, void *at)
{
    struct result_row *row = at;
    const json_t *pairs;
    size_t count;
    int err = document_array(reader, entry, "heat", RESULT_HEAT_BINS, &pairs, &count);
    for (size_t i = 0; !err && i < count; i++) {
        const json_t *pair = json_array_get(pairs, i);
        int64_t bin, values;
        if (json_array_size(pair) != 2 || !document_int(json_array_get(pair, 0), &bin) ||
            !document_int(json_array_get(pair, 1), &values) || bin < 0 ||
            bin >= RESULT_HEAT_BINS || values < 0 || values > UINT32_MAX)
            return document_refuse(reader, "%s.heat must hold pairs of a bin and a count",
                                   place);
        row->heat[bin] = (uint32_t)values;
    }
    return err;
}

int document_read_series(const struct document_reader *reader, const json_t *root,
                         struct result *result)
{
    static const struct document_array rows = {
        "series", DOCUMENT_ROWS_MAX, sizeof(struct result_row), document_row, read_heat};
    static const struct document_array marks = {
        "marks", RESULT_MARKS_MAX, sizeof(struct result_mark), document_mark, NULL};
    void *memory = NULL;
    int err = document_read_array(reader, root, &rows, &memory, &result->row_count);
    result->rows = memory;
    if (err)
        return err;
    int64_t before = 0;
    for (size_t i = 0; i < result->row_count; i++) {
        const struct result_row *row = &result->rows[i];
        if (row->span_ns <= 0 || row->span_ns > row->t_ns || row->t_ns <= before)
            return document_refuse(reader,
                                   "series[%zu]: its time must follow the one before", i);
        before = row->t_ns;
    }
    return document_read_array_into(reader, root, &marks, result->marks,
                                    &result->mark_count);
}
