/* Files that must survive a power cut. Every function that returns int gives 0, or
 * -1 after fail(). */
#ifndef FILES_H
#define FILES_H

#include <stdalign.h>
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

/* Calls `take` with each line of a file, however long that is, until it returns false. The kernel's own
 * files, for what can't be read has no lines; what a line has beyond 255 bytes is cut off. */
void file_lines(const char *path, bool (*take)(void *into, char *line), void *into);

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

/* ---- the names in a directory, read without allocating memory, which readdir(3) can't ---- */

struct directory {
    int fd;
    size_t length;
    size_t position;
    alignas(8) char entries[4096];
};

/* Returns 0, or -1 with errno; then there are no names, and nothing needs to be closed. */
int directory_open(struct directory *directory, const char *path);

/* The next name, which lasts until the next call; NULL at the end. */
const char *directory_next(struct directory *directory);

void directory_close(struct directory *directory);

/* Removes the regular files whose names begin with `prefix`. What else there is stays. A directory that
 * isn't there has none. */
int directory_empty(const char *path, const char *prefix);

/* ---- whole files: their digest, and moving them so that a power cut finds one whole ---- */

/* The digest of a regular file, never of what a symbolic link points to. */
int file_digest(const char *path, char hex[DIGEST_SIZE], struct stat *facts);

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

#endif
