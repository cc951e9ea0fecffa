/* Stacks of recurrent layers as ONNX defines LSTM, GRU and RNN (opset 14 to 22), run on one thread or by a team of them.
 *
 * Nothing here is shared between stacks but what is constant, and nothing between calls that use workspaces of their
 * own. All floats are 32 bits wide, all strides are in floats; weights may be kept as less than that. */
#ifndef CHRION_RECURRENT_H
#define CHRION_RECURRENT_H

#include <stddef.h>
#include <stdint.h>

#define EXPORT __attribute__((visibility("default")))

/* What callers compare with the version that they were written for: changes with anything in this file. */
EXPORT int32_t interface_version(void);

enum kind { LSTM, GRU_RESET_AFTER, GRU_RESET_BEFORE, RNN };

/* As what weights are kept: as they are, as IEEE 754's binary16, or as bytes with a scale for each row. With bytes the
 * inputs and states are rounded to bytes too, where the processor multiplies those. */
enum precision { FLOAT32, FLOAT16, INT8 };

/* How a team shares a run. Alone: not at all. By pieces: directions, parts of the batch, and layers, each a chunk of
 * steps behind the one below it. By units: the units of every layer, which meet after each step. */
enum sharing { ALONE, BY_PIECES, BY_UNITS };

/* What `stack_run` says. */
enum outcome { DONE, STOPPED, BAD_LENGTHS };

/* One direction of a layer as ONNX's operators have it. Weights are read when it is made, and not afterwards. */
struct layer_description {
    int32_t kind;
    int32_t reversed;       /* from the last step to the first */
    int32_t activations[3]; /* f, g and h, as `enum activation` */
    int32_t precision;      /* an `enum precision`; weights must be finite for any but FLOAT32 */
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
struct team;
struct workspace;

/* So many threads that help whoever runs a stack. They wait actively for `patience` nanoseconds after a run, and then
 * sleep. Their number may turn out to be smaller; NULL where there can be none. */
EXPORT struct team *team_new(int32_t helpers, int64_t patience);

/* Ends the threads, once they have ended what they are at. A process that was forked does not have them, and runs
 * alone. */
EXPORT void team_free(struct team *team);

/* Pack the weights of one direction of a layer. NULL where there is no memory. */
EXPORT struct layer *layer_new(const struct layer_description *description);
EXPORT void layer_free(struct layer *layer);

/* `levels` layers, each of which reads what the one before it makes: [levels][2], where the second direction may be
 * NULL, and is of the same kind, sizes and precision. They must outlive the stack. NULL where there is no memory. */
EXPORT struct stack *stack_new(int32_t levels, struct layer *const *layers);
EXPORT void stack_free(struct stack *stack);

/* What is needed for runs of just so many steps and rows. Without a team they are run alone. */
struct shape {
    int64_t steps, batch;
    int32_t sharing; /* an `enum sharing` */
    struct team *team;
};

/* What buffers for such runs take; INT64_MAX where that cannot be counted. */
EXPORT int64_t workspace_bytes(const struct stack *stack, const struct shape *shape);

/* Buffers for such runs, one at a time. They must not outlive the stack, nor the team. NULL where there is no memory. */
EXPORT struct workspace *workspace_new(const struct stack *stack, const struct shape *shape);

/* Waits for helpers that still use them. */
EXPORT void workspace_free(struct workspace *workspace);

/* Run the stack of a workspace once: an `enum outcome`. Runs with lengths are not shared, nor are those for which the team has no time.
 * What is beyond a row's length is 0 in `y`, as ONNX Runtime has it. Where it does not say DONE, what was written has no
 * meaning. */
EXPORT int32_t stack_run(struct workspace *workspace, const struct call *call);

#endif
