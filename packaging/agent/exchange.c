/* A static pod's manifest takes the place of another one of the same pod, and is put back unless it is
 * confirmed in time: the way back to the file as it was before the pivot. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "failure.h"
#include "files.h"
#include "handover.h"
#include "instance.h"
#include "journal.h"
#include "move.h"
#include "process.h"
#include "syntax.h"
#include "watcher.h"

int placed_directory(char *out, const char *dir, const char *component) {
    char kept[PATH_SIZE];
    return component_directory(kept, dir, component) == 0 ? path_join(out, kept, PLACED_DIRECTORY)
                                                          : -1;
}

int manifest_check(const char *dir, const char *file, const char *sha256) {
    char path[PATH_SIZE], digest[DIGEST_SIZE];
    struct stat facts;
    if (path_join(path, dir, file) != 0 || file_digest(path, digest, &facts) != 0) {
        return -1;
    }
    if (strcmp(digest, sha256) != 0) {
        return fail(FAIL_CHANGED, "%s isn't what was ordered: its SHA-256 is %s", path, digest);
    }
    return 0;
}

int manifest_replace(const char *from, const char *to, const char *file) {
    char hidden[NAME_SIZE], source[PATH_SIZE], part[PATH_SIZE], target[PATH_SIZE];
    if (temporary_name(hidden, file) != 0 || path_join(source, from, file) != 0 ||
        path_join(part, to, hidden) != 0 || path_join(target, to, file) != 0 ||
        file_copy(source, part) != 0) {
        return -1;
    }
    if (rename(part, target) != 0) {
        fail_errno("write", target);
        unlink(part);
        return -1;
    }
    return directory_sync(to);
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

static int exchange_anew(const struct options *options, const char *kept,
                         const struct state *before, struct state *state) {
    char placed[PATH_SIZE];
    if (state_is_pending(before)) {
        return fail(FAIL_STATE, "a hand-over of %s is under way already", before->component);
    }
    /* What runs is kept before anything takes its place. */
    if (manifest_check(kept, state->file, state->sha256) != 0 ||
        manifest_check(state->manifests, state->file, state->former) != 0 ||
        placed_directory(placed, options->dir, options->component) != 0 ||
        directory_make(placed) != 0 ||
        manifest_replace(state->manifests, placed, state->file) != 0 ||
        journal_add(options->dir, "exchanged", state, NULL) != 0) {
        return -1;
    }
    if (state_write(options->dir, state) != 0 ||
        manifest_replace(kept, state->manifests, state->file) != 0) {
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
        return exchange_anew(options, kept, &before, state);
    }
    *state = before;
    return manifest_check(state->manifests, state->file, state->sha256) == 0
               ? 0
               : manifest_replace(kept, state->manifests, state->file);
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
