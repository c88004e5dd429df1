/* serve_script.c - see serve_script.h. */
#include "bench/serve_script.h"

#include <errno.h>
#include <prefork/options.h>
#include <stdio.h>
#include <string.h>

#define TIME_MAX (1000 * 3600 * PF_SECOND)

struct times {
    int64_t first, second;
};

static const struct pf_option time_options[] = {
    {.name = "first",
     .type = PF_OPTION_DURATION,
     .at = offsetof(struct times, first),
     .max = TIME_MAX},
    {.name = "second",
     .type = PF_OPTION_DURATION,
     .at = offsetof(struct times, second),
     .max = TIME_MAX},
    {0},
};

/* Two times with `between` between them, as the options of a command line read them. */
static int parse_times(const char *text, char between, struct times *out)
{
    char first[32], error[PF_OPTION_ERROR_MAX];
    const char *at = strchr(text, between);
    if (!at || (size_t)(at - text) >= sizeof first)
        return -EINVAL;
    memcpy(first, text, (size_t)(at - text));
    first[at - text] = 0;
    if (pf_options_set(time_options, out, "first", first, error) != 0 ||
        pf_options_set(time_options, out, "second", at + 1, error) != 0)
        return -EINVAL;
    return 0;
}

int serve_script_add(struct serve_script *script, const char *text, char *why,
                     size_t why_len)
{
    struct times times = {0};
    if (parse_times(text, '@', &times) != 0 || times.first == 0) {
        snprintf(why, why_len, "must be a length and when it begins, such as 1s@5s");
        return -EINVAL;
    }
    if (script->count == SERVE_STALLS_MAX) {
        snprintf(why, why_len, "more than %d; use --stall-every", SERVE_STALLS_MAX);
        return -EINVAL;
    }
    script->stalls[script->count++] =
        (struct serve_stall){.at_ns = times.second, .for_ns = times.first};
    return 0;
}

int serve_script_every(struct serve_script *script, const char *text, char *why,
                       size_t why_len)
{
    struct times times = {0};
    if (parse_times(text, '/', &times) != 0 || times.first == 0 ||
        times.first >= times.second) {
        snprintf(why, why_len,
                 "must be a length and a longer time in which it comes once, such as "
                 "50ms/1s");
        return -EINVAL;
    }
    script->every = (struct serve_stall){.at_ns = times.second, .for_ns = times.first};
    return 0;
}

/* The end of a stall that this time is in, or the time itself. */
static int64_t resume_once(const struct serve_script *script, int64_t now_ns)
{
    for (size_t i = 0; i < script->count; i++) {
        const struct serve_stall *stall = &script->stalls[i];
        if (now_ns >= stall->at_ns && now_ns < stall->at_ns + stall->for_ns)
            return stall->at_ns + stall->for_ns;
    }
    const struct serve_stall *every = &script->every;
    if (every->for_ns && now_ns >= every->at_ns && now_ns % every->at_ns < every->for_ns)
        return now_ns - now_ns % every->at_ns + every->for_ns;
    return now_ns;
}

int64_t serve_script_resume(const struct serve_script *script, int64_t now_ns)
{
    int64_t end = resume_once(script, now_ns);
    while (end != now_ns) {
        now_ns = end;
        end = resume_once(script, now_ns);
    }
    return end;
}
