#include "bench/watch.h"

static void end_one(const struct run_watcher *watcher, pf_loop *loop)
{
    if (watcher->end)
        watcher->end(watcher->arg, loop);
}

static int both_begin(void *arg, pf_loop *loop, int64_t began_ns)
{
    struct watch *watch = arg;
    int err = watch->first.begin ? watch->first.begin(watch->first.arg, loop, began_ns) : 0;
    if (err || !watch->second.begin)
        return err;
    err = watch->second.begin(watch->second.arg, loop, began_ns);
    if (err)
        end_one(&watch->first, loop);
    return err;
}

static bool both_row(void *arg, const struct result_row *row)
{
    struct watch *watch = arg;
    bool stop = watch->first.row && watch->first.row(watch->first.arg, row);
    if (watch->second.row && watch->second.row(watch->second.arg, row))
        stop = true;
    return stop;
}

static void both_end(void *arg, pf_loop *loop)
{
    struct watch *watch = arg;
    end_one(&watch->first, loop);
    end_one(&watch->second, loop);
}

static void both_sample(void *arg, struct result_row *row)
{
    struct watch *watch = arg;
    if (watch->first.sample)
        watch->first.sample(watch->first.arg, row);
    if (watch->second.sample)
        watch->second.sample(watch->second.arg, row);
}

static bool both_judge(void *arg, struct result *so_far)
{
    struct watch *watch = arg;
    bool stop = watch->first.judge && watch->first.judge(watch->first.arg, so_far);
    if (watch->second.judge && watch->second.judge(watch->second.arg, so_far))
        stop = true;
    return stop;
}

void watch_join(struct watch *watch, const struct run_watcher *first,
                const struct run_watcher *second, struct run_watcher *out)
{
    watch->first = *first;
    watch->second = *second;
    *out = (struct run_watcher){
        .begin = both_begin,
        .row = both_row,
        .end = both_end,
        .sample = both_sample,
        .judge = first->judge || second->judge ? both_judge : NULL, /* it costs */
        .arg = watch,
    };
}
