#include "bench/tally.h"

#include <string.h>

void tally_init(struct tally *tally)
{
    memset(tally, 0, sizeof *tally);
    hdr_init(&tally->response);
    hdr_init(&tally->service);
    hdr_init(&tally->ttfb);
    hdr_init(&tally->refused);
    hdr_init(&tally->connect);
    hdr_init(&tally->lag);
    tally->censored_ns = tally->unsent_ns = INT64_MAX;
}

/* ---- names ----------------------------------------------------------------------- */

const char *tally_reason_name(int reason)
{
    switch (reason) {
    case 0:
        return "closed";
    case TALLY_NOT_HTTP:
        return "not HTTP";
    case TALLY_UNASKED:
        return "bytes nobody asked for";
    case TALLY_STATUS:
        return "wrong status";
    case TALLY_LENGTH:
        return "wrong length";
    case TALLY_BODY:
        return "wrong body";
    case TALLY_HASH:
        return "wrong hash";
    case TALLY_ECHO:
        return "other bytes than were sent";
    default: {
        const char *name = strerrorname_np(reason);
        return name ? name : "unknown";
    }
    }
}

const char *tally_phase_name(enum tally_phase phase)
{
    static const char *const names[] = {
        [TALLY_CONNECT] = "connect",   [TALLY_WRITE] = "write",
        [TALLY_READ] = "read",         [TALLY_PARSE] = "parse",
        [TALLY_VALIDATE] = "validate", [TALLY_TIMEOUT] = "timeout"};
    return names[phase];
}

const char *tally_when_name(enum tally_when when)
{
    static const char *const names[] = {
        [TALLY_OPENING] = "opening",   [TALLY_IDLE] = "idle",
        [TALLY_SENT] = "sent",         [TALLY_PARTIAL] = "partial",
        [TALLY_ANSWERED] = "answered", [TALLY_TAKEN] = "taken"};
    return names[when];
}

/* ---- what it means --------------------------------------------------------------- */

enum tally_loss tally_loss_of(const struct tally_error *error)
{
    switch (error->when) {
    case TALLY_IDLE:
        return TALLY_HARMLESS;
    case TALLY_SENT:
        /* Nothing came back before the connection ended: RFC 9110 9.2.2. */
        return error->phase == TALLY_READ || error->phase == TALLY_WRITE ? TALLY_RETRYABLE
                                                                         : TALLY_LOST;
    case TALLY_OPENING:
    case TALLY_PARTIAL:
    case TALLY_ANSWERED:
    case TALLY_TAKEN:
        break;
    }
    return TALLY_LOST;
}

/* ---- counting -------------------------------------------------------------------- */

static bool is_alike(const struct tally_error *a, const struct tally_error *b)
{
    return a->phase == b->phase && a->when == b->when && a->reason == b->reason;
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
        if (error->first_ns < known->first_ns) {
            known->first_ns = error->first_ns;
            memcpy(known->sample, error->sample, sizeof known->sample);
        }
    } else if (tally->error_count < TALLY_ERRORS_MAX) {
        tally->errors[tally->error_count++] = *error;
    } else {
        tally->errors_beyond += error->count;
    }
}

/* ---- adding up ------------------------------------------------------------------- */

static void merge_counters(struct tally *tally, const struct tally *from)
{
    tally->planned += tally_read(&from->planned);
    tally->sent += tally_read(&from->sent);
    tally->ok += tally_read(&from->ok);
    tally->wrong += tally_read(&from->wrong);
    tally->failed += tally_read(&from->failed);
    tally->dropped += tally_read(&from->dropped);
    tally->bytes_in += tally_read(&from->bytes_in);
    tally->bytes_out += tally_read(&from->bytes_out);
    tally->opened += tally_read(&from->opened);
    tally->reused += tally_read(&from->reused);
    tally->in_flight += tally_read(&from->in_flight);
    tally->backlog += tally_read(&from->backlog);
    tally->backlog_max += tally_read(&from->backlog_max);
    for (size_t i = 0; i < TALLY_STATUS_MAX; i++)
        tally->status[i] += tally_read(&from->status[i]);
}

static void merge_end(struct tally *tally, const struct tally *from)
{
    tally->censored += from->censored;
    if (from->censored_ns < tally->censored_ns)
        tally->censored_ns = from->censored_ns;
    tally->unsent += from->unsent;
    if (from->unsent_ns < tally->unsent_ns)
        tally->unsent_ns = from->unsent_ns;
    /* Who was killed has told no end: all that it has counted was before. */
    tally->ok_in_time += from->ended_ns ? from->ok_in_time : from->ok;
    tally->in_flight_ns += from->in_flight_ns;
    tally->unrecorded_ns += from->unrecorded_ns;
    if (from->setup_ns > tally->setup_ns)
        tally->setup_ns = from->setup_ns;
    if (from->ended_ns > tally->ended_ns)
        tally->ended_ns = from->ended_ns;
    if (from->began_ns && (tally->began_ns == 0 || from->began_ns < tally->began_ns))
        tally->began_ns = from->began_ns;
    if (from->stall_ns > tally->stall_ns)
        tally->stall_ns = from->stall_ns;
    if (from->busy > tally->busy) {
        tally->busy = from->busy;
        tally->waited = from->waited;
    }
}

void tally_merge_live(struct tally *tally, const struct tally *from)
{
    hdr_merge(&tally->response, &from->response);
    hdr_merge(&tally->service, &from->service);
    hdr_merge(&tally->ttfb, &from->ttfb);
    hdr_merge(&tally->refused, &from->refused);
    hdr_merge(&tally->connect, &from->connect);
    hdr_merge(&tally->lag, &from->lag);
    merge_counters(tally, from);
}

void tally_merge(struct tally *tally, const struct tally *from)
{
    tally_merge_live(tally, from);
    for (size_t i = 0; i < from->error_count; i++)
        tally_error(tally, &from->errors[i]);
    tally->errors_beyond += from->errors_beyond;
    gaps_merge(&tally->gaps, &from->gaps);
    merge_end(tally, from);
}
