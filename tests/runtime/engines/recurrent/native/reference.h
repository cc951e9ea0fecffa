/* The operators as ONNX defines them, one number after another and in doubles: nothing is clever here. */
#ifndef CHRION_TEST_REFERENCE_H
#define CHRION_TEST_REFERENCE_H

#include "recurrent.h"

/* One row of a batch through one direction of a layer: `length` steps of `x`, each `x_step` after the one before.
 * `hidden` and `cell` are the first states, and become the last; `y` takes the hidden state of each step. */
void reference_row(const struct layer_description *layer, long length, const double *x, long x_step, double *hidden,
                   double *cell, double *y, long y_step);

/* Rows of weights that each unit has. */
long gates_of(int kind);

#endif
