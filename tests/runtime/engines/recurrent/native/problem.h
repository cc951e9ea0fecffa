/* Random stacks of layers with all that a run of them reads, and what the reference makes of that. */
#ifndef CHRION_TEST_PROBLEM_H
#define CHRION_TEST_PROBLEM_H

#include "recurrent.h"

#define MOST_LEVELS 3

/* Floats along three axes in any order, with gaps between them; `width` of them lie side by side. The memory ends with
 * the last, so that a sanitizer sees whatever goes beyond. */
struct grid {
    float *values; /* NULL where it is left out */
    long sizes[3], strides[3], width, floats;
};

struct problem {
    int levels, directions[MOST_LEVELS];
    struct layer_description layers[MOST_LEVELS][2];
    long steps, batch;
    struct grid x; /* steps, batch, 1 */
    int32_t *lengths;
    struct grid first_hidden[MOST_LEVELS], first_cell[MOST_LEVELS]; /* directions, batch, 1 */
    double *y, *last_hidden[MOST_LEVELS], *last_cell[MOST_LEVELS];  /* dense; y of the last level */
};

/* What is written has this value before. */
#define UNTOUCHED 12345.0f

/* Numbers that depend on the seed alone: from 0 to `below`, and from -1 to 1. */
void random_from(uint64_t seed);
long random_below(long below);
float random_float(void);

/* Zeroed memory; ends the program where there is none. */
void *memory(size_t bytes);

/* A grid of UNTOUCHED values, its axes in a random order. */
struct grid grid_new(long first, long second, long third, long width);

/* The problem of this seed. */
struct problem problem_new(uint64_t seed);

/* A problem whose levels are all alike, without lengths, other activations, or NaN. */
struct size {
    int kind, levels, directions;
    long steps, batch, inputs, units;
};
struct problem problem_sized(const struct size *size);
void problem_free(struct problem *problem);

#endif
