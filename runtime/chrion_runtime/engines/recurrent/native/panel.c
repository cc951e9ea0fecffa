/* The products, once for every precision of weights and every size of a tile. */
#include "panel.h"

/* Sums that run side by side: one alone would wait for itself, since an addition takes longer than the next can start. */
INLINE int chains_of(int rows) { return rows == 1 ? 4 : rows == 2 ? 2 : 1; }

/* The n-th vector from `panel` on, as floats. */
INLINE vector load_weights(const enum precision precision, const char *panel, long number)
{
    const char *from = panel + (size_t)(number * LANES) * size_of(precision);
    return precision == FLOAT32   ? load_aligned((const float *)from)
           : precision == FLOAT16 ? load_halves((const uint16_t *)from)
                                  : load_bytes((const signed char *)from);
}

INLINE void multiply_floats(const enum precision precision, const int rows, const int vectors,
                            const char *panel, const float *scales, long width, const struct operand *inputs,
                            vector sums[MOST_ROWS][MOST_VECTORS])
{
    const int chains = chains_of(rows);
    const size_t chain_bytes = (size_t)(vectors * LANES) * size_of(precision);
    const float *in[MOST_ROWS];
    vector held[4][MOST_ROWS][MOST_VECTORS];
    long place = 0;
    UNROLL(8)
    for (int row = 0; row < rows; row++) {
        in[row] = inputs[row].values;
        UNROLL(4)
        for (int chain = 0; chain < chains; chain++)
            UNROLL(3)
            for (int v = 0; v < vectors; v++)
                held[chain][row][v] = chain || precision == INT8 ? (vector){} : sums[row][v];
    }
    for (; place + chains <= width; place += chains, panel += (size_t)chains * chain_bytes) {
        UNROLL(4)
        for (int chain = 0; chain < chains; chain++) {
            vector loaded[MOST_VECTORS];
            UNROLL(3)
            for (int v = 0; v < vectors; v++)
                loaded[v] = load_weights(precision, panel, chain * vectors + v);
            UNROLL(8)
            for (int row = 0; row < rows; row++) {
                const vector input = vector_of(in[row][place + chain]);
                UNROLL(3)
                for (int v = 0; v < vectors; v++)
                    held[chain][row][v] += loaded[v] * input;
            }
        }
    }
    for (; place < width; place++, panel += chain_bytes)
        UNROLL(8)
        for (int row = 0; row < rows; row++)
            UNROLL(3)
            for (int v = 0; v < vectors; v++)
                held[0][row][v] += load_weights(precision, panel, v) * vector_of(in[row][place]);
    UNROLL(8)
    for (int row = 0; row < rows; row++)
        UNROLL(3)
        for (int v = 0; v < vectors; v++) {
            UNROLL(4)
            for (int chain = 1; chain < chains; chain++)
                held[0][row][v] += held[chain][row][v];
            if (precision == INT8)
                sums[row][v] += held[0][row][v] * load_aligned(scales + v * LANES);
            else
                sums[row][v] = held[0][row][v];
        }
}

#if MULTIPLIES_BYTES
/* Weights are kept as 128 more than they are, since one side of such a product has no sign; the sum of the other side
 * says how much that is too much. */
INLINE void multiply_bytes(const int rows, const int vectors, const char *panel, const float *scales, long width,
                           const struct operand *inputs, vector sums[MOST_ROWS][MOST_VECTORS])
{
    const int chains = chains_of(rows);
    const long fours = (width + 3) / 4;
    __m512i held[4][MOST_ROWS][MOST_VECTORS];
    long place = 0;
#define PRODUCT(row, chain, v)                                                                                         \
    do {                                                                                                               \
        int32_t four;                                                                                                  \
        memcpy(&four, inputs[row].bytes + 4 * (place + (chain)), sizeof four);                                         \
        held[chain][row][v] =                                                                                          \
            _mm512_dpbusd_epi32(held[chain][row][v], loaded[v], _mm512_set1_epi32(four));                              \
    } while (0)
#define LOAD(chain)                                                                                                    \
    __m512i loaded[MOST_VECTORS];                                                                                      \
    UNROLL(3)                                                                                                          \
    for (int v = 0; v < vectors; v++)                                                                                  \
        loaded[v] = _mm512_load_si512(panel + ((chain) * vectors + v) * 4 * LANES)
    UNROLL(8)
    for (int row = 0; row < rows; row++)
        UNROLL(4)
        for (int chain = 0; chain < chains; chain++)
            UNROLL(3)
            for (int v = 0; v < vectors; v++)
                held[chain][row][v] = _mm512_set1_epi32(chain ? 0 : -128 * inputs[row].sum);
    for (; place + chains <= fours; place += chains, panel += chains * vectors * 4 * LANES) {
        UNROLL(4)
        for (int chain = 0; chain < chains; chain++) {
            LOAD(chain);
            UNROLL(8)
            for (int row = 0; row < rows; row++)
                UNROLL(3)
                for (int v = 0; v < vectors; v++)
                    PRODUCT(row, chain, v);
        }
    }
    for (; place < fours; place++, panel += vectors * 4 * LANES) {
        LOAD(0);
        UNROLL(8)
        for (int row = 0; row < rows; row++)
            UNROLL(3)
            for (int v = 0; v < vectors; v++)
                PRODUCT(row, 0, v);
    }
    UNROLL(8)
    for (int row = 0; row < rows; row++)
        UNROLL(3)
        for (int v = 0; v < vectors; v++) {
            UNROLL(4)
            for (int chain = 1; chain < chains; chain++)
                held[0][row][v] = _mm512_add_epi32(held[0][row][v], held[chain][row][v]);
            sums[row][v] += (vector)_mm512_cvtepi32_ps(held[0][row][v]) *
                            (load_aligned(scales + v * LANES) * vector_of(inputs[row].scale));
        }
#undef LOAD
#undef PRODUCT
}
#else
#define multiply_bytes(...) multiply_floats(INT8, __VA_ARGS__)
#endif

#define MULTIPLY(linkage, name, rows, vectors, ...)                                                                    \
    linkage void name##_##rows##_##vectors(const char *panel, const float *scales, long width,                         \
                                           const struct operand *inputs,                                               \
                                           vector sums[MOST_ROWS][MOST_VECTORS])                                       \
    {                                                                                                                  \
        __VA_ARGS__(rows, vectors, panel, scales, width, inputs, sums);                                                \
    }
#define BY_FLOAT32(...) multiply_floats(FLOAT32, __VA_ARGS__)
#define BY_FLOAT16(...) multiply_floats(FLOAT16, __VA_ARGS__)
#define MULTIPLY_ROWS(rows)                                                                                            \
    MULTIPLY(extern, float32, rows, 1, BY_FLOAT32)                                                                     \
    MULTIPLY(extern, float32, rows, 2, BY_FLOAT32)                                                                     \
    MULTIPLY(extern, float32, rows, 3, BY_FLOAT32)                                                                     \
    MULTIPLY(static, float16, rows, 1, BY_FLOAT16)                                                                     \
    MULTIPLY(static, float16, rows, 2, BY_FLOAT16)                                                                     \
    MULTIPLY(static, float16, rows, 3, BY_FLOAT16)                                                                     \
    MULTIPLY(static, int8, rows, 1, multiply_bytes)                                                                    \
    MULTIPLY(static, int8, rows, 2, multiply_bytes)                                                                    \
    MULTIPLY(static, int8, rows, 3, multiply_bytes)

MULTIPLY_ROWS(1)
MULTIPLY_ROWS(2)
MULTIPLY_ROWS(4)
#if MOST_ROWS == 8
MULTIPLY_ROWS(8)
#endif

#define OF_ROWS(name, rows) {name##_##rows##_1, name##_##rows##_2, name##_##rows##_3}
#if MOST_ROWS == 8
#define OF_PRECISION(name) {OF_ROWS(name, 1), OF_ROWS(name, 2), OF_ROWS(name, 4), OF_ROWS(name, 8)}
#else
#define OF_PRECISION(name) {OF_ROWS(name, 1), OF_ROWS(name, 2), OF_ROWS(name, 4)}
#endif

multiply_panel *const multiply_rounded[PRECISIONS][HEIGHTS][MOST_VECTORS] = {
    [FLOAT16] = OF_PRECISION(float16), [INT8] = OF_PRECISION(int8)};
