/* Undoing what `share` and `release` have done. */
#include <string.h>
#include <unistd.h>

#include "failure.h"
#include "files.h"
#include "handover.h"
#include "instance.h"
#include "json.h"
#include "migrate.h"
#include "share.h"
#include "sharing.h"
#include "standstill.h"
#include "syntax.h"
#include "watcher.h"

/* The new instance's pods: those that were named when the port was shared, and now. */
static void name_pods(struct state *pods, const struct options *o, const struct order *order) {
    *pods = (struct state){.phase = ARMED, .port = order->port};
    copy_whole(pods->component, sizeof pods->component, o->component);
    copy_whole(pods->log_dir, sizeof pods->log_dir, o->log_dir == NULL ? "" : o->log_dir);
    for (size_t i = 0; i < o->instances; i++) {
        copy_whole(pods->instance_uids[pods->instances++], UID_SIZE, o->instance_uids[i]);
    }
    for (size_t i = 0; i < order->instances && pods->instances < INSTANCES_MAX; i++) {
        copy_whole(pods->instance_uids[pods->instances++], UID_SIZE, order->instance_uids[i]);
    }
    if (pods->log_dir[0] != '\0') {
        instance_find_prefix(pods);
    }
}

static int undo_all(const struct options *o, struct order *order) {
    struct state pods;
    struct progress progress;
    char kept[PATH_SIZE];
    bool watched = order->seamless && watcher_answers(o->dir);
    /* Between two pods of one DaemonSet it's the DaemonSet that stops the new one: nobody is named. */
    bool stops = o->instances + order->instances > 0;
    if (stops && (component_directory(kept, o->dir, o->component) != 0 ||
                  directory_make(kept) != 0 || file_touch(kept, HOLD_FILE) != 0)) {
        return -1;
    }
    /* A steward that can't give all to the old one is no reason to leave the new one running. */
    if (watched) {
        sharing_order(o->dir, order, RETURNED, &progress);
    }
    if (stops) {
        name_pods(&pods, o, order);
        handover_stop_new(o->proc, &pods);
    }
    if (watched) {
        sharing_order(o->dir, order, ENDED, &progress);
    } else if (progress_read(o->dir, &progress) == 0) {
        migrate_restore(o->proc, progress.migrate);
        progress_remove(o->dir);
    }
    if (!order->shared_before && sharing_set(o->proc, order, 0) != 0) {
        return -1;
    }
    return order_remove(o->dir);
}

int unshare_port(const struct options *options) {
    static char output[256];
    struct state state;
    struct order order;
    struct json json;
    if (handover_lock(options->dir) != 0 || state_read(options->dir, &state) != 0 ||
        order_read(options->dir, options->proc, &order) != 0) {
        return -1;
    }
    if (state_is_pending(&state) && strcmp(state.component, options->component) == 0) {
        return fail(FAIL_STATE, "a hand-over of %s is under way: put it back", state.component);
    }
    standstill_end(options->dir, options->proc); /* who is stopped doesn't hear */
    bool nothing = order.number == 0 || strcmp(order.component, options->component) != 0;
    if (!nothing && undo_all(options, &order) != 0) {
        return -1;
    }
    json_start(&json, output, sizeof output, STDOUT_FILENO);
    json_open(&json, NULL, '{');
    json_string(&json, "component", options->component);
    json_bool(&json, "already", nothing);
    json_close(&json, '}');
    return json_finish(&json) == 0 ? 0 : fail(FAIL_IO, "the answer could not be written");
}

void share_end(const struct options *options) {
    struct order order;
    struct order_view view;
    if (order_read(options->dir, options->proc, &order) == 0 && order.number != 0) {
        order_look(options->proc, &order, &view);
        if (view.old_listens && !view.new_listens && !order.shared_before) {
            sharing_set(options->proc, &order, 0);
        }
        order_remove(options->dir);
        progress_remove(options->dir); /* the steward has left */
    }
}
