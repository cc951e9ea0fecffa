/* Inputs times weights, panel by panel. */
#include "projection.h"

#include "panel.h"

INLINE void tile(const struct layer *layer, const int rows, const int vectors, long panel, const struct operand *inputs,
                 float *projected)
{
    vector sums[MOST_ROWS][MOST_VECTORS];
    const long start = panel * vectors * LANES;
    UNROLL(8)
    for (int row = 0; row < rows; row++)
        UNROLL(3)
        for (int v = 0; v < vectors; v++)
            sums[row][v] = load_aligned(layer->bias + start + v * LANES);
    multiply(rows, vectors, &layer->input, start, 0, layer->inputs, inputs, sums);
    UNROLL(8)
    for (int row = 0; row < rows; row++)
        UNROLL(3)
        for (int v = 0; v < vectors; v++)
            store_aligned(projected + row * layer->row + start + v * LANES, sums[row][v]);
}

/* A panel stays in the nearest cache while all rows pass. */
INLINE void panels(const struct layer *layer, const int vectors, const struct operand *inputs, long count,
                   float *projected, long from, long to)
{
    const long in_group = vectors_of(layer->kind) / vectors;
    for (long panel = from * in_group; panel < to * in_group; panel++) {
#define TILE(rows, first, vectors) tile(layer, rows, vectors, panel, inputs + (first), projected + (first) * layer->row)
        IN_TILES(count, TILE, vectors)
#undef TILE
    }
}

void project(const struct layer *layer, struct operand *inputs, signed char *bytes, long count, float *projected,
             long from, long to)
{
    if (takes_bytes(layer))
        quantise(inputs, count, layer->inputs, bytes, bytes_of(layer->inputs));
    if (panel_of(layer->kind) == 2)
        panels(layer, 2, inputs, count, projected, from, to);
    else
        panels(layer, 3, inputs, count, projected, from, to);
}
