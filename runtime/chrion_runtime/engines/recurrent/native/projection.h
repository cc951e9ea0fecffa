/* The part of a layer that does not depend on its state: its inputs, for many steps at once. */
#ifndef CHRION_PROJECTION_H
#define CHRION_PROJECTION_H

#include "operand.h"

/* projected[row] = bias + inputs[row] times the input weights, for `count` rows of `layer->row` floats; of those the part
 * of the groups `from` to `to` alone. A layer that takes bytes writes those of all inputs to `bytes`. */
void project(const struct layer *layer, struct operand *inputs, signed char *bytes, long count, float *projected,
             long from, long to);

#endif
