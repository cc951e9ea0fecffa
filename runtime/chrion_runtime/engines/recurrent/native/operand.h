/* Rows of inputs or of states, as what they are multiplied with weights. */
#ifndef CHRION_OPERAND_H
#define CHRION_OPERAND_H

#include "layer.h"

struct operand {
    const float *values;
    /* Where weights are multiplied as bytes: */
    const signed char *bytes; /* the values over `scale`, rounded */
    float scale;              /* NaN where a value is not finite: so is all that comes of it then */
    int sum;                  /* of the bytes */
};

/* Whether a layer's weights are multiplied with bytes. */
INLINE int takes_bytes(const struct layer *layer) { return MULTIPLIES_BYTES && layer->precision == INT8; }

/* Bytes from one row of so many values to the next, as `quantise` writes them: it writes whole vectors. */
INLINE long bytes_of(long width) { return (width + LANES - 1) / LANES * LANES; }

/* The bytes of `count` rows of `width` values, into rows of `bytes` that are `stride` apart; where the processor does not
 * multiply bytes nothing. */
void quantise(struct operand *operands, long count, long width, signed char *bytes, long stride);

#endif
