/* Products of some rows with one panel of weights: what nearly all time goes into. */
#ifndef CHRION_PANEL_H
#define CHRION_PANEL_H

#include "vector.h"

#define MOST_VECTORS 3

/* sums[row][vector] += over `width` inputs of inputs[row][i] * panel[i][vector]. There is such a function for every size
 * of a tile: with more around it a compiler would run out of registers for the sums. */
#define MULTIPLY(rows, vectors)                                                                                        \
    void multiply_##rows##_##vectors(const float *panel, long width, const float *const *inputs,                       \
                                     vector sums[MOST_ROWS][MOST_VECTORS])
#define MULTIPLY_ROWS(rows)                                                                                            \
    MULTIPLY(rows, 1);                                                                                                 \
    MULTIPLY(rows, 2);                                                                                                 \
    MULTIPLY(rows, 3)

MULTIPLY_ROWS(1);
MULTIPLY_ROWS(2);
MULTIPLY_ROWS(4);
#if MOST_ROWS == 8
MULTIPLY_ROWS(8);
#endif

/* The same by the function for a tile; `rows` and `vectors` are constants. */
INLINE void multiply(const int rows, const int vectors, const float *panel, long width, const float *const *inputs,
                     vector sums[MOST_ROWS][MOST_VECTORS])
{
#define ONE_OF(rows)                                                                                                   \
    (vectors == 1 ? multiply_##rows##_1 : vectors == 2 ? multiply_##rows##_2 : multiply_##rows##_3)(panel, width,      \
                                                                                                    inputs, sums)
#if MOST_ROWS == 8
    if (rows == 8)
        ONE_OF(8);
    else
#endif
        if (rows == 4)
        ONE_OF(4);
    else if (rows == 2)
        ONE_OF(2);
    else
        ONE_OF(1);
#undef ONE_OF
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
