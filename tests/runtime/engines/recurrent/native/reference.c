#include "reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "activations.h"

long gates_of(int kind) { return kind == LSTM ? 4 : kind == RNN ? 1 : 3; }

/* NaN counts as infinity for sigmoid and tanh in LSTM and GRU, as ONNX Runtime has it; elsewhere it stays NaN. */
static double activated(const struct layer_description *layer, int kind, double x)
{
    if (isnan(x) && kind != RELU && layer->kind != RNN)
        return 1;
    return kind == SIGMOID ? 1 / (1 + exp(-x)) : kind == TANH ? tanh(x) : x < 0 ? 0 : x;
}

static double product(const float *weights, const double *values, long count)
{
    double sum = 0;
    for (long place = 0; place < count; place++)
        sum += (double)weights[place] * values[place];
    return sum;
}

static double bias(const struct layer_description *layer, long row)
{
    return layer->bias ? (double)layer->bias[row] : 0;
}

/* One step: `x` and `hidden` to `next`, and `cell` to what it is then. `reset` is the hidden state as a GRU resets it. */
static void reference_step(const struct layer_description *layer, const double *x, const double *hidden, double *cell,
                           double *next, double *reset)
{
    const long units = layer->units, rows = gates_of(layer->kind) * units;
    const int *act = layer->activations;
#define INPUT(gate) (product(layer->input + ((gate) * units + unit) * layer->inputs, x, layer->inputs) +               \
                     bias(layer, (gate) * units + unit))
#define RECURRENT(gate, state) (product(layer->recurrent + ((gate) * units + unit) * units, state, units) +            \
                                bias(layer, rows + (gate) * units + unit))
#define GATE(gate) activated(layer, act[0], INPUT(gate) + RECURRENT(gate, hidden))
    for (long unit = 0; unit < units && layer->kind == GRU_RESET_BEFORE; unit++)
        reset[unit] = GATE(1) * hidden[unit];
    for (long unit = 0; unit < units; unit++) {
        double candidate;
        switch (layer->kind) {
        case LSTM:
            cell[unit] = GATE(2) * cell[unit] + GATE(0) * activated(layer, act[1], INPUT(3) + RECURRENT(3, hidden));
            next[unit] = GATE(1) * activated(layer, act[2], cell[unit]);
            break;
        case RNN:
            next[unit] = GATE(0);
            break;
        default:
            candidate = layer->kind == GRU_RESET_BEFORE ? RECURRENT(2, reset) : GATE(1) * RECURRENT(2, hidden);
            candidate = activated(layer, act[1], INPUT(2) + candidate);
            next[unit] = (1 - GATE(0)) * candidate + GATE(0) * hidden[unit];
        }
    }
}

void reference_row(const struct layer_description *layer, long length, const double *x, long x_step, double *hidden,
                   double *cell, double *y, long y_step)
{
    const size_t bytes = (size_t)layer->units * sizeof(double);
    double *next = malloc(bytes), *reset = malloc(bytes);
    for (long number = 0; next && reset && number < length; number++) {
        const long time = layer->reversed ? length - 1 - number : number;
        reference_step(layer, x + time * x_step, hidden, cell, next, reset);
        memcpy(hidden, next, bytes);
        memcpy(y + time * y_step, next, bytes);
    }
    free(next);
    free(reset);
}
