/* One block of memory for everything that lives as long as its owner: aligned, zero, and on huge pages where large. */
#ifndef CHRION_MEMORY_H
#define CHRION_MEMORY_H

#include <stddef.h>

/* Hands out parts of a block. With `start` NULL it only counts what they take. */
struct arena {
    char *start;
    size_t used;
};

/* A part of `bytes`, aligned to a cache line; NULL while it only counts. */
void *arena_take(struct arena *arena, size_t bytes);

/* A zeroed block of as many bytes as were counted; NULL where there is no memory. */
char *block_new(size_t bytes);

/* Gives back a block of so many bytes; NULL is none. */
void block_free(char *block, size_t bytes);

#endif
