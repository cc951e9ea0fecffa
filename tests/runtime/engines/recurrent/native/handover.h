/* What happens where a worker hands over to others. */
#ifndef CHRION_TEST_HANDOVER_H
#define CHRION_TEST_HANDOVER_H

/* Nothing; workers yield, and now and then sleep; or the caller waits once for its helpers, so that they take part. */
enum handovers { FREELY, BY_CHANCE, TOGETHER };

/* What happens from now on. No helper may be at work. */
void handovers(enum handovers how, int helpers);

/* Count from 0, and stop a helper at its n-th handover; none where `worker` is 0. No helper may be at work. */
void stop_at(int worker, long number);

/* Let it go on; whether it had come there. */
int let_go(void);

/* Handovers of a helper since it was last said where to stop one, and of all of them since the start. */
long handovers_of(int worker);
long handovers_of_all(void);

/* Whether a helper was stopped for longer than any caller takes: it waited for that helper. */
int was_forgotten(void);

#endif
