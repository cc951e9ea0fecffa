/* Blocks of memory straight from the kernel. */
#include "memory.h"

#include <sys/mman.h>

#define LINE 64
#define HUGE_PAGE ((size_t)2 << 20)

void *arena_take(struct arena *arena, size_t bytes)
{
    char *part = arena->start ? arena->start + arena->used : NULL;
    arena->used += (bytes + LINE - 1) / LINE * LINE;
    return part;
}

/* What is mapped for a block. Huge pages save the processor looking up a page for every few kilobytes of weights, and
 * keep neighbours apart in its caches. From half a page on they are worth their whole size. */
static size_t mapped(size_t bytes)
{
    const size_t unit = bytes >= HUGE_PAGE / 2 ? HUGE_PAGE : 4096;
    return bytes ? (bytes + unit - 1) / unit * unit : unit;
}

char *block_new(size_t bytes)
{
    const size_t size = mapped(bytes), spare = size % HUGE_PAGE ? 0 : HUGE_PAGE;
    char *map = mmap(NULL, size + spare, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED)
        return NULL;
    if (!spare)
        return map;
    char *start = map + (HUGE_PAGE - (size_t)map % HUGE_PAGE) % HUGE_PAGE;
    if (start > map)
        munmap(map, (size_t)(start - map));
    if (map + spare > start)
        munmap(start + size, (size_t)(map + spare - start));
    madvise(start, size, MADV_HUGEPAGE);
    return start;
}

void block_free(char *block, size_t bytes)
{
    if (block)
        munmap(block, mapped(bytes));
}
