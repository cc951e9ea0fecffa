#include "takeover.h"

#include <stdlib.h>
#include <time.h>

#include "attempt.h"
#include "handover.h"
#include "team.h"

#define HELPERS 2
#define PATIENT 50000000 /* nanoseconds that helpers wait actively for the next run */
#define ALONE_RUNS 9
#define TRIES 12
#define SLACK 300000     /* nanoseconds: the processor's caches have served others meanwhile */
#define UNSEEN 20        /* runs in which helpers may be too late to take part */

/* One problem, run by one team, shared in one way. */
struct takeover {
    const struct problem *problem;
    const struct stack *stack;
    struct attempt shared, alone;
    struct team *team;
    int helpers, sharing;
    long number; /* of the problem, for messages */
};

/* Helpers that were stopped, by sharing. */
static long stops[3];

/* What the calling thread has had of the processor: it waits actively, so that counts waiting, but not other programs,
 * which take the processor for as long as they like. */
static int64_t own_time(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t run(const struct takeover *takeover, struct attempt *attempt)
{
    const int64_t began = own_time();
    attempt_run(attempt);
    const int64_t took = own_time() - began;
    attempt_check(takeover->number, attempt);
    return took;
}

static int ascending(const void *one, const void *other)
{
    const int64_t left = *(const int64_t *)one, right = *(const int64_t *)other;
    return (left > right) - (left < right);
}

/* The usual time of a run on one core. */
static int64_t time_alone(struct takeover *takeover)
{
    int64_t took[ALONE_RUNS];
    for (int at = 0; at < ALONE_RUNS; at++)
        took[at] = run(takeover, &takeover->alone);
    qsort(took, ALONE_RUNS, sizeof *took, ascending);
    return took[ALONE_RUNS / 2];
}

/* A run in which a helper is stopped, and further ones: without it, and then with it. Adds to the `stops`, and says
 * what the first run took. */
static void stopped_run(struct takeover *takeover, int worker, long number, int again, int64_t *took)
{
    team_wait(takeover->team);
    stop_at(worker, number);
    *took = run(takeover, &takeover->shared);
    if (again) /* while the helper is still away */
        run(takeover, &takeover->shared);
    stops[takeover->sharing] += let_go();
    if (was_forgotten()) {
        FAIL("problem %ld, sharing %d: the caller waits for helper %d of %d, stopped at handover %ld", takeover->number,
             takeover->sharing, worker, takeover->helpers, number);
        exit(1);
    }
    team_wait(takeover->team);
    stop_at(0, 0);
    if (again) /* with all helpers */
        run(takeover, &takeover->shared);
}

/* The most handovers of a helper in a run that nobody stops. */
static long most_handovers(struct takeover *takeover, int worker)
{
    long most = 0;
    for (int times = 0; times < 3; times++) {
        team_wait(takeover->team);
        stop_at(0, 0);
        run(takeover, &takeover->shared);
        team_wait(takeover->team);
        most = handovers_of(worker) > most ? handovers_of(worker) : most;
    }
    return most;
}

/* Helpers do what they are there for: by units in all steps of all layers, by pieces where there are some for them. */
static void check_that_helpers_help(struct takeover *takeover)
{
    const struct problem *problem = takeover->problem;
    const long layers = problem->levels * problem->directions[0];
    const struct bounds before = bounds;
    int help = 0;
    bounds.stall = bounds.unknown = bounds.moment = 1000000000;
    for (int times = 0; times < UNSEEN && !help; times++) {
        int whole = 1;
        long made = 0;
        team_wait(takeover->team);
        stop_at(0, 0);
        run(takeover, &takeover->shared);
        team_wait(takeover->team);
        for (int worker = 1; worker <= takeover->helpers; worker++) {
            whole &= handovers_of(worker) >= 2 + layers * (1 + 2 * problem->steps);
            made += handovers_of(worker) - 2;
        }
        help = takeover->sharing == BY_UNITS ? whole : made >= 3 || (layers == 1 && problem->batch == 1);
    }
    bounds = before;
    if (!help)
        FAIL("problem %ld, sharing %d: %d helpers do not help", takeover->number, takeover->sharing, takeover->helpers);
}

static void check_stops(struct takeover *takeover, long stride)
{
    int64_t took;
    check_that_helpers_help(takeover);
    for (int worker = 1; worker <= takeover->helpers; worker++) {
        const long most = most_handovers(takeover, worker);
        for (long number = 1 + takeover->number % stride; number <= most; number += stride)
            stopped_run(takeover, worker, number, 1, &took);
    }
}

static void check_times(struct takeover *takeover, long stride)
{
    int64_t bound = 2 * time_alone(takeover) + SLACK;
    for (int worker = 1; worker <= takeover->helpers; worker++) {
        const long most = most_handovers(takeover, worker);
        for (long number = 1 + takeover->number % stride; number <= most; number += stride) {
            int64_t took, least = INT64_MAX;
            for (int times = 0; times < TRIES && least > bound; times++) {
                if (times)
                    bound = 2 * time_alone(takeover) + SLACK;
                stopped_run(takeover, worker, number, 0, &took);
                least = took < least ? took : least;
            }
            if (least > bound)
                FAIL("problem %ld, sharing %d: with helper %d of %d stopped at handover %ld the caller takes %ld us, "
                     "and %ld us are twice what it takes alone",
                     takeover->number, takeover->sharing, worker, takeover->helpers, number, (long)least / 1000,
                     (long)bound / 1000);
        }
    }
}

typedef void takeover_check(struct takeover *takeover, long stride);

static void check_problem(const struct size *size, long number, enum handovers how, takeover_check *then, long stride)
{
    struct problem problem = problem_sized(size);
    struct made made = made_of(&problem);
    for (int helpers = 1; helpers <= HELPERS; helpers++)
        for (int sharing = BY_PIECES; sharing <= BY_UNITS; sharing++) {
            struct team *team = team_new(helpers, PATIENT);
            struct takeover takeover = {.problem = &problem, .stack = made.stack, .team = team, .helpers = helpers,
                                        .sharing = sharing, .number = number};
            if (!team) {
                FAIL("there is no team");
                continue;
            }
            handovers(how, helpers);
            takeover.shared = attempt_new(&problem, made.stack, sharing, team);
            takeover.alone = attempt_new(&problem, made.stack, ALONE, NULL);
            then(&takeover, stride);
            attempt_free(&takeover.shared);
            attempt_free(&takeover.alone);
            team_free(team);
        }
    made_free(&made);
    problem_free(&problem);
}

/* All kinds of stacks: `units` are for a stack of one layer and one row, and fewer where there is more to do. */
static void check_all(long steps, long units, enum handovers how, takeover_check *then, long stride)
{
    static const int kinds[] = {LSTM, GRU_RESET_AFTER, RNN};
    long number = 0;
    for (int kind = 0; kind < 3; kind++)
        for (int levels = 1; levels <= 2; levels++)
            for (int directions = 1; directions <= 2; directions++)
                for (long batch = 1; batch <= 6; batch += 5) {
                    const long more = (batch > 1) + (levels > 1) + (directions > 1);
                    const long alike = kinds[kind] == RNN ? 2 : 1;
                    const long fewer = more > 2 ? 3 * units / 8 : more > 1 ? units / 2 : more ? 5 * units / 8 : units;
                    const struct size size = {kinds[kind], levels, directions, steps, batch, 24,
                                              then == check_stops ? units : fewer * alike};
                    check_problem(&size, number++, how, then, stride);
                }
    handovers(FREELY, 0);
}

void check_takeovers(long stride)
{
    const struct bounds before = bounds;
    bounds = (struct bounds){.short_chunk = 2, .long_chunk = 2, .stall = 2000000, .unknown = 2000000,
                             .moment = 5000000};
    check_all(3, 70, TOGETHER, check_stops, stride);
    bounds = before;
    if (!stops[BY_PIECES] || !stops[BY_UNITS])
        FAIL("%ld helpers were stopped at pieces, and %ld at units", stops[BY_PIECES], stops[BY_UNITS]);
}

void check_time_of_takeovers(long stride)
{
    const struct bounds before = bounds;
    bounds.short_chunk = bounds.long_chunk = 2;
    check_all(6, 512, FREELY, check_times, stride);
    bounds = before;
}

long helpers_stopped(void) { return stops[BY_PIECES] + stops[BY_UNITS]; }
