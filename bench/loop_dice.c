/* loop_dice.c - see loop_dice.h. */
#include "bench/loop_dice.h"

#include "bench/loop_bench.h"

int *dice_delays_ms(size_t count, int least_ms, int most_ms)
{
    struct dice dice = DICE_INIT;
    int *delays = new_array(count, sizeof *delays);
    uint32_t span = (uint32_t)(most_ms - least_ms) + 1;
    for (size_t i = 0; i < count; i++)
        delays[i] = least_ms + (int)dice_below(&dice, span);
    return delays;
}

uint32_t *dice_order(size_t count)
{
    struct dice dice = DICE_INIT;
    uint32_t *order = new_array(count, sizeof *order);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t other = dice_below(&dice, i + 1);
        order[i] = order[other];
        order[other] = i;
    }
    return order;
}
