#include "handover/handover.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/failure.h"
#include "base/files.h"
#include "base/runtime.h"
#include "base/text.h"
#include "handover/instance.h"
#include "handover/watcher.h"
#include "node/process.h"
#include "steward/order.h"

/* ---- where things are, and the lock ---- */

int component_directory(char *out, const char *dir, const char *component) {
    return path_join(out, dir, component);
}

int placed_directory(char *out, const char *dir, const char *component) {
    char kept[PATH_SIZE];
    return component_directory(kept, dir, component) == 0 ? path_join(out, kept, PLACED_DIRECTORY)
                                                          : -1;
}

int handover_try_lock(const char *dir, bool wait, int *fd) {
    char path[PATH_SIZE];
    return path_join(path, dir, HANDOVER_LOCK) == 0 ? lock_take(path, wait, fd) : -1;
}

int handover_lock(const char *dir) {
    int fd;
    return handover_try_lock(dir, true, &fd);
}

int manifest_check(const char *dir, const char *file, const char *sha256) {
    char digest[DIGEST_SIZE];
    if (file_digest(dir, file, digest) != 0) {
        return -1;
    }
    if (strcmp(digest, sha256) != 0) {
        return fail(FAIL_CHANGED, "%s/%s isn't what was ordered: its SHA-256 is %s", dir, file,
                    digest);
    }
    return 0;
}

/* ---- an order, and why it can't be carried out ---- */

/* What an order of `phase` says. */
static int fill(struct state *s, const struct options *o, enum phase phase) {
    *s = (struct state){.phase = phase,
                        .port = o->port,
                        .limit = o->limit,
                        .listen_limit = o->listen_limit};
    const char *container = o->container == NULL ? o->component : o->container;
    bool fits = copy_whole(s->component, sizeof s->component, o->component) &&
                copy_whole(s->container, sizeof s->container, container) &&
                copy_whole(s->file, sizeof s->file, o->file) &&
                copy_whole(s->sha256, sizeof s->sha256, o->sha256) &&
                copy_whole(s->manifests, sizeof s->manifests, o->manifests) &&
                copy_whole(s->former, sizeof s->former, o->former) &&
                copy_whole(s->static_uid, sizeof s->static_uid, o->static_uid) &&
                copy_whole(s->log_dir, sizeof s->log_dir, o->log_dir);
    for (size_t i = 0; i < o->instances; i++) {
        fits = fits && copy_whole(s->instance_uids[i], UID_SIZE, o->instance_uids[i]);
    }
    s->instances = o->instances;
    s->known_program = instance_known_program(o->proc, s->static_uid);
    s->starts = instance_starts(s);
    instance_find_prefix(s);
    s->deadline = boot_milliseconds() + o->limit * 1000;
    boot_id_read(o->proc, s->boot_id, sizeof s->boot_id);
    return fits ? 0 : fail(FAIL_USAGE, "an argument is too long");
}

int handover_begin(const struct options *options, enum phase phase, struct state *before,
                   struct state *state) {
    return directory_make(options->dir) == 0 && handover_lock(options->dir) == 0 &&
                   watcher_require(options->dir) == 0 && state_read(options->dir, before) == 0
               ? fill(state, options, phase)
               : -1;
}

bool handover_is_same(const struct state *armed, const struct state *order) {
    return strcmp(armed->component, order->component) == 0 &&
           strcmp(armed->file, order->file) == 0 && strcmp(armed->sha256, order->sha256) == 0 &&
           strcmp(armed->manifests, order->manifests) == 0 &&
           armed->instances == order->instances &&
           memcmp(armed->instance_uids, order->instance_uids, sizeof armed->instance_uids) == 0;
}

int handover_refuse(const struct state *state, const char *component) {
    if (strcmp(state->component, component) == 0) {
        switch (state->phase) {
        case PUT_BACK:
            return fail(FAIL_STATE, "the manifest of %s was put back: %s", component,
                        state->reason);
        case PUTTING_BACK:
            return fail(FAIL_STATE, "the manifest of %s is being put back: %s", component,
                        state->reason);
        case TAKEN_AWAY:
            return fail(FAIL_STATE, "the manifest of %s was taken away: %s", component,
                        state->reason);
        case CONFIRMED:
            return fail(FAIL_STATE, "%s was confirmed already, its manifest stays as it is",
                        component);
        default:
            break;
        }
    }
    return fail(FAIL_STATE, "no hand-over of %s is under way", component);
}

int handover_unmade(const char *dir, const struct state *before, const struct state *state,
                    const char *event) {
    char why[TEXT_SIZE];
    enum failure_code code = failure_kind();
    copy_text(why, sizeof why, failure_text());
    state_write(dir, before);
    journal_add(dir, event, state, why);
    return fail(code, "%s", why);
}

/* ---- the moves that are alike for both ways ---- */

void handover_forget_order(const struct options *options, const char *component) {
    struct order order;
    if (order_read(options->dir, options->proc, &order) == 0 && order.number != 0 &&
        strcmp(order.component, component) == 0) {
        order_remove(options->dir);
    }
}

int handover_confirm(const struct options *options, struct state *state, bool *already) {
    if (handover_lock(options->dir) != 0 || state_read(options->dir, state) != 0) {
        return -1;
    }
    bool ours = strcmp(state->component, options->component) == 0;
    *already = ours && state->phase == CONFIRMED;
    if (*already) {
        return 0;
    }
    if (!ours || (state->phase != ARMED && state->phase != PLACED)) {
        return handover_refuse(state, options->component);
    }
    bool there = file_exists(state->manifests, state->file);
    if (there != (state->phase == PLACED)) {
        return fail(FAIL_STATE, "%s is %s in %s", state->file, there ? "still" : "not",
                    state->manifests);
    }
    state->phase = CONFIRMED;
    if (state_write(options->dir, state) != 0) {
        return -1;
    }
    journal_add(options->dir, "confirmed", state, NULL); /* the state tells it as well */
    handover_forget_order(options, state->component);
    return 0;
}

/* A static instance that exits by itself leaves its port free for a moment; a new one that took it
 * then would keep the static one from ever coming back, with nobody watching. */
int handover_hold(const struct options *options) {
    struct state state;
    char kept[PATH_SIZE];
    if (handover_lock(options->dir) != 0 || state_read(options->dir, &state) != 0) {
        return -1;
    }
    if (state_is_pending(&state) && strcmp(state.component, options->component) == 0) {
        return handover_refuse(&state, options->component);
    }
    if (component_directory(kept, options->dir, options->component) != 0 ||
        directory_make(kept) != 0) {
        return -1;
    }
    return file_touch(kept, HOLD_FILE);
}

/* ---- falling back ---- */

int handover_undo(const struct options *options, struct state *state, const char *reason) {
    if (!state_is_pending(state)) {
        return 0;
    }
    return state_is_placing(state) ? handover_take_away(options, state, reason)
                                   : handover_bring_back(options, state, reason);
}

/* Takes the lock, then reads the state: somebody may just have confirmed it, or put it back. */
static int lock_and_read(const char *dir, bool wait, struct state *state, int *fd) {
    if (handover_try_lock(dir, wait, fd) != 0) {
        return -1;
    }
    if (state_read(dir, state) != 0) {
        close(*fd);
        return -1;
    }
    return 0;
}

int handover_fall_back(const struct options *options, struct state *state, const char *reason) {
    int fd;
    if (lock_and_read(options->dir, false, state, &fd) != 0) {
        return -1;
    }
    int result = handover_undo(options, state, reason);
    close(fd);
    return result;
}

int handover_keep_placed(const struct options *options, struct state *state) {
    int fd, result = 0;
    if (lock_and_read(options->dir, false, state, &fd) != 0) {
        return -1;
    }
    if (state_is_placing(state)) {
        state->phase = CONFIRMED;
        result = state_write(options->dir, state);
        journal_add(options->dir, "confirmed", state, "the node was restarted");
    }
    close(fd);
    return result;
}

int handover_close(const char *dir, struct state *state) {
    int fd;
    if (lock_and_read(dir, true, state, &fd) != 0) {
        return -1;
    }
    if (state_is_pending(state)) {
        close(fd);
        return 1;
    }
    return 0;
}
