/* The products, once for every size of a tile. */
#include "panel.h"

/* Sums that run side by side: one alone would wait for itself, since an addition takes longer than the next can start. */
INLINE int chains_of(int rows) { return rows == 1 ? 4 : rows == 2 ? 2 : 1; }

INLINE void multiply_tile(const int rows, const int vectors, const float *panel, long width, const float *const *inputs,
                     vector sums[MOST_ROWS][MOST_VECTORS])
{
    const int chains = chains_of(rows);
    const float *in[MOST_ROWS];
    vector held[4][MOST_ROWS][MOST_VECTORS];
    long place = 0;
    UNROLL(8)
    for (int row = 0; row < rows; row++) {
        in[row] = inputs[row];
        UNROLL(4)
        for (int chain = 0; chain < chains; chain++)
            UNROLL(3)
            for (int v = 0; v < vectors; v++)
                held[chain][row][v] = chain ? (vector){} : sums[row][v];
    }
    for (; place + chains <= width; place += chains) {
        UNROLL(4)
        for (int chain = 0; chain < chains; chain++) {
            vector weights[MOST_VECTORS];
            UNROLL(3)
            for (int v = 0; v < vectors; v++)
                weights[v] = load_aligned(panel + (chain * vectors + v) * LANES);
            UNROLL(8)
            for (int row = 0; row < rows; row++) {
                const vector input = vector_of(in[row][place + chain]);
                UNROLL(3)
                for (int v = 0; v < vectors; v++)
                    held[chain][row][v] += weights[v] * input;
            }
        }
        panel += chains * vectors * LANES;
    }
    for (; place < width; place++, panel += vectors * LANES)
        UNROLL(8)
        for (int row = 0; row < rows; row++)
            UNROLL(3)
            for (int v = 0; v < vectors; v++)
                held[0][row][v] += load_aligned(panel + v * LANES) * vector_of(in[row][place]);
    UNROLL(8)
    for (int row = 0; row < rows; row++)
        UNROLL(3)
        for (int v = 0; v < vectors; v++) {
            UNROLL(4)
            for (int chain = 1; chain < chains; chain++)
                held[0][row][v] += held[chain][row][v];
            sums[row][v] = held[0][row][v];
        }
}

#undef MULTIPLY
#define MULTIPLY(rows, vectors)                                                                                        \
    void multiply_##rows##_##vectors(const float *panel, long width, const float *const *inputs,                       \
                                     vector sums[MOST_ROWS][MOST_VECTORS])                                             \
    {                                                                                                                  \
        multiply_tile(rows, vectors, panel, width, inputs, sums);                                                      \
    }
#undef MULTIPLY_ROWS
#define MULTIPLY_ROWS(rows) MULTIPLY(rows, 1) MULTIPLY(rows, 2) MULTIPLY(rows, 3)

MULTIPLY_ROWS(1)
MULTIPLY_ROWS(2)
MULTIPLY_ROWS(4)
#if MOST_ROWS == 8
MULTIPLY_ROWS(8)
#endif
