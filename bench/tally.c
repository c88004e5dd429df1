#include "bench/tally.h"

#include <string.h>

void tally_init(struct tally *tally)
{
    memset(tally, 0, sizeof *tally);
    hdr_init(&tally->service);
    hdr_init(&tally->refused);
    hdr_init(&tally->connect);
}

void tally_answer(struct tally *tally, unsigned status, int64_t service_ns)
{
    tally->status[status < TALLY_STATUS_MAX ? status : 0]++;
    if (status < 400) {
        tally->ok++;
        hdr_record(&tally->service, service_ns, 1);
    } else {
        hdr_record(&tally->refused, service_ns, 1);
    }
}

static bool is_alike(const struct tally_error *a, const struct tally_error *b)
{
    return a->phase == b->phase && a->when == b->when && a->error == b->error;
}

static struct tally_error *find_error(struct tally *tally, const struct tally_error *like)
{
    for (size_t i = 0; i < tally->error_count; i++)
        if (is_alike(&tally->errors[i], like))
            return &tally->errors[i];
    return NULL;
}

void tally_error(struct tally *tally, const struct tally_error *error)
{
    struct tally_error *known = find_error(tally, error);
    if (known) {
        known->count += error->count;
        if (error->first_ns < known->first_ns)
            known->first_ns = error->first_ns;
    } else if (tally->error_count < TALLY_ERRORS_MAX) {
        tally->errors[tally->error_count++] = *error;
    } else {
        tally->errors_beyond += error->count;
    }
}

static void merge_times(struct tally *tally, const struct tally *from)
{
    if (from->oldest_ns > tally->oldest_ns)
        tally->oldest_ns = from->oldest_ns;
    if (from->setup_ns > tally->setup_ns)
        tally->setup_ns = from->setup_ns;
    if (from->ended_ns > tally->ended_ns)
        tally->ended_ns = from->ended_ns;
    if (tally->began_ns == 0 || from->began_ns < tally->began_ns)
        tally->began_ns = from->began_ns;
    if (from->stall_ns > tally->stall_ns)
        tally->stall_ns = from->stall_ns;
    if (from->busy > tally->busy)
        tally->busy = from->busy;
}

void tally_merge(struct tally *tally, const struct tally *from)
{
    hdr_merge(&tally->service, &from->service);
    hdr_merge(&tally->refused, &from->refused);
    hdr_merge(&tally->connect, &from->connect);
    tally->ok += from->ok;
    for (size_t i = 0; i < TALLY_STATUS_MAX; i++)
        tally->status[i] += from->status[i];
    tally->bytes_in += from->bytes_in;
    tally->bytes_out += from->bytes_out;
    for (size_t i = 0; i < from->error_count; i++)
        tally_error(tally, &from->errors[i]);
    tally->errors_beyond += from->errors_beyond;
    tally->unfinished += from->unfinished;
    tally->unsent += from->unsent;
    merge_times(tally, from);
}
