/* Files that must survive a power cut, and moving them. Every function that returns int gives 0, or
 * -1 after fail(). */
#ifndef FILES_H
#define FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "agent.h"

/* "<dir>/<name>" into PATH_SIZE bytes. */
int path_join(char *out, const char *dir, const char *name);

/* Makes the directory with mode 0700 if there is none, and the entry in its parent lasting. */
int directory_make(const char *path);
int directory_sync(const char *path);

/* Whether a rename from one directory to the other would be atomic. */
bool same_file_system(const char *from, const char *to);

/* Whole content, at most size - 1 bytes (an end is added). A file that is absent: length 0, `*found`
 * false, no failure. */
int file_read(const char *path, char *buffer, size_t size, size_t *length, bool *found);

/* Replaces dir/name: temporary file, fsync, rename, fsync of the directory. */
int file_replace(const char *dir, const char *name, const char *content, size_t length);

/* Overwrites a file in place: not atomic, but it needs no room on a full disk. */
int file_overwrite(const char *dir, const char *name, const char *content, size_t length);

/* Appends and syncs; at a failure the file is as it was. */
int file_append(const char *dir, const char *name, const char *content, size_t length);

/* Makes an empty file, if there is none. */
int file_touch(const char *dir, const char *name);
int file_remove(const char *dir, const char *name);
bool file_exists(const char *dir, const char *name);

/* The digest of a regular file, never of what a symbolic link points to. */
int file_digest(const char *path, char hex[DIGEST_SIZE], struct stat *facts);

/* Copies a regular file with its mode, owner and times, and syncs it. */
int file_copy(const char *from, const char *to);

/* Renames, and makes both directories lasting. Fails (busy) rather than replace a file. */
int file_rename(const char *from_dir, const char *from, const char *to_dir, const char *to);

/* Moves across file systems: a whole copy under a temporary name comes first, so that dir/to is
 * never half a file. */
int file_move(const char *from_dir, const char *from, const char *to_dir, const char *to);

/* A lock that lasts as long as this process. `path` is made if absent. Returns 0, or -1: busy. */
int lock_take(const char *path, bool wait, int *fd);

/* Whether somebody else holds the lock. */
bool lock_is_held(const char *path);

#endif
