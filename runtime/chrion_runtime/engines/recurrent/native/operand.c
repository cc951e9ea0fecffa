/* Rows become bytes, each with the scale by which its largest value is 127. */
#include "operand.h"

#define LARGEST 127.0f
#define SMALLEST 1e-30f /* rows of less are taken for zeros, and their scale can be divided by */

#if MULTIPLIES_BYTES
/* A vector of values, with zeros where there are no more. */
INLINE __m512 load_some(const float *from, long count)
{
    return count < LANES ? _mm512_maskz_loadu_ps((__mmask16)((1u << count) - 1u), from) : _mm512_loadu_ps(from);
}

static void quantise_row(struct operand *operand, long width, signed char *bytes)
{
    __m512 largest = _mm512_setzero_ps(), odd = _mm512_setzero_ps();
    __m512i sum = _mm512_setzero_si512();
    for (long place = 0; place < width; place += LANES) {
        const __m512 value = load_some(operand->values + place, width - place);
        largest = _mm512_max_ps(largest, _mm512_abs_ps(value));
        odd = _mm512_fmadd_ps(value, _mm512_setzero_ps(), odd); /* NaN from the first value that is not finite */
    }
    const float most = _mm512_reduce_max_ps(largest), zero = _mm512_reduce_add_ps(odd);
    const __m512 factor = _mm512_set1_ps(most > SMALLEST ? LARGEST / most : 0.0f);
    for (long place = 0; place < width; place += LANES) {
        const __m512 value = load_some(operand->values + place, width - place);
        /* The larger of NaN and another is the other: what is no number becomes some byte. */
        const __m512 scaled = _mm512_max_ps(_mm512_mul_ps(value, factor), _mm512_set1_ps(-LARGEST));
        const __m512i rounded = _mm512_cvtps_epi32(scaled);
        sum = _mm512_add_epi32(sum, rounded);
        _mm_storeu_si128((__m128i *)(bytes + place), _mm512_cvtsepi32_epi8(rounded));
    }
    operand->bytes = bytes;
    operand->scale = most / LARGEST + zero;
    operand->sum = _mm512_reduce_add_epi32(sum);
}
#endif

void quantise(struct operand *operands, long count, long width, signed char *bytes, long stride)
{
#if MULTIPLIES_BYTES
    for (long row = 0; row < count; row++)
        quantise_row(&operands[row], width, bytes + row * stride);
#else
    (void)operands, (void)count, (void)width, (void)bytes, (void)stride;
#endif
}
