/* DIR/journal: what was done on this node, a line of JSON for each event. */
#ifndef JOURNAL_H
#define JOURNAL_H

#include "state.h"

/* Returns 0, or -1 after fail(). `reason` may be NULL. */
int journal_add(const char *dir, const char *event, const struct state *state, const char *reason);

#endif
