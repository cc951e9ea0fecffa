/* Included before every source: helpers' handovers are seen by the tests, who also set the bounds that workers wait. */
#ifndef CHRION_TEST_BOUNDS_H
#define CHRION_TEST_BOUNDS_H

#define CHRION_HANDOVERS

/* Steps of a chunk, and nanoseconds; see units.c and pieces.c. To be set while nothing runs. */
struct bounds {
    long short_chunk, long_chunk, stall, unknown, moment;
};
extern struct bounds bounds;

#define SHORT_CHUNK bounds.short_chunk
#define LONG_CHUNK bounds.long_chunk
#define STALL bounds.stall
#define UNKNOWN bounds.unknown
#define MOMENT bounds.moment
#define PATIENCE 50000000
#define WORTH_WAKING 0L

#endif
