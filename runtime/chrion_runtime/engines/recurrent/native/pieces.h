/* A stack by several threads: its directions, parts of its batch and its layers are sequences of their own, which are
 * run in pieces, chunks of steps, by whoever is free. */
#ifndef CHRION_PIECES_H
#define CHRION_PIECES_H

#include "stack.h"

/* Take what is needed to share runs of a shape from an arena; NULL while it only counts. */
struct pieces *pieces_place(const struct stack *stack, const struct shape *shape, struct arena *arena);

/* Run a stack once with the helpers of a team that was taken: DONE or STOPPED. */
enum outcome run_by_pieces(struct pieces *pieces, struct team *team, const struct call *call);

#endif
