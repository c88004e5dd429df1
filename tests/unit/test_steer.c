/*
 * test_steer.c - steering: the program as a table, run by a small machine of the classic
 * BPF, and on the kernel, with clients pinned to CPUs.
 */
#include "tests/lib/test.h"

#include "net/listener.h"
#include "net/steer.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct sock_filter program[PF_STEER_PROGRAM_MAX];

/* ---- the machine ----------------------------------------------------------------- */

/* Runs what pf_steer_program() wrote; fails the test for an instruction that the kernel
 * would refuse, or that has no business there. */
static unsigned run(int count, unsigned cpu, unsigned chance)
{
    uint32_t a = 0;
    for (int at = 0; at < count; at++) {
        const struct sock_filter *now = &program[at];
        switch (now->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            if (now->k == (uint32_t)(SKF_AD_OFF + SKF_AD_CPU))
                a = cpu;
            else if (now->k == (uint32_t)(SKF_AD_OFF + SKF_AD_RANDOM))
                a = chance;
            else
                fail_msg("load of %x", now->k);
            break;
        case BPF_ALU | BPF_MOD | BPF_K:
            assert_int_not_equal(now->k, 0);
            a %= now->k;
            break;
        case BPF_ALU | BPF_ADD | BPF_K:
            a += now->k;
            break;
        case BPF_JMP | BPF_JEQ | BPF_K:
            at += a == now->k ? now->jt : now->jf;
            break;
        case BPF_JMP | BPF_JGE | BPF_K:
            at += a >= now->k ? now->jt : now->jf;
            break;
        case BPF_JMP | BPF_JA:
            at += (int)now->k;
            break;
        case BPF_RET | BPF_K:
            return now->k;
        case BPF_RET | BPF_A:
            return a;
        default:
            fail_msg("instruction %x", now->code);
        }
    }
    fail_msg("it runs over its end");
    return 0;
}

/* ---- the table ------------------------------------------------------------------- */

/* Members as text: "0" on CPU 0, "-" not pinned, "x" before it excluded. */
static unsigned read_members(const char *text, struct pf_steer_member *members)
{
    unsigned count = 0;
    for (char *next; *text; count++, text = next) {
        while (*text == ' ')
            text++;
        members[count].excluded = *text == 'x';
        text += *text == 'x';
        next = (char *)(uintptr_t)text + 1;
        members[count].cpu = *text == '-' ? -1 : (int)strtol(text, &next, 10);
    }
    return count;
}

static void program_sends_each_packet_where_the_table_says(void **unused)
{
    (void)unused;
    static const struct {
        enum pf_steer how;
        const char *members;
        unsigned cpu;
        const char *expected; /* the index for chance 0, 1, 2, ..; "": no program */
    } rows[] = {
        /* one member: nothing to decide */
        {PF_STEER_HASH, "0", 0, ""},
        {PF_STEER_HASH, "x0", 0, ""},
        {PF_STEER_CPU, "3", 0, ""},
        {PF_STEER_CPU, "x3", 0, ""},
        /* the kernel's hash does it */
        {PF_STEER_HASH, "0 1", 0, ""},
        {PF_STEER_HASH, "- - - -", 0, ""},
        {PF_STEER_HASH, "x0 x1 x2", 0, ""},
        /* chance among those that are left */
        {PF_STEER_HASH, "0 x1", 0, "0000"},
        {PF_STEER_HASH, "x0 1", 0, "1111"},
        {PF_STEER_HASH, "0 x1 2 3", 0, "023023"},
        {PF_STEER_HASH, "x0 1 2 3", 1, "123123"},
        {PF_STEER_HASH, "0 1 2 x3", 2, "012012"},
        {PF_STEER_HASH, "x0 1 x2 3", 3, "131313"},
        {PF_STEER_HASH, "x0 x1 2 x3 x4 x5 6 7 x8", 3, "267267"},
        /* by CPU */
        {PF_STEER_CPU, "0 1", 0, "000"},
        {PF_STEER_CPU, "0 1", 1, "111"},
        {PF_STEER_CPU, "7 1 4 2", 7, "0"},
        {PF_STEER_CPU, "7 1 4 2", 1, "1"},
        {PF_STEER_CPU, "7 1 4 2", 4, "2"},
        {PF_STEER_CPU, "7 1 4 2", 2, "3"},
        /* CPUs that nobody has: modulo those that are left */
        {PF_STEER_CPU, "0 1", 2, "000"},
        {PF_STEER_CPU, "0 1", 3, "111"},
        {PF_STEER_CPU, "7 1 4 2", 9, "1"},
        {PF_STEER_CPU, "- - -", 4, "111"},
        {PF_STEER_CPU, "0 - 2 -", 5, "111"},
        {PF_STEER_CPU, "x0 1 x2 3", 100, "11"},
        {PF_STEER_CPU, "x0 1 x2 3", 101, "33"},
        /* several on one CPU */
        {PF_STEER_CPU, "0 1 0 1", 0, "0202"},
        {PF_STEER_CPU, "0 1 0 1", 1, "1313"},
        {PF_STEER_CPU, "5 5 5", 5, "012012"},
        {PF_STEER_CPU, "1 1 0 0", 0, "2323"},
        /* excluded: others on the same CPU, else the nearest */
        {PF_STEER_CPU, "0 1 x0 1", 0, "0000"},
        {PF_STEER_CPU, "x0 1 0 1", 0, "2222"},
        {PF_STEER_CPU, "0 x1 2 3", 1, "0000"},
        {PF_STEER_CPU, "x0 x1 2 3", 0, "2222"},
        {PF_STEER_CPU, "0 1 2 x3", 3, "2222"},
        {PF_STEER_CPU, "0 x1 x2 3", 1, "0"},
        {PF_STEER_CPU, "0 x1 x2 3", 2, "3"},
        {PF_STEER_CPU, "0 x1 2 3", 2, "2"},
        {PF_STEER_CPU, "0 - x1 x1", 1, "1"},
        /* all excluded: as if nobody were */
        {PF_STEER_CPU, "x0 x1", 0, "00"},
        {PF_STEER_CPU, "x0 x1", 1, "11"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct pf_steer_member members[16];
        unsigned count = read_members(rows[i].members, members);
        int n =
            pf_steer_program(rows[i].how, members, count, program, PF_STEER_PROGRAM_MAX);
        if ((n > 0) != (*rows[i].expected != 0) || n < 0)
            fail_msg("row %zu: %d instructions", i, n);
        for (unsigned chance = 0; n > 0 && rows[i].expected[chance]; chance++) {
            unsigned got = run(n, rows[i].cpu, chance);
            if (got != (unsigned)(rows[i].expected[chance] - '0'))
                fail_msg("row %zu, chance %u: %u", i, chance, got);
        }
    }
}

/* ---- many members ---------------------------------------------------------------- */

static struct pf_steer_member many[PF_STEER_MEMBERS_MAX + 1];

/* All on CPUs of their own; `excluded`: every so manieth; 0: none. */
static void fill_many(unsigned cpus, unsigned excluded)
{
    for (unsigned i = 0; i < PF_STEER_MEMBERS_MAX; i++)
        many[i] = (struct pf_steer_member){.cpu = (int)(i % cpus),
                                           .excluded = excluded && i % excluded == 0};
}

static int write_many(enum pf_steer how)
{
    return pf_steer_program(how, many, PF_STEER_MEMBERS_MAX, program, PF_STEER_PROGRAM_MAX);
}

static void thousand_members_each_get_their_cpu(void **unused)
{
    (void)unused;
    fill_many(PF_STEER_MEMBERS_MAX, 0);
    int n = write_many(PF_STEER_CPU);
    assert_in_range(n, 1, PF_STEER_PROGRAM_MAX);
    for (unsigned cpu = 0; cpu < PF_STEER_MEMBERS_MAX; cpu++)
        assert_int_equal(run(n, cpu, 12345), cpu);
}

static unsigned count_live(unsigned cpu)
{
    unsigned live = 0;
    for (unsigned i = 0; i < PF_STEER_MEMBERS_MAX; i++)
        live += many[i].cpu == (int)cpu && !many[i].excluded;
    return live;
}

static void assert_shared(int n, unsigned cpu)
{
    unsigned live = count_live(cpu);
    unsigned one = run(n, cpu, 0), other = run(n, cpu, 1);
    assert_in_range(one, 0, PF_STEER_MEMBERS_MAX - 1);
    assert_false(many[one].excluded || many[other].excluded);
    assert_int_equal(one != other, live > 1);
    if (live > 0)
        assert_true(many[one].cpu == (int)cpu && many[other].cpu == (int)cpu);
}

static void thousand_members_on_few_cpus_share_them(void **unused)
{
    (void)unused;
    static const unsigned cpus[] = {1, 2, 3, 7, 341, 512, 1000};
    static const unsigned excluded[] = {0, 2, 3};
    for (size_t i = 0; i < sizeof cpus / sizeof cpus[0]; i++) {
        for (size_t j = 0; j < sizeof excluded / sizeof excluded[0]; j++) {
            fill_many(cpus[i], excluded[j]);
            int n = write_many(PF_STEER_CPU);
            assert_in_range(n, 1, PF_STEER_PROGRAM_MAX);
            for (unsigned cpu = 0; cpu < cpus[i] + 2; cpu++)
                assert_shared(n, cpu);
        }
    }
}

static void chance_reaches_each_of_the_thousand_alike(void **unused)
{
    (void)unused;
    fill_many(1, 3);
    for (int how = PF_STEER_HASH; how <= PF_STEER_CPU; how++) {
        unsigned hits[PF_STEER_MEMBERS_MAX] = {0};
        int n = write_many((enum pf_steer)how);
        assert_in_range(n, 1, PF_STEER_PROGRAM_MAX);
        unsigned live = 0;
        for (unsigned i = 0; i < PF_STEER_MEMBERS_MAX; i++)
            live += !many[i].excluded;
        for (unsigned chance = 0; chance < 3 * live; chance++)
            hits[run(n, 0, chance)]++;
        for (unsigned i = 0; i < PF_STEER_MEMBERS_MAX; i++)
            assert_int_equal(hits[i], many[i].excluded ? 0 : 3);
    }
}

/* Whoever of a pair is excluded: the longest programs there are lie among these. */
static void program_for_the_most_members_always_fits(void **unused)
{
    (void)unused;
    unsigned seed = 1, longest = 0;
    for (unsigned cpus = 256; cpus <= 1024; cpus += 64) {
        for (unsigned percent = 0; percent <= 100; percent += 10) {
            fill_many(cpus, 0);
            for (unsigned i = 0; i < PF_STEER_MEMBERS_MAX; i++) {
                seed = seed * 1664525u + 1013904223u;
                many[i].excluded = (seed >> 16) % 100 < percent;
            }
            int n = write_many(PF_STEER_CPU);
            assert_in_range(n, 1, PF_STEER_PROGRAM_MAX);
            longest = (unsigned)n > longest ? (unsigned)n : longest;
        }
    }
    /* Pairs next to each other in time and apart in index, one pair in two excluded. */
    fill_many(512, 0);
    for (unsigned i = 0; i < PF_STEER_MEMBERS_MAX; i++)
        many[i].excluded = i % 2 == 0;
    int n = write_many(PF_STEER_CPU);
    assert_in_range(n, 3000, PF_STEER_PROGRAM_MAX);
    assert_in_range(longest, 3000, PF_STEER_PROGRAM_MAX);
}

static void members_that_are_not_pinned_cost_no_instructions(void **unused)
{
    (void)unused;
    struct pf_steer_member members[16];
    unsigned count = read_members("- - - - - -", members);
    /* load, modulo, return */
    assert_int_equal(pf_steer_program(PF_STEER_CPU, members, count, program, 100), 3);
}

static void program_without_room_or_members_is_refused(void **unused)
{
    (void)unused;
    static const struct pf_steer_member pair[] = {{0, false}, {1, false}, {1, true}};
    fill_many(2, 0);
    assert_int_equal(pf_steer_program(PF_STEER_CPU, pair, 0, program, 100), -EINVAL);
    assert_int_equal(pf_steer_program(PF_STEER_CPU, NULL, 2, program, 100), -EINVAL);
    assert_int_equal(
        pf_steer_program(PF_STEER_CPU, many, PF_STEER_MEMBERS_MAX + 1, program, 100),
        -EINVAL);
    for (int how = PF_STEER_HASH; how <= PF_STEER_CPU; how++) {
        int n = pf_steer_program((enum pf_steer)how, pair, 3, program, 100);
        assert_in_range(n, 1, 100);
        for (unsigned room = 0; room < (unsigned)n; room++) {
            memset(program, 0xee, sizeof program);
            assert_int_equal(pf_steer_program((enum pf_steer)how, pair, 3, program, room),
                             -E2BIG);
            assert_int_equal(program[room].code, 0xeeee);
        }
        assert_int_equal(
            pf_steer_program((enum pf_steer)how, pair, 3, program, (unsigned)n), n);
        assert_int_equal(pf_steer_program((enum pf_steer)how, pair, 3, NULL, 100), -E2BIG);
    }
}

/* ---- on the kernel --------------------------------------------------------------- */

#define MEMBERS_MAX 8

static int members_fds[MEMBERS_MAX];
static unsigned members_count;
static struct pf_address address;

static void open_members(const char *text, unsigned count)
{
    const struct pf_listener_options options = {.backlog = 256};
    char why[128];
    assert_int_equal(pf_address_parse(text, &address, why, sizeof why), 1);
    for (members_count = 0; members_count < count; members_count++) {
        members_fds[members_count] = pf_listener_open(
            &address, &options, members_count ? PF_LISTENER_JOINS : PF_LISTENER_FIRST);
        assert_true(members_fds[members_count] >= 0);
    }
}

static void close_members(void)
{
    while (members_count)
        close(members_fds[--members_count]);
}

static void attach(enum pf_steer how, const char *text)
{
    struct pf_steer_member members[16];
    unsigned count = read_members(text, members);
    int n = pf_steer_program(how, members, count, program, PF_STEER_PROGRAM_MAX);
    assert_true(n >= 0);
    assert_int_equal(pf_steer_attach(members_fds[0], program, (unsigned)n), 0);
}

/* Take everything that waits at one member; returns how much it was. */
static unsigned take_all(int fd)
{
    char byte;
    unsigned count = 0;
    for (;; count++) {
        int got = address.datagram ? (int)recv(fd, &byte, 1, 0) : accept(fd, NULL, NULL);
        if (got == -1)
            break;
        if (!address.datagram)
            close(got);
    }
    assert_int_equal(errno, EAGAIN);
    return count;
}

/* So many clients; counts[] is what each member got. */
static void send_clients(unsigned count, unsigned *counts)
{
    memset(counts, 0, MEMBERS_MAX * sizeof *counts);
    for (unsigned sent = 0; sent < count; sent++) {
        int type = address.datagram ? SOCK_DGRAM : SOCK_STREAM;
        int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
        assert_true(fd >= 0);
        assert_int_equal(connect(fd, (struct sockaddr *)&address.storage, address.len), 0);
        if (address.datagram)
            assert_int_equal(send(fd, "x", 1, 0), 1);
        close(fd);
        for (unsigned i = 0; i < members_count; i++)
            counts[i] += take_all(members_fds[i]);
    }
}

/* The CPUs this process may use; at least one. */
static unsigned list_cpus(unsigned *cpus, unsigned max)
{
    cpu_set_t set;
    unsigned count = 0;
    assert_int_equal(sched_getaffinity(0, sizeof set, &set), 0);
    for (unsigned cpu = 0; cpu < CPU_SETSIZE && count < max; cpu++)
        if (CPU_ISSET(cpu, &set))
            cpus[count++] = cpu;
    return count;
}

static void pin(unsigned cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    assert_int_equal(sched_setaffinity(0, sizeof set, &set), 0);
}

static const char *const kinds[] = {"127.0.0.1:0", "udp:127.0.0.1:0"};

/* In a child, whose affinity goes with it. */
static void clients_on_each_cpu(void *kind)
{
    unsigned cpus[MEMBERS_MAX / 2], counts[MEMBERS_MAX];
    unsigned count = list_cpus(cpus, MEMBERS_MAX / 2);
    struct pf_steer_member members[MEMBERS_MAX];
    /* The highest CPU first; then one more that nobody's packets come in on. */
    for (unsigned i = 0; i < count; i++)
        members[i] = (struct pf_steer_member){.cpu = (int)cpus[count - 1 - i]};
    members[count] = (struct pf_steer_member){.cpu = CPU_SETSIZE};
    open_members(kind, count + 1);
    int n =
        pf_steer_program(PF_STEER_CPU, members, count + 1, program, PF_STEER_PROGRAM_MAX);
    assert_true(n > 0);
    assert_int_equal(pf_steer_attach(members_fds[count], program, (unsigned)n), 0);
    for (unsigned i = 0; i < count; i++) {
        pin((unsigned)members[i].cpu);
        send_clients(20, counts);
        for (unsigned j = 0; j <= count; j++)
            assert_int_equal(counts[j], i == j ? 20 : 0);
    }
    close_members();
}

static void client_on_a_cpu_reaches_the_member_that_is_pinned_there(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        pf_test_in_child(clients_on_each_cpu, (void *)(uintptr_t)kinds[i]);
}

static void excluded_members_get_nothing_and_the_others_all(void **unused)
{
    (void)unused;
    unsigned counts[MEMBERS_MAX];
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        for (int how = PF_STEER_HASH; how <= PF_STEER_CPU; how++) {
            open_members(kinds[i], 4);
            attach((enum pf_steer)how, "0 x1 2 x3");
            send_clients(200, counts);
            assert_int_equal(counts[0] + counts[2], 200);
            assert_int_equal(counts[1] + counts[3], 0);
            attach((enum pf_steer)how, "x0 x1 2 x3");
            send_clients(50, counts);
            assert_int_equal(counts[2], 50);
            close_members();
        }
        /* of 200 chance leaves one of two without any once in 2^199 */
        open_members(kinds[i], 4);
        attach(PF_STEER_HASH, "0 x1 2 x3");
        send_clients(200, counts);
        assert_true(counts[0] > 0 && counts[2] > 0);
        close_members();
    }
}

static void detaching_gives_the_kernels_hash_back(void **unused)
{
    (void)unused;
    unsigned counts[MEMBERS_MAX];
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        open_members(kinds[i], 2);
        assert_int_equal(pf_steer_attach(members_fds[0], NULL, 0), 0); /* nothing there */
        attach(PF_STEER_HASH, "x0 1");
        send_clients(50, counts);
        assert_int_equal(counts[0], 0);
        attach(PF_STEER_HASH, "0 1");
        send_clients(200, counts);
        assert_true(counts[0] > 0 && counts[1] > 0);
        assert_int_equal(counts[0] + counts[1], 200);
        close_members();
    }
}

static void index_beyond_the_group_loses_nobody(void **unused)
{
    (void)unused;
    unsigned counts[MEMBERS_MAX];
    open_members(kinds[0], 3);
    attach(PF_STEER_HASH, "x0 x1 x2 3 4");
    send_clients(50, counts);
    assert_int_equal(counts[0] + counts[1] + counts[2], 50);
    close_members();
}

static void what_is_no_group_cannot_be_steered(void **unused)
{
    (void)unused;
    const struct pf_listener_options options = {.backlog = 16};
    const struct sock_filter first = {BPF_RET | BPF_K, 0, 0, 0};
    open_members(kinds[0], 1);
    assert_int_equal(pf_steer_attach(members_fds[0], &first, 1), -EINVAL);
    assert_int_equal(pf_steer_attach(members_fds[0], NULL, 0), 0);
    close_members();
    pf_address_set_port(&address, 0);
    int fd = pf_listener_open(&address, &options, PF_LISTENER_ALONE);
    assert_true(fd >= 0);
    assert_int_equal(pf_steer_attach(fd, &first, 1), -EINVAL);
    close(fd);
    assert_int_equal(pf_steer_attach(-1, &first, 1), -EBADF);
    assert_int_equal(pf_steer_attach(-1, &first, BPF_MAXINSNS + 1), -EINVAL);
}

/* Older kernels allow 20 KiB of options, in which the longest programs have no room. */
static void kernel_takes_the_program_for_a_thousand_or_says_that_it_has_no_room(
    void **unused)
{
    (void)unused;
    unsigned counts[MEMBERS_MAX];
    open_members(kinds[0], 2);
    fill_many(512, 2);
    int n = write_many(PF_STEER_CPU);
    assert_true(n > 0);
    int err = pf_steer_attach(members_fds[0], program, (unsigned)n);
    if (err != -ENOMEM)
        assert_int_equal(err, 0);
    send_clients(20, counts);
    assert_int_equal(counts[0] + counts[1], 20);
    fill_many(32, 0);
    n = pf_steer_program(PF_STEER_CPU, many, 32, program, PF_STEER_PROGRAM_MAX);
    assert_int_equal(pf_steer_attach(members_fds[0], program, (unsigned)n), 0);
    close_members();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(program_sends_each_packet_where_the_table_says),
        pf_test(thousand_members_each_get_their_cpu),
        pf_test(thousand_members_on_few_cpus_share_them),
        pf_test(chance_reaches_each_of_the_thousand_alike),
        pf_test(program_for_the_most_members_always_fits),
        pf_test(members_that_are_not_pinned_cost_no_instructions),
        pf_test(program_without_room_or_members_is_refused),
        pf_test(client_on_a_cpu_reaches_the_member_that_is_pinned_there),
        pf_test(excluded_members_get_nothing_and_the_others_all),
        pf_test(detaching_gives_the_kernels_hash_back),
        pf_test(index_beyond_the_group_loses_nobody),
        pf_test(what_is_no_group_cannot_be_steered),
        pf_test(kernel_takes_the_program_for_a_thousand_or_says_that_it_has_no_room),
    };
    return cmocka_run_group_tests_name("steer", tests, NULL, NULL);
}
