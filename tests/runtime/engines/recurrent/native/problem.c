#include "problem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reference.h"

static uint64_t random_state;

void random_from(uint64_t seed) { random_state = seed; }

/* SplitMix64. */
static uint64_t random_bits(void)
{
    uint64_t bits = random_state += 0x9e3779b97f4a7c15u;
    bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9u;
    bits = (bits ^ (bits >> 27)) * 0x94d049bb133111ebu;
    return bits ^ (bits >> 31);
}

long random_below(long below) { return (long)(random_bits() % (uint64_t)below); }

float random_float(void) { return (float)(random_below(1 << 21) - (1 << 20)) / (float)(1 << 20); }

void *memory(size_t bytes)
{
    void *found = calloc(1, bytes);
    if (!found && bytes) {
        fprintf(stderr, "there is no memory for the tests\n");
        exit(2);
    }
    return found;
}

static float *random_floats(long count, float scale)
{
    float *found = memory((size_t)count * sizeof(float));
    for (long place = 0; place < count; place++)
        found[place] = scale * random_float();
    return found;
}

struct grid grid_new(long first, long second, long third, long width)
{
    static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    struct grid grid = {.sizes = {first, second, third}, .width = width, .floats = width};
    const int *order = orders[random_below(6)];
    long stride = width + random_below(2) * random_below(5);
    for (int place = 0; place < 3; place++) {
        const long size = grid.sizes[order[place]];
        grid.strides[order[place]] = stride;
        grid.floats = size ? grid.floats + (size - 1) * stride : 0;
        stride *= size;
        if (!size)
            break;
    }
    grid.values = memory((size_t)grid.floats * sizeof(float));
    for (long place = 0; place < grid.floats; place++)
        grid.values[place] = UNTOUCHED;
    return grid;
}

static struct grid random_grid(long first, long second, long third, long width)
{
    struct grid grid = grid_new(first, second, third, width);
    for (long place = 0; place < grid.floats; place++)
        grid.values[place] = random_float();
    return grid;
}

/* Rows of weights that keep all their digits in a precision. */
static float *kept_floats(int precision, long rows, long width, float scale)
{
    float *found = random_floats(rows * width, scale);
    for (long place = 0; place < rows * width; place++) {
        uint32_t bits;
        memcpy(&bits, &found[place], sizeof bits);
        bits &= ~UINT32_C(0x1fff); /* the digits that a half does not have, for all but the smallest numbers */
        if (precision == FLOAT16) {
            memcpy(&found[place], &bits, sizeof bits);
            found[place] = fabsf(found[place]) < 0x1p-14f ? 0x1p-24f : found[place];
        } else if (precision == INT8) { /* each row has its largest byte */
            const long byte = place % width ? random_below(255) - 127 : 127;
            found[place] = 0.8f * scale * (float)byte / 127.0f;
        }
    }
    return found;
}

static struct layer_description random_layer(int kind, int precision, long inputs, long units, int reversed, int other)
{
    const long rows = gates_of(kind) * units;
    const float scale = 1.2f / (float)(units > 64 ? 20 : units > 16 ? 6 : units > 4 ? 3 : 2);
    struct layer_description layer = {.kind = kind, .reversed = reversed, .inputs = inputs, .units = units};
    for (int place = 0; place < 3; place++) /* sigmoid first, but for RNN, and tanh then */
        layer.activations[place] = other ? (int)random_below(3) : place > 0 || kind == RNN;
    layer.precision = precision;
    layer.input = kept_floats(precision, rows, inputs, scale);
    layer.recurrent = kept_floats(precision, rows, units, scale);
    layer.bias = random_below(3) ? random_floats(2 * rows, scale) : NULL;
    return layer;
}

/* What a level makes of `x` [steps][batch][inputs]: [steps][batch][directions][units], and its last states. */
static double *expect_level(struct problem *problem, int level, const double *x)
{
    const long directions = problem->directions[level], batch = problem->batch;
    const struct layer_description *layers = problem->layers[level];
    const long units = layers->units, width = directions * units;
    const size_t states = (size_t)(width * batch) * sizeof(double);
    double *y = memory((size_t)problem->steps * states);
    double *hidden = problem->last_hidden[level] = memory(states), *cell = problem->last_cell[level] = memory(states);
    for (long side = 0; side < directions; side++)
        for (long row = 0; row < batch; row++) {
            const long place = (side * batch + row) * units;
            const struct grid *first[2] = {&problem->first_hidden[level], &problem->first_cell[level]};
            for (long unit = 0; unit < 2 * units; unit++) {
                const struct grid *from = first[unit / units];
                if (from->values)
                    (unit < units ? hidden : cell)[place + unit % units] =
                        (double)from->values[side * from->strides[0] + row * from->strides[1] + unit % units];
            }
            reference_row(&layers[side], problem->lengths ? problem->lengths[row] : problem->steps,
                          x + row * layers->inputs, batch * layers->inputs, hidden + place, cell + place,
                          y + row * width + side * units, batch * width);
        }
    return y;
}

static void expect(struct problem *problem)
{
    const struct grid *x = &problem->x;
    double *from = memory((size_t)(problem->steps * problem->batch * x->width) * sizeof(double));
    for (long step = 0; step < problem->steps; step++)
        for (long row = 0; row < problem->batch; row++)
            for (long place = 0; place < x->width; place++)
                from[(step * problem->batch + row) * x->width + place] =
                    (double)x->values[step * x->strides[0] + row * x->strides[1] + place];
    for (int level = 0; level < problem->levels; level++) {
        double *made = expect_level(problem, level, from);
        free(from);
        from = made;
    }
    problem->y = from;
}

struct problem problem_new(uint64_t seed)
{
    static const long batches[] = {0, 1, 1, 2, 3, 4, 5, 7, 8, 9, 11, 31, 64, 65, 70};
    static const long sizes[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 47};
    struct problem problem = {0};
    random_from(seed);
    problem.levels = 1 + (int)(random_below(2) * random_below(MOST_LEVELS));
    const int is_long = random_below(12) == 0; /* enough steps for some chunks of them */
    problem.steps = is_long ? 100 + random_below(300) : random_below(10);
    problem.batch = batches[random_below(is_long ? 10 : 15)];
    long inputs = 1 + random_below(20);
    problem.x = random_grid(problem.steps, problem.batch, 1, inputs);
    if (random_below(4) == 0 && problem.x.floats) /* it spreads in its row, up to the row's length, and no further */
        problem.x.values[random_below(problem.x.floats)] = NAN;
    for (int level = 0; level < problem.levels; level++) {
        const int kind = (int)random_below(4), directions = problem.directions[level] = 1 + (int)random_below(2);
        const int precision = (int)random_below(3);
        const long units = sizes[random_below(16)];
        for (int side = 0; side < directions; side++)
            problem.layers[level][side] =
                random_layer(kind, precision, inputs, units, directions == 2 ? side : (int)random_below(2),
                             !is_long && random_below(3) == 0); /* relu can grow from step to step */
        if (random_below(2))
            problem.first_hidden[level] = random_grid(directions, problem.batch, 1, units);
        if (random_below(2) && kind == LSTM)
            problem.first_cell[level] = random_grid(directions, problem.batch, 1, units);
        inputs = directions * units;
    }
    if (random_below(2)) {
        problem.lengths = memory((size_t)problem.batch * sizeof *problem.lengths);
        for (long row = 0; row < problem.batch; row++)
            problem.lengths[row] = (int32_t)random_below(problem.steps + 1);
    }
    expect(&problem);
    return problem;
}

struct problem problem_sized(const struct size *size)
{
    struct problem problem = {.levels = size->levels, .steps = size->steps, .batch = size->batch};
    long inputs = size->inputs;
    random_from(1);
    problem.x = random_grid(size->steps, size->batch, 1, inputs);
    for (int level = 0; level < size->levels; level++) {
        problem.directions[level] = size->directions;
        for (int side = 0; side < size->directions; side++)
            problem.layers[level][side] = random_layer(size->kind, level % 3, inputs, size->units, side, 0);
        problem.first_hidden[level] = random_grid(size->directions, size->batch, 1, size->units);
        if (size->kind == LSTM)
            problem.first_cell[level] = random_grid(size->directions, size->batch, 1, size->units);
        inputs = size->directions * size->units;
    }
    expect(&problem);
    return problem;
}

void problem_free(struct problem *problem)
{
    free(problem->x.values);
    free(problem->lengths);
    free(problem->y);
    for (int level = 0; level < problem->levels; level++) {
        for (int side = 0; side < problem->directions[level]; side++) {
            free((void *)problem->layers[level][side].input);
            free((void *)problem->layers[level][side].recurrent);
            free((void *)problem->layers[level][side].bias);
        }
        free(problem->first_hidden[level].values);
        free(problem->first_cell[level].values);
        free(problem->last_hidden[level]);
        free(problem->last_cell[level]);
    }
}
