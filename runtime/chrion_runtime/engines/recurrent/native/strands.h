/* What a stack is cut into for several threads: strands, and an area for all that each worker may make. */
#ifndef CHRION_STRANDS_H
#define CHRION_STRANDS_H

#include "pieces.h"

struct strand {
    int level, direction, home; /* the worker that it is for */
    long first, batch;          /* rows */
    int below;                  /* the strand whose pieces its own wait for, one by one; -1 where there is none */
    struct signal claimed;      /* the worker that is at it, and one */
    struct signal pieces;       /* that are there */
    atomic_int *maker;          /* of each piece: its worker, and one */
    float *first_hidden, *first_cell;
    size_t state;               /* bytes of one */
    size_t states;              /* where those after its pieces begin in a worker's area */
};

struct worker {
    struct buffers buffers;
    char *area;
};

struct pieces {
    const struct stack *stack;
    long steps, batch, chunk, count; /* steps of a piece, and pieces of each strand */
    int strands, workers;
    struct signal ended;
    float *x;                        /* [steps][batch][inputs] */
    struct signal *gathered;         /* of each level: all that it makes lies in the caller's area */
    size_t *outputs;                 /* of each level: where [steps][batch][directions][units] begin in an area */
    struct worker *each;
    struct strand *strand;
};

/* Whether a level's pieces can follow those of the level below one by one. */
int follows(const struct stack *stack, int level);

/* What a level makes, in a worker's area: [steps][batch][directions][units]. */
static inline float *output_of(const struct pieces *pieces, int worker, int level)
{
    return (float *)(pieces->each[worker].area + pieces->outputs[level]);
}

/* The states after a piece, in the area of its maker: hidden ones, then those of the cells. */
static inline float *state_after(const struct pieces *pieces, const struct strand *strand, int worker, long piece)
{
    return (float *)(pieces->each[worker].area + strand->states + 2 * strand->state * (size_t)piece);
}

/* The worker whose area holds a piece; -1 while nobody has made it. */
static inline int maker_of(const struct strand *strand, long piece)
{
    return atomic_load_explicit(&strand->maker[piece], memory_order_acquire) - 1;
}

/* Pieces of a strand that are there. */
static inline long there(struct strand *strand)
{
    return atomic_load_explicit(&strand->pieces.value, memory_order_acquire);
}

#endif
