#include "handover.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <unistd.h>

#include "team.h"

#define LONGEST_STOP 30000000000 /* nanoseconds */
#define TO_COME 50000000         /* nanoseconds that helpers are given to come */
#define TO_BEGIN 3000000         /* and to have something to do */

struct bounds bounds = {16, 32, 20000, 200000, 2000};

static atomic_int how_now;
static int helpers_now;
static int stopped_worker;
static long stopped_number;
static atomic_long seen[MOST_HELPERS + 1], all;
static atomic_int is_stopping, is_going, forgotten;

void handovers(enum handovers how, int helpers)
{
    atomic_store(&how_now, how);
    helpers_now = helpers;
}

void stop_at(int worker, long number)
{
    stopped_worker = worker;
    stopped_number = number;
    atomic_store(&is_stopping, 0);
    atomic_store(&is_going, 0);
    for (int at = 0; at <= MOST_HELPERS; at++)
        atomic_store(&seen[at], 0);
}

int let_go(void)
{
    atomic_store(&is_going, 1);
    return atomic_load(&is_stopping);
}

long handovers_of(int worker) { return atomic_load(&seen[worker]); }

long handovers_of_all(void) { return atomic_load(&all); }

int was_forgotten(void) { return atomic_load(&forgotten); }

static void stop(void)
{
    const int64_t began = nanoseconds();
    atomic_store(&is_stopping, 1);
    while (!atomic_load(&is_going)) {
        usleep(50);
        if (nanoseconds() - began > LONGEST_STOP) {
            atomic_store(&forgotten, 1);
            return;
        }
    }
}

/* Wait until all helpers have handed over so often, or are stopped. */
static void wait_for_helpers(long number, int64_t bound)
{
    const int64_t began = nanoseconds();
    for (int worker = 1; worker <= helpers_now; worker++)
        while (atomic_load(&seen[worker]) < number && !(worker == stopped_worker && atomic_load(&is_stopping)) &&
               nanoseconds() - began < bound)
            sched_yield();
}

static void let_chance(void)
{
    static _Thread_local uint32_t luck = 1;
    luck = luck * 1664525 + 1013904223;
    if (luck >> 26 == 0)
        usleep(luck >> 16 & 1023);
    else if (luck >> 29 == 0)
        sched_yield();
}

/* There may be fewer cores than workers: who has waited for a while leaves its own to others, though not where time
 * is measured. Other programs may keep it then for long. */
void relax(void)
{
    static _Thread_local int times;
    if (++times % 128 == 0 && atomic_load_explicit(&how_now, memory_order_relaxed) != FREELY)
        sched_yield();
}

void handover(int worker)
{
    const int how = atomic_load(&how_now);
    if (how == BY_CHANCE)
        let_chance();
    const long number = atomic_fetch_add(&seen[worker], 1) + 1;
    if (worker) {
        atomic_fetch_add(&all, 1);
        if (number == stopped_number && worker == stopped_worker)
            stop();
        return;
    }
    if (how == TOGETHER && number == 1)
        wait_for_helpers(1, TO_COME);
    if (how == TOGETHER && number == 2) /* by then something is there that others go on from */
        wait_for_helpers(2, TO_BEGIN);
}
