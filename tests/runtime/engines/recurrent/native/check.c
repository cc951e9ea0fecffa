/* Compares the kernels with the reference: `check PROBLEMS STRIDE [timed]`. Each problem is run by several threads at
 * once, which share a team, and some are stopped meanwhile. Then helpers are stopped at every STRIDE-th handover; where
 * that is 0, nowhere. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attempt.h"
#include "handover.h"
#include "takeover.h"

#define THREADS 3
#define MOST_HELPERS_OF_PROBLEMS 3

static void *run(void *given)
{
    struct attempt *attempt = given;
    for (int times = 0; times < 2; times++) /* what a run leaves in the buffers must not matter to the next */
        attempt_run(attempt);
    return NULL;
}

/* As `run`, and frees what only runs need while helpers and other threads may still be at work. */
static void *run_and_leave(void *given)
{
    struct attempt *attempt = given;
    run(attempt);
    workspace_free(attempt->workspace);
    attempt->workspace = NULL;
    return NULL;
}

static void check_refusals(long seed, struct attempt *attempt)
{
    const long steps = attempt->problem->steps, batch = attempt->problem->batch;
    const int32_t stop = 1;
    attempt->call.stop = &stop;
    run(attempt);
    if (steps && batch && attempt->outcome != STOPPED)
        FAIL("problem %ld: the outcome is %d although it was stopped", seed, attempt->outcome);
    for (int too_long = 0; too_long < 2 && batch; too_long++) {
        int32_t *lengths = memory((size_t)batch * sizeof *lengths);
        lengths[random_below(batch)] = too_long ? (int32_t)steps + 1 : -1;
        attempt->call.lengths = lengths;
        run(attempt);
        if (attempt->outcome != BAD_LENGTHS)
            FAIL("problem %ld: the outcome is %d with bad lengths", seed, attempt->outcome);
        free(lengths);
    }
}

static void set_bounds_by_chance(void)
{
    static const long chunks[] = {1, 3, 16}, waits[] = {0, 20000, 2000000};
    bounds.short_chunk = chunks[random_below(3)];
    bounds.long_chunk = 2 * bounds.short_chunk;
    bounds.stall = waits[random_below(3)];
    bounds.unknown = waits[random_below(3)];
    bounds.moment = waits[random_below(3)];
}

static void check(long seed)
{
    struct problem problem = problem_new((uint64_t)seed);
    struct made made = made_of(&problem);
    struct attempt attempts[THREADS];
    pthread_t threads[THREADS];
    int32_t stop = 0;
    const int stopped = random_below(4) == 0;
    const useconds_t before_stop = (useconds_t)random_below(500);
    set_bounds_by_chance();
    /* Some helpers sleep, and some do not yet. */
    struct team *team = team_new(1 + (int32_t)random_below(MOST_HELPERS_OF_PROBLEMS), random_below(3) * 50000);
    for (int number = 0; number < THREADS; number++) {
        attempts[number] = attempt_new(&problem, made.stack, (int)random_below(3), random_below(4) ? team : NULL);
        attempts[number].call.stop = stopped ? &stop : NULL;
    }
    for (int number = 0; number < THREADS; number++)
        if (pthread_create(&threads[number], NULL, number ? run_and_leave : run, &attempts[number]))
            exit(2);
    if (stopped && before_stop > 50)
        usleep(before_stop);
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    for (int number = 0; number < THREADS; number++)
        pthread_join(threads[number], NULL);
    for (int number = 0; number < THREADS; number++)
        attempt_check(seed, &attempts[number]);
    check_refusals(seed, &attempts[0]);
    for (int number = 0; number < THREADS; number++)
        attempt_free(&attempts[number]);
    team_free(team);
    made_free(&made);
    problem_free(&problem);
}

/* A forked process does not have the helpers: it runs alone, and waits for none of them. */
static void check_fork(void)
{
    const struct size size = {LSTM, .levels = 2, .directions = 2, .steps = 40, .batch = 6, .inputs = 3, .units = 40};
    struct problem problem = problem_sized(&size);
    struct made made = made_of(&problem);
    for (int sharing = ALONE; sharing <= BY_UNITS; sharing++) {
        struct team *team = team_new(2, 1000000);
        struct attempt attempt = attempt_new(&problem, made.stack, sharing, team);
        run(&attempt);
        const pid_t child = fork();
        if (!child) {
            alarm(120);
            failures = 0;
            for (int times = 0; times < 2; times++) {
                run(&attempt);
                attempt_check(-1, &attempt);
                workspace_free(attempt.workspace);
                attempt.workspace = workspace_new(made.stack, &(struct shape){size.steps, size.batch, sharing, team});
            }
            attempt_free(&attempt);
            team_free(team);
            _exit(failures > 0);
        }
        int status = -1;
        if (child < 0 || waitpid(child, &status, 0) != child || status)
            FAIL("sharing %d: a forked process ends with %d", sharing, status);
        run(&attempt);
        attempt_check(-1, &attempt);
        attempt_free(&attempt);
        team_free(team);
    }
    made_free(&made);
    problem_free(&problem);
}

/* The last rows of a batch, fewer than go through the steps together, may have more steps in a chunk. */
static void check_last_rows(void)
{
    const struct size size = {LSTM, .levels = 1, .directions = 1, .steps = 2, .batch = 127, .inputs = 1, .units = 516};
    struct problem problem = problem_sized(&size);
    struct made made = made_of(&problem);
    struct team *team = team_new(1, 0);
    const struct bounds before = bounds;
    bounds.stall = bounds.moment = 1000000000;
    struct attempt attempt = attempt_new(&problem, made.stack, BY_UNITS, team);
    attempt_run(&attempt);
    attempt_check(-2, &attempt);
    attempt_free(&attempt);
    team_free(team);
    bounds = before;
    made_free(&made);
    problem_free(&problem);
}

/* Where there is no memory, that is said, and what could not even be counted is not taken for little. */
static void check_no_memory(void)
{
    const struct size size = {LSTM, .levels = 2, .directions = 2, .steps = 1, .batch = 1, .inputs = 1, .units = 4};
    static const int64_t batches[] = {0, 1, 3, 100, 1 << 20, INT64_C(1) << 40, INT64_MAX};
    struct problem problem = problem_sized(&size);
    struct made made = made_of(&problem);
    struct team *team = team_new(3, 0);
    for (int sharing = ALONE; sharing <= BY_UNITS; sharing++)
        for (size_t number = 0; number < sizeof batches / sizeof *batches; number++) {
            int64_t last = 0;
            for (int bits = 0; bits < 64; bits++) {
                struct shape shape = {INT64_MAX >> (63 - bits), batches[number], sharing, team};
                const int64_t bytes = workspace_bytes(made.stack, &shape);
                if (bytes < last || (bytes < INT64_MAX / 8 && bytes / 8 < shape.steps * (shape.batch > 0)))
                    FAIL("%ld steps of %ld rows are said to take %ld bytes", (long)shape.steps, (long)shape.batch,
                         (long)bytes);
                last = bytes;
                struct workspace *workspace = bytes >> 47 ? workspace_new(made.stack, &shape) : NULL;
                if (workspace)
                    FAIL("there are buffers for more than there is memory");
                workspace_free(workspace);
            }
        }
    if (workspace_new(made.stack, &(struct shape){.steps = -1, .batch = 1}))
        FAIL("there are buffers for less than nothing");
    team_free(team);
    made_free(&made);
    problem_free(&problem);
}

int main(int count, char **arguments)
{
    const long problems = count > 1 ? strtol(arguments[1], NULL, 10) : 100;
    const long stride = count > 2 ? strtol(arguments[2], NULL, 10) : 1;
    check_no_memory();
    check_last_rows();
    check_fork();
    handovers(BY_CHANCE, 0);
    for (long seed = 0; seed < problems; seed++)
        check(seed);
    if (stride)
        check_takeovers(stride);
    if (count > 3 && !strcmp(arguments[3], "timed"))
        check_time_of_takeovers(1);
    printf("%ld problems, %ld handovers, %ld stops, %d failures\n", problems, handovers_of_all(), helpers_stopped(),
           failures);
    return failures > 0;
}
