/* Stacks of recurrent layers as ONNX defines LSTM, GRU and RNN (opset 14 to 22), run on one thread.
 *
 * Nothing here is shared between stacks but what is constant, and nothing between calls that use workspaces of their
 * own. All floats are 32 bits wide, all strides are in floats. */
#ifndef CHRION_RECURRENT_H
#define CHRION_RECURRENT_H

#include <stddef.h>
#include <stdint.h>

#define EXPORT __attribute__((visibility("default")))

/* What callers compare with the version that they were written for: changes with anything in this file. */
EXPORT int32_t interface_version(void);

enum kind { LSTM, GRU_RESET_AFTER, GRU_RESET_BEFORE, RNN };

/* What `stack_run` says. */
enum outcome { DONE, STOPPED, BAD_LENGTHS };

/* One direction of a layer as ONNX's operators have it. Weights are read when it is made, and not afterwards. */
struct layer_description {
    int32_t kind;
    int32_t reversed;       /* from the last step to the first */
    int32_t activations[3]; /* f, g and h, as `enum activation` */
    int64_t inputs, units;
    const float *input;     /* W: [gates * units][inputs] */
    const float *recurrent; /* R: [gates * units][units] */
    const float *bias;      /* B: [2 * gates * units]; NULL for zeros */
};

/* First or last states of both directions: [directions][batch][units] with a stride for each direction and row. */
struct state {
    float *values; /* NULL where it is zero, or not wanted */
    int64_t direction_stride, row_stride;
};

struct level_states {
    struct state first_hidden, first_cell, last_hidden, last_cell;
};

/* One run. A batch of 0 and 0 steps are allowed; `values` and `y` may not overlap what is read. */
struct call {
    int64_t steps, batch;
    const float *x;                 /* [steps][batch][inputs], inputs side by side */
    int64_t x_step, x_row;
    float *y;                       /* [steps][directions][batch][units] of the last layer; NULL where it is not wanted */
    int64_t y_step, y_direction, y_row;
    const int32_t *lengths;         /* [batch]: steps of each row; NULL for all. From 0 to `steps` */
    const struct level_states *states; /* one for each level */
    const int32_t *stop;            /* ends the run once it is not 0; may be NULL */
};

struct layer;
struct stack;
struct workspace;

/* Pack the weights of one direction of a layer. NULL where there is no memory. */
EXPORT struct layer *layer_new(const struct layer_description *description);
EXPORT void layer_free(struct layer *layer);

/* `levels` layers, each of which reads what the one before it makes: [levels][2], where the second direction may be
 * NULL. They must outlive the stack. NULL where there is no memory. */
EXPORT struct stack *stack_new(int32_t levels, struct layer *const *layers);
EXPORT void stack_free(struct stack *stack);

/* What buffers for runs of up to so many steps and rows take. */
EXPORT int64_t workspace_bytes(const struct stack *stack, int64_t steps, int64_t batch);

/* Buffers for runs of up to so many steps and rows, one run at a time. NULL where there is no memory. */
EXPORT struct workspace *workspace_new(const struct stack *stack, int64_t steps, int64_t batch);
EXPORT void workspace_free(struct workspace *workspace);

/* Run a stack once: an `enum outcome`. What is beyond a row's length is 0 in `y`, as ONNX Runtime has it. Where it does
 * not say DONE, what was written has no meaning. */
EXPORT int32_t stack_run(const struct stack *stack, struct workspace *workspace, const struct call *call);

#endif
