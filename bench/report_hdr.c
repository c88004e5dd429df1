/* The two text formats of HdrHistogram's tools: the interval log, version 1.2, and the
 * table of percentiles that its plotter reads ("CLASSIC"). Values are in ms there, as those
 * tools expect of a log whose histograms are in ns. */
#include "bench/report.h"

#include "bench/hdr_codec.h"
#include "bench/latency.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>

#define NS_PER_MS 1e6

/* Rows of the table for each halving of what is left to 100 %. */
#define TICKS 5

/* ---- the log ------------------------------------------------------------------------- */

/* Seconds since the epoch when the run began; 0 if it is not known. */
static time_t began_at(const struct result *result)
{
    struct tm utc = {0};
    const char *text = result->environment.time_utc;
    if (!text || !strptime(text, "%Y-%m-%dT%H:%M:%SZ", &utc))
        return 0;
    time_t seconds = timegm(&utc);
    return seconds > 0 ? seconds : 0;
}

static void write_log_head(const struct result *result, FILE *to)
{
    time_t began = began_at(result);
    struct tm utc;
    char date[64] = "";
    if (gmtime_r(&began, &utc))
        (void)!strftime(date, sizeof date, "%a %b %d %H:%M:%S UTC %Y", &utc);
    fputs("#[Histogram log format version 1.2]\n", to);
    fprintf(to, "#[StartTime: %" PRId64 ".000 (seconds since epoch), %s]\n", (int64_t)began,
            date);
    fputs("\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\","
          "\"Interval_Compressed_Histogram\"\n",
          to);
}

int report_hlog(const struct result *result, FILE *to)
{
    int64_t elapsed = result->totals.elapsed_ns;
    write_log_head(result, to);
    for (int kind = 0; kind < RESULT_KINDS; kind++) {
        const struct hdr *hdr = result->latency[kind].hdr;
        char *text;
        if (!hdr || hdr->count == 0)
            continue;
        int err = hdr_encode(hdr, &text);
        if (err)
            return err;
        fprintf(to, "Tag=%s,0.000,%.3f,%.3f,%s\n", latency_name((enum result_kind)kind),
                elapsed > 0 ? (double)elapsed / 1e9 : 0, (double)hdr->max / NS_PER_MS,
                text);
        free(text);
    }
    return ferror(to) ? -EIO : 0;
}

/* ---- the table ----------------------------------------------------------------------- */

static void write_row(const struct hdr *hdr, unsigned slot, double percent, uint64_t seen,
                      FILE *to)
{
    int64_t value = hdr_slot_low(slot) + hdr_slot_width(slot) - 1;
    if (value > hdr->max || slot == HDR_SLOTS - 1)
        value = hdr->max;
    fprintf(to, "%12.3f %12f %12" PRIu64 " %12.2f\n", (double)value / NS_PER_MS,
            percent / 100, seen, 1 / (1 - percent / 100));
}

/* One row for each percentile of the ladder, in the slot where it is reached; a slot that
 * reaches several has as many. */
static void write_rows(const struct hdr *hdr, FILE *to)
{
    double percent = 0;
    uint64_t seen = 0;
    unsigned last = 0;
    for (unsigned slot = 0; slot < HDR_SLOTS && seen < hdr->count; slot++) {
        if (hdr->slots[slot] == 0)
            continue;
        last = slot;
        seen += hdr->slots[slot];
        double reached = 100.0 * (double)seen / (double)hdr->count;
        /* The ladder never comes to an end below 100; the last rung is written below. */
        while (percent <= reached && percent < 100) {
            write_row(hdr, slot, percent, seen, to);
            double half = exp2(floor(log2(100 / (100 - percent))) + 1);
            percent += 100 / (TICKS * half);
            if (seen == hdr->count)
                break;
        }
    }
    write_row(hdr, last, 100, hdr->count, to);
}

int report_hgrm(const struct result *result, FILE *to)
{
    const struct hdr *hdr = result_main_latency(result)->hdr;
    fprintf(to, "%12s %12s %12s %12s\n\n", "Value", "Percentile", "TotalCount",
            "1/(1-Percentile)");
    if (hdr && hdr->count) {
        write_rows(hdr, to);
        fprintf(to, "#[Mean    = %12.3f, StdDeviation   = %12.3f]\n",
                (double)hdr->sum / (double)hdr->count / NS_PER_MS,
                hdr_stdev(hdr) / NS_PER_MS);
        fprintf(to, "#[Max     = %12.3f, Total count    = %12" PRIu64 "]\n",
                (double)hdr->max / NS_PER_MS, hdr->count);
        fprintf(to, "#[Buckets = %12d, SubBuckets     = %12d]\n", HDR_BUCKETS,
                2 << HDR_SHIFT);
    }
    return ferror(to) ? -EIO : 0;
}
