/* Locks between the agent's processes. */
#ifndef LOCK_H
#define LOCK_H

#include <stdbool.h>

/* Takes a lock that lasts until `*fd` is closed or this process ends. `path` is made if absent.
 * Returns 0, or -1 after fail() (busy: somebody else has it and `wait` is false). */
int lock_take(const char *path, bool wait, int *fd);

/* Whether `path` still names the file that is locked by `fd`. */
bool lock_is_at(int fd, const char *path);

/* Whether somebody else holds the lock. */
bool lock_is_held(const char *path);

#endif
