#include "share.h"

#include <string.h>
#include <unistd.h>

#include "examine.h"
#include "failure.h"
#include "files.h"
#include "handover.h"
#include "json.h"
#include "order.h"
#include "process.h"
#include "sharing.h"
#include "syntax.h"
#include "watcher.h"

static char output[1024];

static int finish(struct json *json, bool already) {
    json_bool(json, "already", already);
    json_close(json, '}');
    return json_finish(json) == 0 ? 0 : fail(FAIL_IO, "the answer could not be written");
}

static void begin(struct json *json, const struct options *options) {
    json_start(json, output, sizeof output, STDOUT_FILENO);
    json_open(json, NULL, '{');
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
                is_loopback(o->probe_address, &order->probe_address);
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

/* Has the steward join, if there is to be one. */
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
static int share_anew(const struct options *o, struct order *order) {
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
    if (same < 0 || (same == 0 && share_anew(options, &order) != 0)) {
        return -1;
    }
    begin(&json, options);
    json_string(&json, "way", options->way);
    json_number(&json, "uid", order.uid);
    return finish(&json, same == 1);
}

/* ---- release ---- */

int release(const struct options *options) {
    struct json json;
    char kept[PATH_SIZE];
    if (handover_lock(options->dir) != 0 ||
        component_directory(kept, options->dir, options->component) != 0) {
        return -1;
    }
    if (file_exists(kept, HOLD_FILE) && file_remove(kept, HOLD_FILE) != 0) {
        return -1;
    }
    json_start(&json, output, sizeof output, STDOUT_FILENO);
    json_open(&json, NULL, '{');
    json_string(&json, "released", options->component);
    json_close(&json, '}');
    return json_finish(&json) == 0 ? 0 : fail(FAIL_IO, "the answer could not be written");
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
