#include "bench/latency.h"

#include <math.h>
#include <string.h>

static const char *const names[RESULT_KINDS] = {
    [RESULT_RESPONSE] = "response", [RESULT_SERVICE] = "service", [RESULT_TTFB] = "ttfb",
    [RESULT_CONNECT] = "connect",   [RESULT_REFUSED] = "error",   [RESULT_LAG] = "lag",
    [RESULT_PROBE] = "probe",
};

const char *latency_name(enum result_kind kind)
{
    return names[kind];
}

enum result_kind latency_kind(const char *name)
{
    int kind = 0;
    while (kind < RESULT_KINDS && strcmp(name, names[kind]) != 0)
        kind++;
    return (enum result_kind)kind;
}

double latency_deviation(const struct hdr *hdr)
{
    if (hdr->count == 0)
        return 0;
    double mean = (double)hdr->sum / (double)hdr->count, squares = 0;
    for (unsigned slot = 0; slot < HDR_SLOTS; slot++) {
        double middle = (double)hdr_slot_low(slot) + (double)hdr_slot_width(slot) / 2;
        squares += (middle - mean) * (middle - mean) * (double)hdr->slots[slot];
    }
    return sqrt(squares / (double)hdr->count);
}
