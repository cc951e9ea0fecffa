/* Products of some rows with one panel of weights: what nearly all time goes into. */
#ifndef CHRION_PANEL_H
#define CHRION_PANEL_H

#include "operand.h"

#define MOST_VECTORS 3
#define PRECISIONS 3

/* sums[row][vector] += inputs[row] times the inputs `from` to `to` of one panel, which begins with the row `start` of all
 * packed ones. `inputs` begin with the input `from`, which is a multiple of LANES. */
typedef void multiply_panel(const struct weights *weights, long start, long from, long to, const struct operand *inputs,
                            vector sums[MOST_ROWS][MOST_VECTORS]);

/* One for every precision and size of a tile: with more around it a compiler would run out of registers for the sums. */
#if MOST_ROWS == 8
#define TILE_HEIGHTS 4
#else
#define TILE_HEIGHTS 3
#endif
extern multiply_panel *const multiply_panels[PRECISIONS][TILE_HEIGHTS][MOST_VECTORS];

/* The same by the function for a tile; `rows` and `vectors` are constants. */
INLINE void multiply(const int rows, const int vectors, const struct weights *weights, long start, long from, long to,
                     const struct operand *inputs, vector sums[MOST_ROWS][MOST_VECTORS])
{
    const int height = rows == 8 ? 3 : rows == 4 ? 2 : rows - 1;
    multiply_panels[weights->precision][height][vectors - 1](weights, start, from, to, inputs, sums);
}

/* Does something for `count` rows in tiles of constant size: `TILE(rows, first, …)` is a statement for one tile. */
#define TILE_OF(rows, TILE, ...)                                                                                       \
    if (left >= (rows)) {                                                                                              \
        TILE(rows, first, __VA_ARGS__);                                                                                \
        first += (rows);                                                                                               \
        left -= (rows);                                                                                                \
        continue;                                                                                                      \
    }
#if MOST_ROWS == 8
#define LARGEST_TILE(TILE, ...) TILE_OF(8, TILE, __VA_ARGS__)
#else
#define LARGEST_TILE(TILE, ...)
#endif
#define IN_TILES(count, TILE, ...)                                                                                     \
    for (long first = 0, left = (count); left;) {                                                                      \
        LARGEST_TILE(TILE, __VA_ARGS__)                                                                                \
        TILE_OF(4, TILE, __VA_ARGS__)                                                                                  \
        TILE_OF(2, TILE, __VA_ARGS__)                                                                                  \
        TILE_OF(1, TILE, __VA_ARGS__)                                                                                  \
    }

#endif
