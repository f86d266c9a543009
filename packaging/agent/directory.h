/* Reads the names in a directory without allocating memory, which readdir(3) can't. */
#ifndef DIRECTORY_H
#define DIRECTORY_H

#include <stdalign.h>
#include <stddef.h>

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

#endif
