/* What the commands that share a port are made of. Both return 0, or -1 after fail() (share). */
#ifndef SHARING_H
#define SHARING_H

#include "order.h"

/* Turns SO_REUSEPORT of the old instance's socket on (1) or off (0). Off: an instance that has gone
 * needs nothing. */
int sharing_set(const char *proc, const struct order *order, int on);

/* Waits until the agent that watches has answered the order, 5 s at most. */
int sharing_wait(const char *dir, const struct order *order, struct progress *progress);

/* Changes what is wanted, and waits for the answer. */
int sharing_order(const char *dir, struct order *order, enum wanted wanted,
                  struct progress *progress);

#endif
