/*
 * base.h - what every public header of libprefork shares.
 *
 * Results are int: 0 or a useful non-negative value on success, a negative errno otherwise.
 * Times are int64_t nanoseconds. Out parameters come last and are untouched on failure.
 */
#ifndef PREFORK_BASE_H
#define PREFORK_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PF_VERSION_MAJOR 0
#define PF_VERSION_MINOR 1
#define PF_VERSION_PATCH 0
#define PF_VERSION       "0.1.0"

#if defined(__GNUC__)
#define PF_API                        __attribute__((visibility("default")))
#define PF_PRINTF(format_at, args_at) __attribute__((format(printf, format_at, args_at)))
#else
#define PF_API
#define PF_PRINTF(format_at, args_at)
#endif

#define PF__TEXT(x)  #x
#define PF__TEXT2(x) PF__TEXT(x)

/* "file.c:42": where a registration was made, for messages. A string literal. */
#define PF_HERE __FILE__ ":" PF__TEXT2(__LINE__)

/* Nanoseconds in a second, a millisecond, a microsecond. */
#define PF_SECOND      INT64_C(1000000000)
#define PF_MILLISECOND INT64_C(1000000)
#define PF_MICROSECOND INT64_C(1000)

/* Exit statuses of programs built on prefork; sysexits.h has the same values. */
enum pf_exit {
    PF_EXIT_OK = 0,
    PF_EXIT_USAGE = 64,       /* bad command line */
    PF_EXIT_UNAVAILABLE = 69, /* cannot bind, or open a file of the server's */
    PF_EXIT_SOFTWARE = 70,    /* a start-up step failed that no option can mend */
    PF_EXIT_TEMPFAIL = 75,    /* all workers keep failing */
    PF_EXIT_CONFIG = 78,      /* bad configuration, or no worker could boot */
};

/* The version of the library that runs, "0.1.0". Never fails; any thread; static text. */
PF_API const char *pf_version(void);

#ifdef __cplusplus
}
#endif
#endif
