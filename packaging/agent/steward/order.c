#include "steward/order.h"

#include <string.h>

#include "base/files.h"
#include "base/record.h"
#include "base/text.h"
#include "node/process.h"
#include "node/sockets.h"

static const char *const words[] = {
    [WATCHING] = "watching",
    [STEERED] = "steered",
    [RETURNED] = "returned",
    [ENDED] = "ended",
    [SHARING] = "sharing",
};

static const struct field order_fields[] = {
    RECORD_NUMBER(order, number, true, 1, INT64_MAX),
    RECORD_WORD(order, wanted, "wanted", words, WATCHING, false),
    RECORD_TEXT(order, component, true, is_component),
    RECORD_TEXT(order, pod_uid, true, is_uid),
    RECORD_UIDS(order, instance_uids, instances),
    RECORD_FLAG(order, seamless),
    RECORD_FLAG(order, shared_before),
    RECORD_FLAG(order, ipv6),
    RECORD_FLAG(order, ipv6_only),
    RECORD_LONG(order, port, true, 1, 65535),
    RECORD_NUMBER(order, uid, false, 0, UINT32_MAX),
    RECORD_NUMBER(order, old, true, 1, INT64_MAX),
    RECORD_TEXT(order, probe_address, true, is_loopback),
    RECORD_TEXT(order, boot_id, false, NULL),
};
const struct record order_record = RECORD("steward", order_fields);

static const struct field progress_fields[] = {
    RECORD_NUMBER(progress, number, false, 1, INT64_MAX),
    RECORD_FLAG(progress, steward),
    RECORD_WORD(progress, reached, "reached", words, WATCHING, false),
    RECORD_NUMBER(progress, migrate, false, 0, INT32_MAX),
    RECORD_TEXT(progress, reason, false, NULL),
};
const struct record progress_record = RECORD("steward-progress", progress_fields);

int order_read(const char *dir, const char *proc, struct order *order) {
    char boot_id[BOOT_ID_SIZE];
    bool found;
    *order = (struct order){.number = 0};
    int result = record_read(&order_record, dir, order, &found);
    boot_id_read(proc, boot_id, sizeof boot_id);
    if (result != 0 || strcmp(boot_id, order->boot_id) != 0) {
        *order = (struct order){.number = 0};
    }
    return result;
}

int order_write(const char *dir, struct order *order) {
    int64_t now = boot_milliseconds();
    order->number = now > order->number ? now : order->number + 1;
    return record_write(&order_record, dir, order);
}

int order_remove(const char *dir) { return file_remove(dir, order_record.name); }

int progress_read(const char *dir, struct progress *progress) {
    bool found;
    *progress = (struct progress){.number = 0};
    return record_read(&progress_record, dir, progress, &found);
}

int progress_write(const char *dir, const struct progress *progress) {
    return record_write(&progress_record, dir, progress);
}

int progress_remove(const char *dir) { return file_remove(dir, progress_record.name); }

/* Whether the process is of the new instance: in a pod that the order names, or a component's program
 * in another pod, which has replaced that one. A proxy that has the port at another address isn't. */
static bool is_new(const char *proc, const struct order *order, long pid) {
    bool found = process_is_server(proc, pid);
    for (size_t i = 0; i < order->instances; i++) {
        found = found || process_is_of_pod(proc, pid, order->instance_uids[i]);
    }
    return found && !process_is_agent(proc, pid);
}

void order_look(const char *proc, const struct order *order, struct order_view *view) {
    struct listeners listeners;
    *view = (struct order_view){.old_listens = false};
    if (order->number == 0) {
        return;
    }
    listeners_find(proc, order->port, &listeners);
    for (size_t i = 0; i < listeners.count; i++) {
        int64_t inode = listeners.list[i].inode;
        if (inode == order->old) {
            view->old_listens = true;
            continue;
        }
        struct holder holder = socket_holder(proc, NULL, inode);
        view->new_listens |= holder.pid != 0 && is_new(proc, order, holder.pid);
    }
}
