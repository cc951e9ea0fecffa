/* Compares the kernels with the reference: `check PROBLEMS`, each run by several threads at once, and some stopped meanwhile. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "problem.h"

#define THREADS 3
#define WITHIN 1e-5 /* of the largest number that there is, or of 1 */

static int failures;

#define FAIL(...)                                                                                                      \
    do {                                                                                                               \
        fprintf(stderr, __VA_ARGS__);                                                                                  \
        fprintf(stderr, "\n");                                                                                         \
        __atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED);                                                            \
    } while (0)

/* A stack, and its layers. */
struct made {
    struct layer *layers[MOST_LEVELS][2];
    struct stack *stack;
};

/* What one thread runs, where it writes, and what came of it. */
struct attempt {
    const struct problem *problem;
    const struct stack *stack;
    struct workspace *workspace;
    struct level_states states[MOST_LEVELS];
    struct grid y, last_hidden[MOST_LEVELS], last_cell[MOST_LEVELS];
    struct call call;
    int32_t outcome;
};

static struct made made_of(const struct problem *problem)
{
    struct made made = {0};
    for (int level = 0; level < problem->levels; level++)
        for (int side = 0; side < problem->directions[level]; side++)
            made.layers[level][side] = layer_new(&problem->layers[level][side]);
    made.stack = stack_new(problem->levels, &made.layers[0][0]);
    return made;
}

static void made_free(struct made *made)
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

static struct attempt attempt_new(const struct problem *problem, const struct stack *stack)
{
    struct attempt attempt = {.problem = problem, .stack = stack};
    const int last = problem->levels - 1;
    const long batch = problem->batch;
    /* Buffers may be larger than what a run needs. */
    attempt.workspace = workspace_new(stack, problem->steps + random_below(3), batch + random_below(3));
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

static void attempt_free(struct attempt *attempt)
{
    workspace_free(attempt->workspace);
    free(attempt->y.values);
    for (int level = 0; level < MOST_LEVELS; level++) {
        free(attempt->last_hidden[level].values);
        free(attempt->last_cell[level].values);
    }
}

static void *run(void *given)
{
    struct attempt *attempt = given;
    attempt->call.states = attempt->states;
    for (int times = 0; times < 2; times++) /* what a run leaves in the buffers must not matter to the next */
        attempt->outcome = stack_run(attempt->stack, attempt->workspace, &attempt->call);
    return NULL;
}

/* Compares what was written with what was expected of it, dense in the order of the axes, and leaves it UNTOUCHED. */
static void compare(long seed, const char *what, struct grid *found, const double *expected, int y)
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
    if (worst > WITHIN * largest)
        FAIL("problem %ld: %s is off by %g, where the largest is %g", seed, what, worst, largest);
    for (long place = 0; place < found->floats; place++)
        if (found->values[place] < UNTOUCHED || found->values[place] > UNTOUCHED) {
            FAIL("problem %ld: %s is written where there is none of it", seed, what);
            return;
        }
}

static void check_attempt(long seed, struct attempt *attempt)
{
    const struct problem *problem = attempt->problem;
    if (attempt->outcome == STOPPED && attempt->call.stop)
        return; /* what was written has no meaning */
    if (attempt->outcome != DONE)
        FAIL("problem %ld: the outcome is %d", seed, attempt->outcome);
    compare(seed, "y", &attempt->y, problem->y, 1);
    for (int level = 0; level < problem->levels; level++) {
        compare(seed, "the last hidden state", &attempt->last_hidden[level], problem->last_hidden[level], 0);
        compare(seed, "the last cell state", &attempt->last_cell[level], problem->last_cell[level], 0);
    }
}

static void check_refusals(long seed, struct attempt *attempt)
{
    const long steps = attempt->problem->steps, batch = attempt->problem->batch;
    const int32_t stop = 1;
    attempt->call.stop = &stop;
    run(attempt);
    if (steps && batch && attempt->outcome != STOPPED)
        FAIL("problem %ld: the outcome is %d although it was stopped", seed, attempt->outcome);
    for (int too_long = 0; too_long < 2 && batch; too_long++) {
        int32_t *lengths = memory((size_t)batch * sizeof *lengths);
        lengths[random_below(batch)] = too_long ? (int32_t)steps + 1 : -1;
        attempt->call.lengths = lengths;
        run(attempt);
        if (attempt->outcome != BAD_LENGTHS)
            FAIL("problem %ld: the outcome is %d with bad lengths", seed, attempt->outcome);
        free(lengths);
    }
}

static void check(long seed)
{
    struct problem problem = problem_new((uint64_t)seed);
    struct made made = made_of(&problem);
    struct attempt attempts[THREADS];
    pthread_t threads[THREADS];
    int32_t stop = 0;
    const int stopped = random_below(4) == 0;
    for (int number = 0; number < THREADS; number++) {
        attempts[number] = attempt_new(&problem, made.stack);
        attempts[number].call.stop = stopped ? &stop : NULL;
    }
    for (int number = 0; number < THREADS; number++)
        if (pthread_create(&threads[number], NULL, run, &attempts[number]))
            exit(2);
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    for (int number = 0; number < THREADS; number++)
        pthread_join(threads[number], NULL);
    for (int number = 0; number < THREADS; number++)
        check_attempt(seed, &attempts[number]);
    check_refusals(seed, &attempts[0]);
    for (int number = 0; number < THREADS; number++)
        attempt_free(&attempts[number]);
    made_free(&made);
    problem_free(&problem);
}

/* Where there is no memory, that is said. */
static void check_no_memory(void)
{
    struct problem problem;
    uint64_t seed = 0;
    for (problem = problem_new(seed); problem.levels < 2; problem = problem_new(++seed))
        problem_free(&problem);
    struct made made = made_of(&problem);
    struct workspace *workspace = workspace_new(made.stack, 1L << 40, 1 << 8);
    if (workspace)
        FAIL("there are buffers for more than there is memory");
    workspace_free(workspace);
    made_free(&made);
    problem_free(&problem);
}

int main(int count, char **arguments)
{
    const long problems = count > 1 ? strtol(arguments[1], NULL, 10) : 100;
    check_no_memory();
    for (long seed = 0; seed < problems; seed++)
        check(seed);
    printf("%ld problems, %d failures\n", problems, failures);
    return failures > 0;
}
