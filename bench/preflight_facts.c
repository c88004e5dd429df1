/* preflight_facts.c - what the machine has: see preflight.h. Source: proc(5). */
#include "bench/preflight.h"

#include "bench/sysctl.h"
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

/* The number behind `key` in the first line that begins with `start`. */
static int64_t find_number(const char *path, const char *start, const char *key)
{
    int64_t value = PREFLIGHT_UNKNOWN;
    char line[256];
    FILE *file = fopen(path, "re");
    while (file && value < 0 && fgets(line, sizeof line, file)) {
        const char *at =
            strncmp(line, start, strlen(start)) == 0 ? strstr(line, key) : NULL;
        if (at)
            (void)sscanf(at + strlen(key), "%" SCNd64, &value);
    }
    if (file)
        fclose(file);
    return value;
}

static int64_t limit_of(rlim_t limit)
{
    return limit > (rlim_t)INT64_MAX ? INT64_MAX : (int64_t)limit;
}

static void read_limits(struct preflight_facts *out)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    out->nofile_soft = limit_of(limit.rlim_cur);
    out->nofile_hard = limit_of(limit.rlim_max);
}

static void read_governor(struct preflight_facts *out)
{
    FILE *file = fopen("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "re");
    if (file && !fgets(out->governor, sizeof out->governor, file))
        out->governor[0] = 0;
    if (file)
        fclose(file);
    out->governor[strcspn(out->governor, "\n")] = 0;
}

void preflight_gather(struct preflight_facts *out)
{
    *out = (struct preflight_facts){PREFLIGHT_UNKNOWN, PREFLIGHT_UNKNOWN,
                                    PREFLIGHT_UNKNOWN, PREFLIGHT_UNKNOWN,
                                    PREFLIGHT_UNKNOWN, PREFLIGHT_UNKNOWN,
                                    PREFLIGHT_UNKNOWN, PREFLIGHT_UNKNOWN,
                                    PREFLIGHT_UNKNOWN, PREFLIGHT_UNKNOWN,
                                    PREFLIGHT_UNKNOWN, PREFLIGHT_UNKNOWN,
                                    PREFLIGHT_UNKNOWN, ""};
    read_limits(out);
    read_governor(out);
    (void)sysctl_read("fs/nr_open", &out->nr_open, 1);
    (void)sysctl_read("fs/file-max", &out->file_max, 1);
    (void)sysctl_read("fs/file-nr", &out->files, 1);
    int64_t range[2];
    if (sysctl_read("net/ipv4/ip_local_port_range", range, 2) == 2) {
        out->port_low = range[0];
        out->port_high = range[1];
    }
    (void)sysctl_read("net/core/somaxconn", &out->somaxconn, 1);
    (void)sysctl_read("net/ipv4/tcp_max_syn_backlog", &out->syn_backlog, 1);
    (void)sysctl_read("net/ipv4/tcp_tw_reuse", &out->tw_reuse, 1);
    out->time_wait = find_number("/proc/net/sockstat", "TCP:", " tw ");
    int64_t kib = find_number("/proc/meminfo", "MemAvailable:", ":");
    out->memory = kib < 0 ? PREFLIGHT_UNKNOWN : kib * 1024;
    cpu_set_t mine;
    if (sched_getaffinity(0, sizeof mine, &mine) == 0)
        out->cpus = CPU_COUNT(&mine);
}
