/* Weights as ONNX has them, one row a unit and gate, become panels. */
#include <math.h>
#include <stdlib.h>

#include "operand.h"

static long gates_of(enum kind kind) { return kind == LSTM ? 4 : kind == RNN ? 1 : 3; }

/* A product's weights of some inputs, [groups][`vectors`][LANES] rows of them. */
static struct weights place_weights(const struct layer *layer, long inputs, int vectors, struct arena *arena)
{
    const long rows = layer->groups * vectors * LANES;
    struct weights weights = {.precision = layer->precision};
    weights.width = takes_bytes(layer) ? (inputs + 3) / 4 * 4 : inputs;
    weights.values = arena_take(arena, (size_t)(rows * weights.width) * size_of(weights.precision));
    weights.scales = arena_take(arena, weights.precision == INT8 ? (size_t)rows * sizeof(float) : 0);
    return weights;
}

/* Take a layer's memory from an arena, and set what follows from its description. */
static void place(struct layer *layer, const struct layer_description *description, struct arena *arena)
{
    const enum kind kind = (enum kind)description->kind;
    const long span = (long)unit_vectors_of(kind) * LANES;
    const enum activation usual[3] = {kind == RNN ? TANH : SIGMOID, TANH, TANH};
    const int named = kind == LSTM ? 3 : kind == RNN ? 1 : 2, before = kind == GRU_RESET_BEFORE;
    layer->kind = kind;
    layer->precision = (enum precision)description->precision;
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
    layer->input = place_weights(layer, layer->inputs, vectors_of(kind), arena);
    layer->recurrent = place_weights(layer, layer->units, before ? 2 : vectors_of(kind), arena);
    if (before)
        layer->candidate = place_weights(layer, layer->units, 1, arena);
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

/* What 1 stands for where a row is kept as bytes. */
static float scale_of(const float *row, long width)
{
    float largest = 0;
    for (long place = 0; place < width; place++)
        largest = fmaxf(largest, fabsf(row[place]));
    return largest / 127.0f;
}

/* The nearest half, which is the largest one for what is larger. */
static uint16_t half_of(float value)
{
    const float magnitude = fminf(fabsf(value), 65504.0f);
    const int negative = value < 0;
    uint32_t bits;
    if (magnitude < 0x1p-14f) {
        const float shifted = magnitude + 0.5f; /* whose last bit is that of the smallest halves */
        memcpy(&bits, &shifted, sizeof bits);
        bits -= 0x3f000000u;
    } else {
        memcpy(&bits, &magnitude, sizeof bits);
        bits = (bits + 0xfff + (bits >> 13 & 1) - 0x38000000u) >> 13;
    }
    return (uint16_t)(bits | (uint32_t)negative << 15);
}

/* Write a weight, the n-th of its kind from `to` on. */
static void put(const struct weights *weights, char *to, long number, float value, float scale)
{
    to += (size_t)number * size_of(weights->precision);
    if (weights->precision == FLOAT32) {
        memcpy(to, &value, sizeof value);
    } else if (weights->precision == FLOAT16) {
        const uint16_t half = half_of(value);
        memcpy(to, &half, sizeof half);
    } else {
        const long rounded = scale > 0 ? lrintf(value / scale) : 0;
        *to = (char)(rounded + (MULTIPLIES_BYTES ? 128 : 0));
    }
}

/* The vectors `first` to `last` of every group, from [rows][width] into panels of `panel` vectors. */
static void pack(const struct layer *layer, const float *from, long width, int first, int last, int panel,
                 const struct weights *weights)
{
    const long together = takes_bytes(layer) ? 4 : 1; /* inputs that stand side by side */
    for (long group = 0; group < layer->groups; group++)
        for (int number = first; number < last; number++)
            for (int lane = 0; lane < LANES; lane++) {
                const long row = row_of(layer, group, number, lane), place = group * (last - first) + number - first;
                const long start = place - (number - first) % panel, column = (number - first) % panel;
                const float *values = row < 0 ? NULL : from + row * width;
                const float scale = values && weights->precision == INT8 ? scale_of(values, width) : 0.0f;
                char *to = weights->values + (size_t)(start * LANES * weights->width) * size_of(weights->precision);
                if (weights->precision == INT8)
                    weights->scales[place * LANES + lane] = scale;
                for (long input = 0; input < weights->width; input++)
                    put(weights, to, ((input / together * panel + column) * LANES + lane) * together + input % together,
                        values && input < width ? values[input] : 0.0f, scale);
            }
}

static void pack_all(struct layer *layer, const struct layer_description *description)
{
    const long rows = gates_of(layer->kind) * layer->units;
    const int vectors = vectors_of(layer->kind), before = layer->kind == GRU_RESET_BEFORE;
    const float *recurrent = description->recurrent, *bias = description->bias;
    pack(layer, description->input, layer->inputs, 0, vectors, panel_of(layer->kind), &layer->input);
    pack(layer, recurrent, layer->units, 0, before ? 2 : vectors, recurrent_panel_of(layer->kind), &layer->recurrent);
    if (before)
        pack(layer, recurrent, layer->units, 2, 3, 1, &layer->candidate);
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
