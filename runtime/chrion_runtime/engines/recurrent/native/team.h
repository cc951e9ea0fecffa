/* Threads that help whoever calls: they wait for work for a while, and then sleep.
 *
 * A helper may be stopped by its host at any moment, for as long as that likes. So nobody ever waits for one without a
 * bound: who calls goes on alone, and a helper that is late finds its work done, and leaves it. What a helper may still
 * read or write then is left alone until it has come back. */
#ifndef CHRION_TEAM_H
#define CHRION_TEAM_H

#include <stdatomic.h>
#include <stdint.h>

#include "recurrent.h"

/* Helpers that one team has at most. */
#define MOST_HELPERS 63

/* A number of its own cache line: another beside it would be slowed by it. */
struct signal {
    _Alignas(128) atomic_long value;
};

/* What a helper is asked to do; `worker` is 1 for the first helper, as 0 is who calls. */
typedef void team_work(void *job, int worker);

/* Whether some helper would have to be woken, which costs who calls some microseconds, and tens of them until it comes. */
int team_sleeps(struct team *team);

/* Helpers of a team, beside who calls. */
int team_helpers(const struct team *team);

/* Take the helpers: 0 where some are still at work, another thread has them, or this process was forked from theirs.
 * Until they are asked nothing that they work on is read or written by them. */
int team_take(struct team *team);

/* Ask all helpers that were taken to `work` on a job. */
void team_ask(struct team *team, team_work *work, void *job);

/* Let others take the helpers, once the job needs no more of them. They may still be at it. */
void team_release(struct team *team);

/* Wait until no helper is at what it was asked before, however long that takes: before what they work on is freed. */
void team_wait(struct team *team);

/* Nanoseconds of a clock that never goes back. */
int64_t nanoseconds(void);

/* Wait until a signal is at least `value`: 1, or 0 where that takes longer than so many nanoseconds, or `ended` is set
 * meanwhile; that may be NULL. */
int wait_for(struct signal *signal, long value, int64_t bound, struct signal *ended);

#ifdef CHRION_HANDOVERS /* tests have their own */
void handover(int worker);
void relax(void);
#else

/* A place where one worker hands over to others; tests stop workers there. */
static inline void handover(int worker) { (void)worker; }

/* Tell the processor that a loop only waits. */
static inline void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}
#endif

#endif
