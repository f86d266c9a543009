/* A model of the sockets that share a port, in the kernel's order: a steering program names one by its
 * index. The kernel appends who joins, and moves the last one into the slot of who leaves. */
#ifndef GROUP_H
#define GROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { GROUP_MAX = 16 };

struct group {
    int64_t members[GROUP_MAX]; /* inodes */
    size_t count;
};

void group_join(struct group *group, int64_t inode);

/* Takes over who is there now, leaves before joins. Returns whether that changed anything. */
bool group_update(struct group *group, const int64_t *present, size_t count);

/* -1: isn't a member. */
int group_index(const struct group *group, int64_t inode);

/* What the index of `inode` will be when `leaving` has left. */
int group_index_without(const struct group *group, int64_t inode, int64_t leaving);

#endif
