#include "sequence.h"

#include "projection.h"

#define NEAR_BYTES (1 << 20)

long rows_at_once(const struct layer *layer, long rows)
{
    long most = NEAR_BYTES / (layer->row * (long)sizeof(float));
    most = most < MOST_BATCH ? MOST_BATCH : most;
    return rows < most ? rows : most;
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

static void begin(const struct layer *layer, float *state, const float *first, long stride, long batch)
{
    for (long row = 0; row < batch; row++) {
        float *to = state + row * layer->padded;
        memset(to, 0, (size_t)layer->padded * sizeof(float));
        if (first)
            memcpy(to, first + row * stride, (size_t)layer->units * sizeof(float));
    }
}

static void end(const struct layer *layer, const float *state, float *last, long stride, long batch)
{
    for (long row = 0; last && row < batch; row++)
        memcpy(last + row * stride, state + row * layer->padded, (size_t)layer->units * sizeof(float));
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

/* Project the inputs of the steps `start` to `start + steps`, in the order in which the steps are taken. */
static void project_steps(const struct layer *layer, const struct buffers *buffers, const struct sequence *sequence,
                          long first, long batch, long start, long steps)
{
    for (long number = 0; number < steps; number++)
        for (long row = 0; row < batch; row++) {
            const long time = time_of(layer, sequence, first + row, start + number);
            buffers->inputs[number * batch + row] =
                sequence->x + time * sequence->x_step + (first + row) * sequence->x_row;
        }
    project(layer, buffers->inputs, steps * batch, buffers->projected);
}

/* Rows `first` to `first + batch`, at most MOST_BATCH of them. */
static enum outcome run_rows(const struct layer *layer, const struct buffers *buffers, const struct sequence *sequence,
                             long first, long batch)
{
    struct step now = {.batch = batch, .reset = buffers->reset};
    const float *hidden = sequence->first_hidden, *cell = sequence->first_cell;
    const long chunk = buffers->rows / batch;
    int side = 0;
    begin(layer, buffers->hidden[0], hidden ? hidden + first * sequence->first_hidden_row : NULL,
          sequence->first_hidden_row, batch);
    if (layer->kind == LSTM)
        begin(layer, buffers->cell[0], cell ? cell + first * sequence->first_cell_row : NULL,
              sequence->first_cell_row, batch);
    for (long start = 0; start < sequence->steps; start += chunk) {
        const long left = sequence->steps - start, steps = left < chunk ? left : chunk;
        if (sequence->stop && __atomic_load_n(sequence->stop, __ATOMIC_RELAXED))
            return STOPPED;
        project_steps(layer, buffers, sequence, first, batch, start, steps);
        for (long number = 0; number < steps; number++, side ^= 1) {
            now.projected = buffers->projected + number * batch * layer->row;
            now.hidden = buffers->hidden[side], now.next_hidden = buffers->hidden[side ^ 1];
            now.cell = buffers->cell[side], now.next_cell = buffers->cell[side ^ 1];
            now.backwards = side;
            step(layer, &now);
            finish_step(layer, sequence, &now, first, start + number);
        }
    }
    if (sequence->last_hidden)
        end(layer, buffers->hidden[side], sequence->last_hidden + first * sequence->last_hidden_row,
            sequence->last_hidden_row, batch);
    if (sequence->last_cell)
        end(layer, buffers->cell[side], sequence->last_cell + first * sequence->last_cell_row,
            sequence->last_cell_row, batch);
    return DONE;
}

enum outcome run_sequence(const struct layer *layer, const struct buffers *buffers, const struct sequence *sequence)
{
    for (long first = 0; first < sequence->batch; first += MOST_BATCH) {
        const long left = sequence->batch - first;
        if (run_rows(layer, buffers, sequence, first, left < MOST_BATCH ? left : MOST_BATCH) != DONE)
            return STOPPED;
    }
    return DONE;
}
