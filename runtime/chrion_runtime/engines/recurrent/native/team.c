/* Threads that wait for work, first actively and then asleep. */
#define _GNU_SOURCE
#include "team.h"

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LOOKS 64 /* at a signal, from one look at the clock to the next */

/* How often this process was forked from another with a team, whose threads it does not have. */
static atomic_long forks;
static int forks_are_counted;
static pthread_once_t once = PTHREAD_ONCE_INIT;

struct helper {
    struct signal done;      /* the last request that it has ended */
    atomic_int asleep;
    struct team *team;
    int worker;
    pthread_t thread;
};

struct team {
    struct signal request;   /* counts up with every job */
    atomic_int wakeups;      /* what sleepers wait for: the request, as a word that the kernel can watch */
    atomic_int taken;
    atomic_int leaving;
    team_work *work;
    void *job;
    long forks;              /* there were when the threads were made */
    int64_t patience;        /* nanoseconds that idle helpers wait actively */
    int helpers;
    struct helper each[];
};

int64_t nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int wait_for(struct signal *signal, long value, int64_t bound, struct signal *ended)
{
    int64_t began = 0;
    for (long look = 1;; look++) {
        if (atomic_load_explicit(&signal->value, memory_order_acquire) >= value)
            return 1;
        relax();
        if (look % LOOKS)
            continue;
        if (ended && atomic_load_explicit(&ended->value, memory_order_relaxed))
            return 0;
        const int64_t now = nanoseconds();
        began = began ? began : now;
        if (now - began > bound)
            return 0;
    }
}

static void futex(atomic_int *word, int operation, int value)
{
    syscall(SYS_futex, word, operation, value, NULL, NULL, 0);
}

/* Wait for another request than `seen`: actively first, then asleep. */
static void await_request(struct helper *helper, long seen)
{
    struct team *team = helper->team;
    if (wait_for(&team->request, seen + 1, team->patience, NULL))
        return;
    atomic_store(&helper->asleep, 1);
    for (;;) {
        const int word = atomic_load(&team->wakeups);
        if (atomic_load(&team->request.value) > seen)
            break;
        futex(&team->wakeups, FUTEX_WAIT_PRIVATE, word);
    }
    atomic_store(&helper->asleep, 0);
}

static void *help(void *argument)
{
    struct helper *helper = argument;
    struct team *team = helper->team;
    for (long seen = 0;;) {
        await_request(helper, seen);
        seen = atomic_load_explicit(&team->request.value, memory_order_acquire);
        if (atomic_load(&team->leaving))
            return NULL;
        handover(helper->worker);
        team->work(team->job, helper->worker);
        handover(helper->worker);
        atomic_store_explicit(&helper->done.value, seen, memory_order_release);
    }
}

static void request(struct team *team)
{
    atomic_fetch_add(&team->request.value, 1);
    for (int at = 0; at < team->helpers; at++)
        if (atomic_load(&team->each[at].asleep)) {
            atomic_fetch_add(&team->wakeups, 1);
            futex(&team->wakeups, FUTEX_WAKE_PRIVATE, INT_MAX);
            return;
        }
}

static void count_fork(void) { atomic_fetch_add(&forks, 1); }

static void count_forks(void) { forks_are_counted = !pthread_atfork(NULL, NULL, count_fork); }

static int has_threads(const struct team *team) { return team->forks == atomic_load(&forks); }

struct team *team_new(int32_t helpers, int64_t patience)
{
    pthread_once(&once, count_forks);
    if (helpers < 1 || !forks_are_counted)
        return NULL;
    helpers = helpers < MOST_HELPERS ? helpers : MOST_HELPERS;
    const size_t bytes = sizeof(struct team) + (size_t)helpers * sizeof(struct helper);
    const size_t unit = _Alignof(struct signal);
    struct team *team = aligned_alloc(unit, (bytes + unit - 1) / unit * unit);
    if (!team)
        return NULL;
    memset(team, 0, bytes);
    team->patience = patience;
    team->forks = atomic_load(&forks);
    for (int at = 0; at < helpers; at++) {
        struct helper *helper = &team->each[at];
        helper->team = team;
        helper->worker = at + 1;
        if (pthread_create(&helper->thread, NULL, help, helper))
            break;
        team->helpers++;
    }
    if (!team->helpers) {
        free(team);
        return NULL;
    }
    return team;
}

void team_free(struct team *team)
{
    if (!team)
        return;
    if (has_threads(team)) {
        team_wait(team);
        atomic_store(&team->leaving, 1);
        request(team);
        for (int at = 0; at < team->helpers; at++)
            pthread_join(team->each[at].thread, NULL);
    }
    free(team);
}

int team_sleeps(struct team *team)
{
    for (int at = 0; at < team->helpers; at++)
        if (atomic_load_explicit(&team->each[at].asleep, memory_order_relaxed))
            return 1;
    return 0;
}

int team_helpers(const struct team *team) { return team->helpers; }

/* Whether all helpers have ended what they were asked up to some request. */
static int have_ended(struct team *team, long last)
{
    for (int at = 0; at < team->helpers; at++)
        if (atomic_load_explicit(&team->each[at].done.value, memory_order_acquire) < last)
            return 0;
    return 1;
}

int team_take(struct team *team)
{
    int free_now = 0;
    if (!has_threads(team) || !atomic_compare_exchange_strong(&team->taken, &free_now, 1))
        return 0;
    if (!have_ended(team, atomic_load(&team->request.value))) {
        atomic_store(&team->taken, 0);
        return 0;
    }
    return 1;
}

void team_ask(struct team *team, team_work *work, void *job)
{
    team->work = work;
    team->job = job;
    request(team);
}

void team_release(struct team *team) { atomic_store(&team->taken, 0); }

void team_wait(struct team *team)
{
    const long last = atomic_load(&team->request.value);
    while (has_threads(team) && !have_ended(team, last))
        sched_yield();
}
