#include "step.h"

#include "panel.h"

/* The formulas are those of ONNX's operators LSTM, GRU and RNN. `usual` says that the activations are the usual ones,
 * which then are constants. */

INLINE vector first(const struct layer *layer, const int usual, vector x)
{
    return activate(usual ? (layer->kind == RNN ? TANH : SIGMOID) : layer->activations[0], x);
}

INLINE vector other(const struct layer *layer, const int usual, int place, vector x)
{
    return activate(usual ? TANH : layer->activations[place], x);
}

/* The sums of a panel for a tile of rows, from the projected inputs on. */
INLINE void sum_up(const struct layer *layer, const int rows, const int vectors, const struct step *step, long row,
                   long at, const float *weights, const float *states, vector sums[MOST_ROWS][MOST_VECTORS])
{
    const float *inputs[MOST_ROWS];
    UNROLL(8)
    for (int one = 0; one < rows; one++) {
        inputs[one] = states + (row + one) * layer->padded;
        UNROLL(3)
        for (int v = 0; v < vectors; v++)
            sums[one][v] = load_aligned(step->projected + (row + one) * layer->row + at + v * LANES);
    }
    multiply(rows, vectors, weights, layer->units, inputs, sums);
}

INLINE void lstm(const struct layer *layer, const int usual, const int rows, const struct step *step, long row,
                 long group)
{
    vector ingoing[MOST_ROWS][MOST_VECTORS], kept[MOST_ROWS][MOST_VECTORS]; /* gates i and o, f and c */
    const long at = group * 4 * LANES;
    const float *weights = layer->recurrent + at * layer->units;
    sum_up(layer, rows, 2, step, row, at, weights, step->hidden, ingoing);
    sum_up(layer, rows, 2, step, row, at + 2 * LANES, weights + 2 * LANES * layer->units, step->hidden, kept);
    UNROLL(8)
    for (int one = 0; one < rows; one++) {
        const long unit = (row + one) * layer->padded + group * LANES;
        const vector in = first(layer, usual, ingoing[one][0]), out = first(layer, usual, ingoing[one][1]);
        const vector keep = first(layer, usual, kept[one][0]), fresh = other(layer, usual, 1, kept[one][1]);
        const vector cell = keep * load_aligned(step->cell + unit) + in * fresh;
        store_aligned(step->next_cell + unit, cell);
        store_aligned(step->next_hidden + unit, out * other(layer, usual, 2, cell));
    }
}

INLINE void blend(float *next, const float *hidden, vector update, vector candidate)
{
    store_aligned(next, candidate + update * (load_aligned(hidden) - candidate));
}

INLINE void gru_reset_after(const struct layer *layer, const int usual, const int rows, const struct step *step,
                            long row, long group)
{
    vector sums[MOST_ROWS][MOST_VECTORS];
    const float *inputs[MOST_ROWS];
    const long at = group * 3 * LANES;
    UNROLL(8)
    for (int one = 0; one < rows; one++) {
        const float *projected = step->projected + (row + one) * layer->row + at;
        inputs[one] = step->hidden + (row + one) * layer->padded;
        sums[one][0] = load_aligned(projected);
        sums[one][1] = load_aligned(projected + LANES);
        sums[one][2] = load_aligned(layer->candidate_bias + group * LANES);
    }
    multiply(rows, 3, layer->recurrent + at * layer->units, layer->units, inputs, sums);
    UNROLL(8)
    for (int one = 0; one < rows; one++) {
        const long unit = (row + one) * layer->padded + group * LANES;
        const vector update = first(layer, usual, sums[one][0]), reset = first(layer, usual, sums[one][1]);
        const vector projected = load_aligned(step->projected + (row + one) * layer->row + at + 2 * LANES);
        const vector candidate = other(layer, usual, 1, projected + reset * sums[one][2]);
        blend(step->next_hidden + unit, step->hidden + unit, update, candidate);
    }
}

/* The gates, and the state as it is reset: the candidate needs all of that. */
INLINE void gru_reset_before(const struct layer *layer, const int usual, const int rows, const struct step *step,
                             long row, long group)
{
    vector sums[MOST_ROWS][MOST_VECTORS];
    const long at = group * 3 * LANES;
    sum_up(layer, rows, 2, step, row, at, layer->recurrent + group * 2 * LANES * layer->units, step->hidden, sums);
    UNROLL(8)
    for (int one = 0; one < rows; one++) {
        const long unit = (row + one) * layer->padded + group * LANES;
        store_aligned(step->projected + (row + one) * layer->row + at, first(layer, usual, sums[one][0]));
        store_aligned(step->reset + unit, first(layer, usual, sums[one][1]) * load_aligned(step->hidden + unit));
    }
}

INLINE void gru_candidate(const struct layer *layer, const int usual, const int rows, const struct step *step, long row,
                          long group)
{
    vector sums[MOST_ROWS][MOST_VECTORS];
    const long at = group * 3 * LANES;
    const float *weights = layer->candidate + group * LANES * layer->units;
    sum_up(layer, rows, 1, step, row, at + 2 * LANES, weights, step->reset, sums);
    UNROLL(8)
    for (int one = 0; one < rows; one++) {
        const long unit = (row + one) * layer->padded + group * LANES;
        const vector update = load_aligned(step->projected + (row + one) * layer->row + at);
        blend(step->next_hidden + unit, step->hidden + unit, update, other(layer, usual, 1, sums[one][0]));
    }
}

INLINE void rnn(const struct layer *layer, const int usual, const int rows, const struct step *step, long row,
                long group)
{
    vector sums[MOST_ROWS][MOST_VECTORS];
    const long at = group * 2 * LANES;
    sum_up(layer, rows, 2, step, row, at, layer->recurrent + at * layer->units, step->hidden, sums);
    UNROLL(8)
    for (int one = 0; one < rows; one++)
        UNROLL(2)
        for (int v = 0; v < 2; v++)
            store_aligned(step->next_hidden + (row + one) * layer->padded + at + v * LANES,
                          first(layer, usual, sums[one][v]));
}

/* All groups of a layer by one of the functions above, in functions of their own: each is large once unrolled. */
#define GROUPS(name, part, usual)                                                                                      \
    static __attribute__((noinline)) void name(const struct layer *layer, const struct step *step)                     \
    {                                                                                                                  \
        for (long number = 0; number < layer->groups; number++) {                                                      \
            const long group = step->backwards ? layer->groups - 1 - number : number;                                  \
            IN_TILES(step->batch, part##_##usual)                                                                      \
        }                                                                                                              \
    }
#define CALL(part, usual, rows, first) part(layer, usual, rows, step, first, group)
#define BOTH(part)                                                                                                     \
    GROUPS(usual_##part, part, usual)                                                                                  \
    GROUPS(any_##part, part, any)

#define lstm_usual(rows, first) CALL(lstm, 1, rows, first)
#define lstm_any(rows, first) CALL(lstm, 0, rows, first)
#define gru_reset_after_usual(rows, first) CALL(gru_reset_after, 1, rows, first)
#define gru_reset_after_any(rows, first) CALL(gru_reset_after, 0, rows, first)
#define gru_reset_before_usual(rows, first) CALL(gru_reset_before, 1, rows, first)
#define gru_reset_before_any(rows, first) CALL(gru_reset_before, 0, rows, first)
#define gru_candidate_usual(rows, first) CALL(gru_candidate, 1, rows, first)
#define gru_candidate_any(rows, first) CALL(gru_candidate, 0, rows, first)
#define rnn_usual(rows, first) CALL(rnn, 1, rows, first)
#define rnn_any(rows, first) CALL(rnn, 0, rows, first)

BOTH(lstm)
BOTH(gru_reset_after)
BOTH(gru_reset_before)
BOTH(gru_candidate)
BOTH(rnn)

void step(const struct layer *layer, const struct step *step)
{
    const int usual = layer->usual;
    switch (layer->kind) {
    case LSTM:
        (usual ? usual_lstm : any_lstm)(layer, step);
        break;
    case GRU_RESET_AFTER:
        (usual ? usual_gru_reset_after : any_gru_reset_after)(layer, step);
        break;
    case GRU_RESET_BEFORE:
        (usual ? usual_gru_reset_before : any_gru_reset_before)(layer, step);
        (usual ? usual_gru_candidate : any_gru_candidate)(layer, step);
        break;
    case RNN:
        (usual ? usual_rnn : any_rnn)(layer, step);
        break;
    }
}
