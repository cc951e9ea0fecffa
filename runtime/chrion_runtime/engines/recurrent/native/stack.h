/* Layers one after another, and what a run of them needs. */
#ifndef CHRION_STACK_H
#define CHRION_STACK_H

#include "sequence.h"
#include "team.h"

struct stack {
    int levels;
    struct layer *layers[][2]; /* of each level, and direction */
};

struct workspace {
    const struct stack *stack;
    struct shape shape;
    struct buffers buffers;
    float *between[2]; /* what one layer makes and the next reads: [steps][batch][directions][units] */
    struct pieces *pieces;
    struct units *units;
    char *block;
    size_t bytes;
};

int directions_of(const struct stack *stack, int level);

/* What one direction of a level reads and makes in a run, but for its inputs and `y`. */
struct sequence sequence_of(const struct call *call, int level, int direction);

#endif
