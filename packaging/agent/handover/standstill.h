/* Stopping (SIGSTOP) the server processes of pods for a while. DIR/paused tells which pods, and since
 * when, before any is stopped: a process that finds that file can let them go on, and the agent that watches
 * does, after the limit, when it starts and when it ends. Nothing stays stopped. */
#ifndef STANDSTILL_H
#define STANDSTILL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/options.h"
#include "handover/state.h"

struct standstill {
    int64_t since; /* boot_milliseconds() of the boot below; 0: nothing is paused */
    int64_t limit; /* milliseconds */
    char component[COMPONENT_SIZE];
    char instance_uids[INSTANCES_MAX][UID_SIZE];
    size_t instances;
    char boot_id[BOOT_ID_SIZE];
};

/* The fields of the file; only tests need them. */
extern const struct record standstill_record;

/* ---- the commands ---- */

int standstill_pause(const struct options *options);
int standstill_resume(const struct options *options);

/* ---- for the others; a file that can't be read is told by a failure, and taken for none ---- */

bool standstill_is_on(const char *dir);

/* Lets all go on, under the hand-over's lock. Returns how many processes, or -1 after fail(). */
int standstill_end(const char *dir, const char *proc);

/* The same without the lock, for the agent that watches: if the limit is over, or `now`. What a
 * command has just paused meanwhile stays. */
int standstill_check(const char *dir, const char *proc, bool now);

#endif
