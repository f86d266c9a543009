#include "steward/share.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/failure.h"
#include "base/files.h"
#include "base/json.h"
#include "base/runtime.h"
#include "base/text.h"
#include "handover/handover.h"
#include "handover/instance.h"
#include "handover/watcher.h"
#include "node/process.h"
#include "node/sockets.h"
#include "steward/examine.h"
#include "steward/order.h"
#include "steward/steering.h"

enum { ANSWER_WAIT = 5000, POLL = 20 }; /* milliseconds */

/* Waits until the agent that watches has answered the order, 5 s at most. */
static int sharing_wait(const char *dir, const struct order *order, struct progress *progress) {
    int64_t end = boot_milliseconds() + ANSWER_WAIT;
    while (boot_milliseconds() < end) {
        if (progress_read(dir, progress) != 0) {
            return -1;
        }
        if (progress->number == order->number) {
            return 0;
        }
        sleep_milliseconds(POLL);
    }
    return fail(FAIL_SHARE, "the agent that watches did not answer within %d s",
                ANSWER_WAIT / 1000);
}

/* Turns SO_REUSEPORT of the old instance's socket on (1) or off (0). Off: an instance that has gone
 * needs nothing. */
static int sharing_set(const char *proc, const struct order *order, int on) {
    struct holder holder = socket_holder(proc, order->pod_uid, order->old);
    if (holder.pid == 0) {
        return on ? fail(FAIL_SHARE, "the old instance stopped listening") : 0;
    }
    int fd = socket_duplicate(holder, order->old);
    if (fd < 0) {
        return -1;
    }
    int result = setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    if (result != 0) {
        result = fail(FAIL_SHARE, "the kernel refuses SO_REUSEPORT (%s)", strerror(errno));
    }
    close(fd);
    return result;
}

/* Changes what is wanted, and waits for the answer. */
static int sharing_order(const char *dir, struct order *order, enum wanted wanted,
                  struct progress *progress) {
    order->wanted = wanted;
    return order_write(dir, order) == 0 ? sharing_wait(dir, order, progress) : -1;
}

static int finish(struct json *json, bool already) {
    json_bool(json, "already", already);
    return answer_end(json);
}

static void begin(struct json *json, const struct options *options) {
    answer_begin(json);
    json_string(json, "component", options->component);
}

/* ---- share ---- */

/* Whether there is to be a steward. */
static bool is_steered(const struct options *o) { return way_named(o->way) > SHARED; }

static int fill(struct order *order, const struct options *o, const struct examined *examined) {
    *order = (struct order){.wanted = SHARING,
                            .seamless = is_steered(o),
                            .shared_before = examined->shares,
                            .ipv6 = examined->old.ipv6,
                            .ipv6_only = examined->ipv6_only,
                            .port = o->port,
                            .uid = examined->old.uid,
                            .old = examined->old.inode,
                            .instances = o->instances};
    bool fits = copy_whole(order->component, sizeof order->component, o->component) &&
                copy_whole(order->pod_uid, sizeof order->pod_uid, o->pod_uid) &&
                copy_whole(order->probe_address, sizeof order->probe_address, o->probe_address);
    for (size_t i = 0; i < o->instances; i++) {
        fits = fits && copy_whole(order->instance_uids[i], UID_SIZE, o->instance_uids[i]);
    }
    boot_id_read(o->proc, order->boot_id, sizeof order->boot_id);
    return fits ? 0 : fail(FAIL_USAGE, "an argument is too long");
}

static bool is_same_order(const struct order *order, const struct options *o) {
    return strcmp(order->component, o->component) == 0 &&
           strcmp(order->pod_uid, o->pod_uid) == 0 && order->port == o->port &&
           order->seamless == is_steered(o);
}

/* An order that is there already: 1 if it is the same one and holds, 0 if there is none that does. */
static int find_same(const struct options *o, const struct order *order) {
    struct order_view view;
    struct progress progress;
    order_look(o->proc, order, &view);
    if (!view.old_listens || order->wanted > STEERED) {
        return 0;
    }
    if (!is_same_order(order, o)) {
        return fail(FAIL_STATE, "the port of %s is being shared already", order->component);
    }
    if (!order->seamless) {
        return 1;
    }
    if (sharing_wait(o->dir, order, &progress) != 0) {
        return -1;
    }
    return progress.steward || progress.reached == STEERED;
}

static int undo(const struct options *o, struct order *order) {
    char why[TEXT_SIZE];
    copy_text(why, sizeof why, failure_text());
    order_remove(o->dir);
    if (!order->shared_before) {
        sharing_set(o->proc, order, 0);
    }
    return fail(FAIL_SHARE, "%s", why);
}

/* Makes the steward join, if there is to be one. */
static int join(const struct options *o, struct order *order) {
    struct progress progress;
    if (!order->seamless) {
        order->wanted = WATCHING;
        return order_write(o->dir, order);
    }
    if (sharing_order(o->dir, order, WATCHING, &progress) != 0) {
        return -1;
    }
    return progress.steward ? 0 : fail(FAIL_SHARE, "%s", progress.reason);
}

/* The file comes first: whatever comes after it can be undone. But the agent sees the file at once, and a
 * socket that joins before the old one has SO_REUSEPORT is refused ("Address in use": see
 * tests/unit/agent/test_port_rules.py). So the steward is called by a second order. */
static int share_now(const struct options *o, struct order *order) {
    struct examined examined;
    bool shared_before = order->number != 0 && !order->shared_before; /* by us */
    examine(o, &examined);
    if (examined.way < way_named(o->way)) {
        return fail(examined.listeners == 0 ? FAIL_SILENT : FAIL_SHARE, "%s", examined.reason);
    }
    if (shared_before && order->old == examined.old.inode) {
        examined.shares = false;
    }
    if (fill(order, o, &examined) != 0 || order_write(o->dir, order) != 0) {
        return -1;
    }
    return sharing_set(o->proc, order, 1) == 0 && join(o, order) == 0 ? 0 : undo(o, order);
}

int share(const struct options *options) {
    struct order order;
    struct json json;
    if (directory_make(options->dir) != 0 || handover_lock(options->dir) != 0 ||
        watcher_require(options->dir) != 0 ||
        order_read(options->dir, options->proc, &order) != 0) {
        return -1;
    }
    int same = find_same(options, &order);
    if (same < 0 || (same == 0 && share_now(options, &order) != 0)) {
        return -1;
    }
    begin(&json, options);
    json_string(&json, "way", options->way);
    json_number(&json, "uid", order.uid);
    return finish(&json, same == 1);
}

/* ---- release ---- */

int release(const struct options *options) {
    char kept[PATH_SIZE];
    if (handover_lock(options->dir) != 0 ||
        component_directory(kept, options->dir, options->component) != 0) {
        return -1;
    }
    if (file_exists(kept, HOLD_FILE) && file_remove(kept, HOLD_FILE) != 0) {
        return -1;
    }
    return answer_string("released", options->component);
}

/* ---- steer ---- */

/* A steward that could not do as it was told goes on as before. */
static int take_back_order(const char *dir, struct order *order) {
    char why[TEXT_SIZE];
    copy_text(why, sizeof why, failure_text());
    order->wanted = WATCHING;
    order_write(dir, order);
    return fail(FAIL_SHARE, "%s", why);
}

static int steer_to_new(const struct options *o, struct order *order, bool *already) {
    struct order_view view;
    struct progress progress;
    if (order->number == 0 || !order->seamless || strcmp(order->component, o->component) != 0) {
        return fail(FAIL_SHARE, "no steward stands for %s", o->component);
    }
    if (progress_read(o->dir, &progress) != 0) {
        return -1;
    }
    *already = order->wanted == STEERED && progress.reached == STEERED;
    if (*already) {
        return 0;
    }
    order_look(o->proc, order, &view);
    if (!progress.steward) {
        return fail(FAIL_SHARE, "no steward stands for %s: %s", o->component, progress.reason);
    }
    if (!view.new_listens) {
        return fail(FAIL_SHARE, "the new instance does not listen on port %ld", order->port);
    }
    if (sharing_order(o->dir, order, STEERED, &progress) != 0) {
        return take_back_order(o->dir, order);
    }
    if (progress.reached != STEERED || progress.steward) {
        fail(FAIL_SHARE, "%s", progress.reason);
        return take_back_order(o->dir, order);
    }
    return 0;
}

int steer(const struct options *options) {
    struct order order;
    struct json json;
    bool already = false;
    if (handover_lock(options->dir) != 0 || watcher_require(options->dir) != 0 ||
        order_read(options->dir, options->proc, &order) != 0 ||
        steer_to_new(options, &order, &already) != 0) {
        return -1;
    }
    begin(&json, options);
    json_string(&json, "phase", "steered");
    return finish(&json, already);
}

/* ---- unshare: undoes what `share` and `release` have done ---- */

/* The new instance's pods: those that were named when the port was shared, and now. */
static void name_pods(struct state *pods, const struct options *o, const struct order *order) {
    *pods = (struct state){.phase = ARMED, .port = order->port};
    copy_whole(pods->component, sizeof pods->component, o->component);
    copy_whole(pods->log_dir, sizeof pods->log_dir, o->log_dir);
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
    bool nothing = order.number == 0 || strcmp(order.component, options->component) != 0;
    if (!nothing && undo_all(options, &order) != 0) {
        return -1;
    }
    begin(&json, options);
    return finish(&json, nothing);
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
