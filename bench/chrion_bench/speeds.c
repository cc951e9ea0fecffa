/* How fast one core computes and reads, with the widest vectors that it is compiled for. Called from as many threads as
 * there are cores to measure. */
#include <stdint.h>

#if defined(__AVX512F__)
enum { BYTES = 64, CHAINS = 16 };
#elif defined(__AVX__)
enum { BYTES = 32, CHAINS = 12 };
#elif defined(__aarch64__)
enum { BYTES = 16, CHAINS = 24 };
#else
enum { BYTES = 16, CHAINS = 12 };
#endif

/* As many independent sums as hide the latency of one and still fit into the registers. */
typedef float floats __attribute__((vector_size(BYTES)));
typedef int64_t bits __attribute__((vector_size(BYTES)));

/* Multiply and add `rounds` times in every chain; how many floating-point operations that were. */
double multiply_add(int64_t rounds)
{
    floats sums[CHAINS] = {{0}}, factor = {0}, more = {0};
    for (int chain = 0; chain < CHAINS; chain++)
        sums[chain] += (float)chain;
    factor += 0.5f;
    more += 1.0f;
    __asm__ volatile("" : "+m"(factor), "+m"(more)); /* nothing may be worked out beforehand */
    for (int64_t round = 0; round < rounds; round++)
#pragma GCC unroll 24
        for (int chain = 0; chain < CHAINS; chain++)
            sums[chain] = sums[chain] * factor + more;
    __asm__ volatile("" : : "m"(sums));
    return 2.0 * CHAINS * (double)rounds * (BYTES / sizeof(float));
}

/* Read a buffer, aligned to 64 bytes, `rounds` times over from its first to its last whole block; how many bytes that
 * were. */
double read_over(const void *buffer, int64_t bytes, int64_t rounds)
{
    const bits *from = buffer;
    const int64_t blocks = bytes / (BYTES * CHAINS);
    bits found[CHAINS] = {{0}};
    for (int64_t round = 0; round < rounds; round++) {
        for (int64_t block = 0; block < blocks; block++)
#pragma GCC unroll 24
            for (int chain = 0; chain < CHAINS; chain++)
                found[chain] ^= from[block * CHAINS + chain];
        __asm__ volatile("" : : : "memory"); /* read again what is there already */
    }
    __asm__ volatile("" : : "m"(found));
    return (double)rounds * (double)blocks * BYTES * CHAINS;
}
