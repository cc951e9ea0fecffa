/* Sharing by units: chunks of steps, and what happens where a helper is late. */
#include "units.h"

#include "projection.h"

/* Who calls cuts a run into chunks of steps. For each it copies the inputs and the state before it to where helpers may
 * read them, since they may come late, when the caller's own values are gone. Then every worker projects the inputs for
 * its own units, and in each step first uses the states of its own units, and then, once they are there, those of the
 * others. States lie in a ring: while the caller is at step n nobody is beyond n, and the states of n - 2 are
 * whole. So where a helper is late the caller goes on from there alone, for the rest of the run. */

#define RING 4
#define MOST_STEPS 128
#ifndef STALL             /* tests set bounds of their own */
#define STALL 20000       /* nanoseconds beyond a usual step that a helper may be late */
#define PATIENCE 10000000 /* nanoseconds that a helper waits for the caller within a run */
#define MOMENT 2000       /* nanoseconds that helpers who wait actively take at most to come */
#endif
#define UNTIL_NEXT_LOOK (1 << 20) /* weights that are read from one look for helpers to the next */

struct worker {
    struct signal ready;  /* has come, in this run */
    struct signal done;   /* steps of the run that it has ended */
    float *hidden[RING], *cell[RING];
    float *projected, *sums;
    struct operand *inputs, *operands;
    signed char *bytes, *state_bytes;
};

struct units {
    struct signal chunk;  /* the last that helpers may begin, counted from 1 in each run */
    struct signal ended;  /* no more of them: the run is over, or a helper was late */
    int workers;
    /* Of the chunk: */
    const struct layer *layer;
    long batch, steps, before; /* steps of the run before the chunk */
    float *x;                  /* [steps][batch][inputs], in the order in which the steps are taken */
    float *first_hidden, *first_cell;
    struct worker each[];
};

/* What all layers of a stack need at most. */
struct most {
    size_t x, projected, sums, state, bytes, state_bytes;
    long batch, rows;
};

static void raise_to(size_t *most, long count, size_t size)
{
    const size_t bytes = (size_t)count * size;
    *most = bytes > *most ? bytes : *most;
}

/* Steps of a chunk. */
static long steps_at_once(const struct layer *layer, long batch)
{
    const long steps = rows_at_once(layer, MOST_STEPS * batch) / batch;
    return steps < 1 ? 1 : steps;
}

static struct most measure(const struct stack *stack, const struct shape *shape)
{
    const long batch = shape->batch < 1 ? 1 : shape->batch < MOST_BATCH ? shape->batch : MOST_BATCH;
    struct most most = {.batch = batch};
    for (int level = 0; level < stack->levels; level++) {
        const struct layer *layer = stack->layers[level][0];
        /* Not steps_at_once of them: the last rows of a batch may take more than as many as go together. */
        const long rows = rows_at_once(layer, MOST_STEPS * batch);
        most.rows = rows > most.rows ? rows : most.rows;
        raise_to(&most.x, rows * layer->inputs, sizeof(float));
        raise_to(&most.projected, rows * layer->row, sizeof(float));
        raise_to(&most.sums, batch * layer->row, sizeof(float));
        raise_to(&most.state, batch * layer->padded, sizeof(float));
        if (takes_bytes(layer)) {
            raise_to(&most.bytes, rows * bytes_of(layer->inputs), 1);
            raise_to(&most.state_bytes, batch * layer->padded, 1);
        }
    }
    return most;
}

struct units *units_place(const struct stack *stack, const struct shape *shape, struct arena *arena)
{
    const int workers = team_helpers(shape->team) + 1;
    const struct most most = measure(stack, shape);
    char *aligned = arena_take(arena, sizeof(struct units) + (size_t)workers * sizeof(struct worker) + 64);
    struct units *units = aligned ? (struct units *)(aligned + (size_t)aligned % 128) : NULL;
    float *x = arena_take(arena, most.x), *first_hidden = arena_take(arena, most.state);
    float *first_cell = arena_take(arena, most.state);
    if (units) {
        units->workers = workers;
        units->x = x, units->first_hidden = first_hidden, units->first_cell = first_cell;
    }
    for (int at = 0; at < workers; at++) {
        struct worker worker = {0};
        for (int slot = 0; slot < RING; slot++) {
            worker.hidden[slot] = arena_take(arena, most.state);
            worker.cell[slot] = arena_take(arena, most.state);
        }
        worker.projected = arena_take(arena, most.projected);
        worker.sums = arena_take(arena, most.sums);
        worker.inputs = arena_take(arena, (size_t)most.rows * sizeof(struct operand));
        worker.operands = arena_take(arena, (size_t)(workers * most.batch) * sizeof(struct operand));
        worker.bytes = arena_take(arena, most.bytes);
        worker.state_bytes = arena_take(arena, most.state_bytes);
        if (units)
            units->each[at] = worker;
    }
    return units;
}

/* Workers that a layer has work for. */
static int workers_of(const struct units *units, const struct layer *layer)
{
    return layer->groups < units->workers ? (int)layer->groups : units->workers;
}

static long first_group(const struct units *units, const struct layer *layer, int worker)
{
    return layer->groups * worker / workers_of(units, layer);
}

/* The units of a worker, as they lie in some state of all. */
static struct part part_of(const struct units *units, int worker, const float *hidden)
{
    const struct layer *layer = units->layer;
    const long in_group = layer->padded / layer->groups, end = first_group(units, layer, worker + 1) * in_group;
    return (struct part){first_group(units, layer, worker) * in_group, end < layer->units ? end : layer->units, hidden};
}

/* A worker's states after the n-th step of the chunk; before the first the state of all. */
static const float *hidden_after(const struct units *units, int worker, long number)
{
    return number < 0 ? units->first_hidden : units->each[worker].hidden[number % RING];
}

static const float *cell_after(const struct units *units, int worker, long number)
{
    return number < 0 ? units->first_cell : units->each[worker].cell[number % RING];
}

/* Nanoseconds that a worker waits for another: as long again as its own steps took, and some. */
static int64_t bound_of(int worker, int64_t began, long number)
{
    return worker ? PATIENCE : STALL + (nanoseconds() - began) / number;
}

/* Whether the first `others` workers have ended so many steps of the chunk. */
static int all_done(struct units *units, int worker, int others, long number, int64_t began)
{
    const long steps = units->before + number;
    for (int other = 0; other < others; other++) {
        struct signal *done = &units->each[other].done;
        if (other == worker || atomic_load_explicit(&done->value, memory_order_acquire) >= steps)
            continue;
        if (!wait_for(done, steps, bound_of(worker, began, number), &units->ended))
            return 0;
    }
    return 1;
}

/* What the caller does with the states after the n-th step once they are whole. */
typedef void whole_step(void *argument, long number);

/* The chunk's steps as one worker has them: those that it ended before another was late, or one more than all. The caller
 * says what to do `then`, and waits for all others in the end. */
static long take_part(struct units *units, int worker, whole_step *then, void *argument)
{
    const struct layer *layer = units->layer;
    struct worker *own = &units->each[worker];
    const int workers = workers_of(units, layer);
    const long steps = units->steps, before = units->before;
    struct part others[MOST_HELPERS], mine;
    struct step now = {.batch = units->batch, .from = first_group(units, layer, worker),
                       .to = first_group(units, layer, worker + 1), .sums = own->sums,
                       .operands = own->operands, .bytes = own->state_bytes};
    const int64_t began = nanoseconds();
    for (long row = 0; row < steps * units->batch; row++)
        own->inputs[row].values = units->x + row * layer->inputs;
    project(layer, own->inputs, own->bytes, steps * units->batch, own->projected, now.from, now.to);
    for (long number = 0; number < steps; number++) {
        now.projected = own->projected + number * units->batch * layer->row;
        now.hidden = hidden_after(units, worker, number - 1), now.cell = cell_after(units, worker, number - 1);
        now.next_hidden = own->hidden[number % RING], now.next_cell = own->cell[number % RING];
        mine = part_of(units, worker, now.hidden);
        now.parts = &mine, now.count = 1, now.backwards = 0;
        begin_step(layer, &now);
        handover(worker);
        if (number && !all_done(units, worker, workers, number, began))
            return number;
        now.parts = others, now.count = 0, now.backwards = 1;
        for (int other = 0; other < workers; other++)
            if (other != worker)
                others[now.count++] = part_of(units, other, hidden_after(units, other, number - 1));
        end_step(layer, &now);
        handover(worker);
        /* Once it has ended the last one, the chunk may be another. */
        atomic_store_explicit(&own->done.value, before + number + 1, memory_order_release);
        if (then && number)
            then(argument, number - 1);
    }
    if (then && !all_done(units, worker, units->workers, steps, began))
        return steps;
    if (then)
        then(argument, steps - 1);
    return steps + 1;
}

static void help(void *job, int worker)
{
    struct units *units = job;
    atomic_store_explicit(&units->each[worker].ready.value, 1, memory_order_release);
    for (long chunk = 1;; chunk++) {
        handover(worker);
        if (!wait_for(&units->chunk, chunk, PATIENCE, &units->ended))
            return;
        const long steps = units->steps, end = units->before + steps;
        if (worker >= workers_of(units, units->layer))
            atomic_store_explicit(&units->each[worker].done.value, end, memory_order_release);
        else if (take_part(units, worker, NULL, NULL) <= steps)
            return;
    }
}

void units_begin(struct units *units, struct team *team)
{
    units->before = units->steps = 0;
    atomic_store(&units->chunk.value, 0);
    atomic_store(&units->ended.value, 0);
    for (int worker = 0; worker < units->workers; worker++) {
        atomic_store(&units->each[worker].ready.value, 0);
        atomic_store(&units->each[worker].done.value, 0);
    }
    team_ask(team, help, units);
}

void units_end(struct units *units) { atomic_store(&units->ended.value, 1); }

/* The caller's side of a chunk. */
struct sharing_of_chunk {
    struct units *units;
    const struct sequence *sequence;
    long first, from;
};

static long time_of_step(const struct layer *layer, const struct sequence *sequence, long number)
{
    return layer->reversed ? sequence->steps - 1 - number : number;
}

/* The states of all workers after a step of the chunk, as one. */
static void gather(const struct units *units, long number, float *hidden, float *cell)
{
    const struct layer *layer = units->layer;
    for (int worker = 0; worker < workers_of(units, layer); worker++) {
        const struct part part = part_of(units, worker, NULL);
        const size_t bytes = (size_t)(part.to - part.from) * sizeof(float);
        for (long row = 0; row < units->batch; row++) {
            const long at = row * layer->padded + part.from;
            memcpy(hidden + at, hidden_after(units, worker, number) + at, bytes);
            if (layer->kind == LSTM)
                memcpy(cell + at, cell_after(units, worker, number) + at, bytes);
        }
    }
}

static void write_y(void *argument, long number)
{
    const struct sharing_of_chunk *chunk = argument;
    const struct units *units = chunk->units;
    const struct layer *layer = units->layer;
    const struct sequence *sequence = chunk->sequence;
    const long time = time_of_step(layer, sequence, chunk->from + number);
    for (int worker = 0; sequence->y && worker < workers_of(units, layer); worker++) {
        const struct part part = part_of(units, worker, hidden_after(units, worker, number));
        for (long row = 0; row < units->batch; row++)
            memcpy(sequence->y + time * sequence->y_step + (chunk->first + row) * sequence->y_row + part.from,
                   part.hidden + row * layer->padded + part.from, (size_t)(part.to - part.from) * sizeof(float));
    }
}

/* Copy what helpers read, and let them begin. */
static void open_chunk(struct units *units, const struct layer *layer, const struct buffers *buffers,
                       const struct sharing_of_chunk *chunk, long batch, long steps)
{
    const struct sequence *sequence = chunk->sequence;
    const size_t state = (size_t)(batch * layer->padded) * sizeof(float);
    units->before += units->steps;
    units->layer = layer, units->batch = batch, units->steps = steps;
    for (long number = 0; number < steps; number++) {
        const float *x = sequence->x + time_of_step(layer, sequence, chunk->from + number) * sequence->x_step;
        for (long row = 0; row < batch; row++)
            memcpy(units->x + (number * batch + row) * layer->inputs, x + (chunk->first + row) * sequence->x_row,
                   (size_t)layer->inputs * sizeof(float));
    }
    memcpy(units->first_hidden, buffers->hidden[0], state);
    if (layer->kind == LSTM)
        memcpy(units->first_cell, buffers->cell[0], state);
    atomic_fetch_add_explicit(&units->chunk.value, 1, memory_order_release);
}

/* Whether all helpers have come, and none was late; in the beginning of a run they are given a moment to. */
static int have_come(struct units *units, const struct layer *layer, int64_t moment)
{
    if (!units || atomic_load(&units->ended.value) || !has_halves(layer) || workers_of(units, layer) < 2)
        return 0;
    for (int worker = 1; worker < units->workers; worker++)
        if (!wait_for(&units->each[worker].ready, 1, moment, &units->ended))
            return 0;
    return 1;
}

/* Some steps with all helpers: how many were ended. Where one was late it is the last time in this run. */
static long run_chunk(struct units *units, const struct layer *layer, const struct buffers *buffers,
                      const struct sequence *sequence, long first, long batch, long from)
{
    struct sharing_of_chunk chunk = {units, sequence, first, from};
    const long most = steps_at_once(layer, batch), left = sequence->steps - from, steps = left < most ? left : most;
    open_chunk(units, layer, buffers, &chunk, batch, steps);
    const long begun = take_part(units, 0, write_y, &chunk);
    if (begun <= steps)
        atomic_store(&units->ended.value, 1);
    /* Of the step before the one that was begun last the states may not be whole. */
    if (begun > 1)
        gather(units, begun - 2, buffers->hidden[0], buffers->cell[0]);
    return begun - 1;
}

static long run_alone(struct units *units, const struct layer *layer, struct buffers *buffers,
                      const struct sequence *sequence, long first, long batch, long from)
{
    const int for_good = atomic_load(&units->ended.value) || !has_halves(layer);
    const long left = sequence->steps - from, some = 1 + UNTIL_NEXT_LOOK / (layer->units * layer->row);
    const long steps = for_good || left < some ? left : some;
    const int side = run_steps(layer, buffers, sequence, first, batch, from, from + steps);
    if (side > 0) {
        float *hidden = buffers->hidden[0], *cell = buffers->cell[0];
        buffers->hidden[0] = buffers->hidden[1], buffers->hidden[1] = hidden;
        buffers->cell[0] = buffers->cell[1], buffers->cell[1] = cell;
    }
    return side < 0 ? -1 : steps;
}

enum outcome run_shared_by_units(struct units *units, const struct layer *layer, const struct buffers *buffers,
                                 const struct sequence *sequence)
{
    if (!units)
        return run_sequence(layer, buffers, sequence);
    struct buffers own = *buffers;
    for (long first = 0; first < sequence->batch; first += MOST_BATCH) {
        const long rest = sequence->batch - first, batch = rest < MOST_BATCH ? rest : MOST_BATCH;
        begin_rows(layer, &own, sequence, first, batch);
        for (long from = 0, steps; from < sequence->steps; from += steps) {
            if (have_come(units, layer, from ? 0 : MOMENT))
                steps = run_chunk(units, layer, &own, sequence, first, batch, from);
            else
                steps = run_alone(units, layer, &own, sequence, first, batch, from);
            if (steps < 0 || is_stopped(sequence))
                return STOPPED;
        }
        end_rows(layer, &own, 0, sequence, first, batch);
    }
    return DONE;
}
