/* Strands are laid out here: which there are, whom they are for, and where their values lie. */
#include "strands.h"

#define LEAST_ROWS 2     /* of a batch that one worker gets */
#ifndef SHORT_CHUNK      /* tests set chunks of their own */
#define SHORT_CHUNK 16   /* steps, where the layer above waits for them */
#define LONG_CHUNK 32
#endif

int follows(const struct stack *stack, int level)
{
    const struct layer *layer = stack->layers[level][0];
    return level && directions_of(stack, level) == 1 && directions_of(stack, level - 1) == 1 &&
           layer->reversed == stack->layers[level - 1][0]->reversed;
}

static int all_follow(const struct stack *stack)
{
    for (int level = 1; level < stack->levels; level++)
        if (!follows(stack, level))
            return 0;
    return 1;
}

/* Parts of the batch: as many as it takes to give everyone something, where directions and layers do not. */
static long parts_of_batch(const struct stack *stack, long batch, int workers)
{
    const long least = (batch + MOST_BATCH - 1) / MOST_BATCH;
    const int sides = directions_of(stack, 0), together = all_follow(stack) ? stack->levels : sides;
    long parts = together >= workers ? 1 : (workers + together - 1) / together;
    parts = parts > batch / LEAST_ROWS ? batch / LEAST_ROWS : parts;
    return parts < least ? least : parts;
}

static void *take(struct arena *arena, size_t count, size_t bytes) { return arena_take(arena, count * bytes); }

/* Describe the strands, and count what each worker's area takes. */
static size_t plan_strands(struct pieces *pieces, long parts, struct strand *strands, size_t *outputs)
{
    const struct stack *stack = pieces->stack;
    const int in_order = all_follow(stack);
    size_t area = 0;
    int number = 0;
    for (int level = 0; level < stack->levels; level++) {
        const int sides = directions_of(stack, level);
        const struct layer *layer = stack->layers[level][0];
        if (outputs)
            outputs[level] = area;
        area += (size_t)(pieces->steps * pieces->batch * sides * layer->units) * sizeof(float);
        area = (area + 63) / 64 * 64;
        for (int direction = 0; direction < sides; direction++)
            for (long part = 0; part < parts; part++, number++) {
                const long first = pieces->batch * part / parts, last = pieces->batch * (part + 1) / parts;
                const size_t state = (size_t)((last - first) * layer->padded) * sizeof(float);
                if (strands)
                    strands[number] = (struct strand){
                        .level = level, .direction = direction, .first = first, .batch = last - first,
                        .home = (int)(in_order && parts == 1 ? level * pieces->workers / stack->levels
                                                             : (direction * parts + part) % pieces->workers),
                        .below = follows(stack, level) ? number - (int)parts : -1, .state = state, .states = area,
                    };
                area += 2 * state * (size_t)pieces->count;
            }
    }
    pieces->strands = number;
    return area;
}

struct pieces *pieces_place(const struct stack *stack, const struct shape *shape, struct arena *arena)
{
    const int workers = team_helpers(shape->team) + 1;
    const long parts = shape->batch ? parts_of_batch(stack, shape->batch, workers) : 1;
    struct pieces pieces = {.stack = stack, .steps = shape->steps, .batch = shape->batch, .workers = workers};
    struct sizes sizes = {0};
    pieces.chunk = stack->levels > 1 ? SHORT_CHUNK : LONG_CHUNK;
    pieces.count = (shape->steps + pieces.chunk - 1) / pieces.chunk;
    const size_t area = plan_strands(&pieces, parts, NULL, NULL);
    for (int level = 0; level < stack->levels; level++)
        measure_buffers(&sizes, stack->layers[level][0], pieces.chunk, shape->batch);
    char *place = take(arena, 1, sizeof pieces + 128);
    pieces.gathered = take(arena, (size_t)stack->levels + 1, sizeof *pieces.gathered);
    pieces.outputs = take(arena, (size_t)stack->levels, sizeof *pieces.outputs);
    pieces.strand = take(arena, (size_t)pieces.strands + 1, sizeof *pieces.strand);
    pieces.each = take(arena, (size_t)workers, sizeof *pieces.each);
    pieces.x = take(arena, (size_t)(shape->steps * shape->batch * stack->layers[0][0]->inputs), sizeof(float));
    if (place) {
        /* Signals stand in cache lines of their own. */
        pieces.gathered = (void *)((char *)pieces.gathered + (size_t)pieces.gathered % 128);
        pieces.strand = (void *)((char *)pieces.strand + (size_t)pieces.strand % 128);
        plan_strands(&pieces, parts, pieces.strand, pieces.outputs);
    }
    for (int number = 0; number < pieces.strands; number++) {
        struct strand strand = place ? pieces.strand[number] : (struct strand){0};
        const size_t state = sizes.states;
        strand.maker = take(arena, (size_t)pieces.count, sizeof *strand.maker);
        strand.first_hidden = arena_take(arena, state);
        strand.first_cell = arena_take(arena, state);
        if (place)
            pieces.strand[number] = strand;
    }
    for (int at = 0; at < workers; at++) {
        struct worker worker;
        place_buffers(&worker.buffers, &sizes, arena);
        worker.area = arena_take(arena, area);
        if (place)
            pieces.each[at] = worker;
    }
    if (!place)
        return NULL;
    struct pieces *placed = (void *)(place + (size_t)place % 128);
    *placed = pieces;
    return placed;
}
