/* Layers one after another, what they need, and the entry points. */
#include <stdlib.h>

#include "sequence.h"

struct stack {
    int levels;
    struct layer *layers[][2]; /* of each level, and direction */
};

struct workspace {
    const struct stack *stack;
    struct buffers buffers;
    float *between[2]; /* what one layer makes and the next reads: [steps][batch][directions][units] */
    char *block;
    size_t bytes;
};

int32_t interface_version(void) { return 1; }

struct stack *stack_new(int32_t levels, struct layer *const *layers)
{
    struct stack *stack = malloc(sizeof *stack + (size_t)levels * sizeof stack->layers[0]);
    if (!stack)
        return NULL;
    stack->levels = levels;
    memcpy(stack->layers, layers, (size_t)levels * sizeof stack->layers[0]);
    return stack;
}

void stack_free(struct stack *stack) { free(stack); }

static int directions_of(const struct stack *stack, int level) { return stack->layers[level][1] ? 2 : 1; }

/* The most that any layer needs. */
static void place_workspace(struct workspace *workspace, long steps, long batch, struct arena *arena)
{
    const struct stack *stack = workspace->stack;
    const long together = batch < MOST_BATCH ? batch : MOST_BATCH;
    size_t projected = 0, states = 0, between = 0;
    long rows = 0;
    for (int level = 0; level < stack->levels; level++) {
        const struct layer *layer = stack->layers[level][0];
        const long at_once = rows_at_once(layer, steps * together);
        const size_t row = (size_t)layer->row * sizeof(float);
        const size_t made = (size_t)(steps * batch * directions_of(stack, level) * layer->units) * sizeof(float);
        const size_t state = (size_t)(together * layer->padded) * sizeof(float);
        rows = at_once > rows ? at_once : rows;
        projected = (size_t)at_once * row > projected ? (size_t)at_once * row : projected;
        states = state > states ? state : states;
        if (level + 1 < stack->levels)
            between = made > between ? made : between;
    }
    struct buffers *buffers = &workspace->buffers;
    buffers->projected = arena_take(arena, projected);
    buffers->inputs = arena_take(arena, (size_t)rows * sizeof(float *));
    for (int side = 0; side < 2; side++) {
        buffers->hidden[side] = arena_take(arena, states);
        buffers->cell[side] = arena_take(arena, states);
        workspace->between[side] = arena_take(arena, between);
    }
    buffers->reset = arena_take(arena, states);
}

int64_t workspace_bytes(const struct stack *stack, int64_t steps, int64_t batch)
{
    struct workspace workspace = {.stack = stack};
    struct arena arena = {NULL, 0};
    place_workspace(&workspace, steps, batch, &arena);
    return (int64_t)arena.used;
}

struct workspace *workspace_new(const struct stack *stack, int64_t steps, int64_t batch)
{
    struct workspace *workspace = calloc(1, sizeof *workspace);
    struct arena arena;
    if (!workspace)
        return NULL;
    workspace->stack = stack;
    workspace->bytes = (size_t)workspace_bytes(stack, steps, batch);
    workspace->block = block_new(workspace->bytes);
    if (!workspace->block) {
        free(workspace);
        return NULL;
    }
    arena = (struct arena){workspace->block, 0};
    place_workspace(workspace, steps, batch, &arena);
    return workspace;
}

void workspace_free(struct workspace *workspace)
{
    if (!workspace)
        return;
    block_free(workspace->block, workspace->bytes);
    free(workspace);
}

static int lengths_fit(const struct call *call)
{
    for (int64_t row = 0; call->lengths && row < call->batch; row++)
        if (call->lengths[row] < 0 || call->lengths[row] > call->steps)
            return 0;
    return 1;
}

static float *of_direction(const struct state *state, int direction)
{
    return state->values ? state->values + direction * state->direction_stride : NULL;
}

int32_t stack_run(const struct stack *stack, struct workspace *workspace, const struct call *call)
{
    struct sequence sequence = {
        .steps = call->steps, .batch = call->batch, .lengths = call->lengths, .stop = call->stop,
        .x = call->x, .x_step = call->x_step, .x_row = call->x_row,
    };
    if (!lengths_fit(call))
        return BAD_LENGTHS;
    for (int level = 0; level < stack->levels; level++) {
        const int directions = directions_of(stack, level), last = level + 1 == stack->levels;
        const struct level_states *states = &call->states[level];
        const long units = stack->layers[level][0]->units;
        float *y = last ? call->y : workspace->between[level & 1];
        const long y_direction = last ? call->y_direction : units;
        sequence.y_row = last ? call->y_row : directions * units;
        sequence.y_step = last ? call->y_step : call->batch * directions * units;
        for (int direction = 0; direction < directions; direction++) {
            const struct layer *layer = stack->layers[level][direction];
            struct buffers buffers = workspace->buffers;
            buffers.rows = rows_at_once(layer, call->steps * (call->batch < MOST_BATCH ? call->batch : MOST_BATCH));
            sequence.y = y ? y + direction * y_direction : NULL;
            sequence.first_hidden = of_direction(&states->first_hidden, direction);
            sequence.first_hidden_row = states->first_hidden.row_stride;
            sequence.first_cell = of_direction(&states->first_cell, direction);
            sequence.first_cell_row = states->first_cell.row_stride;
            sequence.last_hidden = of_direction(&states->last_hidden, direction);
            sequence.last_hidden_row = states->last_hidden.row_stride;
            sequence.last_cell = of_direction(&states->last_cell, direction);
            sequence.last_cell_row = states->last_cell.row_stride;
            if (run_sequence(layer, &buffers, &sequence) != DONE)
                return STOPPED;
        }
        sequence.x = y;
        sequence.x_row = sequence.y_row;
        sequence.x_step = sequence.y_step;
    }
    return DONE;
}
