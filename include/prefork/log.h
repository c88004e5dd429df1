/*
 * log.h - one event, one line, one write(2).
 *
 * A line reads `level role pid event key=value...`, for example
 *
 *     info master 4711 worker-ready worker=0 pid=4712 cpu=0
 *
 * It goes to standard error unless a sink is set. libprefork prints in no other way.
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

/* A longer line is cut and ends in "...". */
#define PF_LOG_LINE_MAX 1024

enum pf_log_format {
    /* level role pid event key=value... */
    PF_LOG_PLAIN,
    /* [I 261127 08:00:00 role:pid] event key=value..., in local time; on a terminal
     * coloured by its level, unless NO_COLOR is in the environment */
    PF_LOG_PRETTY,
    /* {"time":"2026-11-27T08:00:00.123Z","level":"info","role":"master","pid":4711,
     * "event":"worker-ready","text":"worker=0 pid=4712"} */
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
 * vsnprintf, one poll(2) and one write(2).
 */
PF_API void pf_log(enum pf_log_level level, const char *event, const char *format, ...)
    PF_PRINTF(3, 4);

/* Events below `level` are dropped; PF_LOG_INFO at start. Any thread. */
PF_API void pf_log_set_level(enum pf_log_level level);

/*
 * How lines look from now on; PF_LOG_PLAIN at start. In JSON, bytes beyond ASCII are
 * written as \\xNN too, and a line that is cut is an object all the same. What is not known
 * is PF_LOG_PLAIN. Looks at standard error, the environment and the local time zone, so
 * call it before other threads run; later changes of those are not seen. Inherited over a
 * fork.
 */
PF_API void pf_log_set_format(enum pf_log_format format);

/* Is an event of this level logged? For callers whose arguments are dear to compute. */
PF_API bool pf_log_enabled(enum pf_log_level level);

/*
 * Send lines to `sink` from now on; NULL is standard error again. `arg` is borrowed.
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
