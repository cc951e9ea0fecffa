/* Steps one after another, in chunks whose inputs are projected together. */
#include "sequence.h"

#include "projection.h"

#define NEAR_BYTES (1 << 20)

long rows_at_once(const struct layer *layer, long rows)
{
    long most = NEAR_BYTES / (layer->row * (long)sizeof(float));
    most = most < MOST_BATCH ? MOST_BATCH : most;
    return rows < most ? rows : most;
}

static size_t most_of(size_t one, size_t other) { return one > other ? one : other; }

void measure_buffers(struct sizes *sizes, const struct layer *layer, long steps, long batch)
{
    const long together = batch < MOST_BATCH ? batch : MOST_BATCH, rows = rows_at_once(layer, steps * together);
    sizes->rows = rows > sizes->rows ? rows : sizes->rows;
    sizes->projected = most_of(sizes->projected, (size_t)(rows * layer->row) * sizeof(float));
    sizes->states = most_of(sizes->states, (size_t)(together * layer->padded) * sizeof(float));
    sizes->together = together > sizes->together ? together : sizes->together;
    if (takes_bytes(layer)) {
        sizes->bytes = most_of(sizes->bytes, (size_t)(rows * bytes_of(layer->inputs)));
        sizes->state_bytes = most_of(sizes->state_bytes, (size_t)(together * layer->padded));
    }
}

void place_buffers(struct buffers *buffers, const struct sizes *sizes, struct arena *arena)
{
    buffers->projected = arena_take(arena, sizes->projected);
    buffers->inputs = arena_take(arena, (size_t)sizes->rows * sizeof(struct operand));
    buffers->bytes = arena_take(arena, sizes->bytes);
    for (int side = 0; side < 2; side++) {
        buffers->hidden[side] = arena_take(arena, sizes->states);
        buffers->cell[side] = arena_take(arena, sizes->states);
    }
    buffers->reset = arena_take(arena, sizes->states);
    buffers->operands = arena_take(arena, (size_t)sizes->together * sizeof(struct operand));
    buffers->state_bytes = arena_take(arena, sizes->state_bytes);
}

/* How many steps a row has. */
static long length_of(const struct sequence *sequence, long row)
{
    return sequence->lengths ? sequence->lengths[row] : sequence->steps;
}

/* Where among the steps of the input a row is at the n-th step; steps beyond its length only fill up. */
static long time_of(const struct layer *layer, const struct sequence *sequence, long row, long number)
{
    const long length = length_of(sequence, row);
    return layer->reversed && number < length ? length - 1 - number : number;
}

static void load_state(const struct layer *layer, float *state, const float *from, long stride, long batch)
{
    for (long row = 0; row < batch; row++) {
        float *to = state + row * layer->padded;
        if (from)
            memcpy(to, from + row * stride, (size_t)layer->units * sizeof(float));
        const long kept = from ? layer->units : 0;
        memset(to + kept, 0, (size_t)(layer->padded - kept) * sizeof(float));
    }
}

static void save_state(const struct layer *layer, const float *state, float *to, long stride, long batch)
{
    for (long row = 0; to && row < batch; row++)
        memcpy(to + row * stride, state + row * layer->padded, (size_t)layer->units * sizeof(float));
}

int is_stopped(const struct sequence *sequence)
{
    return sequence->stop && __atomic_load_n(sequence->stop, __ATOMIC_RELAXED);
}

/* After the n-th step: write what was made, and leave rows that have ended as they were. */
static void finish_step(const struct layer *layer, const struct sequence *sequence, struct step *step, long first,
                        long number)
{
    const size_t bytes = (size_t)layer->units * sizeof(float), padded = (size_t)layer->padded * sizeof(float);
    for (long row = 0; row < step->batch; row++) {
        const long at = row * layer->padded;
        const int ended = number >= length_of(sequence, first + row);
        if (ended) {
            memcpy(step->next_hidden + at, step->hidden + at, padded);
            if (layer->kind == LSTM)
                memcpy(step->next_cell + at, step->cell + at, padded);
        }
        if (sequence->y) {
            const long time = time_of(layer, sequence, first + row, number);
            float *y = sequence->y + time * sequence->y_step + (first + row) * sequence->y_row;
            if (ended)
                memset(y, 0, bytes);
            else
                memcpy(y, step->next_hidden + at, bytes);
        }
    }
}

/* Project the inputs of the steps `from` to `to`, in the order in which the steps are taken. */
static void project_steps(const struct layer *layer, const struct buffers *buffers, const struct sequence *sequence,
                          long first, long batch, long from, long to)
{
    for (long number = from; number < to; number++)
        for (long row = 0; row < batch; row++) {
            const long time = time_of(layer, sequence, first + row, number);
            buffers->inputs[(number - from) * batch + row].values =
                sequence->x + time * sequence->x_step + (first + row) * sequence->x_row;
        }
    project(layer, buffers->inputs, buffers->bytes, (to - from) * batch, buffers->projected, 0, layer->groups);
}

int run_steps(const struct layer *layer, const struct buffers *buffers, const struct sequence *sequence, long first,
              long batch, long from, long to)
{
    struct step now = {.batch = batch, .to = layer->groups, .reset = buffers->reset,
                       .operands = buffers->operands, .bytes = buffers->state_bytes};
    const long chunk = buffers->rows / batch;
    int side = 0;
    for (long start = from; start < to; start += chunk) {
        const long end = to - start < chunk ? to : start + chunk;
        if (is_stopped(sequence))
            return -1;
        project_steps(layer, buffers, sequence, first, batch, start, end);
        for (long number = start; number < end; number++, side ^= 1) {
            now.projected = buffers->projected + (number - start) * batch * layer->row;
            now.hidden = buffers->hidden[side], now.next_hidden = buffers->hidden[side ^ 1];
            now.cell = buffers->cell[side], now.next_cell = buffers->cell[side ^ 1];
            now.backwards = side;
            step(layer, &now);
            finish_step(layer, sequence, &now, first, number);
        }
    }
    return side;
}

/* One state of the rows from `first` on, or NULL. */
static const float *from_row(const float *state, long row, long stride) { return state ? state + row * stride : NULL; }

void begin_rows(const struct layer *layer, const struct buffers *buffers, const struct sequence *sequence, long first,
                long batch)
{
    const long hidden_row = sequence->first_hidden_row, cell_row = sequence->first_cell_row;
    load_state(layer, buffers->hidden[0], from_row(sequence->first_hidden, first, hidden_row), hidden_row, batch);
    if (layer->kind == LSTM)
        load_state(layer, buffers->cell[0], from_row(sequence->first_cell, first, cell_row), cell_row, batch);
}

void end_rows(const struct layer *layer, const struct buffers *buffers, int side, const struct sequence *sequence,
              long first, long batch)
{
    const long hidden_row = sequence->last_hidden_row, cell_row = sequence->last_cell_row;
    if (sequence->last_hidden)
        save_state(layer, buffers->hidden[side], sequence->last_hidden + first * hidden_row, hidden_row, batch);
    if (sequence->last_cell)
        save_state(layer, buffers->cell[side], sequence->last_cell + first * cell_row, cell_row, batch);
}

enum outcome run_sequence(const struct layer *layer, const struct buffers *buffers, const struct sequence *sequence)
{
    for (long first = 0; first < sequence->batch; first += MOST_BATCH) {
        const long left = sequence->batch - first, batch = left < MOST_BATCH ? left : MOST_BATCH;
        begin_rows(layer, buffers, sequence, first, batch);
        const int side = run_steps(layer, buffers, sequence, first, batch, 0, sequence->steps);
        if (side < 0)
            return STOPPED;
        end_rows(layer, buffers, side, sequence, first, batch);
    }
    return DONE;
}
