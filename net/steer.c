/* steer.c - see steer.h. */
#include "net/steer.h"

#include <errno.h>
#include <sys/socket.h>

_Static_assert(PF_STEER_PROGRAM_MAX <= BPF_MAXINSNS, "the kernel takes it");

/* A jump over more instructions than fit into jt and jf takes an instruction of its own. */
#define SHORT_JUMP_MAX 255

/* ---- writing a program ----------------------------------------------------------- */

struct program {
    struct sock_filter *at;
    unsigned count, max; /* count goes on beyond max, where nothing is written */
};

static void emit(struct program *program, int code, uint32_t k)
{
    if (program->count < program->max)
        program->at[program->count] = (struct sock_filter){(uint16_t)code, 0, 0, k};
    program->count++;
}

/* A is compared with k; if the test fails, `over` instructions are left out. */
static void emit_unless(struct program *program, int test, uint32_t k, unsigned over)
{
    bool is_short = over <= SHORT_JUMP_MAX;
    emit(program, BPF_JMP | test | BPF_K, k);
    if (program->count <= program->max) {
        program->at[program->count - 1].jt = is_short ? 0 : 1;
        program->at[program->count - 1].jf = is_short ? (uint8_t)over : 0;
    }
    if (!is_short)
        emit(program, BPF_JMP | BPF_JA, over);
}

static void emit_load(struct program *program, int what)
{
    emit(program, BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + what));
}

/* Some members, by index, in ascending order. */
struct list {
    unsigned count;
    uint16_t at[PF_STEER_MEMBERS_MAX];
};

/*
 * Return the (A modulo count)-th of the list. Where the list skips indices, all from there
 * on are moved up: two instructions for each gap, and a gap at the start takes one.
 */
static void emit_choice(struct program *program, const struct list *list)
{
    emit(program, BPF_ALU | BPF_MOD | BPF_K, list->count);
    if (list->at[0] > 0)
        emit(program, BPF_ALU | BPF_ADD | BPF_K, list->at[0]);
    for (unsigned i = 1; i < list->count; i++) {
        unsigned expected = list->at[i - 1] + 1u;
        if (list->at[i] == expected)
            continue;
        emit_unless(program, BPF_JGE, expected, 1);
        emit(program, BPF_ALU | BPF_ADD | BPF_K, list->at[i] - expected);
    }
    emit(program, BPF_RET | BPF_A, 0);
}

/* Return one of the list: load something to choose by, unless there is no choice. */
static void emit_return(struct program *program, const struct list *list)
{
    if (list->count == 1) {
        emit(program, BPF_RET | BPF_K, list->at[0]);
        return;
    }
    emit_load(program, SKF_AD_RANDOM);
    emit_choice(program, list);
}

/* ---- who gets what --------------------------------------------------------------- */

static bool is_pinned(const struct pf_steer_member *member)
{
    return member->cpu >= 0;
}

static bool are_all_excluded(const struct pf_steer_member *members, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (!members[i].excluded)
            return false;
    return true;
}

static void find_live(const struct pf_steer_member *members, unsigned count,
                      struct list *live)
{
    bool none_is = are_all_excluded(members, count); /* then it is as if all were */
    live->count = 0;
    for (unsigned i = 0; i < count; i++)
        if (none_is || !members[i].excluded)
            live->at[live->count++] = (uint16_t)i;
}

/* Of the live ones the nearest to this index, the lower of two. */
static uint16_t nearest(const struct list *live, unsigned index)
{
    uint16_t best = live->at[0];
    for (unsigned i = 1; i < live->count; i++) {
        unsigned far = best > index ? best - index : index - best;
        unsigned here = live->at[i] > index ? live->at[i] - index : index - live->at[i];
        if (here < far)
            best = live->at[i];
    }
    return best;
}

/* Who serves the CPU of the member `first`, which is the first there. */
static void find_servers(const struct pf_steer_member *members, unsigned first,
                         const struct list *live, struct list *servers)
{
    servers->count = 0;
    for (unsigned i = 0; i < live->count; i++)
        if (members[live->at[i]].cpu == members[first].cpu)
            servers->at[servers->count++] = live->at[i];
    if (servers->count == 0)
        servers->at[servers->count++] = nearest(live, first);
}

static bool has_cpu_before(const struct pf_steer_member *members, unsigned index)
{
    for (unsigned i = 0; i < index; i++)
        if (members[i].cpu == members[index].cpu)
            return true;
    return false;
}

/* How long a block is, is known when it was written once, to nowhere. */
static void emit_cpu(struct program *program, int cpu, const struct list *servers)
{
    struct program draft = {0};
    emit_return(&draft, servers);
    emit_unless(program, BPF_JEQ, (uint32_t)cpu, draft.count);
    emit_return(program, servers);
}

static void emit_cpus(struct program *program, const struct pf_steer_member *members,
                      unsigned count, const struct list *live)
{
    struct list servers;
    emit_load(program, SKF_AD_CPU);
    for (unsigned i = 0; i < count; i++) {
        if (!is_pinned(&members[i]) || has_cpu_before(members, i))
            continue;
        find_servers(members, i, live, &servers);
        emit_cpu(program, members[i].cpu, &servers);
    }
    emit_choice(program, live); /* A is the CPU still */
}

/* ---- the two calls --------------------------------------------------------------- */

int pf_steer_program(enum pf_steer how, const struct pf_steer_member *members,
                     unsigned count, struct sock_filter *out, unsigned max)
{
    if (!members || count == 0 || count > PF_STEER_MEMBERS_MAX)
        return -EINVAL;
    struct list live;
    find_live(members, count, &live);
    if (count == 1 || (how == PF_STEER_HASH && live.count == count))
        return 0;
    struct program program = {.at = out, .max = out ? max : 0};
    if (how == PF_STEER_CPU)
        emit_cpus(&program, members, count, &live);
    else
        emit_return(&program, &live);
    return program.count > program.max ? -E2BIG : (int)program.count;
}

int pf_steer_attach(int fd, const struct sock_filter *program, unsigned count)
{
    if (count > BPF_MAXINSNS)
        return -EINVAL;
    if (count == 0) {
        int none = 0;
        int err = setsockopt(fd, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, &none, sizeof none);
        return err == 0 || errno == ENOENT ? 0 : -errno;
    }
    struct sock_fprog what = {.len = (unsigned short)count};
    /* The kernel copies it; its type has no room to say so. */
    what.filter = (struct sock_filter *)(uintptr_t)program;
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &what, sizeof what) == 0
               ? 0
               : -errno;
}
