/* Bringing a manifest home, and stopping the instance that was to take its place. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "failure.h"
#include "files.h"
#include "handover.h"
#include "instance.h"
#include "journal.h"
#include "lock.h"
#include "move.h"
#include "process.h"
#include "standstill.h"
#include "syntax.h"

enum { GRACE = 2000 }; /* milliseconds from SIGTERM to SIGKILL */

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

/* Waits until the instance has ended, and kills it when the grace is over. So it does with a static
 * instance that the kubelet is stopping and that doesn't listen any more: with open watches it would
 * drain for all of its grace period (30 s), and the kubelet starts the pod again only after that. */
static void wait_for_ends(const char *proc, const struct state *state, int64_t end) {
    struct instance_view view;
    for (;;) {
        instance_look(proc, state, &view);
        if (view.servers == 0 && view.static_servers == 0) {
            return;
        }
        if (boot_milliseconds() >= end) {
            break;
        }
        sleep_milliseconds(50);
    }
    if (view.servers > 0) {
        instance_stop(proc, state, SIGKILL);
    }
    if (view.static_servers > 0 && !view.listening) {
        pod_signal_servers(proc, state->static_uid, SIGKILL);
    }
}

void handover_stop_new(const char *proc, const struct state *pods) {
    int64_t end = boot_milliseconds() + GRACE;
    if (instance_stop(proc, pods, SIGTERM) > 0) {
        wait_for_ends(proc, pods, end);
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
    return manifest_move(kept, state->manifests, state->file);
}

/* Under the lock. */
static int put_back(const struct options *options, struct state *state, const char *reason) {
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
    standstill_end(dir, proc); /* who is stopped doesn't hear */
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
    return put_back(options, state, options->reason);
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

/* Takes the lock, then reads the state: somebody may just have confirmed it, or put it back. */
static int lock_and_read(const char *dir, bool wait, struct state *state, int *fd) {
    char path[PATH_SIZE];
    if (path_join(path, dir, HANDOVER_LOCK) != 0 || lock_take(path, wait, fd) != 0) {
        return -1;
    }
    if (state_read(dir, state) != 0) {
        close(*fd);
        return -1;
    }
    return 0;
}

int handover_undo(const struct options *options, struct state *state, const char *reason) {
    if (!state_is_pending(state)) {
        return 0;
    }
    return state_is_placing(state) ? handover_take_away(options, state, reason)
                                   : put_back(options, state, reason);
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
