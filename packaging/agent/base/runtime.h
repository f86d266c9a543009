/* What a process of ours needs while it runs: time, being told to stop, a log, locks. */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

/* Milliseconds since the machine started, suspended time included: nobody can set this clock. */
int64_t boot_milliseconds(void);

void sleep_milliseconds(int milliseconds);

enum { RFC3339_SIZE = 24 };

/* Now in UTC, e.g. 2026-11-24T06:27:14Z. */
void rfc3339_now(char out[RFC3339_SIZE]);

/* How long something has lasted: `*since` is set while it does, 0 when it doesn't. */
int64_t lasting(bool now_so, int64_t *since, int64_t now);

/* ---- being told to stop: SIGTERM and SIGINT ---- */

extern volatile sig_atomic_t stopped;

void catch_stop(void);

/* ---- the log: lines with their time, on stdout ---- */

void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- locks between our processes ---- */

/* Takes a lock that lasts until `*fd` is closed or this process ends. `path` is made if absent.
 * Returns 0, or -1 after fail() (busy: somebody else has it and `wait` is false). */
int lock_take(const char *path, bool wait, int *fd);

/* Whether `path` still names the file that is locked by `fd`. */
bool lock_is_at(int fd, const char *path);

/* Whether somebody else holds the lock. */
bool lock_is_held(const char *path);
