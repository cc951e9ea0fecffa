/* Vectors of floats of the width that the library is built for: LANES of them, in the compiler's own vector types. */
#ifndef CHRION_VECTOR_H
#define CHRION_VECTOR_H

#include <stdint.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
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

/* Whether the processor multiplies bytes, four of them a lane: weights that are kept as such need not become floats. */
#if defined(__AVX512VNNI__)
#define MULTIPLIES_BYTES 1
#else
#define MULTIPLIES_BYTES 0
#endif

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

/* LANES packed weights that are kept as halves (IEEE 754 binary16, finite), as floats. */
INLINE vector load_halves(const uint16_t *from)
{
#if defined(__AVX512F__)
    return (vector)_mm512_cvtph_ps(_mm256_load_si256((const __m256i *)from));
#elif defined(__F16C__)
    return (vector)_mm256_cvtph_ps(_mm_load_si128((const __m128i *)from));
#elif defined(__aarch64__)
    return (vector)vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(from)));
#else
    typedef uint16_t halves __attribute__((vector_size(LANES * sizeof(uint16_t))));
    const vector_bits bits = __builtin_convertvector(*(const halves *)from, vector_bits);
    /* The same bits as a float are 2^112 times less: exponents count from another number. */
    const vector magnitude = (vector)((bits & 0x7fff) << 13) * 0x1p112f;
    return (vector)((vector_bits)magnitude | (bits & 0x8000) << 16);
#endif
}

/* LANES packed weights that are kept as bytes, as floats. */
INLINE vector load_bytes(const signed char *from)
{
#if defined(__AVX512F__)
    return (vector)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_load_si128((const __m128i *)from)));
#elif defined(__AVX2__)
    return (vector)_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)from)));
#else
    typedef signed char bytes __attribute__((vector_size(LANES)));
    return __builtin_convertvector(*(const bytes *)from, vector);
#endif
}

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
