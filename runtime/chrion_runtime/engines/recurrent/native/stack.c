/* Layers one after another, what they need, and the entry points. */
#include "stack.h"

#include <stdlib.h>

#include "pieces.h"
#include "units.h"

#ifndef WORTH_WAKING /* tests wake helpers for all runs */
#define WORTH_WAKING (1L << 25) /* multiplications, of which a core does some tens of thousands in a microsecond */
#endif

/* So large a batch is run alone: its parts would be too many to look through. */
#define MOST_ROWS_BY_PIECES (1 << 16)

/* Floats of a shape that can be counted: no machine has so many, and what is made of them does not wrap around. */
#define MOST_FLOATS (1L << 46)

int32_t interface_version(void) { return 4; }

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

int directions_of(const struct stack *stack, int level) { return stack->layers[level][1] ? 2 : 1; }

static void place(struct workspace *workspace, struct arena *arena)
{
    const struct stack *stack = workspace->stack;
    const struct shape *shape = &workspace->shape;
    struct sizes sizes = {0};
    size_t between = 0;
    for (int level = 0; level < stack->levels; level++) {
        const struct layer *layer = stack->layers[level][0];
        const long made = shape->steps * shape->batch * directions_of(stack, level) * layer->units;
        measure_buffers(&sizes, layer, shape->steps, shape->batch);
        if (level + 1 < stack->levels && (size_t)made * sizeof(float) > between)
            between = (size_t)made * sizeof(float);
    }
    place_buffers(&workspace->buffers, &sizes, arena);
    for (int side = 0; side < 2; side++)
        workspace->between[side] = arena_take(arena, between);
    if (shape->team && shape->sharing == BY_PIECES && shape->batch <= MOST_ROWS_BY_PIECES)
        workspace->pieces = pieces_place(stack, shape, arena);
    if (shape->team && shape->sharing == BY_UNITS)
        workspace->units = units_place(stack, shape, arena);
}

/* Whether what a shape takes can be counted. */
static int is_countable(const struct stack *stack, const struct shape *shape)
{
    const long steps = shape->steps ? shape->steps : 1, batch = shape->batch ? shape->batch : 1;
    long rows, floats, left = MOST_FLOATS;
    if (steps < 0 || batch < 0 || __builtin_mul_overflow(steps, batch, &rows))
        return 0;
    for (int level = 0; level < stack->levels; level++) {
        const struct layer *layer = stack->layers[level][0];
        const long width = layer->inputs + layer->row + directions_of(stack, level) * layer->padded;
        if (__builtin_mul_overflow(rows, width, &floats) || floats > left)
            return 0;
        left -= floats;
    }
    return 1;
}

int64_t workspace_bytes(const struct stack *stack, const struct shape *shape)
{
    if (!is_countable(stack, shape))
        return INT64_MAX;
    struct workspace workspace = {.stack = stack, .shape = *shape};
    struct arena arena = {NULL, 0};
    place(&workspace, &arena);
    return (int64_t)arena.used;
}

struct workspace *workspace_new(const struct stack *stack, const struct shape *shape)
{
    struct workspace *workspace = calloc(1, sizeof *workspace);
    struct arena arena;
    if (!workspace)
        return NULL;
    workspace->stack = stack;
    workspace->shape = *shape;
    workspace->bytes = (size_t)workspace_bytes(stack, shape);
    workspace->block = is_countable(stack, shape) ? block_new(workspace->bytes) : NULL;
    if (!workspace->block) {
        free(workspace);
        return NULL;
    }
    arena = (struct arena){workspace->block, 0};
    place(workspace, &arena);
    return workspace;
}

void workspace_free(struct workspace *workspace)
{
    if (!workspace)
        return;
    if (workspace->shape.team)
        team_wait(workspace->shape.team);
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

struct sequence sequence_of(const struct call *call, int level, int direction)
{
    const struct level_states *states = &call->states[level];
    return (struct sequence){
        .steps = call->steps,
        .batch = call->batch,
        .lengths = call->lengths,
        .stop = call->stop,
        .first_hidden = of_direction(&states->first_hidden, direction),
        .first_hidden_row = states->first_hidden.row_stride,
        .first_cell = of_direction(&states->first_cell, direction),
        .first_cell_row = states->first_cell.row_stride,
        .last_hidden = of_direction(&states->last_hidden, direction),
        .last_hidden_row = states->last_hidden.row_stride,
        .last_cell = of_direction(&states->last_cell, direction),
        .last_cell_row = states->last_cell.row_stride,
    };
}

/* Level by level, each direction by the caller, who may share it by units. */
static enum outcome run_levels(const struct workspace *workspace, const struct call *call, struct units *units)
{
    const struct stack *stack = workspace->stack;
    const float *x = call->x;
    long x_step = call->x_step, x_row = call->x_row;
    for (int level = 0; level < stack->levels; level++) {
        const int directions = directions_of(stack, level), last = level + 1 == stack->levels;
        const long units_of_level = stack->layers[level][0]->units;
        float *y = last ? call->y : workspace->between[level & 1];
        const long y_row = last ? call->y_row : directions * units_of_level;
        const long y_step = last ? call->y_step : call->batch * y_row;
        for (int direction = 0; direction < directions; direction++) {
            const struct layer *layer = stack->layers[level][direction];
            struct buffers buffers = workspace->buffers;
            struct sequence sequence = sequence_of(call, level, direction);
            const long together = call->batch < MOST_BATCH ? call->batch : MOST_BATCH;
            buffers.rows = rows_at_once(layer, call->steps * together);
            sequence.x = x, sequence.x_step = x_step, sequence.x_row = x_row;
            sequence.y = y ? y + direction * (last ? call->y_direction : units_of_level) : NULL;
            sequence.y_step = y_step, sequence.y_row = y_row;
            if (run_shared_by_units(units, layer, &buffers, &sequence) != DONE)
                return STOPPED;
        }
        x = y, x_step = y_step, x_row = y_row;
    }
    return DONE;
}

/* Whether a run is too short to wake sleepers for: they come late and cold, and by pieces have all weights to read. */
static int is_short(const struct workspace *workspace, const struct call *call)
{
    const struct stack *stack = workspace->stack;
    long weights = 0;
    for (int level = 0; level < stack->levels; level++) {
        const struct layer *layer = stack->layers[level][0];
        weights += directions_of(stack, level) * layer->row * (layer->inputs + layer->units);
    }
    return call->steps * call->batch < (workspace->pieces ? 4 : 1) * WORTH_WAKING / weights;
}

int32_t stack_run(struct workspace *workspace, const struct call *call)
{
    struct team *team = workspace->shape.team;
    enum outcome outcome;
    if (!lengths_fit(call))
        return BAD_LENGTHS;
    if ((!workspace->pieces && !workspace->units) || call->lengths || call->steps < 2 || !call->batch ||
        (team_sleeps(team) && is_short(workspace, call)) || !team_take(team))
        return (int32_t)run_levels(workspace, call, NULL);
    if (workspace->pieces) {
        outcome = run_by_pieces(workspace->pieces, team, call);
    } else {
        units_begin(workspace->units, team);
        outcome = run_levels(workspace, call, workspace->units);
        units_end(workspace->units);
    }
    team_release(team);
    return (int32_t)outcome;
}
