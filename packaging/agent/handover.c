#include "handover.h"

#include <string.h>

#include "failure.h"
#include "files.h"
#include "journal.h"
#include "lock.h"
#include "move.h"
#include "order.h"

int component_directory(char *out, const char *dir, const char *component) {
    return path_join(out, dir, component);
}

int handover_lock(const char *dir) {
    char path[PATH_SIZE];
    int fd;
    return path_join(path, dir, HANDOVER_LOCK) == 0 ? lock_take(path, true, &fd) : -1;
}

int manifest_move(const char *from_dir, const char *to_dir, const char *file) {
    return same_file_system(from_dir, to_dir) ? file_rename(from_dir, file, to_dir, file)
                                              : file_move(from_dir, file, to_dir, file);
}

int handover_refuse(const struct state *state, const char *component) {
    if (state->phase == PUT_BACK && strcmp(state->component, component) == 0) {
        return fail(FAIL_STATE, "the manifest of %s was put back: %s", component, state->reason);
    }
    if (state->phase == PUTTING_BACK && strcmp(state->component, component) == 0) {
        return fail(FAIL_STATE, "the manifest of %s is being put back: %s", component,
                    state->reason);
    }
    if (state->phase == TAKEN_AWAY && strcmp(state->component, component) == 0) {
        return fail(FAIL_STATE, "the manifest of %s was taken away: %s", component, state->reason);
    }
    if (state->phase == CONFIRMED && strcmp(state->component, component) == 0) {
        return fail(FAIL_STATE, "%s was confirmed already, its manifest stays as it is", component);
    }
    return fail(FAIL_STATE, "no hand-over of %s is under way", component);
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

void handover_forget_order(const struct options *options, const char *component) {
    struct order order;
    if (order_read(options->dir, options->proc, &order) == 0 && order.number != 0 &&
        strcmp(order.component, component) == 0) {
        order_remove(options->dir);
    }
}
