#include "bench/stages.h"

#include "bench/quantity.h"
#include <errno.h>
#include <prefork/base.h>
#include <prefork/options.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PART_MAX 64

static int refuse(char *why, size_t why_len, const char *part, const char *what)
{
    snprintf(why, why_len, "'%s': %s", part, what);
    return -EINVAL;
}

/* A duration as options have it. */
static int read_duration(const char *text, int64_t *out)
{
    static const struct pf_option table[] = {{.name = "d",
                                              .type = PF_OPTION_DURATION,
                                              .min = PF_MILLISECOND,
                                              .max = STAGES_MOST},
                                             {0}};
    char error[PF_OPTION_ERROR_MAX];
    return pf_options_set(table, out, "d", text, error);
}

/* A rate of 0 too. Returns how many bytes it has; 0: it is none. */
static size_t read_rate(const char *text, double *out)
{
    if (text[0] == '0' && (text[1] == '\0' || text[1] == '-')) {
        *out = 0;
        return 1;
    }
    return quantity_read(text, 1, out);
}

/* "20k" or "1k-20k". */
static bool read_rates(const char *text, struct plan_stage *stage)
{
    double first;
    size_t n = read_rate(text, &first);
    if (n == 0)
        return false;
    stage->to = first;
    if (text[n] == '\0')
        return true;
    if (text[n] != '-')
        return false;
    stage->from = first;
    size_t m = read_rate(text + n + 1, &stage->to);
    return m > 0 && text[n + 1 + m] == '\0';
}

static int read_part(char *part, double before, bool first, struct plan_stage *stage,
                     char *why, size_t why_len)
{
    char whole[PART_MAX];
    snprintf(whole, sizeof whole, "%s", part);
    char *colon = strchr(part, ':');
    if (!colon)
        return refuse(why, why_len, whole, "must be TIME:RATE, such as 10s:5k");
    *colon = '\0';
    if (read_duration(part, &stage->duration_ns) != 0)
        return refuse(why, why_len, whole, "must begin with a time of at least 1ms");
    stage->from = -1;
    if (!read_rates(colon + 1, stage))
        return refuse(why, why_len, whole,
                      "must end with a rate per second, 5k, or two of them, 1k-5k");
    if (stage->from < 0)
        stage->from = first ? stage->to : before;
    return 0;
}

static int check(const struct plan_stage *stages, unsigned count, char *why, size_t why_len)
{
    double most = 0;
    for (unsigned i = 0; i < count; i++)
        most += stages[i].from + stages[i].to;
    if (most <= 0) {
        snprintf(why, why_len, "all rates are 0: nothing would be sent");
        return -EINVAL;
    }
    if (stages_duration(stages, count) > STAGES_MOST) {
        snprintf(why, why_len, "must take 1000 hours at the most");
        return -EINVAL;
    }
    return (int)count;
}

int stages_parse(const char *text, struct plan_stage *stages, char *why, size_t why_len)
{
    unsigned count = 0;
    double before = 0;
    for (;;) {
        char part[PART_MAX];
        size_t len = strcspn(text, ",");
        snprintf(part, sizeof part, "%.*s", (int)(len < PART_MAX ? len : PART_MAX - 1),
                 text);
        if (count == PLAN_STAGES_MAX) {
            snprintf(why, why_len, "at most %d stages", PLAN_STAGES_MAX);
            return -EINVAL;
        }
        int err = read_part(part, before, count == 0, &stages[count], why, why_len);
        if (err)
            return err;
        before = stages[count++].to;
        if (text[len] == '\0')
            return check(stages, count, why, why_len);
        text += len + 1;
    }
}

int stages_warm_up(struct plan_stage *stages, unsigned count, int64_t warmup_ns)
{
    if (count == PLAN_STAGES_MAX)
        return -EINVAL;
    memmove(stages + 1, stages, count * sizeof *stages);
    double rate = stages[1].from > 0 ? stages[1].from : stages[1].to;
    stages[0] = (struct plan_stage){.duration_ns = warmup_ns, .from = rate, .to = rate};
    return (int)count + 1;
}

int64_t stages_duration(const struct plan_stage *stages, unsigned count)
{
    int64_t sum = 0;
    for (unsigned i = 0; i < count; i++)
        sum += stages[i].duration_ns < STAGES_MOST - sum ? stages[i].duration_ns
                                                         : STAGES_MOST + 1 - sum;
    return sum;
}
