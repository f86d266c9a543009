#include "directory.h"

#include <fcntl.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* As getdents64(2) fills it in. */
struct entry {
    uint64_t inode;
    int64_t offset;
    uint16_t size;
    uint8_t type;
    char name[];
};

int directory_open(struct directory *directory, const char *path) {
    directory->length = 0;
    directory->position = 0;
    directory->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return directory->fd < 0 ? -1 : 0;
}

const char *directory_next(struct directory *directory) {
    if (directory->fd >= 0 && directory->position >= directory->length) {
        long count = syscall(SYS_getdents64, directory->fd, directory->entries,
                             sizeof directory->entries);
        directory->length = count > 0 ? (size_t)count : 0;
        directory->position = 0;
    }
    if (directory->position >= directory->length) {
        return NULL;
    }
    const struct entry *entry = (const struct entry *)(directory->entries + directory->position);
    directory->position += entry->size;
    return entry->name;
}

void directory_close(struct directory *directory) {
    if (directory->fd >= 0) {
        close(directory->fd);
        directory->fd = -1;
    }
}
