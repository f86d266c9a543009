/* The way back: a manifest is put into the kubelet's directory, and is taken away again unless it is
 * confirmed in time. What it is to replace runs all the while. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "failure.h"
#include "files.h"
#include "handover.h"
#include "journal.h"
#include "lock.h"
#include "move.h"
#include "order.h"
#include "standstill.h"
#include "syntax.h"
#include "watcher.h"

/* The kubelet sees no half of it: it comes whole under a hidden name first. */
static int put(const char *placed, const struct state *state) {
    char hidden[NAME_SIZE], from[PATH_SIZE], to[PATH_SIZE];
    if (temporary_name(hidden, state->file) != 0 || path_join(from, placed, state->file) != 0 ||
        path_join(to, state->manifests, hidden) != 0 || file_copy(from, to) != 0) {
        return -1;
    }
    if (file_rename(state->manifests, hidden, state->manifests, state->file) != 0) {
        unlink(to);
        return -1;
    }
    return 0;
}

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

static int place_anew(const struct options *options, const char *placed, const struct state *before,
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
    if (state_write(options->dir, state) != 0 || put(placed, state) != 0) {
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
        return place_anew(options, placed, &before, state);
    }
    *state = before;
    return file_exists(state->manifests, state->file) ? 0 : put(placed, state);
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
               ? manifest_replace(placed, state->manifests, state->file)
               : -1;
}

int handover_take_away(const struct options *options, struct state *state, const char *reason) {
    char note[TEXT_SIZE], told[2 * TEXT_SIZE];
    if (state->phase == PLACED) {
        state->phase = TAKING_AWAY;
        copy_text(state->reason, sizeof state->reason, reason);
        state_write(options->dir, state); /* it must go, full disk or not */
    }
    standstill_end(options->dir, options->proc); /* who is stopped doesn't hear */
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

int handover_keep_placed(const struct options *options, struct state *state) {
    int fd;
    char path[PATH_SIZE];
    if (path_join(path, options->dir, HANDOVER_LOCK) != 0 || lock_take(path, false, &fd) != 0) {
        return -1;
    }
    int result = state_read(options->dir, state);
    if (result == 0 && state_is_placing(state)) {
        state->phase = CONFIRMED;
        result = state_write(options->dir, state);
        journal_add(options->dir, "confirmed", state, "the node was restarted");
    }
    close(fd);
    return result;
}
