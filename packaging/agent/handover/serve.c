#include "handover/serve.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/failure.h"
#include "base/files.h"
#include "base/runtime.h"
#include "base/text.h"
#include "handover/handover.h"
#include "handover/instance.h"
#include "handover/state.h"
#include "handover/watcher.h"
#include "node/process.h"
#include "steward/share.h"
#include "steward/steward.h"

#define CONTACT "contact" /* in our directory: touched by each order */

/* All in milliseconds. */
enum {
    TICK = 100,
    LOOK_EVERY = 1000,  /* reading all of /proc takes some */
    DEAD_FOR = 2000,    /* without a process, so that a restart isn't taken for an end */
    RETRY_EVERY = 2000, /* putting back that failed, e.g. on a full disk */
    LOCK_WAIT = 3000,   /* for an agent that is just ending */
    STOP_FOR = 12000,   /* tries to put back before the kubelet's SIGKILL, 20 s after its SIGTERM */
};

enum { UNCALLED = 10 }; /* so many times shorter is the first call waited for */

struct watch {
    const struct options *options;
    struct state state;
    struct watcher watcher;
    struct steward steward;
    enum phase told;        /* the phase that the log has */
    int64_t told_deadline;  /* and whose */
    struct timespec contact;
    int64_t contact_since;  /* when that changed last */
    bool called;            /* since this process started */
    int64_t next_look;
    int64_t dead_since;     /* the new instance has no process; 0: it has */
    int64_t silent_since;   /* nobody listens; 0: somebody does */
    int64_t next_retry;
    bool complained;        /* the log has that the state can't be read */
};

void contact_touch(const char *dir) {
    char path[PATH_SIZE];
    if (path_join(path, dir, CONTACT) != 0) {
        return;
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd >= 0) {
        futimens(fd, NULL);
        close(fd);
    }
}

/* The file's time may come from a clock that jumps, so only its changing counts. */
static bool contact_is_new(struct watch *watch) {
    char path[PATH_SIZE];
    struct stat facts;
    if (path_join(path, watch->options->dir, CONTACT) != 0 || stat(path, &facts) != 0 ||
        memcmp(&facts.st_mtim, &watch->contact, sizeof watch->contact) == 0) {
        return false;
    }
    watch->contact = facts.st_mtim;
    return true;
}

static void see_contact(struct watch *watch, int64_t now) {
    if (contact_is_new(watch)) {
        watch->contact_since = now;
        watch->called = true;
    }
}

/* A run calls soon after it has started the agent; one that outlasts a restart of the node, as soon as
 * the API is back. Where none does, nobody must keep the guardian from its work for long. */
static int64_t idle_limit(const struct watch *watch) {
    int64_t limit = watch->options->idle * 1000;
    return watch->called ? limit : limit / UNCALLED;
}

static void tell_phase(struct watch *watch) {
    const struct state *s = &watch->state;
    if (s->phase == watch->told && s->deadline == watch->told_deadline) {
        return;
    }
    watch->told = s->phase;
    watch->told_deadline = s->deadline;
    watch->dead_since = watch->silent_since = watch->next_look = 0;
    state_tell(s);
}

static bool is_other_boot(const struct watch *watch) {
    char boot_id[BOOT_ID_SIZE];
    boot_id_read(watch->options->proc, boot_id, sizeof boot_id);
    return boot_id[0] != '\0' && watch->state.boot_id[0] != '\0' &&
           strcmp(boot_id, watch->state.boot_id) != 0;
}

static bool only_old_listens(const struct watch *watch) {
    const struct options *options = watch->options;
    struct order order;
    struct order_view view;
    if (order_read(options->dir, options->proc, &order) != 0 ||
        strcmp(order.component, watch->state.component) != 0) {
        return false;
    }
    order_look(options->proc, &order, &view);
    return view.old_listens && !view.new_listens;
}

static void keep_placed(struct watch *watch) {
    if (handover_keep_placed(watch->options, &watch->state) != 0 && failure_kind() != FAIL_BUSY) {
        say("%s: %s", watch->state.component, failure_text());
    }
    tell_phase(watch);
}

/* The switch itself: whether the manifest must come back, and why. */
static bool must_fall_back(struct watch *watch, int64_t now, char reason[TEXT_SIZE]) {
    const struct state *s = &watch->state;
    struct instance_view view;
    if (s->phase == TAKING_AWAY) {
        copy_text(reason, TEXT_SIZE, s->reason);
        return true;
    }
    if (s->phase == PUTTING_BACK || (s->phase == ARMED && is_other_boot(watch))) {
        snprintf(reason, TEXT_SIZE, "the node was restarted");
        return true;
    }
    if (now >= s->deadline) {
        snprintf(reason, TEXT_SIZE, "not confirmed within %ld s", s->limit);
        return true;
    }
    if (now < watch->next_look) {
        return false;
    }
    watch->next_look = now + LOOK_EVERY;
    instance_look(watch->options->proc, s, &view);
    if (s->phase == PLACED) {
        if (s->former[0] != '\0') {
            handover_end_drained(watch->options->proc, s, &view);
        }
        return false; /* what it is to replace runs: there is no hurry */
    }
    /* A static instance that still lets its last requests finish serves nobody new; nor does one that
     * shares its port and is just about to close it. */
    bool served = view.servers > 0 || (view.listening && !only_old_listens(watch));
    int64_t dead = lasting(!served, &watch->dead_since, now);
    int64_t silent = lasting(!view.static_alive && !view.listening, &watch->silent_since, now);
    if (dead >= DEAD_FOR && view.starts >= 2) {
        snprintf(reason, TEXT_SIZE, "%s of the DaemonSet exited %ld times", s->component,
                 view.starts);
        return true;
    }
    if (silent >= s->listen_limit * 1000) {
        snprintf(reason, TEXT_SIZE, "nothing listened on port %ld for %ld s", s->port,
                 s->listen_limit);
        return true;
    }
    return false;
}

static void fall_back(struct watch *watch, int64_t now, const char *reason) {
    if (now < watch->next_retry) {
        return;
    }
    if (handover_fall_back(watch->options, &watch->state, reason) != 0) {
        if (failure_kind() == FAIL_BUSY) {
            return; /* a command makes a move: see at the next tick what has become of it */
        }
        say("%s: could not be put back: %s", watch->state.component, failure_text());
        watch->next_retry = boot_milliseconds() + RETRY_EVERY;
    }
    tell_phase(watch);
}

static int start(struct watch *watch) {
    if (directory_make(watch->options->dir) != 0) {
        return -1;
    }
    int64_t end = boot_milliseconds() + LOCK_WAIT;
    while (watcher_start(&watch->watcher, watch->options->dir) != 0) {
        if (failure_kind() != FAIL_BUSY) {
            return -1;
        }
        if (stopped || boot_milliseconds() >= end) {
            return fail(FAIL_BUSY, "another agent is at work in %s", watch->options->dir);
        }
        sleep_milliseconds(TICK);
    }
    return 0;
}

/* Whether the agent may end: from then on nothing can be armed. */
static bool may_end(struct watch *watch, int64_t now) {
    if (handover_close(watch->options->dir, &watch->state) == 1) {
        watch->contact_since = now; /* armed in this very moment */
        return false;
    }
    return true;
}

/* Told to stop: nobody will watch any more, so whatever is armed comes back. */
static void finish(struct watch *watch) {
    int64_t end = boot_milliseconds() + STOP_FOR;
    while (handover_close(watch->options->dir, &watch->state) == 1 && boot_milliseconds() < end) {
        watch->next_retry = 0;
        fall_back(watch, 0, "the agent was stopped");
        if (state_is_pending(&watch->state)) {
            sleep_milliseconds(RETRY_EVERY / 4);
        }
    }
}

/* Reads the state; one that can't be read is told once and taken for idle. */
static void see_state(struct watch *watch) {
    bool bad = state_read(watch->options->dir, &watch->state) != 0;
    if (bad && !watch->complained) {
        say("%s", failure_text());
    }
    watch->complained = bad;
    tell_phase(watch);
}

/* Nobody will steer any more. The lock is ours by now. */
static void leave(struct watch *watch) {
    steward_finish(&watch->steward);
    share_end(watch->options);
}

int serve(const struct options *options) {
    static struct watch watch;
    char reason[TEXT_SIZE];
    watch = (struct watch){.options = options, .contact_since = boot_milliseconds()};
    catch_stop();
    if (start(&watch) != 0) {
        return -1;
    }
    say("kubectl-selfhost agent " AGENT_VERSION " watches %s", options->dir);
    contact_is_new(&watch); /* what is there is of an earlier agent's time */
    steward_start(&watch.steward, options);
    while (!stopped) {
        int64_t now = boot_milliseconds();
        if (!watcher_answer(&watch.watcher)) {
            say("another agent watches %s: the agent ends", options->dir);
            return 0;
        }
        see_contact(&watch, now);
        see_state(&watch);
        if (state_is_placing(&watch.state) && is_other_boot(&watch)) {
            keep_placed(&watch);
        } else if (state_is_pending(&watch.state)) {
            if (must_fall_back(&watch, now, reason)) {
                fall_back(&watch, now, reason);
            }
        } else if (now - watch.contact_since > idle_limit(&watch) && may_end(&watch, now)) {
            leave(&watch);
            say("nobody has called for %ld s: the agent ends", (long)idle_limit(&watch) / 1000);
            return 0;
        }
        steward_step(&watch.steward);
        steward_wait(&watch.steward, TICK); /* what is steered is looked at more often */
    }
    finish(&watch);
    leave(&watch);
    say("told to stop: the agent ends");
    return 0;
}
