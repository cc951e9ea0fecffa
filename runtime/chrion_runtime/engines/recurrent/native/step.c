/* One step of each kind of layer, for tiles of rows. */
#include "step.h"

#include "panel.h"

/* The formulas are those of ONNX's operators LSTM, GRU and RNN. `usual` says that the activations are the usual ones,
 * and `stage` how much of a step is done; both are constants. */
enum stage { WHOLE, BEGIN, END };

INLINE vector first(const struct layer *layer, const int usual, vector x)
{
    return activate(usual ? SIGMOID : layer->activations[0], INFINITE, x);
}

INLINE vector other(const struct layer *layer, const int usual, int place, vector x)
{
    return activate(usual ? TANH : layer->activations[place], INFINITE, x);
}

/* Make the parts' states what they are multiplied as. */
static void prepare(const struct layer *layer, const struct step *step)
{
    struct operand *operands = step->operands;
    for (int at = 0; at < step->count; at++, operands += step->batch) {
        const struct part *part = &step->parts[at];
        for (long row = 0; row < step->batch; row++)
            operands[row].values = part->hidden + row * layer->padded + part->from;
        if (takes_bytes(layer))
            quantise(operands, step->batch, part->to - part->from, step->bytes + part->from, layer->padded);
    }
}

/* The sums of one panel of a group for a tile, from `start` on: all of them, or those that are there so far. */
INLINE void add_up(const int rows, const int vectors, const enum stage stage, const struct step *step, long row,
                   const struct weights *weights, long start, float *kept, long kept_row,
                   vector sums[MOST_ROWS][MOST_VECTORS])
{
    UNROLL(8)
    for (int one = 0; stage == END && one < rows; one++)
        UNROLL(3)
        for (int v = 0; v < vectors; v++)
            sums[one][v] = load_aligned(kept + one * kept_row + v * LANES);
    for (int at = 0; at < (stage == WHOLE ? 1 : step->count); at++)
        multiply(rows, vectors, weights, start, step->parts[at].from, step->parts[at].to,
                 step->operands + at * step->batch + row, sums);
    UNROLL(8)
    for (int one = 0; stage == BEGIN && one < rows; one++)
        UNROLL(3)
        for (int v = 0; v < vectors; v++)
            store_aligned(kept + one * kept_row + v * LANES, sums[one][v]);
}

/* Sums that begin with the projected inputs of a tile. */
INLINE void from_projected(const struct layer *layer, const int rows, const int vectors, const struct step *step,
                           long row, long at, vector sums[MOST_ROWS][MOST_VECTORS])
{
    UNROLL(8)
    for (int one = 0; one < rows; one++)
        UNROLL(3)
        for (int v = 0; v < vectors; v++)
            sums[one][v] = load_aligned(step->projected + (row + one) * layer->row + at + v * LANES);
}

INLINE void lstm(const struct layer *layer, const int usual, const enum stage stage, const int rows,
                 const struct step *step, long row, long group)
{
    vector ingoing[MOST_ROWS][MOST_VECTORS], kept[MOST_ROWS][MOST_VECTORS]; /* gates i and o, f and c */
    const long at = group * 4 * LANES;
    float *sums = step->sums + (group * step->batch + row) * 4 * LANES;
    from_projected(layer, rows, 2, step, row, at, ingoing);
    add_up(rows, 2, stage, step, row, &layer->recurrent, at, sums, 4 * LANES, ingoing);
    from_projected(layer, rows, 2, step, row, at + 2 * LANES, kept);
    add_up(rows, 2, stage, step, row, &layer->recurrent, at + 2 * LANES, sums + 2 * LANES, 4 * LANES, kept);
    UNROLL(8)
    for (int one = 0; stage != BEGIN && one < rows; one++) {
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

INLINE void gru_reset_after(const struct layer *layer, const int usual, const enum stage stage, const int rows,
                            const struct step *step, long row, long group)
{
    vector sums[MOST_ROWS][MOST_VECTORS];
    const long at = group * 3 * LANES;
    from_projected(layer, rows, 2, step, row, at, sums);
    UNROLL(8)
    for (int one = 0; one < rows; one++)
        sums[one][2] = load_aligned(layer->candidate_bias + group * LANES);
    add_up(rows, 3, stage, step, row, &layer->recurrent, at,
           step->sums + (group * step->batch + row) * 3 * LANES, 3 * LANES, sums);
    UNROLL(8)
    for (int one = 0; stage != BEGIN && one < rows; one++) {
        const long unit = (row + one) * layer->padded + group * LANES;
        const vector update = first(layer, usual, sums[one][0]), reset = first(layer, usual, sums[one][1]);
        const vector projected = load_aligned(step->projected + (row + one) * layer->row + at + 2 * LANES);
        const vector candidate = other(layer, usual, 1, projected + reset * sums[one][2]);
        blend(step->next_hidden + unit, step->hidden + unit, update, candidate);
    }
}

/* The gates, and the state as it is reset: the candidate needs all of that. */
INLINE void gru_reset_before(const struct layer *layer, const int usual, const enum stage stage, const int rows,
                             const struct step *step, long row, long group)
{
    vector sums[MOST_ROWS][MOST_VECTORS];
    const long at = group * 3 * LANES;
    from_projected(layer, rows, 2, step, row, at, sums);
    add_up(rows, 2, stage, step, row, &layer->recurrent, group * 2 * LANES, NULL, 0, sums);
    UNROLL(8)
    for (int one = 0; one < rows; one++) {
        const long unit = (row + one) * layer->padded + group * LANES;
        store_aligned(step->projected + (row + one) * layer->row + at, first(layer, usual, sums[one][0]));
        store_aligned(step->reset + unit, first(layer, usual, sums[one][1]) * load_aligned(step->hidden + unit));
    }
}

INLINE void gru_candidate(const struct layer *layer, const int usual, const enum stage stage, const int rows,
                          const struct step *step, long row, long group)
{
    vector sums[MOST_ROWS][MOST_VECTORS];
    const long at = group * 3 * LANES;
    from_projected(layer, rows, 1, step, row, at + 2 * LANES, sums);
    add_up(rows, 1, stage, step, row, &layer->candidate, group * LANES, NULL, 0, sums);
    UNROLL(8)
    for (int one = 0; one < rows; one++) {
        const long unit = (row + one) * layer->padded + group * LANES;
        const vector update = load_aligned(step->projected + (row + one) * layer->row + at);
        blend(step->next_hidden + unit, step->hidden + unit, update, other(layer, usual, 1, sums[one][0]));
    }
}

INLINE void rnn(const struct layer *layer, const int usual, const enum stage stage, const int rows,
                const struct step *step, long row, long group)
{
    vector sums[MOST_ROWS][MOST_VECTORS];
    const long at = group * 2 * LANES;
    from_projected(layer, rows, 2, step, row, at, sums);
    add_up(rows, 2, stage, step, row, &layer->recurrent, at,
           step->sums + (group * step->batch + row) * 2 * LANES, 2 * LANES, sums);
    UNROLL(8)
    for (int one = 0; stage != BEGIN && one < rows; one++)
        UNROLL(2)
        for (int v = 0; v < 2; v++)
            store_aligned(step->next_hidden + (row + one) * layer->padded + at + v * LANES,
                          activate(usual ? TANH : layer->activations[0], KEPT, sums[one][v]));
}

/* Some groups of a layer by one of the functions above, in a function of their own. */
#define TILE(rows, first, part, usual, stage) part(layer, usual, stage, rows, step, first, group)
#define GROUPS(name, part, usual, stage)                                                                               \
    static void name(const struct layer *layer, const struct step *step)                                               \
    {                                                                                                                  \
        for (long number = step->from; number < step->to; number++) {                                                  \
            const long group = step->backwards ? step->from + step->to - 1 - number : number;                          \
            IN_TILES(step->batch, TILE, part, usual, stage)                                                            \
        }                                                                                                              \
    }

GROUPS(usual_lstm, lstm, 1, WHOLE)
GROUPS(any_lstm, lstm, 0, WHOLE)
GROUPS(begin_lstm, lstm, 1, BEGIN)
GROUPS(end_lstm, lstm, 1, END)
GROUPS(usual_gru_reset_after, gru_reset_after, 1, WHOLE)
GROUPS(any_gru_reset_after, gru_reset_after, 0, WHOLE)
GROUPS(begin_gru_reset_after, gru_reset_after, 1, BEGIN)
GROUPS(end_gru_reset_after, gru_reset_after, 1, END)
GROUPS(usual_gru_reset_before, gru_reset_before, 1, WHOLE)
GROUPS(any_gru_reset_before, gru_reset_before, 0, WHOLE)
GROUPS(usual_gru_candidate, gru_candidate, 1, WHOLE)
GROUPS(any_gru_candidate, gru_candidate, 0, WHOLE)
GROUPS(usual_rnn, rnn, 1, WHOLE)
GROUPS(any_rnn, rnn, 0, WHOLE)
GROUPS(begin_rnn, rnn, 1, BEGIN)
GROUPS(end_rnn, rnn, 1, END)

void step(const struct layer *layer, struct step *step)
{
    const int usual = layer->usual;
    const struct part hidden = {0, layer->units, step->hidden}, reset = {0, layer->units, step->reset};
    step->parts = &hidden, step->count = 1;
    prepare(layer, step);
    switch (layer->kind) {
    case LSTM:
        (usual ? usual_lstm : any_lstm)(layer, step);
        break;
    case GRU_RESET_AFTER:
        (usual ? usual_gru_reset_after : any_gru_reset_after)(layer, step);
        break;
    case GRU_RESET_BEFORE:
        (usual ? usual_gru_reset_before : any_gru_reset_before)(layer, step);
        step->parts = &reset;
        prepare(layer, step);
        (usual ? usual_gru_candidate : any_gru_candidate)(layer, step);
        break;
    case RNN:
        (usual ? usual_rnn : any_rnn)(layer, step);
        break;
    }
    step->parts = NULL, step->count = 0;
}

/* A GRU that resets before the product would have to meet twice; other activations than the usual ones are rare. */
int has_halves(const struct layer *layer) { return layer->usual && layer->kind != GRU_RESET_BEFORE; }

void begin_step(const struct layer *layer, const struct step *step)
{
    prepare(layer, step);
    (layer->kind == LSTM ? begin_lstm : layer->kind == RNN ? begin_rnn : begin_gru_reset_after)(layer, step);
}

void end_step(const struct layer *layer, const struct step *step)
{
    prepare(layer, step);
    (layer->kind == LSTM ? end_lstm : layer->kind == RNN ? end_rnn : end_gru_reset_after)(layer, step);
}
