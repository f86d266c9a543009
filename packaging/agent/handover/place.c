/* The way back: a manifest is put into the kubelet's directory, and is taken away again unless it is
 * confirmed in time. What it is to replace runs all the while. The kubelet sees no half of a manifest: it
 * comes whole under a hidden name first. In an exchange a kept manifest takes the place of another one of
 * the same pod: the way back to the file as it was before the pivot. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/failure.h"
#include "base/files.h"
#include "base/text.h"
#include "handover/handover.h"
#include "handover/instance.h"
#include "handover/state.h"
#include "node/process.h"
#include "steward/order.h"

/* Where a hand-over that places a manifest has its files. */
struct places {
    char kept[PATH_SIZE];
    char placed[PATH_SIZE];
};

/* An exchange has a former file. */
static bool is_exchange(const struct state *state) { return state->former[0] != '\0'; }

/* Gathers what is to be placed beside the kept manifests. */
static int gather(const struct options *options, const struct places *places,
                  const struct state *state) {
    if (file_exists(state->manifests, state->file)) {
        return fail(FAIL_STATE, "%s is in %s already", state->file, state->manifests);
    }
    return file_replace(places->placed, state->file, options->content,
                        options->content_length) == 0
               ? manifest_check(places->placed, state->file, state->sha256)
               : -1;
}

/* Keeps what runs, before anything takes its place. */
static int keep_former(const struct places *places, const struct state *state) {
    return manifest_check(places->kept, state->file, state->sha256) == 0 &&
                   manifest_check(state->manifests, state->file, state->former) == 0
               ? file_exchange(state->manifests, places->placed, state->file)
               : -1;
}

static int put(const struct places *places, const struct state *state) {
    return is_exchange(state) ? file_exchange(places->kept, state->manifests, state->file)
                              : file_place(places->placed, state->manifests, state->file);
}

static bool is_put(const struct state *state) {
    return is_exchange(state) ? manifest_check(state->manifests, state->file, state->sha256) == 0
                              : file_exists(state->manifests, state->file);
}

static int prepare(const struct options *options, const struct places *places,
                   const struct state *before, const struct state *state) {
    if (state_is_pending(before)) {
        return fail(FAIL_STATE, "a hand-over of %s is under way already", before->component);
    }
    if (directory_make(places->kept) != 0 || directory_make(places->placed) != 0) {
        return -1;
    }
    int result = is_exchange(state) ? keep_former(places, state) : gather(options, places, state);
    return result == 0
               ? journal_add(options->dir, is_exchange(state) ? "exchanged" : "placed", state, NULL)
               : -1;
}

int handover_place(const struct options *options, struct state *state, bool *already) {
    static struct state before;
    struct places places;
    if (handover_begin(options, PLACED, &before, state) != 0 ||
        component_directory(places.kept, options->dir, options->component) != 0 ||
        placed_directory(places.placed, options->dir, options->component) != 0) {
        return -1;
    }
    *already = before.phase == PLACED && handover_is_same(&before, state);
    if (*already) {
        *state = before;
        return is_put(state) ? 0 : put(&places, state);
    }
    if (prepare(options, &places, &before, state) != 0) {
        return -1;
    }
    if (state_write(options->dir, state) != 0 || put(&places, state) != 0) {
        return handover_unmade(options->dir, &before, state,
                               is_exchange(state) ? "exchange-failed" : "place-failed");
    }
    return 0;
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
    char placed[PATH_SIZE], digest[DIGEST_SIZE];
    note[0] = '\0';
    if (!file_exists(state->manifests, state->file)) {
        return 0;
    }
    if (file_digest(state->manifests, state->file, digest) != 0) {
        return -1;
    }
    if (strcmp(digest, state->sha256) != 0) {
        copy_text(note, TEXT_SIZE, "; somebody changed the file, so it was left as it is");
        return 0;
    }
    if (!is_exchange(state)) {
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
 * again only after that. */
void handover_end_drained(const char *proc, const struct state *state,
                          const struct instance_view *view) {
    if (view->static_servers > 0 && !view->listening) {
        pod_signal_servers(proc, state->static_uid, SIGKILL);
    }
}
