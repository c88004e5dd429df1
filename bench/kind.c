#include "bench/kind.h"

#include <string.h>

static const char *const names[RESULT_KINDS] = {
    [RESULT_RESPONSE] = "response", [RESULT_SERVICE] = "service", [RESULT_TTFB] = "ttfb",
    [RESULT_CONNECT] = "connect",   [RESULT_REFUSED] = "error",   [RESULT_LAG] = "lag",
    [RESULT_PROBE] = "probe",
};

const char *kind_name(enum result_kind kind)
{
    return names[kind];
}

enum result_kind kind_of(const char *name)
{
    int kind = 0;
    while (kind < RESULT_KINDS && strcmp(name, names[kind]) != 0)
        kind++;
    return (enum result_kind)kind;
}

enum result_kind kind_at(const struct result *result, const struct result_latency *latency)
{
    return (enum result_kind)(latency - result->latency);
}
