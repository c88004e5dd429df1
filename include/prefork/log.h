/*
 * log.h - one event, one line, one write(2).
 *
 * A line reads `level role pid event key=value...`, for example
 *
 *     info master 4711 worker-ready worker=0 pid=4712 cpu=0
 *
 * It goes to standard error unless a sink is set. libprefork prints in no other way.
 *
 * LEVELS AND NAMES. Events below a level are dropped. A part of a program may log under a
 * name, "app.db": the level is then the one set for that name, else for the nearest one
 * above it ("app"), else the one for all. Names are for programs: the library's own events
 * have none.
 */
#ifndef PREFORK_LOG_H
#define PREFORK_LOG_H

#include <prefork/base.h>

#ifdef __cplusplus
extern "C" {
#endif

enum pf_log_level {
    PF_LOG_DEBUG,
    PF_LOG_INFO,
    PF_LOG_WARN,
    PF_LOG_ERROR,
};

/* How long a name may be, with its NUL, and how many may have a level of their own. */
#define PF_LOG_NAME_MAX  64
#define PF_LOG_NAMES_MAX 32

/* A longer line is cut and ends in "...". */
#define PF_LOG_LINE_MAX 1024

enum pf_log_format {
    /* level role pid event key=value... */
    PF_LOG_PLAIN,
    /* [I 261127 08:00:00 role:pid] event key=value..., in local time; on a terminal
     * coloured by its level, unless NO_COLOR is in the environment */
    PF_LOG_PRETTY,
    /* {"time":"2026-11-27T08:00:00.123Z","level":"info","role":"master","pid":4711,
     * "event":"worker-ready","text":"worker=0 pid=4712"}; under a name with "log" */
    PF_LOG_JSON,
    /* pretty if standard error is a terminal now, else plain */
    PF_LOG_AUTO,
};

/*
 * Receives each line, without a newline at its end (line[len] is NUL).
 * May be called from any thread that logs; must not log itself.
 */
typedef void pf_log_sink_fn(enum pf_log_level level, const char *line, size_t len,
                            void *arg);

/*
 * Log one event. `event` is a word-with-dashes; `format` gives the key=value pairs and may
 * be "". Bytes of the values below 0x20, and 0x7f, are written as \xNN, so that a line
 * stays one line whatever a client sent.
 *
 * Keeps errno. Any thread; not from a signal handler; after a fork as before it.
 * A line that standard error has no room for is dropped, and the next one says how many
 * were: a log that nobody reads holds up nobody. Cost: nothing below the level; else one
 * vsnprintf, one fstat(2) and one write(2); for a terminal, an open(2) and a close(2) more.
 */
PF_API void pf_log(enum pf_log_level level, const char *event, const char *format, ...)
    PF_PRINTF(3, 4);

/*
 * The same under a name, of which the line tells by `log=NAME` in front of the values. NULL
 * and "" are no name: then it is pf_log(). Cost: as pf_log(), and a look at each name that
 * has a level.
 */
PF_API void pf_log_named(const char *name, enum pf_log_level level, const char *event,
                         const char *format, ...) PF_PRINTF(4, 5);

/* Events below `level` are dropped; PF_LOG_INFO at start. Any thread. */
PF_API void pf_log_set_level(enum pf_log_level level);

/*
 * The same for events under `name`, and under names that begin with it and a dot, as far as
 * they have no level of their own. Words of letters, digits, - and _, with dots between
 * them; copied, and kept for good. Any thread. Inherited over a fork.
 *
 * Returns 0, -EINVAL (no such name, or one of PF_LOG_NAME_MAX bytes and more), -ENOSPC
 * (PF_LOG_NAMES_MAX names have levels).
 */
PF_API int pf_log_set_named_level(const char *name, enum pf_log_level level);

/*
 * Set levels by a text, such as an option's value: LEVEL or NAME=LEVEL, with commas between
 * them, "info,app.db=debug". The last of a kind counts; what is not mentioned stays. Levels
 * are debug, info, warn, error.
 *
 * Returns 0, or, with nothing changed and a phrase in why[why_len] unless it is NULL,
 * -EINVAL or -ENOSPC as above. Any thread.
 */
PF_API int pf_log_set_levels(const char *text, char *why, size_t why_len);

/*
 * How lines look from now on; PF_LOG_PLAIN at start. In JSON, bytes beyond ASCII are
 * written as \\xNN too, and a line that is cut is an object all the same. What is not known
 * is PF_LOG_PLAIN. Looks at standard error, the environment and the local time zone, so
 * call it before other threads run; later changes of those are not seen. Inherited over a
 * fork. Without it standard error is looked at when the first line is written.
 */
PF_API void pf_log_set_format(enum pf_log_format format);

/* Is an event of this level logged? For callers whose arguments are dear to compute. */
PF_API bool pf_log_enabled(enum pf_log_level level);
PF_API bool pf_log_named_enabled(const char *name, enum pf_log_level level);

/*
 * Send lines to `sink` from now on; NULL is standard error again, which is then looked at
 * anew: for a program that has put something else in its place. `arg` is borrowed.
 * Call it before other threads log. Inherited over a fork.
 */
PF_API void pf_log_set_sink(pf_log_sink_fn *sink, void *arg);

/*
 * Name this process in its lines: "master", "worker=3". Copied, cut at 31 bytes.
 * Call it before other threads log. Inherited over a fork.
 */
PF_API void pf_log_set_role(const char *role);

#ifdef __cplusplus
}
#endif
#endif
