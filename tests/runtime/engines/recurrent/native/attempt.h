/* Runs of problems, compared with what the reference makes of them. */
#ifndef CHRION_TEST_ATTEMPT_H
#define CHRION_TEST_ATTEMPT_H

#include <stdio.h>

#include "problem.h"

extern int failures;

#define FAIL(...)                                                                                                      \
    do {                                                                                                               \
        fprintf(stderr, __VA_ARGS__);                                                                                  \
        fprintf(stderr, "\n");                                                                                         \
        __atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED);                                                            \
    } while (0)

/* A stack, and its layers. */
struct made {
    struct layer *layers[MOST_LEVELS][2];
    struct stack *stack;
};

struct made made_of(const struct problem *problem);
void made_free(struct made *made);

/* What one thread runs, where it writes, and what came of it. */
struct attempt {
    const struct problem *problem;
    const struct stack *stack;
    struct workspace *workspace;
    struct level_states states[MOST_LEVELS];
    struct grid y, last_hidden[MOST_LEVELS], last_cell[MOST_LEVELS];
    struct call call;
    int32_t outcome;
};

/* An attempt of a problem that may be shared; what it asks for is random. */
struct attempt attempt_new(const struct problem *problem, const struct stack *stack, int sharing, struct team *team);
void attempt_free(struct attempt *attempt);

/* Make it. */
void attempt_run(struct attempt *attempt);

/* Compare what was written with what was expected; then it can be made again. */
void attempt_check(long seed, struct attempt *attempt);

#endif
