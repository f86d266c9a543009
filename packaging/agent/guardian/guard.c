#include "guardian/guard.h"

#include <string.h>
#include <unistd.h>

#include "base/failure.h"
#include "base/files.h"
#include "base/runtime.h"
#include "base/text.h"
#include "guardian/recovery.h"
#include "guardian/rule.h"
#include "handover/handover.h"
#include "handover/state.h"
#include "handover/watcher.h"
#include "node/process.h"
#include "node/sockets.h"
#include "steward/members.h"
#include "steward/order.h"
#include "steward/steering.h"

/* All in milliseconds. */
enum {
    LOOK_EVERY = 1000,
    ORPHANED = 20000,         /* a hand-over that nobody watches, and nobody listens on its port */
    ORPHANED_BY_REBOOT = 3000,
};

struct guardian {
    const struct options *options;
    struct guarded_list guarded;
    struct guard_memory memory[GUARDED_MAX];
    struct state state;       /* of a hand-over */
    int64_t orphaned_since;
    int64_t steered;          /* the copy's socket that was seen to */
    char complaint[TEXT_SIZE]; /* what the log has last */
};

static const struct guarded *guarded_named(const struct guardian *guardian, const char *component) {
    for (size_t i = 0; i < guardian->guarded.count; i++) {
        if (strcmp(guardian->guarded.list[i].component, component) == 0) {
            return &guardian->guarded.list[i];
        }
    }
    return NULL;
}

/* How many sockets listen where the component does. A proxy that has the port at another address (the
 * node's, a virtual one) tells nothing of the component; whose a socket is can't be seen from here. */
static size_t listeners_of(const struct guardian *guardian, const char *component, long port) {
    const struct guarded *one = guarded_named(guardian, component);
    struct listeners found;
    listeners_find_at(guardian->options->proc, port, one == NULL ? "" : one->address, &found);
    return found.total;
}

/* Tells the same trouble once. */
static void complain(struct guardian *guardian) {
    char text[TEXT_SIZE];
    copy_text(text, sizeof text, failure_text());
    if (strcmp(text, guardian->complaint) != 0) {
        say("%s", text);
        memcpy(guardian->complaint, text, sizeof text);
    }
}

/* A component's times don't pass to another one when the list changes. */
static void read_list(struct guardian *guardian) {
    struct guarded_list now;
    if (guarded_read(guardian->options->dir, &now) != 0) {
        complain(guardian);
    }
    for (size_t i = 0; i < now.count; i++) {
        if (i >= guardian->guarded.count ||
            strcmp(now.list[i].component, guardian->guarded.list[i].component) != 0) {
            guardian->memory[i] = (struct guard_memory){.heard = false};
        }
    }
    guardian->guarded = now;
}

/* ---- a hand-over that a reboot has cut short ---- */

static bool was_rebooted(const struct guardian *guardian) {
    char boot_id[BOOT_ID_SIZE];
    boot_id_read(guardian->options->proc, boot_id, sizeof boot_id);
    return strcmp(boot_id, guardian->state.boot_id) != 0;
}

/* A manifest that was put in place, on the way back, stays: the kubelet starts what it says. */
static bool is_taken_away(const struct state *state) {
    return state_is_pending(state) && !state_is_placing(state);
}

/* The agent that held the dead man's switch is no static pod: after a reboot it is gone until there is
 * an API. So it is pulled here; only while nobody listens, for this process can't see, nor stop, the
 * new instance. Under the lock: an agent that starts meanwhile waits with its moves. */
static void end_orphan(struct guardian *guardian, int64_t now) {
    const struct options *options = guardian->options;
    struct state *state = &guardian->state;
    if (!is_taken_away(state) || listeners_of(guardian, state->component, state->port) > 0) {
        guardian->orphaned_since = 0;
        return;
    }
    if (guardian->orphaned_since == 0) {
        guardian->orphaned_since = now;
    }
    int64_t limit = was_rebooted(guardian) ? ORPHANED_BY_REBOOT : ORPHANED;
    if (now - guardian->orphaned_since < limit) {
        return;
    }
    guardian->orphaned_since = now; /* not again at once, if it fails */
    if (handover_undo(options, state, "the node was restarted") != 0) {
        complain(guardian);
    } else {
        say("%s: %s was put back: the node was restarted", state->component, state->file);
    }
}

/* ---- the copies ---- */

static bool first_listens(const struct guardian *guardian) {
    const struct guarded *first = guarded_named(guardian, FIRST_COMPONENT);
    /* A static API server is nobody's business here. */
    return first == NULL || listeners_of(guardian, FIRST_COMPONENT, first->port) > 0;
}

static void move(struct guardian *guardian, const char *component, enum guard_move what,
                 bool static_in_place) {
    const struct options *options = guardian->options;
    const char *why = static_in_place ? "its static pod's manifest is there"
                                      : "the DaemonSet's own serves beside it";
    int result = what == PLACE
                     ? recovery_place(options->dir, options->manifests, component)
                     : recovery_take(options->dir, options->manifests, component, why);
    if (result != 0) {
        complain(guardian);
    } else if (what == PLACE) {
        say("%s: nothing listens on its port: the recovery copy is put in place", component);
    } else {
        say("%s: the recovery copy is taken away: %s", component, why);
    }
}

/* Once for each server that listens alone where the API server does: leaves a program in the kernel. Who
 * gets which connection while the DaemonSet's own comes to the copy's side is decided there. */
static void steer(struct guardian *guardian, const struct guarded *one) {
    struct listeners listeners;
    listeners_find_at(guardian->options->proc, one->port, one->address, &listeners);
    const struct listener *only = &listeners.list[0];
    if (listeners.total != 1 || only->inode == guardian->steered || !listener_is_wildcard(only)) {
        return;
    }
    guardian->steered = only->inode;
    /* A server that takes IPv6 alone can't be told from one that takes both: it isn't shared then. */
    struct order order = {.port = one->port, .uid = only->uid, .ipv6 = only->ipv6};
    int fd = member_socket(&order);
    if (fd < 0 || steering_attach_standin(fd) != 0) {
        complain(guardian); /* then the kernel gives each a part of the connections */
    } else {
        say("%s: the copy has all connections until it goes", one->component);
    }
    /* What comes to this socket in the meantime is lost with it: a moment after the server's start. */
    if (fd >= 0) {
        close(fd);
    }
}

static void look_at(struct guardian *guardian, size_t index, bool first, int64_t now) {
    const struct options *options = guardian->options;
    const struct guarded *one = &guardian->guarded.list[index];
    bool handed_over = is_taken_away(&guardian->state) &&
                       strcmp(guardian->state.component, one->component) == 0;
    struct guard_view view = {
        .now = now,
        .ours = !handed_over,
        .is_first = strcmp(one->component, FIRST_COMPONENT) == 0,
        .first_listens = first,
        .copy_kept = recovery_is_kept(options->dir, one->component),
        .copy_in_place = recovery_is_in_place(options->manifests, one->component),
        .static_in_place = one->file[0] != '\0' && file_exists(options->manifests, one->file),
        .listeners = listeners_of(guardian, one->component, one->port),
    };
    if (view.ours && view.is_first && view.copy_in_place) {
        steer(guardian, one);
    }
    enum guard_move what = guard_decide(&guardian->memory[index], &view);
    if (what != REST) {
        move(guardian, one->component, what, view.static_in_place);
    }
}

/* Whether all this is nobody else's business just now. */
static bool may_act(const char *dir) {
    return !file_exists(dir, GUARDIAN_OFF) && !watcher_is_there(dir);
}

/* Nothing has lasted yet when the node is the guardian's again. */
static void forget_times(struct guardian *guardian) {
    for (size_t i = 0; i < GUARDED_MAX; i++) {
        guardian->memory[i].silent_since = guardian->memory[i].beside_since = 0;
    }
    guardian->orphaned_since = 0;
}

static void act(struct guardian *guardian) {
    int64_t now = boot_milliseconds();
    read_list(guardian);
    if (state_read(guardian->options->dir, &guardian->state) != 0) {
        complain(guardian); /* it counts as none: the API matters more */
    }
    end_orphan(guardian, now);
    bool first = first_listens(guardian);
    for (size_t i = 0; i < guardian->guarded.count; i++) {
        look_at(guardian, i, first, now);
    }
}

/* Whoever makes a move of a hand-over, or tells the guardian to keep still, has the lock: what is seen
 * under it stays so until the guardian has done what it has decided. */
static void look(struct guardian *guardian) {
    const char *dir = guardian->options->dir;
    int fd;
    if (handover_try_lock(dir, false, &fd) != 0) {
        return;
    }
    if (may_act(dir)) {
        act(guardian);
    } else {
        forget_times(guardian);
    }
    close(fd);
}

int guard(const struct options *options) {
    static struct guardian guardian;
    guardian = (struct guardian){.options = options};
    catch_stop();
    say("kubectl-selfhost guardian " AGENT_VERSION " guards what %s lists", options->dir);
    while (!stopped) {
        look(&guardian);
        sleep_milliseconds(LOOK_EVERY);
    }
    say("told to stop: the guardian ends");
    return 0;
}
