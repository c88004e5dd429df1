/*
 * assert.h - an invariant of our own code, checked in release builds too.
 *
 * For what no caller can cause; a caller's mistake is an error value. Says file, line and
 * condition through the log (role and pid stand in every line) and aborts.
 */
#ifndef PREFORK_LOOP_ASSERT_H
#define PREFORK_LOOP_ASSERT_H

#include <prefork/log.h>
#include <stdlib.h>

#define pf_assert(condition)                                                               \
    ((condition) ? (void)0                                                                 \
                 : (pf_log(PF_LOG_ERROR, "assertion-failed", "at=%s condition=%s",         \
                           PF_HERE, #condition),                                           \
                    abort()))

#endif
