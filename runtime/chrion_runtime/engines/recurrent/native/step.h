/* One step of a layer: from the state before it to the state after it. */
#ifndef CHRION_STEP_H
#define CHRION_STEP_H

#include "layer.h"

/* Rows of a batch that go through the steps together. */
#define MOST_BATCH 64

/* States are [batch][layer->padded], aligned; those before and after a step may not overlap. */
struct step {
    long batch;
    float *projected;        /* [batch][layer->row]; a GRU that resets before the product also uses it as scratch */
    const float *hidden, *cell;
    float *next_hidden, *next_cell;
    float *reset;            /* scratch of a GRU that resets before the product, like a state */
    int backwards;           /* from the last group to the first: what was read last is still in the caches */
};

void step(const struct layer *layer, const struct step *step);

#endif
