#include "handover.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "failure.h"
#include "files.h"
#include "instance.h"
#include "journal.h"
#include "port.h"
#include "process.h"
#include "syntax.h"

enum {
    GRACE = 2000,       /* milliseconds from SIGTERM to SIGKILL */
    WATCH_WAIT = 2000,  /* for an agent that has just been started */
    OLDER_MAX = 999,    /* kept manifests of one name */
};

int component_directory(char *out, const char *dir, const char *component) {
    return path_join(out, dir, component);
}

bool handover_is_watched(const char *dir) {
    char path[PATH_SIZE];
    return path_join(path, dir, AGENT_LOCK) == 0 && lock_is_held(path);
}

/* Every move is made under this lock; it goes with the process. */
static int lock(const char *dir) {
    char path[PATH_SIZE];
    int fd;
    return path_join(path, dir, "lock") == 0 ? lock_take(path, true, &fd) : -1;
}

/* ---- arm ---- */

static int require_watch(const char *dir) {
    for (int waited = 0; waited < WATCH_WAIT; waited += 50) {
        if (handover_is_watched(dir)) {
            return 0;
        }
        sleep_milliseconds(50);
    }
    return fail(FAIL_STATE, "no agent watches %s: nobody would put the manifest back", dir);
}

static int fill(struct state *s, const struct options *o) {
    *s = (struct state){.phase = ARMED,
                        .port = o->port,
                        .limit = o->limit,
                        .listen_limit = o->listen_limit};
    bool fits = copy_whole(s->component, sizeof s->component, o->component) &&
                copy_whole(s->container, sizeof s->container,
                           o->container == NULL ? o->component : o->container) &&
                copy_whole(s->file, sizeof s->file, o->file) &&
                copy_whole(s->sha256, sizeof s->sha256, o->sha256) &&
                copy_whole(s->manifests, sizeof s->manifests, o->manifests) &&
                copy_whole(s->static_uid, sizeof s->static_uid,
                           o->static_uid == NULL ? "" : o->static_uid) &&
                copy_whole(s->log_dir, sizeof s->log_dir, o->log_dir == NULL ? "" : o->log_dir);
    for (size_t i = 0; i < o->instances; i++) {
        fits = fits && copy_whole(s->instance_uids[i], UID_SIZE, o->instance_uids[i]);
    }
    s->instances = o->instances;
    s->starts = instance_starts(s);
    s->deadline = boot_milliseconds() + o->limit * 1000;
    boot_id_read(o->proc, s->boot_id, sizeof s->boot_id);
    rfc3339_now(s->armed_at);
    return fits ? 0 : fail(FAIL_USAGE, "an argument is too long");
}

/* Whether an order is the one that is armed already: its answer was lost and it is given again. */
static bool is_same_order(const struct state *armed, const struct state *order) {
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
    char path[PATH_SIZE], digest[DIGEST_SIZE], name[NAME_SIZE + 8];
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

static int move(const char *from_dir, const char *to_dir, const char *file) {
    return same_file_system(from_dir, to_dir) ? file_rename(from_dir, file, to_dir, file)
                                              : file_move(from_dir, file, to_dir, file);
}

/* The part of arming that starts with the state on disk: whatever ends it, the dead man's switch
 * finds a state that tells where the manifest belongs. */
static int take(struct undo *undo, const struct state *state) {
    undo->hold_removed = file_exists(undo->kept, HOLD_FILE);
    if (file_remove(undo->kept, HOLD_FILE) != 0 || set_aside(undo, state) != 0) {
        return -1;
    }
    return move(state->manifests, undo->kept, state->file);
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
    if (!is_same_order(&undo->before, state)) {
        return fail(FAIL_STATE, "a hand-over of %s is under way already", undo->before.component);
    }
    *state = undo->before;
    *already = true;
    if (!file_exists(state->manifests, state->file)) {
        return file_remove(undo->kept, HOLD_FILE);
    }
    return check_manifest(state) == 0 ? take(undo, state) : -1;
}

int handover_arm(const struct options *options, struct state *state, bool *already) {
    struct undo change = {.dir = options->dir};
    *already = false;
    if (directory_make(options->dir) != 0 || lock(options->dir) != 0 ||
        require_watch(options->dir) != 0 || state_read(options->dir, &change.before) != 0 ||
        component_directory(change.kept, options->dir, options->component) != 0 ||
        fill(state, options) != 0) {
        return -1;
    }
    if (change.before.phase == ARMED) {
        return arm_again(&change, state, already);
    }
    if (change.before.phase == PUTTING_BACK) {
        return fail(FAIL_STATE, "the manifest of %s is just being put back",
                    change.before.component);
    }
    if (strcmp(state->file, HOLD_FILE) == 0) {
        return fail(FAIL_USAGE, "a manifest can't be named %s", HOLD_FILE);
    }
    if (check_manifest(state) != 0 || directory_make(change.kept) != 0 ||
        journal_add(options->dir, "armed", state, NULL) != 0) {
        return -1;
    }
    if (state_write(options->dir, state) != 0 || take(&change, state) != 0) {
        undo(&change, state);
        return -1;
    }
    return 0;
}

/* ---- confirm ---- */

static int is_not_armed(const struct state *state, const char *component) {
    if (state->phase == PUT_BACK && strcmp(state->component, component) == 0) {
        return fail(FAIL_STATE, "the manifest of %s was put back: %s", component, state->reason);
    }
    if (state->phase == PUTTING_BACK && strcmp(state->component, component) == 0) {
        return fail(FAIL_STATE, "the manifest of %s is being put back: %s", component,
                    state->reason);
    }
    if (state->phase == CONFIRMED && strcmp(state->component, component) == 0) {
        return fail(FAIL_STATE, "%s was confirmed already, its manifest stays away", component);
    }
    return fail(FAIL_STATE, "no hand-over of %s is under way", component);
}

int handover_confirm(const struct options *options, struct state *state, bool *already) {
    if (lock(options->dir) != 0 || state_read(options->dir, state) != 0) {
        return -1;
    }
    bool ours = strcmp(state->component, options->component) == 0;
    *already = ours && state->phase == CONFIRMED;
    if (*already) {
        return 0;
    }
    if (!ours || state->phase != ARMED) {
        return is_not_armed(state, options->component);
    }
    if (file_exists(state->manifests, state->file)) {
        return fail(FAIL_STATE, "%s is still in %s", state->file, state->manifests);
    }
    state->phase = CONFIRMED;
    if (state_write(options->dir, state) != 0) {
        return -1;
    }
    journal_add(options->dir, "confirmed", state, NULL); /* the state tells it as well */
    return 0;
}

/* ---- put back ---- */

/* Waits until the stopped instance has let go of the port, or the grace is over. The static one, were
 * it back before, would fail to bind, and its next try would come after the kubelet's back-off. */
static void wait_for_port(const char *proc, const struct state *state, int64_t end) {
    struct instance_view view;
    for (;;) {
        instance_look(proc, state, &view);
        if (!view.listening || view.servers == 0) {
            return;
        }
        if (boot_milliseconds() >= end) {
            instance_stop(proc, state, SIGKILL);
            return;
        }
        sleep_milliseconds(20);
    }
}

static void wait_for_servers(const char *proc, const struct state *state, int64_t end) {
    struct instance_view view;
    for (;;) {
        instance_look(proc, state, &view);
        if (view.servers == 0) {
            return;
        }
        if (boot_milliseconds() >= end) {
            instance_stop(proc, state, SIGKILL);
            return;
        }
        sleep_milliseconds(50);
    }
}

static bool is_same_file(const char *kept, const struct state *state) {
    char a[PATH_SIZE], b[PATH_SIZE], first[DIGEST_SIZE], second[DIGEST_SIZE];
    struct stat facts;
    return path_join(a, kept, state->file) == 0 && path_join(b, state->manifests, state->file) == 0 &&
           file_digest(a, first, &facts) == 0 && file_digest(b, second, &facts) == 0 &&
           strcmp(first, second) == 0;
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
    return move(kept, state->manifests, state->file);
}

/* Under the lock. */
static int put_back(const char *dir, const char *proc, struct state *state, const char *reason) {
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
    wait_for_servers(proc, state, end);
    return result == 0 ? 0 : fail(FAIL_NOT_FOUND, "%s: %s", state->file, note);
}

int handover_put_back(const struct options *options, struct state *state, bool *already) {
    if (lock(options->dir) != 0 || state_read(options->dir, state) != 0) {
        return -1;
    }
    bool ours = strcmp(state->component, options->component) == 0;
    *already = ours && state->phase == PUT_BACK;
    if (*already) {
        return 0;
    }
    if (!ours || (state->phase != ARMED && state->phase != PUTTING_BACK)) {
        return is_not_armed(state, options->component);
    }
    return put_back(options->dir, options->proc, state, options->reason);
}

int handover_fall_back(const struct options *options, struct state *state, const char *reason) {
    char path[PATH_SIZE];
    int fd, result = 0;
    if (path_join(path, options->dir, "lock") != 0 || lock_take(path, true, &fd) != 0) {
        return -1;
    }
    /* Somebody may have confirmed it, or put it back, just before we had the lock. */
    if (state_read(options->dir, state) != 0) {
        result = -1;
    } else if (state->phase == ARMED || state->phase == PUTTING_BACK) {
        result = put_back(options->dir, options->proc, state, reason) == 0 ? 1 : -1;
    }
    close(fd);
    return result;
}
