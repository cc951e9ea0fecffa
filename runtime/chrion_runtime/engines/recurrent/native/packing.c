/* Weights as ONNX has them, one row a unit and gate, become panels. */
#include <stdlib.h>

#include "layer.h"

static long gates_of(enum kind kind) { return kind == LSTM ? 4 : kind == RNN ? 1 : 3; }

/* Take a layer's memory from an arena, and set what follows from its description. */
static void place(struct layer *layer, const struct layer_description *description, struct arena *arena)
{
    const enum kind kind = (enum kind)description->kind;
    const long span = (long)unit_vectors_of(kind) * LANES;
    const enum activation usual[3] = {kind == RNN ? TANH : SIGMOID, TANH, TANH};
    const int named = kind == LSTM ? 3 : kind == RNN ? 1 : 2;
    layer->kind = kind;
    layer->reversed = description->reversed;
    layer->usual = 1;
    for (int place = 0; place < 3; place++) {
        layer->activations[place] = (enum activation)description->activations[place];
        layer->usual &= place >= named || layer->activations[place] == usual[place];
    }
    layer->inputs = description->inputs;
    layer->units = description->units;
    layer->groups = (layer->units + span - 1) / span;
    layer->padded = layer->groups * span;
    layer->row = layer->groups * vectors_of(kind) * LANES;
    const long recurrent = kind == GRU_RESET_BEFORE ? 2 * layer->padded : layer->row;
    layer->input = arena_take(arena, (size_t)(layer->row * layer->inputs) * sizeof(float));
    layer->recurrent = arena_take(arena, (size_t)(recurrent * layer->units) * sizeof(float));
    const long candidate = kind == GRU_RESET_BEFORE ? layer->padded * layer->units : 0;
    layer->candidate = arena_take(arena, (size_t)candidate * sizeof(float));
    layer->bias = arena_take(arena, (size_t)layer->row * sizeof(float));
    const long candidate_bias = kind == GRU_RESET_AFTER ? layer->padded : 0;
    layer->candidate_bias = arena_take(arena, (size_t)candidate_bias * sizeof(float));
}

/* Where a lane of the n-th vector of a group stands among the rows of ONNX's weights; -1 for a unit that only fills up
 * the group. */
static long row_of(const struct layer *layer, long group, int number, int lane)
{
    const int block = layer->kind == RNN ? number : 0, gate = layer->kind == RNN ? 0 : number;
    const long unit = (group * unit_vectors_of(layer->kind) + block) * LANES + lane;
    return unit < layer->units ? gate * layer->units + unit : -1;
}

/* The vectors `first` to `last` of every group, from [rows][width] into panels of `panel` vectors. */
static void pack(const struct layer *layer, const float *from, long width, int first, int last, int panel, float *to)
{
    for (long group = 0; group < layer->groups; group++)
        for (int number = first; number < last; number++) {
            float *start = to + (group * (last - first) + (number - first) / panel * panel) * width * LANES;
            start += (number - first) % panel * LANES;
            for (int lane = 0; lane < LANES; lane++) {
                const long row = row_of(layer, group, number, lane);
                for (long place = 0; place < width; place++)
                    start[place * panel * LANES + lane] = row < 0 ? 0.0f : from[row * width + place];
            }
        }
}

static void pack_all(struct layer *layer, const struct layer_description *description)
{
    const long rows = gates_of(layer->kind) * layer->units;
    const int vectors = vectors_of(layer->kind), before = layer->kind == GRU_RESET_BEFORE;
    const float *recurrent = description->recurrent, *bias = description->bias;
    pack(layer, description->input, layer->inputs, 0, vectors, panel_of(layer->kind), layer->input);
    pack(layer, recurrent, layer->units, 0, before ? 2 : vectors, recurrent_panel_of(layer->kind), layer->recurrent);
    if (before)
        pack(layer, recurrent, layer->units, 2, 3, 1, layer->candidate);
    if (!bias)
        return;
    for (long group = 0; group < layer->groups; group++)
        for (int number = 0; number < vectors; number++)
            for (int lane = 0; lane < LANES; lane++) {
                const long row = row_of(layer, group, number, lane);
                if (row < 0)
                    continue;
                const int apart = layer->kind == GRU_RESET_AFTER && number == 2;
                layer->bias[(group * vectors + number) * LANES + lane] = bias[row] + (apart ? 0.0f : bias[rows + row]);
                if (apart)
                    layer->candidate_bias[group * LANES + lane] = bias[rows + row];
            }
}

struct layer *layer_new(const struct layer_description *description)
{
    struct layer *layer = calloc(1, sizeof *layer);
    struct arena arena = {NULL, 0};
    if (!layer)
        return NULL;
    place(layer, description, &arena);
    layer->bytes = arena.used;
    layer->block = block_new(layer->bytes);
    if (!layer->block) {
        free(layer);
        return NULL;
    }
    arena = (struct arena){layer->block, 0};
    place(layer, description, &arena);
    pack_all(layer, description);
    return layer;
}

void layer_free(struct layer *layer)
{
    if (!layer)
        return;
    block_free(layer->block, layer->bytes);
    free(layer);
}
