/* A hand-over's three moves: the manifest goes (arm), stays away (confirm), comes back (put_back). */
#ifndef HANDOVER_H
#define HANDOVER_H

#include <stdbool.h>

#include "options.h"
#include "state.h"

#define HOLD_FILE "hold"          /* beside a kept manifest: the new instance is to wait */
#define AGENT_LOCK "agent.lock"   /* held by the agent that watches, as long as it lives */
#define HANDOVER_LOCK "lock"      /* held while a move is made */

/* ---- the commands ---- */

/* Each makes its move under the lock. `*already` tells an order that was given before. */
int handover_arm(const struct options *options, struct state *state, bool *already);
int handover_confirm(const struct options *options, struct state *state, bool *already);
int handover_put_back(const struct options *options, struct state *state, bool *already);

/* Has the component's new instance wait, whatever its port, until the hand-over is armed. */
int handover_hold(const struct options *options);

/* ---- for the agent that watches ---- */

/* Puts back whatever is armed or half put back, for `reason` (or the one that the state has
 * already). Returns 1 when done, 0 when there was nothing to do, -1 after fail(). */
int handover_fall_back(const struct options *options, struct state *state, const char *reason);

/* Takes the lock for the rest of this process' life, so that nothing can be armed any more. Returns
 * 0, or 1 without the lock if something is armed, or -1 after fail(). */
int handover_close(const char *dir, struct state *state);

/* ---- for the commands' own files ---- */

/* Takes the lock; it goes with the process. */
int handover_lock(const char *dir);

/* Whether somebody watches. */
bool handover_is_watched(const char *dir);

/* DIR/<component>, where its manifest and the hold file are kept. */
int component_directory(char *out, const char *dir, const char *component);

/* Moves a manifest, by a rename where that is possible. */
int manifest_move(const char *from_dir, const char *to_dir, const char *file);

/* Says why a move that needs an armed hand-over of the component can't be made. Returns -1. */
int handover_refuse(const struct state *state, const char *component);

#endif
