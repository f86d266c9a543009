/* The way there: a static pod's manifest is taken away, and is brought back unless it is confirmed in
 * time. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/failure.h"
#include "base/files.h"
#include "base/runtime.h"
#include "base/text.h"
#include "handover/handover.h"
#include "handover/instance.h"
#include "handover/state.h"
#include "node/process.h"
#include "steward/order.h"

enum {
    OLDER_MAX = 999, /* kept manifests of one name */
};

/* What has to be undone when a later step of arming fails. */
struct undo {
    const char *dir;
    char kept[PATH_SIZE];     /* DIR/<component> */
    char older[NAME_SIZE];    /* the new name of an older kept manifest; empty: none */
    bool hold_removed;
    struct state before;
};

static int undo(const struct undo *undo, const struct state *state) {
    if (undo->older[0] != '\0') {
        file_rename(undo->kept, undo->older, undo->kept, state->file);
    }
    if (undo->hold_removed) {
        file_touch(undo->kept, HOLD_FILE);
    }
    return handover_unmade(undo->dir, &undo->before, state, "arm-failed");
}

/* Makes room for the manifest among the kept ones: an identical one will be replaced, a different one
 * gets the next free number. */
static int set_aside(struct undo *undo, const struct state *state) {
    char digest[DIGEST_SIZE], name[NAME_SIZE + 16];
    if (!file_exists(undo->kept, state->file)) {
        return 0;
    }
    if (file_digest(undo->kept, state->file, digest) != 0) {
        return -1;
    }
    if (strcmp(digest, state->sha256) == 0) {
        return file_remove(undo->kept, state->file);
    }
    for (int number = 1; number <= OLDER_MAX; number++) {
        snprintf(name, sizeof name, "%s.%d", state->file, number);
        if (!file_exists(undo->kept, name)) {
            if (file_rename(undo->kept, state->file, undo->kept, name) != 0) {
                return -1;
            }
            copy_whole(undo->older, sizeof undo->older, name);
            return 0;
        }
    }
    return fail(FAIL_IO, "%s holds too many older manifests", undo->kept);
}

/* The part of arming that starts with the state on disk: whatever ends it, the dead man's switch
 * finds a state that tells where the manifest belongs. */
static int take(struct undo *undo, const struct state *state) {
    undo->hold_removed = file_exists(undo->kept, HOLD_FILE);
    if (file_remove(undo->kept, HOLD_FILE) != 0 || set_aside(undo, state) != 0) {
        return -1;
    }
    return file_move(state->manifests, undo->kept, state->file);
}

/* An order that is armed already: finishes what an earlier agent of ours was killed in. */
static int arm_again(struct undo *undo, struct state *state, bool *already) {
    if (!handover_is_same(&undo->before, state)) {
        return fail(FAIL_STATE, "a hand-over of %s is under way already", undo->before.component);
    }
    *state = undo->before;
    *already = true;
    if (!file_exists(state->manifests, state->file)) {
        return file_remove(undo->kept, HOLD_FILE);
    }
    return manifest_check(state->manifests, state->file, state->sha256) == 0 ? take(undo, state) : -1;
}

/* As long as the steward stands, the new instance does not have the connections. */
static int check_steward(const char *dir, const char *proc, const char *component) {
    struct order order;
    struct progress progress;
    if (order_read(dir, proc, &order) != 0 || progress_read(dir, &progress) != 0) {
        return -1;
    }
    if (order.number != 0 && strcmp(order.component, component) == 0 && progress.steward) {
        return fail(FAIL_STATE, "the old %s still has all connections: steer first", component);
    }
    return 0;
}

int handover_arm(const struct options *options, struct state *state, bool *already) {
    struct undo change = {.dir = options->dir};
    *already = false;
    if (handover_begin(options, ARMED, &change.before, state) != 0 ||
        component_directory(change.kept, options->dir, options->component) != 0) {
        return -1;
    }
    if (change.before.phase == ARMED) {
        return arm_again(&change, state, already);
    }
    if (change.before.phase == PUTTING_BACK) {
        return fail(FAIL_STATE, "the manifest of %s is just being put back",
                    change.before.component);
    }
    if (state_is_placing(&change.before)) {
        return handover_refuse(&change.before, options->component);
    }
    if (strcmp(state->file, HOLD_FILE) == 0) {
        return fail(FAIL_USAGE, "a manifest can't be named %s", HOLD_FILE);
    }
    if (check_steward(options->dir, options->proc, options->component) != 0 ||
        manifest_check(state->manifests, state->file, state->sha256) != 0 ||
        directory_make(change.kept) != 0 ||
        journal_add(options->dir, "armed", state, NULL) != 0) {
        return -1;
    }
    if (state_write(options->dir, state) != 0 || take(&change, state) != 0) {
        return undo(&change, state);
    }
    return 0;
}

/* ---- bringing a manifest home, and stopping the instance that was to take its place ---- */

enum { GRACE = 2000 }; /* milliseconds from SIGTERM to SIGKILL */

/* Looks until the new instance has ended (`of_port`: or nobody listens; else the static one has to end as
 * well), or the grace is over. Returns whether it came to that. */
static bool wait_for(const char *proc, const struct state *state, int64_t end, bool of_port,
                     struct instance_view *view) {
    for (;;) {
        instance_look(proc, state, view);
        if (of_port ? !view->listening || view->servers == 0
                    : view->servers == 0 && view->static_servers == 0) {
            return true;
        }
        if (boot_milliseconds() >= end) {
            return false;
        }
        sleep_milliseconds(20);
    }
}

/* Waits until the stopped instance has let go of the port, or the grace is over. The static one, were
 * it back before, would fail to bind, and its next try would come after the kubelet's back-off. */
static void wait_for_port(const char *proc, const struct state *state, int64_t end) {
    struct instance_view view;
    if (!wait_for(proc, state, end, true, &view)) {
        instance_stop(proc, state, SIGKILL);
    }
}

/* Waits until the instance has ended, and kills it when the grace is over. So it does with a static
 * instance that the kubelet is stopping: see handover_end_drained(). */
static void wait_for_ends(const char *proc, const struct state *state, int64_t end) {
    struct instance_view view;
    if (wait_for(proc, state, end, false, &view)) {
        return;
    }
    if (view.servers > 0) {
        instance_stop(proc, state, SIGKILL);
    }
    handover_end_drained(proc, state, &view);
}

void handover_stop_new(const char *proc, const struct state *pods) {
    int64_t end = boot_milliseconds() + GRACE;
    if (instance_stop(proc, pods, SIGTERM) > 0) {
        wait_for_ends(proc, pods, end);
    }
}

static bool is_same_file(const char *kept, const struct state *state) {
    char digest[DIGEST_SIZE];
    return file_digest(kept, state->file, digest) == 0 &&
           manifest_check(state->manifests, state->file, digest) == 0;
}

/* Brings the file home. `note` says what else there is to tell, or is empty. Returns 1 if there is
 * nothing that could be brought. */
static int restore(const char *dir, const struct state *state, char note[TEXT_SIZE]) {
    char kept[PATH_SIZE];
    note[0] = '\0';
    if (component_directory(kept, dir, state->component) != 0) {
        return -1;
    }
    if (file_exists(state->manifests, state->file)) {
        if (is_same_file(kept, state)) {
            return file_remove(kept, state->file);
        }
        copy_text(note, TEXT_SIZE, "a file of that name was there already and was left as it is");
        return 0;
    }
    if (!file_exists(kept, state->file)) {
        snprintf(note, TEXT_SIZE, "the manifest is neither in its place nor in %.150s", kept);
        return 1;
    }
    return file_move(kept, state->manifests, state->file);
}

/* Under the lock. */
int handover_bring_back(const struct options *options, struct state *state, const char *reason) {
    const char *dir = options->dir, *proc = options->proc;
    char kept[PATH_SIZE], note[TEXT_SIZE], told[2 * TEXT_SIZE + 4];
    int64_t end = boot_milliseconds() + GRACE;
    if (state->phase == ARMED) {
        state->phase = PUTTING_BACK;
        copy_text(state->reason, sizeof state->reason, reason);
        state_write(dir, state); /* the manifest matters more than a full disk */
    }
    if (component_directory(kept, dir, state->component) == 0) {
        file_touch(kept, HOLD_FILE);
    }
    if (instance_stop(proc, state, SIGTERM) > 0) {
        wait_for_port(proc, state, end);
    }
    int result = restore(dir, state, note);
    if (result < 0) {
        return -1;
    }
    state->phase = PUT_BACK;
    snprintf(told, sizeof told, "%s%s%s", state->reason, note[0] == '\0' ? "" : "; ", note);
    copy_text(state->reason, sizeof state->reason, told);
    state_write(dir, state);
    journal_add(dir, result == 0 ? "put-back" : "lost", state, told);
    handover_forget_order(options, state->component);
    wait_for_ends(proc, state, end);
    return result == 0 ? 0 : fail(FAIL_NOT_FOUND, "%s: %s", state->file, note);
}

int handover_put_back(const struct options *options, struct state *state, bool *already) {
    if (handover_lock(options->dir) != 0 || state_read(options->dir, state) != 0) {
        return -1;
    }
    bool ours = strcmp(state->component, options->component) == 0;
    *already = ours && (state->phase == PUT_BACK || state->phase == TAKEN_AWAY);
    if (*already) {
        return 0;
    }
    if (ours && state_is_placing(state)) {
        return handover_take_away(options, state, options->reason);
    }
    if (!ours || (state->phase != ARMED && state->phase != PUTTING_BACK)) {
        return handover_refuse(state, options->component);
    }
    return handover_bring_back(options, state, options->reason);
}

