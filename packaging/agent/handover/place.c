/* The way back: a manifest is put into the kubelet's directory, and is taken away again unless it is
 * confirmed in time. What it is to replace runs all the while. The kubelet sees no half of a manifest: it
 * comes whole under a hidden name first. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/failure.h"
#include "base/files.h"
#include "base/text.h"
#include "handover/handover.h"
#include "handover/instance.h"
#include "handover/state.h"
#include "handover/watcher.h"
#include "node/process.h"
#include "steward/order.h"

/* ---- exchange: a static pod's manifest takes the place of another one of the same pod. It is the way
 * back to the file as it was before the pivot. ---- */

static int exchange_now(const struct options *options, const char *kept, const struct state *before,
                        struct state *state) {
    char placed[PATH_SIZE];
    if (state_is_pending(before)) {
        return fail(FAIL_STATE, "a hand-over of %s is under way already", before->component);
    }
    /* What runs is kept before anything takes its place. */
    if (manifest_check(kept, state->file, state->sha256) != 0 ||
        manifest_check(state->manifests, state->file, state->former) != 0 ||
        placed_directory(placed, options->dir, options->component) != 0 ||
        directory_make(placed) != 0 ||
        file_exchange(state->manifests, placed, state->file) != 0 ||
        journal_add(options->dir, "exchanged", state, NULL) != 0) {
        return -1;
    }
    if (state_write(options->dir, state) != 0 ||
        file_exchange(kept, state->manifests, state->file) != 0) {
        return handover_unmade(options->dir, before, state, "exchange-failed");
    }
    return 0;
}

int handover_exchange(const struct options *options, struct state *state, bool *already) {
    static struct state before;
    char kept[PATH_SIZE];
    if (handover_lock(options->dir) != 0 || watcher_require(options->dir) != 0 ||
        state_read(options->dir, &before) != 0 ||
        component_directory(kept, options->dir, options->component) != 0 ||
        handover_fill(state, options, PLACED) != 0) {
        return -1;
    }
    *already = before.phase == PLACED && handover_is_same(&before, state);
    if (!*already) {
        return exchange_now(options, kept, &before, state);
    }
    *state = before;
    return manifest_check(state->manifests, state->file, state->sha256) == 0
               ? 0
               : file_exchange(kept, state->manifests, state->file);
}

/* ---- place ---- */

/* Keeps what is to be placed beside the kept manifests. */
static int gather(const struct options *options, const char *placed) {
    char kept[PATH_SIZE];
    return component_directory(kept, options->dir, options->component) == 0 &&
                   directory_make(kept) == 0 && directory_make(placed) == 0 &&
                   file_replace(placed, options->file, options->content,
                                options->content_length) == 0
               ? 0
               : -1;
}

static int place_now(const struct options *options, const char *placed, const struct state *before,
                     struct state *state) {
    if (state_is_pending(before)) {
        return fail(FAIL_STATE, "a hand-over of %s is under way already", before->component);
    }
    if (file_exists(state->manifests, state->file)) {
        return fail(FAIL_STATE, "%s is in %s already", state->file, state->manifests);
    }
    if (gather(options, placed) != 0 || manifest_check(placed, state->file, state->sha256) != 0 ||
        journal_add(options->dir, "placed", state, NULL) != 0) {
        return -1;
    }
    if (state_write(options->dir, state) != 0 ||
        file_place(placed, state->manifests, state->file) != 0) {
        return handover_unmade(options->dir, before, state, "place-failed");
    }
    return 0;
}

int handover_place(const struct options *options, struct state *state, bool *already) {
    static struct state before;
    char placed[PATH_SIZE];
    if (directory_make(options->dir) != 0 || handover_lock(options->dir) != 0 ||
        watcher_require(options->dir) != 0 || state_read(options->dir, &before) != 0 ||
        placed_directory(placed, options->dir, options->component) != 0 ||
        handover_fill(state, options, PLACED) != 0) {
        return -1;
    }
    *already = before.phase == PLACED && handover_is_same(&before, state);
    if (!*already) {
        return place_now(options, placed, &before, state);
    }
    *state = before;
    return file_exists(state->manifests, state->file)
               ? 0
               : file_place(placed, state->manifests, state->file);
}

/* ---- what may become of it ---- */

/* A steward gives all connections to the one that stays. It stands until `unshare`: the other one
 * listens until the kubelet has stopped it. */
static void return_connections(const struct options *options, const struct state *state) {
    struct order order;
    if (order_read(options->dir, options->proc, &order) == 0 && order.number != 0 &&
        order.wanted == STEERED && strcmp(order.component, state->component) == 0) {
        order.wanted = RETURNED;
        order_write(options->dir, &order);
    }
}

/* Takes the file away if it is the one that was placed, or puts the one back that was in its place.
 * `note` says if it isn't, or is empty. */
static int take_file(const char *dir, const struct state *state, char note[TEXT_SIZE]) {
    char placed[PATH_SIZE], path[PATH_SIZE], digest[DIGEST_SIZE];
    struct stat facts;
    note[0] = '\0';
    if (!file_exists(state->manifests, state->file)) {
        return 0;
    }
    if (path_join(path, state->manifests, state->file) != 0 ||
        file_digest(path, digest, &facts) != 0) {
        return -1;
    }
    if (strcmp(digest, state->sha256) != 0) {
        copy_text(note, TEXT_SIZE, "; somebody changed the file, so it was left as it is");
        return 0;
    }
    if (state->former[0] == '\0') {
        return file_remove(state->manifests, state->file);
    }
    return placed_directory(placed, dir, state->component) == 0
               ? file_exchange(placed, state->manifests, state->file)
               : -1;
}

int handover_take_away(const struct options *options, struct state *state, const char *reason) {
    char note[TEXT_SIZE], told[2 * TEXT_SIZE];
    if (state->phase == PLACED) {
        state->phase = TAKING_AWAY;
        copy_text(state->reason, sizeof state->reason, reason);
        state_write(options->dir, state); /* it must go, full disk or not */
    }
    return_connections(options, state);
    if (take_file(options->dir, state, note) != 0) {
        return -1;
    }
    state->phase = TAKEN_AWAY;
    snprintf(told, sizeof told, "%s%s", state->reason, note);
    copy_text(state->reason, sizeof state->reason, told);
    state_write(options->dir, state);
    journal_add(options->dir, "taken-away", state, state->reason);
    return 0;
}

/* With open watches it would drain for all of its grace period (30 s), and the kubelet starts the pod
 * with the new manifest only after that. */
void handover_end_drained(const char *proc, const struct state *state) {
    struct instance_view view;
    instance_look(proc, state, &view);
    if (view.static_servers > 0 && !view.listening) {
        pod_signal_servers(proc, state->static_uid, SIGKILL);
    }
}
