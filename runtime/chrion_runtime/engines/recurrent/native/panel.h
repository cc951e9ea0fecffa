/* Products of some rows with one panel of weights: what nearly all time goes into. */
#ifndef CHRION_PANEL_H
#define CHRION_PANEL_H

#include "operand.h"

#define MOST_VECTORS 3
#define PRECISIONS 3

/* sums[row][vector] += over `width` inputs of inputs[row][i] * panel[i][vector], and the panel's `scales` where it has such.
 * There is such a function for every precision and size of a tile: with more around it a compiler would run out of
 * registers for the sums. */
typedef void multiply_panel(const char *panel, const float *scales, long width, const struct operand *inputs,
                            vector sums[MOST_ROWS][MOST_VECTORS]);

#define MULTIPLY_ROWS(rows) float32_##rows##_1, float32_##rows##_2, float32_##rows##_3
multiply_panel MULTIPLY_ROWS(1), MULTIPLY_ROWS(2), MULTIPLY_ROWS(4);
#if MOST_ROWS == 8
multiply_panel MULTIPLY_ROWS(8);
#define HEIGHTS 4
#else
#define HEIGHTS 3
#endif
#undef MULTIPLY_ROWS

/* Those for weights that are rounded. */
extern multiply_panel *const multiply_rounded[PRECISIONS][HEIGHTS][MOST_VECTORS];

/* The inputs `from` to `to`, `from` being a multiple of LANES, times the panel that begins with the row `start` of all
 * packed ones. `rows` and `vectors` are constants. */
INLINE void multiply(const int rows, const int vectors, const struct weights *weights, long start, long from, long to,
                     const struct operand *inputs, vector sums[MOST_ROWS][MOST_VECTORS])
{
    const long place = start * weights->width + from * vectors * LANES;
    const char *panel = weights->values + (size_t)place * size_of(weights->precision);
    const float *scales = weights->scales + start;
#define ONE_OF(rows)                                                                                                   \
    (vectors == 1 ? float32_##rows##_1 : vectors == 2 ? float32_##rows##_2 : float32_##rows##_3)(panel, scales,        \
                                                                                                 to - from, inputs,    \
                                                                                                 sums)
    if (weights->precision != FLOAT32)
        multiply_rounded[weights->precision][rows == 8 ? 3 : rows == 4 ? 2 : rows - 1][vectors - 1](
            panel, scales, to - from, inputs, sums);
#if MOST_ROWS == 8
    else if (rows == 8)
        ONE_OF(8);
#endif
    else if (rows == 4)
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
