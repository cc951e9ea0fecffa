/* In place of memory.c under AddressSanitizer: gaps between the parts of a block, which nothing may read or write. */
#include <sanitizer/asan_interface.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"

#define GAP 64

void *arena_take(struct arena *arena, size_t bytes)
{
    char *part = arena->start ? arena->start + arena->used : NULL;
    const size_t taken = (bytes + 63) / 64 * 64 + GAP;
    if (part)
        ASAN_POISON_MEMORY_REGION(part + bytes, taken - bytes);
    arena->used += taken;
    return part;
}

char *block_new(size_t bytes)
{
    char *block = aligned_alloc(64, (bytes + 63) / 64 * 64);
    return block ? memset(block, 0, bytes) : NULL;
}

void block_free(char *block, size_t bytes)
{
    ASAN_UNPOISON_MEMORY_REGION(block, bytes);
    free(block);
}
