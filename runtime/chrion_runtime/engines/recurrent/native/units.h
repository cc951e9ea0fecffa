/* One direction of a layer by several threads: each has some of the units, keeps their weights in its own cache, and
 * hands their states over to the others after every step. */
#ifndef CHRION_UNITS_H
#define CHRION_UNITS_H

#include "stack.h"

/* Take what is needed to share runs of a shape from an arena; NULL while it only counts. */
struct units *units_place(const struct stack *stack, const struct shape *shape, struct arena *arena);

/* Have the helpers of a team that was taken come, for one run of a stack, and go. */
void units_begin(struct units *units, struct team *team);
void units_end(struct units *units);

/* As `run_sequence`; shared where `units` is not NULL, the layer's steps have halves, and the helpers have come. */
enum outcome run_shared_by_units(struct units *units, const struct layer *layer, const struct buffers *buffers,
                                 const struct sequence *sequence);

#endif
