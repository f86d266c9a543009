#include "order.h"

#include <stdio.h>
#include <string.h>

#include "failure.h"
#include "files.h"
#include "pairs.h"
#include "process.h"
#include "sockets.h"
#include "syntax.h"

static const char order_name[] = "steward";
static const char progress_name[] = "steward-progress";
static const char *const words[] = {
    [WATCHING] = "watching",
    [STEERED] = "steered",
    [RETURNED] = "returned",
    [ENDED] = "ended",
    [SHARING] = "sharing",
};
enum { WORDS = sizeof words / sizeof words[0] };

static bool set_wanted(enum wanted *wanted, const char *value) {
    for (int i = 0; i < WORDS; i++) {
        if (strcmp(value, words[i]) == 0) {
            *wanted = (enum wanted)i;
            return true;
        }
    }
    return false;
}

static bool set_flag(bool *flag, const char *value) {
    *flag = strcmp(value, "1") == 0;
    return *flag || strcmp(value, "0") == 0;
}

static bool set_text(char *out, size_t size, const char *value, bool (*is_valid)(const char *)) {
    return (is_valid == NULL || is_valid(value)) && copy_whole(out, size, value);
}

static bool set_order(void *into, const char *key, const char *value) {
    struct order *o = into;
#define KEY(name, valid)          \
    if (strcmp(key, name) == 0) { \
        return valid;             \
    }
    KEY("number", pairs_number(value, &o->number) && o->number > 0)
    KEY("wanted", set_wanted(&o->wanted, value))
    KEY("component", set_text(o->component, sizeof o->component, value, is_component))
    KEY("pod_uid", set_text(o->pod_uid, sizeof o->pod_uid, value, is_uid))
    KEY("instance_uid", o->instances < INSTANCES_MAX &&
                            set_text(o->instance_uids[o->instances++], UID_SIZE, value, is_uid))
    KEY("seamless", set_flag(&o->seamless, value))
    KEY("shared_before", set_flag(&o->shared_before, value))
    KEY("ipv6", set_flag(&o->ipv6, value))
    KEY("ipv6_only", set_flag(&o->ipv6_only, value))
    KEY("port", is_number(value, 1, 65535, &o->port))
    KEY("uid", pairs_number(value, &o->uid) && o->uid <= UINT32_MAX)
    KEY("old", pairs_number(value, &o->old) && o->old > 0)
    KEY("probe_address", is_loopback(value, &o->probe_address))
    KEY("boot_id", set_text(o->boot_id, sizeof o->boot_id, value, NULL))
    return true;
}

static bool set_progress(void *into, const char *key, const char *value) {
    struct progress *p = into;
    KEY("number", pairs_number(value, &p->number) && p->number > 0)
    KEY("steward", set_flag(&p->steward, value))
    KEY("reached", set_wanted(&p->reached, value))
    KEY("migrate", pairs_number(value, &p->migrate) && p->migrate <= INT32_MAX)
    KEY("reason", set_text(p->reason, sizeof p->reason, value, NULL))
    return true;
#undef KEY
}

static bool is_complete(const struct order *o) {
    return o->number != 0 && o->component[0] != '\0' && o->pod_uid[0] != '\0' && o->port != 0 &&
           o->old != 0 && o->probe_address != 0;
}

int order_parse(struct order *order, const char *text) {
    *order = (struct order){.number = 0};
    if (pairs_parse(text, order_name, set_order, order) != 0) {
        return -1;
    }
    return is_complete(order) ? 0 : fail(FAIL_STATE, "the steward file is damaged: incomplete");
}

int order_print(const struct order *o, char *out, size_t size) {
    struct pairs pairs = {.out = out, .size = size};
    pairs_add(&pairs, "number=%lld\nwanted=%s\n", (long long)o->number, words[o->wanted]);
    pairs_add_text(&pairs, "component", o->component);
    pairs_add_text(&pairs, "pod_uid", o->pod_uid);
    for (size_t i = 0; i < o->instances; i++) {
        pairs_add_text(&pairs, "instance_uid", o->instance_uids[i]);
    }
    pairs_add(&pairs, "seamless=%d\nshared_before=%d\nipv6=%d\nipv6_only=%d\n", o->seamless,
              o->shared_before, o->ipv6, o->ipv6_only);
    pairs_add(&pairs, "port=%ld\nuid=%lld\nold=%lld\n", o->port, (long long)o->uid,
              (long long)o->old);
    pairs_add(&pairs, "probe_address=%u.%u.%u.%u\n", o->probe_address >> 24,
              o->probe_address >> 16 & 255, o->probe_address >> 8 & 255, o->probe_address & 255);
    pairs_add_text(&pairs, "boot_id", o->boot_id);
    return pairs_end(&pairs, order_name);
}

int progress_parse(struct progress *progress, const char *text) {
    *progress = (struct progress){.number = 0};
    return pairs_parse(text, progress_name, set_progress, progress);
}

int progress_print(const struct progress *p, char *out, size_t size) {
    struct pairs pairs = {.out = out, .size = size};
    if (p->number != 0) {
        pairs_add(&pairs, "number=%lld\n", (long long)p->number);
    }
    pairs_add(&pairs, "steward=%d\nreached=%s\nmigrate=%lld\n", p->steward, words[p->reached],
              (long long)p->migrate);
    pairs_add_text(&pairs, "reason", p->reason);
    return pairs_end(&pairs, progress_name);
}

int order_read(const char *dir, const char *proc, struct order *order) {
    char boot_id[BOOT_ID_SIZE];
    bool found;
    *order = (struct order){.number = 0};
    int result = pairs_read(dir, order_name, set_order, order, &found);
    if (result == 0 && found && !is_complete(order)) {
        result = fail(FAIL_STATE, "the steward file in %s is damaged: incomplete", dir);
    }
    boot_id_read(proc, boot_id, sizeof boot_id);
    if (result != 0 || strcmp(boot_id, order->boot_id) != 0) {
        *order = (struct order){.number = 0};
    }
    return result;
}

int order_write(const char *dir, struct order *order) {
    static char text[PAIRS_FILE_SIZE];
    int64_t now = boot_milliseconds();
    order->number = now > order->number ? now : order->number + 1;
    int length = order_print(order, text, sizeof text);
    return length < 0 ? -1 : pairs_write(dir, order_name, text, (size_t)length);
}

int order_remove(const char *dir) { return file_remove(dir, order_name); }

int progress_read(const char *dir, struct progress *progress) {
    bool found;
    *progress = (struct progress){.number = 0};
    return pairs_read(dir, progress_name, set_progress, progress, &found);
}

int progress_write(const char *dir, const struct progress *progress) {
    static char text[PAIRS_FILE_SIZE];
    int length = progress_print(progress, text, sizeof text);
    return length < 0 ? -1 : pairs_write(dir, progress_name, text, (size_t)length);
}

int progress_remove(const char *dir) { return file_remove(dir, progress_name); }

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
