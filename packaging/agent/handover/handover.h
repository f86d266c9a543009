/* A hand-over's moves: the manifest goes (arm), stays away (confirm), comes back (put_back). On the
 * way back a manifest comes (place), stays (confirm), or goes again (put_back). */
#pragma once

#include <stdbool.h>

#include "base/options.h"
#include "handover/instance.h"
#include "handover/state.h"

#define HOLD_FILE "hold"          /* beside a kept manifest: the new instance is to wait */
#define PLACED_DIRECTORY "placed" /* beside it: what is to be put into the kubelet's directory */
#define AGENT_LOCK "agent.lock"   /* held by the agent that watches, see watcher.h */
#define HANDOVER_LOCK "lock"      /* held while a move is made */

/* ---- the orders ---- */

/* Each makes its move under the lock. `*already` tells an order that was given before. */
int handover_arm(const struct options *options, struct state *state, bool *already);
int handover_place(const struct options *options, struct state *state, bool *already);
int handover_confirm(const struct options *options, struct state *state, bool *already);
int handover_put_back(const struct options *options, struct state *state, bool *already);

/* Makes the component's new instance wait, whatever its port, until the hand-over is armed. */
int handover_hold(const struct options *options);

/* Takes our directory off the node, at the very end of the way back. */
int tidy(const struct options *options);

/* ---- for the agent that watches ---- */

/* A static instance that lets its last requests finish, while nobody listens in its place, is ended. */
void handover_end_drained(const char *proc, const struct state *state,
                          const struct instance_view *view);

/* What was placed before the node was restarted stays: it may be all that serves. Doesn't wait for
 * the lock (busy). */
int handover_keep_placed(const struct options *options, struct state *state);

/* Undoes a hand-over that is neither confirmed nor undone yet, for `reason` (or the one that the state has
 * already). Doesn't wait for the lock (busy): who holds it may be waiting for the agent. Returns 0, also
 * when there is nothing to undo, or -1 after fail(). */
int handover_fall_back(const struct options *options, struct state *state, const char *reason);

/* The same for a process that holds the lock. */
int handover_undo(const struct options *options, struct state *state, const char *reason);

/* Takes the lock for the rest of this process' life, so that nothing can be armed any more. Returns
 * 0, or 1 without the lock if something is armed, or -1 after fail(). */
int handover_close(const char *dir, struct state *state);

/* ---- what the moves are made of (arm.c: the way there, place.c: the way back) ---- */

/* Takes the lock; it goes with the process. */
int handover_lock(const char *dir);

/* Takes the lock until `*fd` is closed, also without waiting for it (busy). */
int handover_try_lock(const char *dir, bool wait, int *fd);

/* Stops the new instance's pods: SIGTERM, and SIGKILL when a short grace is over. */
void handover_stop_new(const char *proc, const struct state *pods);

/* The sharing of the component's port is over: it serves, or its manifest is back. */
void handover_forget_order(const struct options *options, const char *component);

/* DIR/<component>, where its manifest and the hold file are kept. */
int component_directory(char *out, const char *dir, const char *component);

/* Takes the lock, sees that an agent watches, and reads the state `before` and the one that the order
 * asks for. Returns 0, or -1 after fail(). */
int handover_begin(const struct options *options, enum phase phase, struct state *before,
                   struct state *state);

/* Whether an order is the one that is being carried out: its answer was lost, it is given again. */
bool handover_is_same(const struct state *before, const struct state *order);

/* Under the lock: brings the manifest home, and stops the new instance. */
int handover_bring_back(const struct options *options, struct state *state, const char *reason);

/* Under the lock: takes a placed manifest out of the kubelet's directory. */
int handover_take_away(const struct options *options, struct state *state, const char *reason);

/* Whether dir/file has that digest. Returns 0, or -1 after fail(). */
int manifest_check(const char *dir, const char *file, const char *sha256);

/* DIR/<component>/placed, where content is gathered: the kept manifest beside it stays. */
int placed_directory(char *out, const char *dir, const char *component);

/* A move that failed is none: the state is as before. Returns -1 with the failure as it was. */
int handover_unmade(const char *dir, const struct state *before, const struct state *state,
                    const char *event);

/* Says why a move that needs an armed hand-over of the component can't be made. Returns -1. */
int handover_refuse(const struct state *state, const char *component);
