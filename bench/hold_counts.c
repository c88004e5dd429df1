#include "bench/hold_counts.h"

#include "bench/error_kind.h"
#include <string.h>

void hold_counts_init(struct hold_counts *counts)
{
    memset(counts, 0, sizeof *counts);
    hdr_init(&counts->connect);
}

void hold_counts_add(struct hold_counts *counts, enum tally_phase phase,
                     enum tally_when when, int reason, int64_t now)
{
    const struct tally_error error = {
        .phase = phase, .when = when, .reason = reason, .count = 1, .first_ns = now};
    struct tally_error *known =
        error_kind_find(counts->errors, counts->error_count, &error);
    if (known) {
        tally_count(&known->count, 1);
        return;
    }
    if (counts->error_count == HOLD_ERRORS_MAX)
        return; /* failed and lost count it all the same */
    counts->errors[counts->error_count] = error;
    __atomic_store_n(&counts->error_count, counts->error_count + 1, __ATOMIC_RELEASE);
}

bool hold_counts_error(const struct hold_counts *counts, unsigned index,
                       struct tally_error *out)
{
    if (index >= __atomic_load_n(&counts->error_count, __ATOMIC_ACQUIRE))
        return false;
    const struct tally_error *error = &counts->errors[index];
    *out = (struct tally_error){.phase = error->phase,
                                .when = error->when,
                                .reason = error->reason,
                                .count = tally_read(&error->count),
                                .first_ns = error->first_ns};
    return true;
}
