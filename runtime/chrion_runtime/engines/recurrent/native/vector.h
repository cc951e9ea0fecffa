/* Vectors of floats of the width that the library is built for: LANES of them, in the compiler's own vector types. */
#ifndef CHRION_VECTOR_H
#define CHRION_VECTOR_H

#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX2__)
#define LANES 8
#else
#define LANES 4
#endif

/* Rows that one pass over the weights serves: as many as the accumulators of three vectors a row leave registers for. */
#if defined(__AVX512F__) || defined(__aarch64__)
#define MOST_ROWS 8
#else
#define MOST_ROWS 4
#endif

typedef float vector __attribute__((vector_size(LANES * sizeof(float))));
typedef int vector_bits __attribute__((vector_size(LANES * sizeof(int))));

#define INLINE static inline __attribute__((always_inline))

#define PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#define UNROLL(times) PRAGMA(unroll times)
#else
#define UNROLL(times) PRAGMA(GCC unroll times)
#endif

/* Every lane `value`. */
INLINE vector vector_of(float value) { return value - (vector){}; }

/* LANES floats, wherever they lie. */
INLINE vector load(const float *from)
{
    vector found;
    memcpy(&found, from, sizeof found);
    return found;
}

/* LANES floats of packed weights or buffers, which are aligned. */
INLINE vector load_aligned(const float *from) { return *(const vector *)from; }

INLINE void store_aligned(float *to, vector value) { *(vector *)to = value; }

/* The smaller and the larger of two; the second one where either is NaN, as x86 has it. */
INLINE vector smaller(vector one, vector other)
{
#if defined(__AVX512F__)
    return (vector)_mm512_min_ps((__m512)one, (__m512)other);
#elif defined(__AVX2__)
    return (vector)_mm256_min_ps((__m256)one, (__m256)other);
#else
    const vector_bits take = one < other;
    return (vector)((take & (vector_bits)one) | (~take & (vector_bits)other));
#endif
}

INLINE vector larger(vector one, vector other)
{
#if defined(__AVX512F__)
    return (vector)_mm512_max_ps((__m512)one, (__m512)other);
#elif defined(__AVX2__)
    return (vector)_mm256_max_ps((__m256)one, (__m256)other);
#else
    const vector_bits take = one > other;
    return (vector)((take & (vector_bits)one) | (~take & (vector_bits)other));
#endif
}

/* 1 / value within 2^-23 of it, for finite values of at least 1. */
INLINE vector reciprocal(vector value)
{
#if defined(__AVX512F__)
    const vector guess = (vector)_mm512_rcp14_ps((__m512)value);
    return guess * (2.0f - value * guess);
#else
    return 1.0f / value;
#endif
}

#endif
