/* Files that must survive a power cut. Every function that returns int gives 0, or
 * -1 after fail(). */
#pragma once

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "base/agent.h"

/* "<dir>/<name>" into PATH_SIZE bytes. */
int path_join(char *out, const char *dir, const char *name);

/* The name of a temporary file: hidden, so that the kubelet never takes one for a manifest. */
int temporary_name(char *out, const char *name);

/* Makes the directory with mode 0711 if there is none, and the entry in its parent lasting. */
int directory_make(const char *path);
int directory_sync(const char *path);

/* Whether a rename from one directory to the other would be atomic. */
bool same_file_system(const char *from, const char *to);

/* Whole content, at most size - 1 bytes (an end is added). A file that is absent: length 0, `*found`
 * false, no failure. */
int file_read(const char *path, char *buffer, size_t size, size_t *length, bool *found);

/* The first line of a small file; empty if the file can't be read, or is larger than size - 1 bytes. */
void file_line(const char *dir, const char *name, char *out, size_t size);

/* `path` is for the failure's text. */
int write_all(int fd, const char *bytes, size_t count, const char *path);

/* Replaces dir/name: temporary file, fsync, rename, fsync of the directory. */
int file_replace(const char *dir, const char *name, const char *content, size_t length);

/* A file that is whole gets its name, whatever had that; the file goes if it can't. */
int file_take_place(const char *temporary, const char *dir, const char *name);

/* Overwrites a file in place: not atomic, but it needs no room on a full disk. */
int file_overwrite(const char *dir, const char *name, const char *content, size_t length);

/* Appends and syncs; at a failure the file is as it was. */
int file_append(const char *dir, const char *name, const char *content, size_t length);

/* Makes an empty file, if there is none. */
int file_touch(const char *dir, const char *name);
int file_remove(const char *dir, const char *name);
bool file_exists(const char *dir, const char *name);

/* ---- the names in a directory; there are none where `directory` is NULL (opendir(3) failed) ---- */

/* The next name, which lasts until the next call; NULL at the end. */
const char *directory_next(DIR *directory);
void directory_close(DIR *directory);

/* Removes the regular files whose names begin with `prefix`. What else there is stays. A directory that
 * isn't there has none. */
int directory_empty(const char *path, const char *prefix);

/* ---- whole files: their digest, and moving them so that a power cut finds one whole ---- */

/* The digest of a regular file, never of what a symbolic link points to; empty if it has none. */
int file_digest(const char *dir, const char *name, char hex[DIGEST_SIZE]);

/* Copies a regular file with its mode, owner and times, and syncs it. */
int file_copy(const char *from, const char *to);

/* Renames, and makes both directories lasting. Fails (busy) rather than replace a file. */
int file_rename(const char *from_dir, const char *from, const char *to_dir, const char *to);

/* A whole copy of from/file becomes to/file: a copy under a temporary name comes first. Fails (busy)
 * rather than replace a file. */
int file_place(const char *from, const char *to, const char *file);

/* The same, but it takes the place of what is there. */
int file_exchange(const char *from, const char *to, const char *file);

/* Moves a file, by a rename where that is possible. */
int file_move(const char *from, const char *to, const char *file);
