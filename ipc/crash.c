/* crash.c - see crash.h. */
#include "ipc/crash.h"

#include <limits.h>
#include <string.h>

_Static_assert(sizeof(struct pf_crash_record) == 40 + 8 * PF_CRASH_FRAMES_MAX,
               "no padding: every byte that is sent is set");
_Static_assert(sizeof(struct pf_crash_record) <= PIPE_BUF, "one write, never split");

static bool has_signal_of_cause(const struct pf_crash_record *record)
{
    switch ((enum pf_crash_cause)record->cause) {
    case PF_CRASH_DUMP:
        return record->signo == PF_CRASH_SIGNAL_DUMP;
    case PF_CRASH_SPIN:
        return record->signo == PF_CRASH_SIGNAL_TICK;
    case PF_CRASH_FATAL:
        return record->signo > 0 && record->signo < SIGRTMIN;
    }
    return false;
}

bool pf__crash_valid(const void *bytes, size_t len, pid_t pid, struct pf_crash_record *out)
{
    struct pf_crash_record record;
    if (len != sizeof record)
        return false;
    memcpy(&record, bytes, sizeof record);
    if (record.magic != PF_CRASH_MAGIC || record.version != PF_CRASH_VERSION ||
        !has_signal_of_cause(&record) || record.pid <= 0 || record.tid <= 0 ||
        (pid != 0 && record.pid != pid) || record.count > PF_CRASH_FRAMES_MAX)
        return false;
    for (uint32_t i = record.count; i < PF_CRASH_FRAMES_MAX; i++)
        if (record.pc[i] != 0)
            return false;
    *out = record;
    return true;
}

const char *pf__crash_cause_name(unsigned cause)
{
    static const char *const names[] = {"?", "dump", "spin", "fatal"};
    return cause < sizeof names / sizeof *names ? names[cause] : names[0];
}
