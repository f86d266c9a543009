#include "group.h"

void group_join(struct group *group, int64_t inode) {
    if (group->count < GROUP_MAX) {
        group->members[group->count++] = inode;
    }
}

static bool has(const int64_t *inodes, size_t count, int64_t inode) {
    for (size_t i = 0; i < count; i++) {
        if (inodes[i] == inode) {
            return true;
        }
    }
    return false;
}

static void leave(struct group *group, size_t slot) {
    group->members[slot] = group->members[--group->count];
}

bool group_update(struct group *group, const int64_t *present, size_t count) {
    bool changed = false;
    for (size_t slot = 0; slot < group->count;) {
        if (has(present, count, group->members[slot])) {
            slot++;
        } else {
            leave(group, slot);
            changed = true;
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (!has(group->members, group->count, present[i])) {
            group_join(group, present[i]);
            changed = true;
        }
    }
    return changed;
}

int group_index(const struct group *group, int64_t inode) {
    for (size_t slot = 0; slot < group->count; slot++) {
        if (group->members[slot] == inode) {
            return (int)slot;
        }
    }
    return -1;
}

int group_index_without(const struct group *group, int64_t inode, int64_t leaving) {
    struct group after = *group;
    int slot = group_index(&after, leaving);
    if (slot >= 0) {
        leave(&after, (size_t)slot);
    }
    return group_index(&after, inode);
}
