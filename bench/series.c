/* series.c - see series.h. */
#include "bench/series.h"

#include "bench/row.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- bins -------------------------------------------------------------------------- */

#define BINS_PER_DECADE 5
#define LAST_BIN        (RESULT_HEAT_BINS - 1)

/* 1 us * 10^(b/5) in units of 10^-8 ns, for the ends of the first five bins. */
static const int64_t first_ends[BINS_PER_DECADE] = {
    158489319246, 251188643151, 398107170553, 630957344480, 1000000000000};

int64_t series_bin_top(unsigned bin)
{
    int64_t scale = 100000000, factor = 1;
    for (unsigned decade = bin / BINS_PER_DECADE; decade > 0; decade--)
        if (scale > 1)
            scale /= 10;
        else
            factor *= 10;
    int64_t end = first_ends[bin % BINS_PER_DECADE] * factor;
    /* The largest whole number below the end. */
    return (end + scale - 1) / scale - 1;
}

unsigned series_bin(int64_t ns)
{
    unsigned bin = 0;
    while (bin < LAST_BIN && ns > series_bin_top(bin))
        bin++;
    return bin;
}

/* Sort the slots into bins: both go upwards. */
static void fill_heat(const struct hdr *hdr, uint32_t heat[RESULT_HEAT_BINS])
{
    unsigned bin = 0;
    int64_t top = series_bin_top(0);
    memset(heat, 0, RESULT_HEAT_BINS * sizeof heat[0]);
    for (unsigned slot = 0; slot < HDR_SLOTS; slot++) {
        uint64_t count = hdr->slots[slot];
        if (count == 0)
            continue;
        int64_t middle = hdr_slot_low(slot) + hdr_slot_width(slot) / 2;
        while (bin < LAST_BIN && middle > top)
            top = series_bin_top(++bin);
        uint64_t sum = heat[bin] + count;
        heat[bin] = sum < UINT32_MAX ? (uint32_t)sum : UINT32_MAX;
    }
}

/* ---- joining ----------------------------------------------------------------------- */

/* The newest second becomes a part of the row in the making. */
static void fold(struct series *series)
{
    if (!series->fresh)
        return;
    series->fresh = false;
    if (series->seconds_pending > 0) {
        row_join(&series->rows[series->count - 2], &series->rows[series->count - 1]);
        series->count--;
    }
    if (++series->seconds_pending == series->seconds_per_row)
        series->seconds_pending = 0;
}

void series_join(struct series *series)
{
    fold(series);
    unsigned of_last =
        series->seconds_pending ? series->seconds_pending : series->seconds_per_row;
    size_t pairs = series->count / 2;
    bool odd = series->count % 2;
    for (size_t i = 0; i < pairs; i++) {
        if (i > 0)
            series->rows[i] = series->rows[2 * i];
        row_join(&series->rows[i], &series->rows[2 * i + 1]);
    }
    if (odd)
        series->rows[pairs] = series->rows[series->count - 1];
    if (series->count > 0)
        series->seconds_pending = (odd ? 0 : series->seconds_per_row) + of_last;
    series->count = pairs + odd;
    series->seconds_per_row *= 2;
    if (series->seconds_pending == series->seconds_per_row)
        series->seconds_pending = 0;
}

/* ---- the series -------------------------------------------------------------------- */

int series_init(struct series *series)
{
    *series = (struct series){.seconds_per_row = 1};
    series->rows = calloc(SERIES_ROWS_MAX, sizeof *series->rows);
    series->before = malloc(sizeof *series->before);
    if (!series->rows || !series->before) {
        series_fini(series);
        return -ENOMEM;
    }
    hdr_init(series->before);
    return 0;
}

void series_fini(struct series *series)
{
    free(series->rows);
    free(series->before);
    series->rows = NULL;
    series->before = NULL;
    series->count = 0;
}

/* What came to the histogram since the last sample. */
static void set_latency(struct result_row *row, struct hdr *before, const struct hdr *now)
{
    hdr_subtract(before, now, before);
    bool some = before->count > 0;
    row->p50_ns = some ? hdr_percentile(before, 50 * HDR_PERCENT) : RESULT_UNKNOWN;
    row->p99_ns = some ? hdr_percentile(before, 99 * HDR_PERCENT) : RESULT_UNKNOWN;
    row->max_ns = some ? before->max : RESULT_UNKNOWN;
    fill_heat(before, row->heat);
    hdr_copy(before, now);
}

struct result_row *series_add(struct series *series, const struct series_sample *sample)
{
    fold(series);
    if (series->count == SERIES_ROWS_MAX)
        series_join(series);
    struct result_row *row = &series->rows[series->count++];
    *row = (struct result_row){
        .t_ns = sample->t_ns,
        .span_ns = sample->t_ns - series->last_ns,
        .planned = sample->planned - series->planned,
        .sent = sample->sent - series->sent,
        .ok = sample->ok - series->ok,
        .err = sample->err - series->err,
        .in_flight = sample->in_flight,
        .backlog = sample->backlog,
        .server_cpu_ns = RESULT_UNKNOWN,
        .server_rss = RESULT_UNKNOWN,
    };
    set_latency(row, series->before, sample->hdr);
    series->planned = sample->planned;
    series->sent = sample->sent;
    series->ok = sample->ok;
    series->err = sample->err;
    series->last_ns = sample->t_ns;
    series->fresh = true;
    return row;
}
