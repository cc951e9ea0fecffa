/* One step of a layer: from the state before it to the state after it. */
#ifndef CHRION_STEP_H
#define CHRION_STEP_H

#include "operand.h"

/* Rows of a batch that go through the steps together. */
#define MOST_BATCH 64

/* A part of the state before a step: of the units `from` to `to`, wherever they lie. */
struct part {
    long from, to;
    const float *hidden; /* [batch][layer->padded], as if all units lay there */
};

/* States are [batch][layer->padded], aligned; those before and after a step may not overlap. */
struct step {
    long batch;
    long from, to;           /* the groups that are computed */
    int backwards;           /* from the last group to the first: what was read last is still in the caches */
    float *projected;        /* [batch][layer->row]; a GRU that resets before the product also uses it as scratch */
    const float *hidden, *cell;
    float *next_hidden, *next_cell;
    float *reset;            /* scratch of a GRU that resets before the product, like a state */
    float *sums;             /* [group][batch][vector][LANES]: where a step in two halves leaves what it has */
    struct operand *operands; /* [part][batch]: scratch */
    signed char *bytes;      /* [batch][layer->padded]: scratch of a layer that takes bytes */
    const struct part *parts;
    int count;               /* of a step in halves */
};

/* A whole step, all of whose state before it lies in `hidden`. */
void step(const struct layer *layer, struct step *step);

/* The same in two halves, for layers that can be shared: what comes of the parts of the state that are there already,
 * and then of the others. */
void begin_step(const struct layer *layer, const struct step *step);
void end_step(const struct layer *layer, const struct step *step);

/* Whether a layer's steps can be halved. */
int has_halves(const struct layer *layer);

#endif
