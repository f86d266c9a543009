/* The sockets that share a port, the steward's among them. What returns int gives 0, or -1 after fail()
 * (share). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "steward/order.h"

/* ---- a model of them, in the kernel's order: a steering program names one by its index. The kernel
 * appends who joins, and moves the last one into the slot of who leaves. ---- */

enum { GROUP_MAX = 16 };

struct group {
    int64_t members[GROUP_MAX]; /* inodes */
    size_t count;
};

/* -1: isn't a member. */
int group_index(const struct group *group, int64_t inode);

/* What the index of `inode` will be when `leaving` has left. */
int group_index_without(const struct group *group, int64_t inode, int64_t leaving);

/* ---- the sockets themselves ---- */

struct steward {
    const char *dir;
    const char *proc;
    struct order order;       /* the one that is followed; number 0: none */
    struct progress progress; /* as written */
    int fd;                   /* -1: it isn't in the group */
    int64_t inode;
    struct group group;
    bool complained;          /* the log has that the order can't be read */
};

/* The new instance's inode: the last to join but the steward; 0: it doesn't listen. */
int64_t member_new(const struct steward *steward);

bool member_old_listens(const struct steward *steward);

/* Takes over who has come and gone; returns whether anybody has. */
bool members_refresh(struct steward *steward);

/* Gives connections to whom they belong as long as the steward stands. */
int members_steer(const struct steward *steward);

/* Gives all connections to one member. */
int members_steer_all(const struct steward *steward, int index);

/* The steward becomes a member, and steers. */
int members_join(struct steward *steward);

void members_leave(struct steward *steward);

/* A socket that listens on the order's port too, of its user and family. Returns it, or -1. */
int member_socket(const struct order *order);
