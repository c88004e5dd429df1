#include "bench/document.h"

#include <stddef.h>

#define END                                                                                \
    {                                                                                      \
        NULL, DOCUMENT_INT, 0, 0                                                           \
    }
#define FIELD(type, key, of, field)                                                        \
    {                                                                                      \
        key, DOCUMENT_##type, offsetof(struct of, field), sizeof(((struct of *)0)->field)  \
    }

const struct document_field document_environment[] = {
    FIELD(TEXT, "kernel", result_environment, kernel),
    FIELD(TEXT, "cpu", result_environment, cpu),
    FIELD(INT, "cores", result_environment, cores),
    FIELD(TEXT, "governor", result_environment, governor),
    FIELD(TEXT, "clocksource", result_environment, clocksource),
    FIELD(INT, "rlimit_nofile", result_environment, nofile),
    FIELD(TEXT, "time_utc", result_environment, time_utc),
    FIELD(BOOL, "offline", result_environment, offline),
    END,
};

const struct document_field document_sysctl[] = {
    FIELD(INT, "ip_local_port_low", result_environment, port_low),
    FIELD(INT, "ip_local_port_high", result_environment, port_high),
    FIELD(INT, "somaxconn", result_environment, somaxconn),
    FIELD(INT, "tcp_tw_reuse", result_environment, tcp_tw_reuse),
    END,
};

const struct document_field document_plan[] = {
    FIELD(TEXT, "command", result_plan, mode),
    FIELD(TEXT, "load", result_plan, load),
    FIELD(TEXT, "target", result_plan, target),
    FIELD(TEXT, "vs", result_plan, vs),
    FIELD(TEXT, "address", result_plan, address),
    FIELD(INT, "connections", result_plan, connections),
    FIELD(INT, "loops", result_plan, loops),
    FIELD(INT, "procs", result_plan, procs),
    FIELD(REAL, "rate_per_s", result_plan, rate_per_s),
    FIELD(TEXT, "arrival", result_plan, arrival),
    FIELD(INT, "warmup_ns", result_plan, warmup_ns),
    FIELD(INT, "duration_ns", result_plan, duration_ns),
    FIELD(INT, "timeout_ns", result_plan, timeout_ns),
    FIELD(INT, "think_ns", result_plan, think_ns),
    FIELD(INT, "pipeline", result_plan, pipeline),
    FIELD(INT, "reqs_per_conn", result_plan, reqs_per_conn),
    FIELD(INT, "requests", result_plan, requests),
    FIELD(WIDE, "seed", result_plan, seed),
    END,
};

const struct document_field document_validity[] = {
    FIELD(COUNT, "backlog_max", result_validity, backlog_max),
    FIELD(INT, "stall_ns", result_validity, stall_ns),
    FIELD(REAL, "littles_law_ratio", result_validity, littles_law),
    END,
};

const struct document_field document_totals[] = {
    FIELD(COUNT, "planned", result_totals, planned),
    FIELD(COUNT, "sent", result_totals, sent),
    FIELD(COUNT, "ok", result_totals, ok),
    FIELD(COUNT, "wrong", result_totals, wrong),
    FIELD(COUNT, "failed", result_totals, failed),
    FIELD(COUNT, "dropped", result_totals, dropped),
    FIELD(COUNT, "unsent", result_totals, unsent),
    FIELD(COUNT, "censored", result_totals, censored),
    FIELD(COUNT, "bytes_in", result_totals, bytes_in),
    FIELD(COUNT, "bytes_out", result_totals, bytes_out),
    FIELD(INT, "elapsed_ns", result_totals, elapsed_ns),
    FIELD(INT, "ok_in_time", result_totals, ok_in_time),
    FIELD(INT, "setup_ns", result_totals, setup_ns),
    FIELD(INT, "gap_ns", result_totals, gap_ns),
    FIELD(COUNT, "conns_opened", result_totals, opened),
    FIELD(COUNT, "conns_reused", result_totals, reused),
    END,
};

const struct document_field document_row[] = {
    FIELD(INT, "t_ns", result_row, t_ns),
    FIELD(INT, "span_ns", result_row, span_ns),
    FIELD(COUNT, "planned", result_row, planned),
    FIELD(COUNT, "sent", result_row, sent),
    FIELD(COUNT, "ok", result_row, ok),
    FIELD(COUNT, "err", result_row, err),
    FIELD(COUNT, "inflight", result_row, in_flight),
    FIELD(COUNT, "backlog", result_row, backlog),
    FIELD(INT, "p50_ns", result_row, p50_ns),
    FIELD(INT, "p99_ns", result_row, p99_ns),
    FIELD(INT, "max_ns", result_row, max_ns),
    FIELD(INT, "srv_cpu_ns", result_row, server_cpu_ns),
    FIELD(INT, "srv_rss", result_row, server_rss),
    END,
};

const struct document_field document_mark[] = {
    FIELD(SIGNED, "t_ns", result_mark, t_ns),
    FIELD(CHARS, "text", result_mark, text),
    END,
};

const struct document_field document_server[] = {
    FIELD(TEXT, "name", result_server, name),
    FIELD(INT, "cpu_ns", result_server, cpu_ns),
    FIELD(INT, "cpu_user_ns", result_server, cpu_user_ns),
    FIELD(INT, "cpu_sys_ns", result_server, cpu_system_ns),
    FIELD(INT, "rss_max", result_server, rss_max),
    FIELD(INT, "ctx_switches", result_server, context_switches),
    FIELD(INT, "requests", result_server, requests),
    FIELD(INT, "listen_drops", result_server, listen_drops),
    FIELD(INT, "listen_overflows", result_server, listen_overflows),
    FIELD(INT, "syn_retries", result_server, syn_retries),
    FIELD(REAL, "jain", result_server, jain),
    FIELD(CHARS, "unseen", result_server, unseen),
    END,
};

const struct document_field document_worker[] = {
    FIELD(INT, "pid", result_worker, pid),
    FIELD(INT, "req", result_worker, requests),
    FIELD(INT, "conns", result_worker, connections_max),
    FIELD(INT, "conns_min", result_worker, connections_min),
    FIELD(INT, "cpu_ns", result_worker, cpu_ns),
    FIELD(INT, "rss", result_worker, rss),
    FIELD(INT, "restarts", result_worker, restarts),
    END,
};

const struct document_field document_slo[] = {
    FIELD(CHARS, "expr", result_slo, expr),
    FIELD(REAL, "actual", result_slo, actual),
    FIELD(CHARS, "actual_text", result_slo, actual_text),
    FIELD(BOOL, "pass", result_slo, pass),
    END,
};

const struct document_field document_search[] = {
    FIELD(REAL, "pass_max_per_s", result_search, pass_max),
    FIELD(REAL, "fail_min_per_s", result_search, fail_min),
    END,
};

const struct document_field document_trial[] = {
    FIELD(REAL, "rate_per_s", result_trial, rate),
    FIELD(REAL, "achieved_per_s", result_trial, achieved),
    FIELD(INT, "p50_ns", result_trial, p50_ns),
    FIELD(INT, "p99_ns", result_trial, p99_ns),
    FIELD(BOOL, "pass", result_trial, pass),
    FIELD(BOOL, "confirm", result_trial, confirm),
    FIELD(CHARS, "why", result_trial, why),
    END,
};

const struct document_field document_run[] = {
    FIELD(REAL, "rate_ok_per_s", result_run, rate_ok),
    FIELD(INT, "p50_ns", result_run, p50_ns),
    FIELD(INT, "p99_ns", result_run, p99_ns),
    FIELD(INT, "max_ns", result_run, max_ns),
    FIELD(INT, "mean_ns", result_run, mean_ns),
    FIELD(REAL, "cpu_ns_per_req", result_run, cpu_ns_per_req),
    END,
};

const struct document_field document_hold[] = {
    FIELD(COUNT, "asked", result_hold, asked),
    FIELD(COUNT, "held", result_hold, held),
    FIELD(COUNT, "lost", result_hold, lost),
    FIELD(REAL, "user_bytes", result_hold, user_bytes),
    FIELD(REAL, "kernel_bytes", result_hold, kernel_bytes),
    FIELD(REAL, "srv_user_bytes", result_hold, server_user_bytes),
    FIELD(REAL, "srv_kernel_bytes", result_hold, server_kernel_bytes),
    FIELD(INT, "connect_ns", result_hold, connect_ns),
    END,
};

const struct document_field document_adversary[] = {
    FIELD(CHARS, "kind", result_adversary, kind),
    FIELD(COUNT, "asked", result_adversary, asked),
    FIELD(COUNT, "opened", result_adversary, opened),
    FIELD(COUNT, "cut", result_adversary, cut),
    FIELD(COUNT, "open", result_adversary, open),
    FIELD(INT, "cut_p50_ns", result_adversary, cut_p50_ns),
    FIELD(INT, "cut_max_ns", result_adversary, cut_max_ns),
    END,
};

const struct document_field document_reload[] = {
    FIELD(COUNT, "commands", result_reload, commands),
    FIELD(COUNT, "commands_failed", result_reload, commands_failed),
    FIELD(COUNT, "lost", result_reload, lost),
    FIELD(COUNT, "retryable", result_reload, retryable),
    FIELD(COUNT, "harmless", result_reload, harmless),
    FIELD(INT, "blackout_ns", result_reload, blackout_ns),
    FIELD(INT, "p99_quiet_ns", result_reload, p99_quiet_ns),
    FIELD(INT, "p99_reload_ns", result_reload, p99_reload_ns),
    FIELD(INT, "generations", result_reload, generations),
    END,
};

const char *const document_verdicts[] = {"valid", "suspect", "invalid", NULL};
const char *const document_sources[] = {"none", "proc", "stats", NULL};

static void write_field(struct json_writer *json, const struct document_field *field,
                        const void *at)
{
    switch (field->type) {
    case DOCUMENT_INT:
        if (*(const int64_t *)at < 0)
            json_put_null(json, field->key);
        else
            json_put_int(json, field->key, *(const int64_t *)at);
        return;
    case DOCUMENT_SIGNED:
        json_put_int(json, field->key, *(const int64_t *)at);
        return;
    case DOCUMENT_COUNT:
        json_put_int(json, field->key, (int64_t) * (const uint64_t *)at);
        return;
    case DOCUMENT_WIDE:
        json_put_wide(json, field->key, *(const uint64_t *)at);
        return;
    case DOCUMENT_REAL:
        json_put_real(json, field->key, *(const double *)at);
        return;
    case DOCUMENT_BOOL:
        json_put_bool(json, field->key, *(const bool *)at);
        return;
    case DOCUMENT_TEXT:
        json_put_text(json, field->key, *(char *const *)at);
        return;
    case DOCUMENT_CHARS:
        json_put_text(json, field->key, at);
        return;
    }
}

void document_write(struct json_writer *json, const struct document_field *table,
                    const void *base)
{
    for (; table->key; table++)
        write_field(json, table, (const char *)base + table->at);
}

void document_write_row(struct json_writer *json, const struct result_row *row)
{
    json_open_flat(json, NULL, '{');
    document_write(json, document_row, row);
    json_open(json, "heat", '[');
    for (int bin = 0; bin < RESULT_HEAT_BINS; bin++) {
        if (row->heat[bin] == 0)
            continue;
        json_open(json, NULL, '[');
        json_put_int(json, NULL, bin);
        json_put_int(json, NULL, row->heat[bin]);
        json_close(json);
    }
    json_close(json);
    json_close(json);
}
