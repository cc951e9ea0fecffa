/* A layer in one direction over all steps of a batch. */
#ifndef CHRION_SEQUENCE_H
#define CHRION_SEQUENCE_H

#include "step.h"

/* Buffers that every layer of a stack runs with, one after another. */
struct buffers {
    float *projected;
    const float **inputs;     /* of each projected row */
    long rows;                /* that are projected at once */
    float *hidden[2], *cell[2], *reset;
};

/* What one direction of a layer reads and makes; as in `struct call`, for this direction alone. */
struct sequence {
    long steps, batch;
    const float *x;
    long x_step, x_row;
    float *y;
    long y_step, y_row;
    const int32_t *lengths;
    const float *first_hidden, *first_cell;
    float *last_hidden, *last_cell;
    long first_hidden_row, first_cell_row, last_hidden_row, last_cell_row;
    const int32_t *stop;
};

/* Rows to project at once: what they take stays in the second cache, and there are enough of them to make good use of
 * each panel of weights while it is near. `rows` are those of a whole run. */
long rows_at_once(const struct layer *layer, long rows);

/* DONE or STOPPED. */
enum outcome run_sequence(const struct layer *layer, const struct buffers *buffers, const struct sequence *sequence);

#endif
