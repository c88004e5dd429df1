/*
 * names.c - see names.h.
 *
 * The one unit that uses libbacktrace; it is joined to it when it is made, so that no
 * program meets its symbols.
 */
#include "master/names.h"

#include "master/helper.h"

#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <link.h>
#include <prefork/log.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef PF__HAVE_LIBBACKTRACE
#include <backtrace.h>
#endif

/* A file that is mapped in the worker. */
struct object {
    uint64_t base;       /* where its first byte is */
    uint64_t start, end; /* of the mapping that the address is in */
    uint64_t inode;
    char path[PATH_MAX]; /* as the kernel tells it: perhaps with " (deleted)" */
};

/* One line of the log in the making: what is known of one address. */
struct text {
    char bytes[PF_LOG_LINE_MAX / 2];
    size_t len;
};

static void add(struct text *text, const char *format, ...) PF_PRINTF(2, 3);

static void add(struct text *text, const char *format, ...)
{
    size_t room = sizeof text->bytes - text->len;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text->bytes + text->len, room, format, args);
    va_end(args);
    if (n > 0)
        text->len += (size_t)n < room ? (size_t)n : room - 1;
}

/* The last `parts` components of a path. */
static const char *tail(const char *path, int parts)
{
    const char *p = path + strlen(path);
    while (p > path && (p[-1] != '/' || --parts > 0))
        p--;
    return p;
}

/* ---- where an address is --------------------------------------------------------- */

static bool parse_mapping(const char *line, struct object *object, uint64_t *offset)
{
    int path_at = 0;
    if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %" SCNx64 " %*s %" SCNu64 " %n",
               &object->start, &object->end, offset, &object->inode, &path_at) != 4 ||
        path_at == 0)
        return false;
    snprintf(object->path, sizeof object->path, "%.*s", (int)strcspn(line + path_at, "\n"),
             line + path_at);
    return true;
}

/* proc(5): a file's mappings follow each other, and the first one shows its beginning. */
static bool find_mapped(pid_t pid, uint64_t address, struct object *out)
{
    char name[64], *line = NULL;
    size_t size = 0;
    snprintf(name, sizeof name, "/proc/%d/maps", (int)pid);
    FILE *maps = fopen(name, "re");
    static struct object object, last; /* large */
    bool found = false;
    last.path[0] = '\0';
    while (maps && !found && getline(&line, &size, maps) > 0) {
        uint64_t offset;
        if (!parse_mapping(line, &object, &offset))
            continue;
        bool begins = offset == 0 || strcmp(object.path, last.path) != 0;
        object.base = begins ? object.start : last.base;
        last = object;
        found = address >= object.start && address < object.end;
    }
    free(line);
    if (maps)
        fclose(maps);
    if (found)
        *out = object;
    return found && object.path[0] == '/';
}

static bool find_own(uint64_t address, struct object *out)
{
    Dl_info info;
    if (!dladdr((const void *)(uintptr_t)address, &info) || !info.dli_fname)
        return false;
    out->base = (uintptr_t)info.dli_fbase;
    snprintf(out->path, sizeof out->path, "%s", info.dli_fname);
    return true;
}

/* ---- with libbacktrace ----------------------------------------------------------- */

#ifdef PF__HAVE_LIBBACKTRACE

static void on_nothing(void *data, const char *message, int error)
{
    (void)data, (void)message, (void)error;
}

/* Called for the innermost inlined function first, and for the real one last. */
static int on_line(void *data, uintptr_t pc, const char *file, int line,
                   const char *function)
{
    struct text *text = data;
    (void)pc;
    if (file)
        add(text, "%s%s at %s:%d", text->len ? " inlined in " : "",
            function ? function : "?", tail(file, 2), line);
    return 0;
}

struct symbol {
    const char *name;
    uint64_t start;
};

static void on_symbol(void *data, uintptr_t pc, const char *name, uintptr_t start,
                      uintptr_t size)
{
    struct symbol *symbol = data;
    (void)pc, (void)size;
    symbol->name = name;
    symbol->start = start;
}

static int on_first_object(struct dl_phdr_info *info, size_t size, void *data)
{
    (void)size;
    *(uint64_t *)data = info->dlpi_addr;
    return 1;
}

static struct backtrace_state *own_state(void)
{
    static struct backtrace_state *state;
    if (!state)
        state = backtrace_create_state(NULL, 0, on_nothing, NULL);
    return state;
}

/* libbacktrace keeps the pointer to the name, so each has its own. */
static struct backtrace_state *state_of(const char *file)
{
    static char *name;
    static struct backtrace_state *state;
    if (name && strcmp(name, file) == 0)
        return state;
    name = strdup(file);
    state = name ? backtrace_create_state(name, 0, on_nothing, NULL) : NULL;
    return state;
}

/* By its name it may be another file meanwhile; the right one can be opened even when it
 * has no name any more, given the capability (proc(5)). */
static bool choose_file(pid_t pid, const struct object *object, char *name, size_t size)
{
    struct object first;
    struct stat status;
    if (find_mapped(pid, object->base, &first)) {
        snprintf(name, size, "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, (int)pid,
                 first.start, first.end);
        if (stat(name, &status) == 0)
            return true;
    }
    snprintf(name, size, "%s", object->path);
    return stat(name, &status) == 0 && status.st_ino == object->inode &&
           access(name, R_OK) == 0;
}

/*
 * A file that is not loaded here is opened as if it were the program: libbacktrace then
 * takes the file's addresses to begin where the program's do, when that file is a shared
 * object (elf.c, phdr_callback: the descriptor it was given stands for the nameless
 * object).
 */
static struct backtrace_state *open_object(pid_t pid, const struct object *object,
                                           uint64_t *shift)
{
    char name[PATH_MAX];
    uint64_t program = 0;
    if (!choose_file(pid, object, name, sizeof name))
        return NULL; /* or libbacktrace would take this program instead */
    dl_iterate_phdr(on_first_object, &program);
    *shift = program - object->base;
    return state_of(name);
}

static void add_names(struct text *text, struct backtrace_state *state, uint64_t pc,
                      uint64_t within)
{
    struct symbol symbol = {NULL, 0};
    if (!state)
        return;
    backtrace_pcinfo(state, (uintptr_t)within, on_line, on_nothing, text);
    if (text->len)
        return;
    backtrace_syminfo(state, (uintptr_t)within, on_symbol, on_nothing, &symbol);
    if (symbol.name)
        add(text, "%s+0x%" PRIx64 " in ", symbol.name, pc - symbol.start);
}

static void add_own_names(struct text *text, uint64_t pc, uint64_t within)
{
    add_names(text, own_state(), pc, within);
}

static void add_foreign_names(struct text *text, pid_t pid, const struct object *object,
                              uint64_t pc, uint64_t within)
{
    uint64_t shift = 0;
    struct backtrace_state *state = open_object(pid, object, &shift);
    add_names(text, state, pc + shift, within + shift);
}

#else

static void add_own_names(struct text *text, uint64_t pc, uint64_t within)
{
    Dl_info info;
    if (dladdr((const void *)(uintptr_t)within, &info) && info.dli_sname)
        add(text, "%s+0x%" PRIx64 " in ", info.dli_sname, pc - (uintptr_t)info.dli_saddr);
}

static void add_foreign_names(struct text *text, pid_t pid, const struct object *object,
                              uint64_t pc, uint64_t within)
{
    (void)text, (void)pid, (void)object, (void)pc, (void)within;
}

#endif

/* ---- a record -------------------------------------------------------------------- */

/* A return address belongs to the call before it, which may be another line's or even
 * another function's. */
static void describe(struct text *text, pid_t pid, uint64_t pc, bool is_return)
{
    static struct object theirs, own; /* large */
    uint64_t within = is_return ? pc - 1 : pc;
    bool is_theirs = find_mapped(pid, within, &theirs), is_own = find_own(within, &own);
    if (is_own && (!is_theirs || own.base == theirs.base)) {
        add_own_names(text, pc, within);
        theirs = own;
    } else if (is_theirs) {
        add_foreign_names(text, pid, &theirs, pc, within);
    } else {
        add(text, "[0x%" PRIx64 "]", pc);
        return;
    }
    bool named = text->len > 0;
    if (named && text->bytes[text->len - 1] != ' ')
        return;
    add(text, named ? "%s+0x%" PRIx64 : "[%s+0x%" PRIx64 "]", tail(theirs.path, 1),
        pc - theirs.base);
}

/* Where a worker's own life begins: what called that is the master, the same each time. */
static bool is_outermost(const struct text *text)
{
    return strstr(text->bytes, "pf__worker_run at ") || strstr(text->bytes, "seat_run at ");
}

void pf__names_print(const struct pf_crash_record *record, int slot)
{
    char lane[16] = "-";
    if (record->lane != PF_CRASH_LANE_NONE)
        snprintf(lane, sizeof lane, "%" PRIu32, record->lane);
    if (record->count == 0)
        pf_log(PF_LOG_WARN, "backtrace", "worker=%d pid=%d lane=%s no-frames", slot,
               record->pid, lane);
    for (uint32_t i = 0; i < record->count; i++) {
        struct text text = {.len = 0};
        describe(&text, record->pid, record->pc[i], i > 0);
        pf_log(PF_LOG_WARN, "backtrace", "worker=%d pid=%d lane=%s #%" PRIu32 " %s", slot,
               record->pid, lane, i, text.bytes);
        if (is_outermost(&text))
            break;
    }
}

/* ---- the helper ------------------------------------------------------------------ */

int pf__names_start(const struct pf_crash_record *record, int slot,
                    void (*let_go)(void *arg), void *arg)
{
    fflush(NULL); /* or the child holds a copy of what is not written yet */
    pid_t pid = fork();
    if (pid == -1)
        return -errno;
    if (pid > 0)
        return pid;
    pf__helper_limit(PF__NAMES_LIMIT_S);
    if (let_go)
        let_go(arg);
    pf__names_print(record, slot);
    fflush(NULL); /* a sink may have used stdio */
    _exit(0);
}
