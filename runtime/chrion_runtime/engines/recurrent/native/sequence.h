/* A layer in one direction over many steps of a batch, by one thread. */
#ifndef CHRION_SEQUENCE_H
#define CHRION_SEQUENCE_H

#include "step.h"

/* Buffers of one thread, which every layer of a stack runs with, one after another. */
struct buffers {
    float *projected;
    struct operand *inputs;   /* of each projected row */
    signed char *bytes;       /* of the same, for layers that take those */
    long rows;                /* that are projected at once */
    float *hidden[2], *cell[2], *reset;
    struct operand *operands; /* of a step */
    signed char *state_bytes;
};

/* Rows to project at once: what they take stays in the second cache, and there are enough of them to make good use of
 * each panel of weights while it is near. `rows` are those of a whole run. */
long rows_at_once(const struct layer *layer, long rows);

/* What a thread's buffers take for any layer of those that it is asked for: first `measure` each, then `place` them. */
struct sizes {
    size_t projected, states, bytes, state_bytes;
    long rows, together;
};
void measure_buffers(struct sizes *sizes, const struct layer *layer, long steps, long batch);
void place_buffers(struct buffers *buffers, const struct sizes *sizes, struct arena *arena);

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

/* The first states of some rows into `hidden[0]` and `cell[0]`, and those of a side as their last states. */
void begin_rows(const struct layer *layer, const struct buffers *buffers, const struct sequence *sequence, long first,
                long batch);
void end_rows(const struct layer *layer, const struct buffers *buffers, int side, const struct sequence *sequence,
              long first, long batch);

/* Whether whoever asked for a run does not want it any more. */
int is_stopped(const struct sequence *sequence);

/* The steps `from` to `to` of the rows `first` to `first + batch`, at most MOST_BATCH of them. The state before them lies
 * in `hidden[0]` and `cell[0]`, and that after them in `hidden[side]` and `cell[side]`: returns the side, or -1 where it
 * was stopped. */
int run_steps(const struct layer *layer, const struct buffers *buffers, const struct sequence *sequence, long first,
              long batch, long from, long to);

/* All steps of all rows: DONE or STOPPED. */
enum outcome run_sequence(const struct layer *layer, const struct buffers *buffers, const struct sequence *sequence);

#endif
