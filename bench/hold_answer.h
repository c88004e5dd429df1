/*
 * hold_answer.h - the one answer that a connection gets before it is idle: is it there, and
 * is it a good one? Only for as long as it has not come.
 */
#ifndef PREFORK_BENCH_HOLD_ANSWER_H
#define PREFORK_BENCH_HOLD_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

struct hold_answer;

/* To a HEAD, or to another request. NULL without memory; free(3) it. */
struct hold_answer *hold_answer_new(bool head);

/* More bytes have come; what is behind the answer is not looked at. Returns 1 if it is
 * complete, and below 400; 0: it goes on; or a negative enum tally_reason: -TALLY_STATUS
 * (complete, 400 or above), -TALLY_NOT_HTTP. */
int hold_answer_take(struct hold_answer *answer, const char *bytes, size_t len);

/* Has any of it come? */
bool hold_answer_begun(const struct hold_answer *answer);

#endif
