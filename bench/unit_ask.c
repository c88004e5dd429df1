/*
 * unit_ask.c - the bytes of the requests: as few sends as there are batches.
 *
 * The same request over and over is written once, as often as a batch may hold it, and any
 * number of them is sent from there. A mix is written into a buffer of the unit's, batch by
 * batch.
 */
#include "bench/unit_internal.h"

#include "bench/dice.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A batch that would be larger is sent request by request. */
#define BATCH_MAX ((size_t)1 << 20)
/* What is written at least before it is sent, if a batch is so large. */
#define OUT_SIZE ((size_t)1 << 16)

/* Of a batch so many bytes are sent at once, or one request: what the kernel does not take
 * is kept, for each connection. */
#define AT_ONCE_MAX ((size_t)1 << 18)

const struct request *unit_ask_pick(struct unit *unit)
{
    return unit->only ? unit->only
                      : requests_pick(unit->plan->requests_set, dice_roll(&unit->dice));
}

static int make_batch(struct unit *unit)
{
    size_t len = unit->only->len, count = unit->plan->pipeline;
    if (count == 1 || len > BATCH_MAX / count)
        return 0;
    unit->batch = malloc(len * count);
    if (!unit->batch)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        memcpy(unit->batch + i * len, unit->only->bytes, len);
    return 0;
}

static int make_buffer(struct unit *unit)
{
    const struct requests *set = unit->plan->requests_set;
    unit->out_size = OUT_SIZE;
    for (unsigned i = 0; i < requests_count(set); i++)
        if (requests_at(set, i)->len_max > unit->out_size)
            unit->out_size = requests_at(set, i)->len_max;
    unit->out = malloc(unit->out_size);
    return unit->out ? 0 : -ENOMEM;
}

int unit_ask_init(struct unit *unit)
{
    const struct requests *set = unit->plan->requests_set;
    size_t largest = 1;
    for (unsigned i = 0; i < requests_count(set); i++) {
        const struct request *request = requests_at(set, i);
        size_t len = request->fixed ? request->len : request->len_max;
        largest = len > largest ? len : largest;
    }
    unit->at_once = largest < AT_ONCE_MAX ? (unsigned)(AT_ONCE_MAX / largest) : 1;
    /* Not 0, and another one for each unit. */
    unit->dice = (unit->plan->seed + unit->share.index + 1) * UINT64_C(0x9e3779b97f4a7c15);
    if (unit->dice == 0)
        unit->dice = 1;
    if (requests_count(set) > 1 || !requests_at(set, 0)->fixed)
        return make_buffer(unit);
    unit->only = requests_at(set, 0);
    return make_batch(unit);
}

void unit_ask_fini(struct unit *unit)
{
    free(unit->batch);
    free(unit->out);
}

static int send_out(struct conn *conn, size_t len, unsigned count)
{
    return len ? pf__http_client_send(&conn->http, conn->unit->out, len, count) : 0;
}

static size_t write_one(struct conn *conn, const struct request *request, char *to)
{
    struct unit *unit = conn->unit;
    uint64_t number = unit->number++;
    if (request->fixed) {
        memcpy(to, request->bytes, request->len);
        return request->len;
    }
    struct request_numbers numbers = {.seq = unit->share.index + number * unit->share.units,
                                      .rand = dice_roll(&unit->dice),
                                      .conn = conn->number};
    return request_write(request, &numbers, to);
}

/* Of a mix: the stamps say which, and learn where each begins. */
static int send_mix(struct conn *conn, unsigned count)
{
    struct unit *unit = conn->unit;
    size_t len = 0;
    unsigned written = 0;
    for (unsigned i = conn->count - count; i < conn->count; i++) {
        struct stamp *stamp = unit_stamp(conn, i);
        size_t need = stamp->request->fixed ? stamp->request->len : stamp->request->len_max;
        if (len + need > unit->out_size) {
            int err = send_out(conn, len, written);
            if (err)
                return err;
            len = written = 0;
        }
        stamp->begin = conn->written;
        size_t n = write_one(conn, stamp->request, unit->out + len);
        conn->written += n;
        len += n;
        written++;
    }
    return send_out(conn, len, written);
}

static int send_only(struct conn *conn, unsigned count)
{
    const struct unit *unit = conn->unit;
    size_t len = unit->only->len;
    int err = 0;
    for (unsigned i = conn->count - count; i < conn->count; i++) {
        unit_stamp(conn, i)->begin = conn->written;
        conn->written += len;
    }
    if (unit->batch)
        return pf__http_client_send(&conn->http, unit->batch, len * count, count);
    for (unsigned i = 0; i < count && err == 0; i++)
        err = pf__http_client_send(&conn->http, unit->only->bytes, len, 1);
    return err;
}

int unit_ask_send(struct conn *conn, unsigned count)
{
    return conn->unit->only ? send_only(conn, count) : send_mix(conn, count);
}
