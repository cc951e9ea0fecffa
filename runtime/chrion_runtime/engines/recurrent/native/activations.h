/* Sigmoid, tanh and relu of vectors. What NaN becomes is said by `enum nan`. */
#ifndef CHRION_ACTIVATIONS_H
#define CHRION_ACTIVATIONS_H

#include "vector.h"

/* As numbered in the description of a layer. */
enum activation { SIGMOID, TANH, RELU };

/* As ONNX Runtime has it: NaN stays what it is in RNN, and counts as infinity, which activations bound, in LSTM and GRU. */
enum nan { KEPT, INFINITE };

/* 2^x for -64 <= x <= 64, and at these bounds beyond them, within 1.3e-7 of it.
 *
 * x is a whole number, which becomes the exponent, and a rest within 0.5 of zero, for which stands the polynomial of
 * the fifth degree whose largest relative error is least. Adding 1.5 * 2^23 rounds to a whole number, and leaves it in
 * the low bits of the sum. */
INLINE vector exp2_of(vector x, const enum nan nan)
{
    const float to_whole = 12582912.0f;
    x = nan == KEPT ? larger(vector_of(-64.0f), smaller(vector_of(64.0f), x))
                    : smaller(vector_of(64.0f), larger(x, vector_of(-64.0f)));
    const vector sum = x + to_whole;
    const vector rest = x - (sum - to_whole);
    const vector scale = (vector)(((vector_bits)sum << 23) + (127 << 23));
    vector power = vector_of(1.327647199e-3f);
    power = power * rest + 9.675541334e-3f;
    power = power * rest + 5.550713274e-2f;
    power = power * rest + 2.402211972e-1f;
    power = power * rest + 6.931469671e-1f;
    power = power * rest + 1.000000072f;
    return power * scale;
}

/* 1 / (1 + e^-x) within 2e-7. */
INLINE vector sigmoid(vector x, const enum nan nan) { return reciprocal(1.0f + exp2_of(x * -1.442695041f, nan)); }

/* tanh x within 4e-7, as 2 / (1 + e^-2x) - 1. */
INLINE vector tanh_of(vector x, const enum nan nan)
{
    return 2.0f * reciprocal(1.0f + exp2_of(x * -2.885390082f, nan)) - 1.0f;
}

/* One of the activations; where `kind` is known while compiling nothing is left of the choice. */
INLINE vector activate(enum activation kind, const enum nan nan, vector x)
{
    switch (kind) {
    case SIGMOID:
        return sigmoid(x, nan);
    case TANH:
        return tanh_of(x, nan);
    default:
        return larger(vector_of(0.0f), x);
    }
}

#endif
