/* A hand-over's three moves: the manifest goes (arm), stays away (confirm), comes back (put_back). */
#ifndef HANDOVER_H
#define HANDOVER_H

#include <stdbool.h>

#include "options.h"
#include "state.h"

/* The commands. Each takes DIR/lock and leaves everything as it was when it fails. */
int handover_arm(const struct options *options, struct state *state, bool *already);
int handover_confirm(const struct options *options, struct state *state, bool *already);
int handover_put_back(const struct options *options, struct state *state, bool *already);

/* Puts back whatever is armed or half put back, for `reason` (or the one that the state has
 * already). Returns 1 when done, 0 when there was nothing to do, -1 after fail(). */
int handover_fall_back(const struct options *options, struct state *state, const char *reason);

/* DIR/<component>, where its manifest and the hold file are kept. */
int component_directory(char *out, const char *dir, const char *component);

/* Whether DIR/agent.lock is held: somebody watches. */
bool handover_is_watched(const char *dir);

#define HOLD_FILE "hold"
#define AGENT_LOCK "agent.lock"

#endif
