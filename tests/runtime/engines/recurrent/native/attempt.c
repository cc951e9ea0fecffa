#include "attempt.h"

#include <math.h>
#include <stdlib.h>

#include "vector.h"

/* What answers may be off, of the largest number that there is, or of 1. */
#define WITHIN 1e-5
#define WITHIN_AS_BYTES 0.1 /* where inputs and states are rounded to bytes: what is in a wrong place is further off */

int failures;

struct made made_of(const struct problem *problem)
{
    struct made made = {0};
    for (int level = 0; level < problem->levels; level++)
        for (int side = 0; side < problem->directions[level]; side++)
            made.layers[level][side] = layer_new(&problem->layers[level][side]);
    made.stack = stack_new(problem->levels, &made.layers[0][0]);
    return made;
}

void made_free(struct made *made)
{
    stack_free(made->stack);
    for (int level = 0; level < MOST_LEVELS; level++)
        for (int side = 0; side < 2; side++)
            layer_free(made->layers[level][side]);
}

static struct state state_of(const struct grid *grid)
{
    return (struct state){grid->values, grid->strides[0], grid->strides[1]};
}

struct attempt attempt_new(const struct problem *problem, const struct stack *stack, int sharing, struct team *team)
{
    struct attempt attempt = {.problem = problem, .stack = stack};
    const int last = problem->levels - 1;
    const long batch = problem->batch;
    attempt.workspace = workspace_new(stack, &(struct shape){problem->steps, batch, sharing, team});
    attempt.call = (struct call){
        .steps = problem->steps, .batch = batch, .lengths = problem->lengths,
        .x = problem->x.values, .x_step = problem->x.strides[0], .x_row = problem->x.strides[1],
    };
    if (random_below(4)) {
        attempt.y = grid_new(problem->steps, problem->directions[last], batch, problem->layers[last][0].units);
        attempt.call.y = attempt.y.values;
        attempt.call.y_step = attempt.y.strides[0];
        attempt.call.y_direction = attempt.y.strides[1];
        attempt.call.y_row = attempt.y.strides[2];
    }
    for (int level = 0; level < problem->levels; level++) {
        const long units = problem->layers[level][0].units;
        if (random_below(2))
            attempt.last_hidden[level] = grid_new(problem->directions[level], batch, 1, units);
        if (random_below(2) && problem->layers[level][0].kind == LSTM)
            attempt.last_cell[level] = grid_new(problem->directions[level], batch, 1, units);
        attempt.states[level] = (struct level_states){
            state_of(&problem->first_hidden[level]), state_of(&problem->first_cell[level]),
            state_of(&attempt.last_hidden[level]), state_of(&attempt.last_cell[level]),
        };
    }
    return attempt;
}

void attempt_free(struct attempt *attempt)
{
    workspace_free(attempt->workspace);
    free(attempt->y.values);
    for (int level = 0; level < MOST_LEVELS; level++) {
        free(attempt->last_hidden[level].values);
        free(attempt->last_cell[level].values);
    }
}

void attempt_run(struct attempt *attempt)
{
    attempt->call.states = attempt->states;
    attempt->outcome = stack_run(attempt->workspace, &attempt->call);
}

/* Compares what was written with what was expected of it, dense in the order of the axes, and leaves it UNTOUCHED. */
static void compare(long seed, const char *what, double within, struct grid *found, const double *expected, int y)
{
    double largest = 1, worst = 0;
    const long *sizes = found->sizes;
    for (long place = 0; found->values && place < sizes[0] * sizes[1] * sizes[2] * found->width; place++) {
        const long unit = place % found->width, third = place / found->width % sizes[2];
        const long second = place / found->width / sizes[2] % sizes[1];
        const long first = place / found->width / sizes[2] / sizes[1];
        float *value = found->values + first * found->strides[0] + second * found->strides[1] +
                       third * found->strides[2] + unit;
        /* The reference's y is [steps][batch][directions][units], as the next layer would read it. */
        const long from = y ? ((first * sizes[2] + third) * sizes[1] + second) * found->width + unit : place;
        largest = fmax(largest, fabs(expected[from]));
        if (isnan(*value) != isnan(expected[from]))
            worst = INFINITY;
        worst = fmax(worst, isinf(*value) ? INFINITY : fabs((double)*value - expected[from])); /* which NaN is not */
        *value = UNTOUCHED;
    }
    if (worst > within * largest)
        FAIL("problem %ld: %s is off by %g, where the largest is %g", seed, what, worst, largest);
    for (long place = 0; place < found->floats; place++)
        if (found->values[place] < UNTOUCHED || found->values[place] > UNTOUCHED) {
            FAIL("problem %ld: %s is written where there is none of it", seed, what);
            return;
        }
}

static int rounds_to_bytes(const struct problem *problem)
{
    for (int level = 0; MULTIPLIES_BYTES && level < problem->levels; level++)
        for (int side = 0; side < problem->directions[level]; side++)
            if (problem->layers[level][side].precision == INT8)
                return 1;
    return 0;
}

void attempt_check(long seed, struct attempt *attempt)
{
    const struct problem *problem = attempt->problem;
    if (attempt->outcome == STOPPED && attempt->call.stop)
        return; /* what was written has no meaning */
    if (attempt->outcome != DONE)
        FAIL("problem %ld: the outcome is %d", seed, attempt->outcome);
    const double within = rounds_to_bytes(problem) ? WITHIN_AS_BYTES : WITHIN;
    compare(seed, "y", within, &attempt->y, problem->y, 1);
    for (int level = 0; level < problem->levels; level++) {
        compare(seed, "the last hidden state", within, &attempt->last_hidden[level], problem->last_hidden[level], 0);
        compare(seed, "the last cell state", within, &attempt->last_cell[level], problem->last_cell[level], 0);
    }
}
