/* Taking a manifest away, and undoing what was done of it when a step fails. */
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "failure.h"
#include "files.h"
#include "handover.h"
#include "instance.h"
#include "journal.h"
#include "move.h"
#include "order.h"
#include "process.h"
#include "syntax.h"
#include "watcher.h"

enum {
    OLDER_MAX = 999, /* kept manifests of one name */
};

int handover_fill(struct state *s, const struct options *o, enum phase phase) {
    *s = (struct state){.phase = phase,
                        .port = o->port,
                        .limit = o->limit,
                        .listen_limit = o->listen_limit};
    bool fits = copy_whole(s->component, sizeof s->component, o->component) &&
                copy_whole(s->container, sizeof s->container,
                           o->container == NULL ? o->component : o->container) &&
                copy_whole(s->file, sizeof s->file, o->file) &&
                copy_whole(s->sha256, sizeof s->sha256, o->sha256) &&
                copy_whole(s->manifests, sizeof s->manifests, o->manifests) &&
                copy_whole(s->former, sizeof s->former, o->former == NULL ? "" : o->former) &&
                copy_whole(s->static_uid, sizeof s->static_uid,
                           o->static_uid == NULL ? "" : o->static_uid) &&
                copy_whole(s->log_dir, sizeof s->log_dir, o->log_dir == NULL ? "" : o->log_dir);
    for (size_t i = 0; i < o->instances; i++) {
        fits = fits && copy_whole(s->instance_uids[i], UID_SIZE, o->instance_uids[i]);
    }
    s->instances = o->instances;
    s->known_program = instance_known_program(o->proc, s->static_uid);
    s->starts = instance_starts(s);
    instance_find_prefix(s);
    s->deadline = boot_milliseconds() + o->limit * 1000;
    boot_id_read(o->proc, s->boot_id, sizeof s->boot_id);
    rfc3339_now(s->armed_at);
    return fits ? 0 : fail(FAIL_USAGE, "an argument is too long");
}

bool handover_is_same(const struct state *armed, const struct state *order) {
    return strcmp(armed->component, order->component) == 0 &&
           strcmp(armed->file, order->file) == 0 && strcmp(armed->sha256, order->sha256) == 0 &&
           strcmp(armed->manifests, order->manifests) == 0 &&
           armed->instances == order->instances &&
           memcmp(armed->instance_uids, order->instance_uids, sizeof armed->instance_uids) == 0;
}

/* What has to be undone when a later step of arming fails. */
struct undo {
    const char *dir;
    char kept[PATH_SIZE];     /* DIR/<component> */
    char older[NAME_SIZE];    /* the new name of an older kept manifest; empty: none */
    bool hold_removed;
    struct state before;
};

static void undo(const struct undo *undo, const struct state *state) {
    char why[TEXT_SIZE];
    enum failure_code code = failure_kind();
    copy_text(why, sizeof why, failure_text());
    if (undo->older[0] != '\0') {
        file_rename(undo->kept, undo->older, undo->kept, state->file);
    }
    if (undo->hold_removed) {
        file_touch(undo->kept, HOLD_FILE);
    }
    state_write(undo->dir, &undo->before);
    journal_add(undo->dir, "arm-failed", state, why);
    fail(code, "%s", why);
}

/* Makes room for the manifest among the kept ones: an identical one will be replaced, a different one
 * gets the next free number. */
static int set_aside(struct undo *undo, const struct state *state) {
    char path[PATH_SIZE], digest[DIGEST_SIZE], name[NAME_SIZE + 16];
    struct stat facts;
    if (!file_exists(undo->kept, state->file)) {
        return 0;
    }
    if (path_join(path, undo->kept, state->file) != 0 || file_digest(path, digest, &facts) != 0) {
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
    return manifest_move(state->manifests, undo->kept, state->file);
}

static int check_manifest(const struct state *state) {
    char path[PATH_SIZE], digest[DIGEST_SIZE];
    struct stat facts;
    if (path_join(path, state->manifests, state->file) != 0 ||
        file_digest(path, digest, &facts) != 0) {
        return -1;
    }
    if (strcmp(digest, state->sha256) != 0) {
        return fail(FAIL_CHANGED, "%s isn't what it was: its SHA-256 is %s", path, digest);
    }
    return 0;
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
    return check_manifest(state) == 0 ? take(undo, state) : -1;
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
    if (directory_make(options->dir) != 0 || handover_lock(options->dir) != 0 ||
        watcher_require(options->dir) != 0 || state_read(options->dir, &change.before) != 0 ||
        component_directory(change.kept, options->dir, options->component) != 0 ||
        handover_fill(state, options, ARMED) != 0) {
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
        check_manifest(state) != 0 || directory_make(change.kept) != 0 ||
        journal_add(options->dir, "armed", state, NULL) != 0) {
        return -1;
    }
    if (state_write(options->dir, state) != 0 || take(&change, state) != 0) {
        undo(&change, state);
        return -1;
    }
    return 0;
}
