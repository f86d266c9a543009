/* Whether an agent watches: how a command learns it, and how the agent shows it.
 *
 * A held agent.lock proves little: an agent that is ending holds it until the kernel has closed its
 * files. Therefore a command that has taken the hand-over's lock asks: it writes a line of its own
 * into the lock's file, and the agent that watches repeats the line in the file agent.lock. An agent
 * that answers can't end behind the command's back: it decides to end only under the hand-over's lock
 * (handover_close()), and looks at the state again there. */
#pragma once

#include <stdbool.h>

enum { QUESTION_SIZE = 40 };

/* ---- the agent's side ---- */

struct watcher {
    const char *dir;
    int fd; /* of agent.lock */
    char answered[QUESTION_SIZE];
};

/* Becomes the agent that watches. Returns 0, or -1 after fail() (busy: another one is). */
int watcher_start(struct watcher *watcher, const char *dir);

/* Answers the command that asks, if one does. Returns false once another agent watches: `tidy` has
 * removed this one's lock meanwhile. */
bool watcher_answer(struct watcher *watcher);

/* ---- for the others ---- */

/* Whether an agent watches, or has not quite ended. */
bool watcher_is_there(const char *dir);

/* Waits, under the hand-over's lock, for an answer from the agent that watches; also from one that
 * was just started. Returns 0, or -1 after fail() (state). */
int watcher_require(const char *dir);

/* The same without waiting where no agent is. */
bool watcher_answers(const char *dir);
