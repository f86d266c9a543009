#include "steward/steward.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/failure.h"
#include "base/runtime.h"
#include "base/text.h"
#include "steward/steering.h"

enum {
    LOOK_EVERY = 20, /* milliseconds */
    SETTLE = 100,    /* milliseconds from the steering until the steward leaves */
};

static void told(struct steward *s, bool stands, enum wanted reached, const char *reason) {
    s->progress.number = s->order.number;
    s->progress.steward = stands;
    s->progress.reached = reached;
    copy_text(s->progress.reason, sizeof s->progress.reason, reason);
    if (progress_write(s->dir, &s->progress) != 0) {
        say("%s: %s", s->order.component, failure_text());
    }
}

/* Whoever comes to the steward is sent away, so that a probe fails rather than be answered by the
 * wrong instance. */
static void send_away(const struct steward *s) {
    int fd;
    while (s->fd >= 0 && (fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        close(fd);
    }
}

static int stand(struct steward *s) {
    if (s->progress.migrate == 0) {
        s->progress.migrate = migrate_on(s->proc);
        progress_write(s->dir, &s->progress);
    }
    return members_join(s);
}

static void restore_migrate(struct steward *s) {
    if (s->progress.migrate > 0) {
        migrate_restore(s->proc, s->progress.migrate);
        s->progress.migrate = 0;
        progress_write(s->dir, &s->progress);
    }
}

static void give_up(struct steward *s, const char *reason) {
    members_leave(s);
    say("%s: no steward: %s", s->order.component, reason);
    told(s, false, WATCHING, reason);
    restore_migrate(s);
}

/* ---- orders ---- */

static void watch(struct steward *s) {
    if (s->progress.number == s->order.number && s->progress.reason[0] != '\0') {
        return; /* it has failed before the agent was restarted, and whoever ordered it knows */
    }
    if (s->fd < 0 && stand(s) != 0) {
        give_up(s, failure_text());
        return;
    }
    say("%s: the steward stands on port %ld", s->order.component, s->order.port);
    told(s, true, WATCHING, "");
}

/* All to the new one; whoever has come to the steward before is sent away meanwhile. Returns whether
 * the new one still listens at the end. */
static bool settle(struct steward *s) {
    int64_t end = boot_milliseconds() + SETTLE;
    do {
        members_refresh(s);
        if (member_new(s) == 0 || members_steer_all(s, group_index(&s->group, member_new(s))) != 0) {
            return false;
        }
        send_away(s);
        sleep_milliseconds(LOOK_EVERY);
    } while (group_index(&s->group, s->order.old) >= 0 && boot_milliseconds() < end);
    return true;
}

/* The kernel moves the new one into the steward's slot. What the steward is given after its last look
 * goes on to the others with tcp_migrate_req. */
static void give_all_to_new(struct steward *s) {
    if (!settle(s)) {
        members_steer(s);
        told(s, true, WATCHING, "the new instance does not listen");
        return;
    }
    if (members_steer_all(s, group_index_without(&s->group, member_new(s), s->inode)) != 0) {
        say("%s: %s", s->order.component, failure_text());
    }
    members_leave(s);
    say("%s: the new instance has all connections", s->order.component);
    told(s, false, STEERED, "");
}

static void steer(struct steward *s) {
    if (s->progress.number == s->order.number && s->progress.reached == STEERED) {
        return;
    }
    if (s->fd < 0 && !member_old_listens(s)) {
        told(s, false, STEERED, "");
    } else if (s->fd < 0 && stand(s) != 0) {
        give_up(s, failure_text());
    } else {
        give_all_to_new(s);
    }
}

static void give_back(struct steward *s) {
    if (!member_old_listens(s)) {
        members_leave(s);
    } else if ((s->fd < 0 && stand(s) != 0) || members_steer(s) != 0) {
        give_up(s, failure_text());
        return;
    }
    told(s, s->fd >= 0, RETURNED, "");
}

static void end(struct steward *s) {
    members_leave(s);
    told(s, false, ENDED, "");
    restore_migrate(s);
}

static void follow(struct steward *s) {
    switch (s->order.wanted) {
    case WATCHING:
        watch(s);
        break;
    case STEERED:
        steer(s);
        break;
    case RETURNED:
        give_back(s);
        break;
    case ENDED:
        end(s);
        break;
    case SHARING:
        break;
    }
}

/* There is no order any more: the hand-over was confirmed, or undone. */
static void forget(struct steward *s) {
    members_leave(s);
    restore_migrate(s);
    progress_remove(s->dir);
    s->order = (struct order){.number = 0};
    s->progress = (struct progress){.number = 0};
}

/* The group has changed. */
static void adapt(struct steward *s) {
    if (group_index(&s->group, s->order.old) < 0) {
        /* At once: as long as the steward shares the port, the old one could not come back. */
        give_up(s, "the old instance stopped listening");
    } else if (members_steer(s) != 0) {
        give_up(s, failure_text());
    }
}

void steward_start(struct steward *s, const struct options *options) {
    *s = (struct steward){.dir = options->dir, .proc = options->proc, .fd = -1};
    if (progress_read(s->dir, &s->progress) != 0) {
        say("%s", failure_text());
        s->progress = (struct progress){.number = 0};
    }
}

void steward_step(struct steward *s) {
    struct order order;
    bool bad = order_read(s->dir, s->proc, &order) != 0;
    if (bad && !s->complained) {
        say("%s", failure_text());
    }
    s->complained = bad;
    if (bad) {
        return;
    }
    if (!order.number || !order.seamless) {
        if (s->order.number != 0 || s->progress.number != 0 || s->progress.migrate != 0) {
            forget(s);
        }
        return;
    }
    bool changed = s->fd >= 0 && members_refresh(s);
    if (order.number != s->order.number) {
        s->order = order;
        follow(s);
    }
    if (s->fd >= 0 && changed) {
        adapt(s);
    } else if (s->fd < 0 && s->progress.migrate != 0 && !member_old_listens(s)) {
        restore_migrate(s);
    }
    send_away(s);
}

void steward_wait(struct steward *s, int milliseconds) {
    int64_t end = boot_milliseconds() + milliseconds;
    if (s->fd < 0) {
        sleep_milliseconds(milliseconds);
        return;
    }
    for (int64_t left; s->fd >= 0 && (left = end - boot_milliseconds()) > 0;) {
        struct pollfd visitor = {.fd = s->fd, .events = POLLIN};
        if (poll(&visitor, 1, left < LOOK_EVERY ? (int)left : LOOK_EVERY) < 0) {
            return;
        }
        steward_step(s);
    }
}

void steward_finish(struct steward *s) {
    if (s->fd >= 0) {
        members_steer_all(s, group_index(&s->group, s->order.old));
        members_leave(s);
    }
    restore_migrate(s);
}
