#include "bench/latency.h"

static const char *const names[RESULT_KINDS] = {
    [RESULT_RESPONSE] = "response", [RESULT_SERVICE] = "service", [RESULT_TTFB] = "ttfb",
    [RESULT_CONNECT] = "connect",   [RESULT_REFUSED] = "error",   [RESULT_LAG] = "lag",
};

const char *latency_name(enum result_kind kind)
{
    return names[kind];
}
