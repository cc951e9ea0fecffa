/* One direction of a layer, packed to be read from the first weight to the last in every step. */
#ifndef CHRION_LAYER_H
#define CHRION_LAYER_H

#include "activations.h"
#include "memory.h"
#include "recurrent.h"

/* Units are computed in groups, a vector of LANES units at a time, with all gates of a unit beside each other. A group
 * is GATES vectors of each of its unit vectors, in panels: for every input the weights of a few vectors stand side by
 * side, so that each input is read and spread once a panel. Units that fill up the last group have weights of zero. */

/* Vectors of a group: gates times vectors of units. */
INLINE int vectors_of(enum kind kind)
{
    return kind == LSTM ? 4 : kind == RNN ? 2 : 3;
}

/* Vectors of units in a group: a plain layer has too little to do with one. */
INLINE int unit_vectors_of(enum kind kind) { return kind == RNN ? 2 : 1; }

/* Vectors of a panel of input weights, and of recurrent ones, where a GRU that resets before the product leaves out the
 * candidate: that takes other inputs. */
INLINE int panel_of(enum kind kind) { return kind == LSTM || kind == RNN ? 2 : 3; }
INLINE int recurrent_panel_of(enum kind kind) { return kind == GRU_RESET_AFTER ? 3 : 2; }

/* Bytes of a weight. */
INLINE size_t size_of(enum precision precision) { return precision == FLOAT32 ? 4 : precision == FLOAT16 ? 2 : 1; }

/* The weights of a product, kept in panels. */
struct weights {
    enum precision precision;
    long width;    /* inputs of the product, and some of weight 0 where those are multiplied by fours */
    char *values;  /* [group][panel][width][vectors of a panel][LANES] */
    float *scales; /* [group][vector][LANES]: what 1 stands for, of INT8 */
};

struct layer {
    enum kind kind;
    enum precision precision;
    int usual;             /* the activations are those that ONNX takes where none are named */
    int reversed;          /* from the last step to the first */
    enum activation activations[3];
    long inputs, units;
    long groups;
    long padded;           /* units of all groups */
    long row;              /* floats of one row of projected inputs */
    struct weights input, recurrent;
    struct weights candidate; /* of a GRU that resets before the product, which has no part in `recurrent` */
    float *bias;           /* [group][vector][LANES]: of both products, where they can be added up */
    float *candidate_bias; /* [group][LANES]: of a GRU that resets after the product */
    char *block;
    size_t bytes;
};

#endif
