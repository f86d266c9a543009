/* Files that must survive a power cut. Every function that returns int gives 0, or
 * -1 after fail(). */
#ifndef FILES_H
#define FILES_H

#include <stdbool.h>
#include <stddef.h>

#include "agent.h"

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

/* `path` is for the failure's text. */
int write_all(int fd, const char *bytes, size_t count, const char *path);

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

#endif
