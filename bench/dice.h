/*
 * dice.h - numbers that look random, and are the same with the same seed.
 */
#ifndef PREFORK_BENCH_DICE_H
#define PREFORK_BENCH_DICE_H

#include <stdint.h>

/* 64 evenly random bits; *dice is a seed that is not 0, or what was left by the roll
 * before. Cost: a few shifts. Source: Vigna, An experimental exploration of Marsaglia's
 * xorshift generators, scrambled (xorshift64*). */
static inline uint64_t dice_roll(uint64_t *dice)
{
    *dice ^= *dice >> 12;
    *dice ^= *dice << 25;
    *dice ^= *dice >> 27;
    return *dice * UINT64_C(2685821657736338717);
}

#endif
