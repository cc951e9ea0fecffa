/* Pieces are made here, by whoever is free. */
#include "strands.h"

/* A piece reads and writes only what belongs to the pieces, never the caller's own values: a helper may come back when
 * those are gone. Each worker has an area of its own for all that it may make. Whoever first has a piece says so, and
 * from then on it is read in that worker's area. So a piece can be made twice, by a helper that is late and by the
 * caller, who did not wait any longer, and nothing goes wrong. */

#ifndef STALL            /* tests set bounds of their own */
#define STALL 20000      /* nanoseconds beyond a usual piece, and a quarter of it, that a helper may be late */
#define UNKNOWN 200000   /* nanoseconds to wait for a piece where nobody knows what one takes */
#define PATIENCE 2000000 /* nanoseconds that a helper waits for something to do within a run */
#endif

/* What a piece reads as its inputs: the request's, those that the same piece below made, or all of the level below. */
static void set_inputs(const struct pieces *pieces, const struct strand *strand, long piece, struct sequence *sequence)
{
    const int level = strand->level;
    const struct layer *layer = pieces->stack->layers[level][0];
    const int maker = strand->below < 0 ? 0 : maker_of(&pieces->strand[strand->below], piece);
    sequence->x = level ? output_of(pieces, maker, level - 1) : pieces->x;
    sequence->x_row = layer->inputs;
    sequence->x_step = pieces->batch * layer->inputs;
}

static void make_piece(struct pieces *pieces, struct strand *strand, int worker, long piece)
{
    const struct layer *layer = pieces->stack->layers[strand->level][strand->direction];
    const long sides = directions_of(pieces->stack, strand->level), from = piece * pieces->chunk;
    const long to = from + pieces->chunk < pieces->steps ? from + pieces->chunk : pieces->steps;
    struct buffers buffers = pieces->each[worker].buffers;
    struct sequence sequence = {.steps = pieces->steps, .batch = pieces->batch};
    const size_t state = strand->state;
    const float *hidden = strand->first_hidden, *cell = strand->first_cell;
    if (piece) {
        hidden = state_after(pieces, strand, maker_of(strand, piece - 1), piece - 1);
        cell = hidden + state / sizeof(float);
    }
    memcpy(buffers.hidden[0], hidden, state);
    if (layer->kind == LSTM)
        memcpy(buffers.cell[0], cell, state);
    set_inputs(pieces, strand, piece, &sequence);
    sequence.y = output_of(pieces, worker, strand->level) + strand->direction * layer->units;
    sequence.y_row = sides * layer->units;
    sequence.y_step = pieces->batch * sequence.y_row;
    buffers.rows = rows_at_once(layer, pieces->chunk * strand->batch);
    const int side = run_steps(layer, &buffers, &sequence, strand->first, strand->batch, from, to);
    float *after = state_after(pieces, strand, worker, piece);
    memcpy(after, buffers.hidden[side], state);
    if (layer->kind == LSTM)
        memcpy(after + state / sizeof(float), buffers.cell[side], state);
}

/* Say who made a piece: 0 where another was first. That one may have been stopped before it said that the piece is
 * there: so whoever finds it made says so too, and one who comes late does not take back what was said since. */
static int publish(struct strand *strand, int worker, long piece)
{
    int unmade = 0;
    long before = piece;
    const int first = atomic_compare_exchange_strong_explicit(&strand->maker[piece], &unmade, worker + 1,
                                                              memory_order_acq_rel, memory_order_acquire);
    handover(worker);
    atomic_compare_exchange_strong_explicit(&strand->pieces.value, &before, piece + 1, memory_order_acq_rel,
                                            memory_order_relaxed);
    return first;
}

/* Whether what the next piece reads is there. */
static int is_ready(struct pieces *pieces, struct strand *strand, long piece)
{
    if (!strand->level)
        return 1;
    if (strand->below >= 0)
        return there(&pieces->strand[strand->below]) > piece;
    return (int)atomic_load_explicit(&pieces->gathered[strand->level - 1].value, memory_order_acquire);
}

static int claim(struct strand *strand, int worker)
{
    long unclaimed = 0;
    return atomic_compare_exchange_strong_explicit(&strand->claimed.value, &unclaimed, worker + 1, memory_order_acquire,
                                                   memory_order_relaxed);
}

static void give_back(struct strand *strand)
{
    atomic_store_explicit(&strand->claimed.value, 0, memory_order_release);
}

/* A strand whose next piece the worker can make, claimed; its own first, from the top, and others' once those are
 * ended. NULL where there is none. */
static struct strand *choose(struct pieces *pieces, int worker, long *piece)
{
    int own_left = 0;
    for (int own = 1; own >= 0 && !own_left; own--)
        for (int number = pieces->strands - 1; number >= 0; number--) {
            struct strand *strand = &pieces->strand[number];
            if ((strand->home == worker) != own || there(strand) == pieces->count)
                continue;
            own_left |= own;
            if (!is_ready(pieces, strand, there(strand)) || !claim(strand, worker))
                continue;
            *piece = there(strand);
            if (*piece < pieces->count && is_ready(pieces, strand, *piece))
                return strand;
            give_back(strand);
        }
    return NULL;
}

static int is_ended(struct pieces *pieces)
{
    return (int)atomic_load_explicit(&pieces->ended.value, memory_order_acquire);
}

static void help(void *job, int worker)
{
    struct pieces *pieces = job;
    int64_t idle = 0;
    while (!is_ended(pieces)) {
        long piece;
        struct strand *strand = choose(pieces, worker, &piece);
        if (!strand) {
            const int64_t now = nanoseconds();
            idle = idle ? idle : now;
            if (now - idle > PATIENCE)
                return;
            relax();
            continue;
        }
        handover(worker);
        make_piece(pieces, strand, worker, piece);
        handover(worker);
        if (!publish(strand, worker, piece))
            return; /* the caller was first: it does not count on this helper any more */
        give_back(strand);
        handover(worker);
        idle = 0;
    }
}

/* Copy rows of what a piece made, from its maker's area. */
static void copy_piece(const struct pieces *pieces, const struct strand *strand, long piece, float *to, long step,
                       long row)
{
    const struct layer *layer = pieces->stack->layers[strand->level][strand->direction];
    const long sides = directions_of(pieces->stack, strand->level), from_row = sides * layer->units;
    const float *from = output_of(pieces, maker_of(strand, piece), strand->level) + strand->direction * layer->units;
    const long start = piece * pieces->chunk;
    const long end = start + pieces->chunk < pieces->steps ? start + pieces->chunk : pieces->steps;
    for (long number = start; number < end; number++) {
        const long time = layer->reversed ? pieces->steps - 1 - number : number;
        for (long at = strand->first; at < strand->first + strand->batch; at++)
            memcpy(to + time * step + at * row, from + (time * pieces->batch + at) * from_row,
                   (size_t)layer->units * sizeof(float));
    }
}

/* For levels that read all of the one below: bring that together in the caller's area. */
static void gather_level(struct pieces *pieces, int level)
{
    const long units = pieces->stack->layers[level][0]->units, row = directions_of(pieces->stack, level) * units;
    for (int number = 0; number < pieces->strands; number++) {
        const struct strand *strand = &pieces->strand[number];
        for (long piece = 0; strand->level == level && piece < pieces->count; piece++)
            if (maker_of(strand, piece))
                copy_piece(pieces, strand, piece, output_of(pieces, 0, level) + strand->direction * units,
                           pieces->batch * row, row);
    }
    atomic_store_explicit(&pieces->gathered[level].value, 1, memory_order_release);
}

static int level_ended(struct pieces *pieces, int level)
{
    for (int number = 0; number < pieces->strands; number++)
        if (pieces->strand[number].level == level && there(&pieces->strand[number]) < pieces->count)
            return 0;
    return 1;
}

/* The next level that others wait for, and that has ended: `gathered` counts those that are behind. */
static int gather_next(struct pieces *pieces, int gathered)
{
    const struct stack *stack = pieces->stack;
    while (gathered + 1 < stack->levels && follows(stack, gathered + 1))
        gathered++;
    if (gathered + 1 < stack->levels && level_ended(pieces, gathered))
        gather_level(pieces, gathered++);
    return gathered;
}

/* A piece that can be made, whoever has claimed it. */
static struct strand *take_over(struct pieces *pieces, long *piece)
{
    for (int number = 0; number < pieces->strands; number++) {
        struct strand *strand = &pieces->strand[number];
        *piece = there(strand);
        if (*piece < pieces->count && is_ready(pieces, strand, *piece))
            return strand;
    }
    return NULL;
}

/* The caller's part: make pieces until all are there. It waits for helpers as long as they are not late, and not for
 * longer in all than it works itself: so it takes at most twice what it would alone. From then on it waits for none. */
static enum outcome make_all(struct pieces *pieces, const struct sequence *asked)
{
    int gathered = 0, alone = 0;
    int64_t longest = 0, idle = 0, waited = 0, worked = 0;
    while (!level_ended(pieces, pieces->stack->levels - 1)) {
        long piece;
        if (is_stopped(asked))
            return STOPPED;
        gathered = gather_next(pieces, gathered);
        struct strand *strand = alone ? take_over(pieces, &piece) : choose(pieces, 0, &piece);
        const int64_t now = nanoseconds();
        if (!strand) {
            const int64_t bound = longest ? longest + longest / 4 + STALL : UNKNOWN;
            idle = idle ? idle : now;
            alone |= now - idle > bound || waited + now - idle > worked + bound;
            relax();
            continue;
        }
        waited += idle ? now - idle : 0;
        make_piece(pieces, strand, 0, piece);
        publish(strand, 0, piece);
        if (!alone)
            give_back(strand);
        const int64_t took = nanoseconds() - now;
        longest = took > longest ? took : longest;
        worked += took;
        idle = 0;
    }
    return DONE;
}

/* Copy what helpers read. */
static void begin(struct pieces *pieces, const struct call *call)
{
    const long inputs = pieces->stack->layers[0][0]->inputs;
    for (long step = 0; step < pieces->steps; step++)
        for (long row = 0; row < pieces->batch; row++)
            memcpy(pieces->x + (step * pieces->batch + row) * inputs, call->x + step * call->x_step + row * call->x_row,
                   (size_t)inputs * sizeof(float));
    for (int level = 0; level < pieces->stack->levels; level++)
        atomic_store(&pieces->gathered[level].value, 0);
    for (int number = 0; number < pieces->strands; number++) {
        struct strand *strand = &pieces->strand[number];
        const struct sequence asked = sequence_of(call, strand->level, strand->direction);
        const struct buffers first = {.hidden = {strand->first_hidden, NULL}, .cell = {strand->first_cell, NULL}};
        begin_rows(pieces->stack->layers[strand->level][strand->direction], &first, &asked, strand->first,
                   strand->batch);
        atomic_store(&strand->claimed.value, 0);
        atomic_store(&strand->pieces.value, 0);
        for (long piece = 0; piece < pieces->count; piece++)
            atomic_store(&strand->maker[piece], 0);
    }
    atomic_store(&pieces->ended.value, 0);
}

/* Copy what the caller wants. */
static void end(const struct pieces *pieces, const struct call *call)
{
    for (int number = 0; number < pieces->strands; number++) {
        const struct strand *strand = &pieces->strand[number];
        const struct layer *layer = pieces->stack->layers[strand->level][strand->direction];
        const struct sequence asked = sequence_of(call, strand->level, strand->direction);
        float *state = state_after(pieces, strand, maker_of(strand, pieces->count - 1), pieces->count - 1);
        const struct buffers last = {.hidden = {state, NULL}, .cell = {state + strand->state / sizeof(float), NULL}};
        end_rows(layer, &last, 0, &asked, strand->first, strand->batch);
        for (long piece = 0; call->y && strand->level + 1 == pieces->stack->levels && piece < pieces->count; piece++)
            copy_piece(pieces, strand, piece, call->y + strand->direction * call->y_direction, call->y_step,
                       call->y_row);
    }
}

enum outcome run_by_pieces(struct pieces *pieces, struct team *team, const struct call *call)
{
    const struct sequence asked = {.stop = call->stop};
    if (is_stopped(&asked))
        return STOPPED;
    begin(pieces, call);
    team_ask(team, help, pieces);
    const enum outcome outcome = make_all(pieces, &asked);
    atomic_store_explicit(&pieces->ended.value, 1, memory_order_release);
    if (outcome == DONE)
        end(pieces, call);
    return outcome;
}
