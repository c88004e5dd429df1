/*
 * Preflight: what is found of a machine and a plan, row by row; and that this machine's
 * facts can be gathered.
 */
#include "tests/lib/test.h"

#include "bench/preflight.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <prefork/base.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/un.h>

#define UNKNOWN PREFLIGHT_UNKNOWN
#define GIB     (INT64_C(1) << 30)

/* A machine of the usual kind, with all there is to know. */
static const struct preflight_facts usual = {.nofile_soft = 1024,
                                             .nofile_hard = 20000,
                                             .nr_open = 1048576,
                                             .file_max = 1000000,
                                             .files = 1000,
                                             .port_low = 32768,
                                             .port_high = 60999,
                                             .somaxconn = 4096,
                                             .syn_backlog = 2048,
                                             .memory = 8 * GIB,
                                             .time_wait = 0,
                                             .tw_reuse = 2,
                                             .cpus = 8,
                                             .governor = "performance"};

static const struct preflight_needs modest = {.connections = 64,
                                              .procs = 1,
                                              .threads = 1,
                                              .tcp = true,
                                              .loopback = true,
                                              .local = true,
                                              .sources = 1,
                                              .opens = 64};

/* What differs from those in a row, and what comes of it. */
struct row {
    struct preflight_facts facts; /* 0: as usual */
    int64_t connections, procs, threads, sources, opens, ramp_ns;
    double opens_per_s;
    bool unix_socket, remote, time_wait;
    const char *matter; /* the finding that is looked at */
    enum preflight_severity severity;
    const char *says; /* in its remedy, or, if all is well, in its text */
};

/* clang-format off */
#define OR(field) if (row->facts.field) facts->field = row->facts.field
/* clang-format on */

static void facts_of(const struct row *row, struct preflight_facts *facts)
{
    *facts = usual;
    OR(nofile_hard);
    OR(nr_open);
    OR(file_max);
    OR(files);
    OR(port_low);
    OR(port_high);
    OR(somaxconn);
    OR(syn_backlog);
    OR(memory);
    OR(time_wait);
    OR(tw_reuse);
    OR(cpus);
    if (row->facts.governor[0])
        memcpy(facts->governor, row->facts.governor, sizeof facts->governor);
}

static void needs_of(const struct row *row, struct preflight_needs *needs)
{
    *needs = modest;
    if (row->connections)
        needs->connections = row->connections;
    if (row->procs)
        needs->procs = row->procs;
    if (row->threads)
        needs->threads = row->threads;
    if (row->sources)
        needs->sources = row->sources;
    needs->opens = row->opens ? row->opens : needs->connections;
    needs->opens_per_s = row->opens_per_s;
    needs->ramp_ns = row->ramp_ns;
    needs->tcp = !row->unix_socket;
    needs->local = !row->remote;
    needs->loopback = !row->remote && !row->unix_socket;
    needs->leaves_time_wait = row->time_wait;
}

static const struct row rows[] = {
    /* descriptors: connections, 32 and 8 for each thread */
    {.connections = 19960, .matter = "descriptors", .says = "20000 in each of 1 process, "},
    {.connections = 19961,
     .matter = "descriptors",
     .severity = PREFLIGHT_FAIL,
     .says = "ulimit -n 20001, or --procs 2"},
    {.connections = 39920, .procs = 2, .threads = 2, .matter = "descriptors", .says = "of"},
    {.connections = 100000,
     .matter = "descriptors",
     .severity = PREFLIGHT_FAIL,
     .says = "ulimit -n 100040, or --procs 6"},
    {.connections = 2000000,
     .matter = "descriptors",
     .severity = PREFLIGHT_FAIL,
     .says = "sysctl -w fs.nr_open=2000040 && ulimit -n 2000040, or --procs 101"},
    {.facts.nofile_hard = 20,
     .matter = "descriptors",
     .severity = PREFLIGHT_FAIL,
     .says = "ulimit -n 104"},
    {.facts.nofile_hard = UNKNOWN, .matter = "descriptors", .says = NULL},
    {.facts.nofile_hard = INT64_MAX, .matter = "descriptors", .says = "104 in each"},

    /* files of the machine: both ends if the server is here */
    {.connections = 499480, .matter = "files", .says = "999000 beside"},
    {.connections = 499481,
     .matter = "files",
     .severity = PREFLIGHT_FAIL,
     .says = "sysctl -w fs.file-max=1000002"},
    {.connections = 499481, .remote = true, .matter = "files", .says = "499521 beside"},
    {.facts.file_max = UNKNOWN, .matter = "files", .says = NULL},
    {.facts.file_max = INT64_MAX, .matter = "files", .says = "168 beside"},

    /* ports: 28,232 from each address */
    {.connections = 28232, .matter = "ports", .says = "of 28232 ports"},
    {.connections = 28233,
     .matter = "ports",
     .severity = PREFLIGHT_FAIL,
     .says = "--src auto: 2 addresses"},
    {.connections = 28233, .sources = 2, .matter = "ports", .says = "2 addresses"},
    {.connections = 1000000,
     .matter = "ports",
     .severity = PREFLIGHT_FAIL,
     .says = "--src auto: 36 addresses"},
    {.connections = 1000000, .sources = 36, .matter = "ports", .says = "36 addresses"},
    {.connections = 60000,
     .remote = true,
     .matter = "ports",
     .severity = PREFLIGHT_FAIL,
     .says = "sysctl -w net.ipv4.ip_local_port_range=\"1024 65535\""},
    {.connections = 64513,
     .remote = true,
     .matter = "ports",
     .severity = PREFLIGHT_FAIL,
     .says = "--src with 2 addresses"},
    {.connections = 60000,
     .facts = {.port_low = 1024, .port_high = 65535},
     .remote = true,
     .matter = "ports",
     .says = "of 64512 ports"},
    {.connections = 30000, .unix_socket = true, .matter = "ports", .says = NULL},
    {.connections = 28233,
     .facts = {.port_low = UNKNOWN, .port_high = UNKNOWN},
     .matter = "ports",
     .severity = PREFLIGHT_FAIL,
     .says = "--src auto"},
    /* those that rest may hold some of them; on loopback they do not */
    {.connections = 20000,
     .facts.time_wait = 10000,
     .remote = true,
     .matter = "ports",
     .severity = PREFLIGHT_WARN,
     .says = "wait 60 s: 10000"},
    {.connections = 20000, .facts.time_wait = 10000, .matter = "ports", .says = "28232"},
    {.connections = 18000,
     .facts.time_wait = 10000,
     .remote = true,
     .matter = "ports",
     .says = "28232"},

    /* connections that are opened all the time: 28,232 in 60 s, or in one if reused */
    {.opens_per_s = 470,
     .opens = 1000000,
     .remote = true,
     .time_wait = true,
     .matter = "TIME_WAIT",
     .says = "471/s are possible"},
    {.opens_per_s = 471,
     .opens = 1000000,
     .remote = true,
     .time_wait = true,
     .matter = "TIME_WAIT",
     .severity = PREFLIGHT_FAIL,
     .says = "sysctl -w net.ipv4.tcp_tw_reuse=1, or --close rst"},
    {.opens_per_s = 471,
     .opens = 28232, /* fewer than there are ports: not for long */
     .remote = true,
     .time_wait = true,
     .matter = "TIME_WAIT",
     .says = "471"},
    {.opens_per_s = 900,
     .opens = 1000000,
     .sources = 2,
     .remote = true,
     .time_wait = true,
     .matter = "TIME_WAIT",
     .says = "941/s"},
    {.opens_per_s = 20000,
     .opens = 1000000,
     .remote = true,
     .facts.tw_reuse = 1,
     .time_wait = true,
     .matter = "TIME_WAIT",
     .says = "28232/s"},
    {.opens_per_s = 20000,
     .opens = 1000000,
     .time_wait = true,
     .matter = "TIME_WAIT",
     .says = "28232/s"},
    {.opens_per_s = 30000,
     .opens = 1000000,
     .time_wait = true,
     .matter = "TIME_WAIT",
     .severity = PREFLIGHT_FAIL,
     .says = "--close rst, or --src auto"},
    {.opens_per_s = 30000,
     .opens = 1000000,
     .remote = true,
     .facts.tw_reuse = 1,
     .time_wait = true,
     .matter = "TIME_WAIT",
     .severity = PREFLIGHT_FAIL,
     .says = "--src with more addresses"},
    {.opens_per_s = -1,
     .opens = INT64_MAX,
     .remote = true,
     .time_wait = true,
     .matter = "TIME_WAIT",
     .severity = PREFLIGHT_WARN,
     .says = "tcp_tw_reuse=1"},
    {.opens_per_s = -1,
     .opens = INT64_MAX,
     .time_wait = true,
     .matter = "TIME_WAIT",
     .says = "as fast as it goes"},
    {.opens_per_s = 30000, .opens = INT64_MAX, .matter = "TIME_WAIT", .says = NULL},
    {.opens_per_s = 0, .time_wait = true, .matter = "TIME_WAIT", .says = NULL},
    {.opens_per_s = 9e4,
     .opens = INT64_MAX,
     .time_wait = true,
     .unix_socket = true,
     .matter = "TIME_WAIT",
     .says = NULL},

    /* queues, if all come at once to a server on this machine */
    {.connections = 4096, .matter = "accept queue", .says = "at most 4096"},
    {.connections = 4097,
     .matter = "accept queue",
     .severity = PREFLIGHT_WARN,
     .says = "sysctl -w net.core.somaxconn=65535"},
    {.connections = 4097, .ramp_ns = 1, .matter = "accept queue", .says = NULL},
    {.connections = 4097, .remote = true, .matter = "accept queue", .says = NULL},
    {.connections = 128, .matter = "accept queue", .says = NULL},
    {.connections = 2048, .matter = "SYN queue", .says = "2048 handshakes"},
    {.connections = 2049,
     .matter = "SYN queue",
     .severity = PREFLIGHT_WARN,
     .says = "net.ipv4.tcp_max_syn_backlog"},

    /* memory: 3,712 bytes for each end */
    {.connections = 1000000,
     .facts.memory = 10 * GIB,
     .matter = "memory",
     .says = "7080 MB of the kernel's for"},
    {.connections = 1000000,
     .facts.memory = 8 * GIB,
     .remote = true,
     .matter = "memory",
     .says = "3540 MB"},
    {.connections = 1000000,
     .facts.memory = 7500 * (GIB / 1024),
     .matter = "memory",
     .severity = PREFLIGHT_WARN,
     .says = "-c 847"},
    {.connections = 1000000,
     .facts.memory = 4 * GIB,
     .matter = "memory",
     .severity = PREFLIGHT_FAIL,
     .says = "-c 462"},
    {.facts.memory = UNKNOWN, .matter = "memory", .says = NULL},

    /* CPUs */
    {.threads = 7, .matter = "CPUs", .says = "7 threads on 8 CPUs, and the server"},
    {.threads = 8, .matter = "CPUs", .severity = PREFLIGHT_WARN, .says = "-t 7"},
    {.threads = 8, .remote = true, .matter = "CPUs", .says = "8 threads on 8 CPUs"},
    {.threads = 9,
     .remote = true,
     .matter = "CPUs",
     .severity = PREFLIGHT_WARN,
     .says = "-t 8"},
    {.threads = 1,
     .facts.cpus = 1,
     .matter = "CPUs",
     .severity = PREFLIGHT_WARN,
     .says = "another"},
    {.facts.governor = "performance", .matter = "governor", .says = "performance"},
    {.facts.governor = "powersave",
     .matter = "governor",
     .severity = PREFLIGHT_WARN,
     .says = "cpupower frequency-set -g performance"},
};

static void each_matter_is_judged_as_the_row_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *row = &rows[i];
        struct preflight_facts facts;
        struct preflight_needs needs;
        struct preflight_finding findings[PREFLIGHT_FINDINGS_MAX];
        const struct preflight_finding *found = NULL;
        facts_of(row, &facts);
        needs_of(row, &needs);
        size_t count = preflight_judge(&facts, &needs, findings);
        for (size_t n = 0; n < count; n++)
            if (strcmp(findings[n].matter, row->matter) == 0)
                found = &findings[n];
        if (!row->says && !found)
            continue;
        if (!row->says || !found)
            fail_msg("row %zu: %s is %s", i, row->matter, found ? "judged" : "not judged");
        const char *where = found->severity == PREFLIGHT_OK ? found->text : found->remedy;
        if (found->severity != row->severity || !strstr(where, row->says))
            fail_msg("row %zu: %s %s: %s; %s", i, found->matter,
                     preflight_severity_name(found->severity), found->text, found->remedy);
        assert_true((found->severity == PREFLIGHT_OK) == (found->remedy[0] == 0));
    }
}

static void what_is_not_known_is_not_judged(void **state)
{
    (void)state;
    struct preflight_finding findings[PREFLIGHT_FINDINGS_MAX];
    struct preflight_facts facts = {UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN,
                                    UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN,
                                    UNKNOWN, UNKNOWN, UNKNOWN, ""};
    /* The default range of ports is assumed. */
    assert_int_equal(preflight_judge(&facts, &modest, findings), 1);
    assert_string_equal(findings[0].matter, "ports");
}

/* ---- what a plan needs ----------------------------------------------------------- */

static struct plan plan; /* large */

static void target(const char *ip)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(80)};
    assert_int_equal(inet_pton(AF_INET, ip, &in.sin_addr), 1);
    plan.target = (struct pf_address){.len = sizeof in};
    memcpy(&plan.target.storage, &in, sizeof in);
}

static void needs_follow_from_the_plan(void **state)
{
    (void)state;
    struct preflight_needs needs;
    memset(&plan, 0, sizeof plan);
    plan.connections = 100;
    plan.threads = 4;
    plan.procs = 2;
    target("127.3.4.5");
    preflight_needs_of(&plan, &needs);
    assert_int_equal(needs.connections, 100);
    assert_int_equal(needs.procs, 2);
    assert_int_equal(needs.threads, 4);
    assert_int_equal(needs.sources, 1);
    assert_true(needs.tcp && needs.loopback && needs.local && needs.leaves_time_wait);
    assert_true(needs.opens_per_s == 0);
    assert_int_equal(needs.opens, 100);

    /* An open loop that opens a connection for every other request. */
    plan.load = PLAN_OPEN;
    plan.stages[0] = (struct plan_stage){10 * PF_SECOND, 2000, 2000};
    plan.stage_count = 1;
    plan.duration_ns = 9 * PF_SECOND;
    plan.warmup_ns = 1 * PF_SECOND;
    plan.reqs_per_conn = 2;
    plan.source_count = 3;
    plan.close = PLAN_CLOSE_RST;
    preflight_needs_of(&plan, &needs);
    assert_true(needs.opens_per_s > 999.9 && needs.opens_per_s < 1000.1);
    assert_true(needs.opens > 9990 && needs.opens < 10010);
    assert_int_equal(needs.sources, 3);
    assert_false(needs.leaves_time_wait);

    /* A closed one: nobody knows how fast. */
    plan.load = PLAN_CLOSED;
    preflight_needs_of(&plan, &needs);
    assert_true(needs.opens_per_s < 0);
    assert_true(needs.opens == INT64_MAX);
    plan.requests = 5000;
    preflight_needs_of(&plan, &needs);
    assert_int_equal(needs.opens, 2500);

    target("192.0.2.1"); /* nobody's, by RFC 5737 */
    preflight_needs_of(&plan, &needs);
    assert_true(needs.tcp && !needs.loopback && !needs.local);

    struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "/tmp/x"};
    plan.target = (struct pf_address){.len = sizeof un};
    memcpy(&plan.target.storage, &un, sizeof un);
    preflight_needs_of(&plan, &needs);
    assert_true(!needs.tcp && !needs.loopback && needs.local);
}

/* ---- this machine ---------------------------------------------------------------- */

static void this_machine_has_its_facts(void **state)
{
    (void)state;
    struct preflight_facts facts;
    struct rlimit limit;
    preflight_gather(&facts);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_true(facts.nofile_hard ==
                (limit.rlim_max > (rlim_t)INT64_MAX ? INT64_MAX : (int64_t)limit.rlim_max));
    assert_true(facts.nr_open > 0 && facts.file_max > 0 && facts.files > 0);
    assert_true(facts.port_low > 0 && facts.port_high > facts.port_low);
    assert_true(facts.somaxconn > 0 && facts.syn_backlog > 0);
    assert_true(facts.memory > 0 && facts.time_wait >= 0 && facts.tw_reuse >= 0);
    assert_true(facts.cpus > 0);
}

static void a_run_that_cannot_work_is_refused_with_the_remedy(void **state)
{
    (void)state;
    char why[512] = "";
    memset(&plan, 0, sizeof plan);
    plan.connections = 1;
    plan.threads = plan.procs = 1;
    target("127.0.0.1");
    assert_int_equal(preflight_check(&plan, why, sizeof why), 0);
    assert_string_equal(why, "");

    struct rlimit before, small;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    plan.connections = 100000;
    plan.procs = 1000; /* descriptors in each are few: it is ports that are short */
    plan.threads = 1000;
    assert_int_equal(preflight_check(&plan, why, sizeof why), -ENOSPC);
    assert_non_null(strstr(why, "ports: 100000 connections"));
    assert_non_null(strstr(why, "; --src auto"));

    /* As a child may have it: fewer descriptors than connections. */
    small = before;
    small.rlim_cur = 64;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &small), 0);
    plan.connections = 64;
    plan.procs = plan.threads = 1;
    assert_int_equal(preflight_check(&plan, why, sizeof why),
                     0); /* the soft one is no matter */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(each_matter_is_judged_as_the_row_says),
        pf_test(what_is_not_known_is_not_judged),
        pf_test(needs_follow_from_the_plan),
        pf_test(this_machine_has_its_facts),
        pf_test(a_run_that_cannot_work_is_refused_with_the_remedy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
