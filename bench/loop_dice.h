/*
 * loop_dice.h - numbers that look random and are the same in every run of every library.
 */
#ifndef PREFORK_BENCH_LOOP_DICE_H
#define PREFORK_BENCH_LOOP_DICE_H

#include <stddef.h>
#include <stdint.h>

struct dice {
    uint64_t state;
};

#define DICE_INIT                                                                          \
    {                                                                                      \
        UINT64_C(88172645463325252)                                                        \
    }

/* From 0 to n - 1. In the header, since it stands in timed loops. Source: Marsaglia,
 * Xorshift RNGs, 2003. */
static inline uint32_t dice_below(struct dice *dice, uint32_t n)
{
    dice->state ^= dice->state << 13;
    dice->state ^= dice->state >> 7;
    dice->state ^= dice->state << 17;
    return (uint32_t)((dice->state >> 32) * n >> 32);
}

/* `count` whole milliseconds, from least_ms to most_ms. To be freed. */
int *dice_delays_ms(size_t count, int least_ms, int most_ms);

/* The numbers from 0 to count - 1, shuffled. To be freed. */
uint32_t *dice_order(size_t count);

#endif
