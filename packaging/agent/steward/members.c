#include "steward/members.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/failure.h"
#include "node/sockets.h"
#include "steward/steering.h"

static void group_join(struct group *group, int64_t inode) {
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

/* Takes over who is there now, leaves before joins. Returns whether that changed anything. */
static bool group_update(struct group *group, const int64_t *present, size_t count) {
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

/* ---- the sockets themselves ---- */

enum {
    BACKLOG = 128,
    JOIN_TRIES = 5, /* somebody joined just as the steward did */
};

/* The inodes of the group: the sockets of the old one's family that listen on all addresses. */
static size_t members_now(const struct steward *s, int64_t inodes[LISTENERS_MAX]) {
    struct listeners listeners;
    size_t count = 0;
    listeners_find(s->proc, s->order.port, &listeners);
    for (size_t i = 0; i < listeners.count; i++) {
        const struct listener *l = &listeners.list[i];
        if (l->inode == s->order.old || (l->ipv6 == s->order.ipv6 && listener_is_wildcard(l))) {
            inodes[count++] = l->inode;
        }
    }
    return count;
}

int64_t member_new(const struct steward *s) {
    for (size_t i = s->group.count; i > 0; i--) {
        int64_t inode = s->group.members[i - 1];
        if (inode != s->order.old && inode != s->inode) {
            return inode;
        }
    }
    return 0;
}

bool member_old_listens(const struct steward *s) {
    int64_t inodes[LISTENERS_MAX];
    size_t count = members_now(s, inodes);
    for (size_t i = 0; i < count; i++) {
        if (inodes[i] == s->order.old) {
            return true;
        }
    }
    return false;
}

bool members_refresh(struct steward *s) {
    int64_t inodes[LISTENERS_MAX];
    return group_update(&s->group, inodes, members_now(s, inodes));
}

/* Models a group that the steward isn't in. The old one was there first: whoever joins a shared port
 * comes after it. */
static int model(struct steward *s) {
    int64_t inodes[LISTENERS_MAX];
    size_t count = members_now(s, inodes);
    s->group.count = 0;
    if (!member_old_listens(s)) {
        return fail(FAIL_SHARE, "the old instance stopped listening");
    }
    if (count > 2) {
        return fail(FAIL_SHARE, "%d processes share port %ld already", (int)count, s->order.port);
    }
    group_join(&s->group, s->order.old);
    group_update(&s->group, inodes, count);
    return 0;
}

int members_steer_all(const struct steward *s, int index) {
    struct steering all = {index, index, index, index, s->order.probe_address, 0};
    return steering_attach(s->fd, &all);
}

int members_steer(const struct steward *s) {
    int old = group_index(&s->group, s->order.old);
    int new = group_index(&s->group, member_new(s));
    if (s->order.wanted == RETURNED) {
        return members_steer_all(s, old);
    }
    /* The new instance calls itself over loopback, with credentials that the old one doesn't know. An
     * apiserver that listens on [::] does so at ::1 where there is one (k8s.io/apiserver 1.25 to 1.37:
     * LoopbackHostPort). Then 127.0.0.1 is other programs' (kube-vip), which want who is ready. */
    bool has_other = s->order.ipv6 && socket_has_ipv6(&in6addr_loopback);
    struct steering steering = {
        .probe = new >= 0 ? new : group_index(&s->group, s->inode),
        .loopback = new >= 0 ? new : old,
        .localhost = new >= 0 && !has_other ? new : old,
        .rest = old,
        .probe_address = s->order.probe_address,
    };
    return steering_attach(s->fd, &steering);
}

void members_leave(struct steward *s) {
    if (s->fd >= 0) {
        close(s->fd);
    }
    s->fd = -1;
    s->inode = 0;
}

int member_socket(const struct order *order) {
    struct listener at = {.uid = order->uid, .ipv6 = order->ipv6};
    int fd = socket_that_shares(&at, order->port, order->ipv6_only);
    if (fd >= 0 && listen(fd, BACKLOG) != 0) {
        fail(FAIL_SHARE, "the steward can't listen on port %ld (%s)", order->port, strerror(errno));
        close(fd);
        return -1;
    }
    return fd;
}

static int listen_too(struct steward *s) {
    struct stat facts;
    if ((s->fd = member_socket(&s->order)) < 0) {
        return -1;
    }
    if (fstat(s->fd, &facts) != 0) {
        return fail(FAIL_SHARE, "the steward's socket can't be looked at (%s)", strerror(errno));
    }
    s->inode = (int64_t)facts.st_ino;
    return 0;
}

/* In the moment between its listening and its program the steward is given connections as everybody
 * is. So it joins twice: what it was given goes to the others when it leaves (tcp_migrate_req), and
 * the program stays in the group. The first of the group is the old one. */
static int join_once(struct steward *s) {
    if (model(s) != 0 || listen_too(s) != 0 || members_steer_all(s, 0) != 0) {
        return -1;
    }
    members_leave(s);
    if (listen_too(s) != 0) {
        return -1;
    }
    group_join(&s->group, s->inode);
    return 0;
}

int members_join(struct steward *s) {
    for (int tries = 0; tries < JOIN_TRIES; tries++) {
        if (join_once(s) != 0) {
            break;
        }
        if (!members_refresh(s)) {
            return members_steer(s);
        }
        /* Whether somebody came before or after the steward can't be told. */
        members_leave(s);
        fail(FAIL_SHARE, "the processes that share port %ld change all the time", s->order.port);
    }
    members_leave(s);
    return -1;
}
