/* Manifests: their digest, and moving them so that a power cut finds one whole. Every function that
 * returns int gives 0, or -1 after fail(). */
#ifndef MOVE_H
#define MOVE_H

#include <sys/stat.h>

#include "agent.h"

/* The digest of a regular file, never of what a symbolic link points to. */
int file_digest(const char *path, char hex[DIGEST_SIZE], struct stat *facts);

/* Copies a regular file with its mode, owner and times, and syncs it. */
int file_copy(const char *from, const char *to);

/* Renames, and makes both directories lasting. Fails (busy) rather than replace a file. */
int file_rename(const char *from_dir, const char *from, const char *to_dir, const char *to);

/* Moves across file systems: a whole copy under a temporary name comes first, so that dir/to is
 * never half a file. */
int file_move(const char *from_dir, const char *from, const char *to_dir, const char *to);

#endif
