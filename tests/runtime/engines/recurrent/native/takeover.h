/* Helpers that are stopped wherever they hand over: the caller answers without them. */
#ifndef CHRION_TEST_TAKEOVER_H
#define CHRION_TEST_TAKEOVER_H

/* Stop each helper at every `stride`-th handover of a run, for all kinds of stacks. */
void check_takeovers(long stride);

/* The same with problems that take about a millisecond and the bounds that users have: the caller is in time. */
void check_time_of_takeovers(long stride);

/* How many were stopped so far: with the bounds that users have some come too late for that. */
long helpers_stopped(void);

#endif
