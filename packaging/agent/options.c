#include "options.h"

#include <string.h>

#include "failure.h"
#include "syntax.h"

enum syntax { PATH, FILE_NAME, COMPONENT, DIGEST, UID, TEXT, WAY, LOOPBACK, KEPT, NUMBER };

static const struct {
    const char *name;
    enum syntax syntax;
    long low, high; /* of a number */
} table[OPT_COUNT] = {
    [OPT_DIR] = {"--dir", PATH, 0, 0},
    [OPT_MANIFESTS] = {"--manifests", PATH, 0, 0},
    [OPT_COMPONENT] = {"--component", COMPONENT, 0, 0},
    [OPT_CONTAINER] = {"--container", COMPONENT, 0, 0},
    [OPT_FILE] = {"--file", FILE_NAME, 0, 0},
    [OPT_SHA256] = {"--sha256", DIGEST, 0, 0},
    [OPT_REASON] = {"--reason", TEXT, 0, 0},
    [OPT_STATIC_UID] = {"--static-uid", UID, 0, 0},
    [OPT_INSTANCE_UID] = {"--instance-uid", UID, 0, 0},
    [OPT_POD_UID] = {"--pod-uid", UID, 0, 0},
    [OPT_WAY] = {"--way", WAY, 0, 0},
    [OPT_PROBE_ADDRESS] = {"--probe-address", LOOPBACK, 0, 0},
    [OPT_LOG_DIR] = {"--log-dir", PATH, 0, 0},
    [OPT_PORT] = {"--port", NUMBER, 1, 65535},
    [OPT_LIMIT] = {"--limit", NUMBER, 1, 86400},
    [OPT_LISTEN_LIMIT] = {"--listen-limit", NUMBER, 1, 86400},
    [OPT_ADDRESS] = {"--address", TEXT, 0, 0},
    [OPT_HOLD] = {"--hold", PATH, 0, 0},
    [OPT_IDLE] = {"--idle", NUMBER, 1, 86400},
    [OPT_BYTES] = {"--bytes", NUMBER, 1, 64 << 20},
    [OPT_PROC] = {"--proc", PATH, 0, 0},
    [OPT_RATE] = {"--rate", NUMBER, 1, 1000},
    [OPT_DURATION] = {"--duration", NUMBER, 1, 604800},
    [OPT_OFFSET] = {"--offset", NUMBER, 0, 1 << 20},
    [OPT_CONTENT] = {"--content", TEXT, 0, 0},
    [OPT_KEEP] = {"--keep", KEPT, 0, 0},
    [OPT_FORMER] = {"--former", DIGEST, 0, 0},
};

static bool fits(enum option option, const char *value, long *number) {
    uint32_t address;
    switch (table[option].syntax) {
    case PATH:
        return is_path(value);
    case FILE_NAME:
        return is_file_name(value);
    case COMPONENT:
        return is_component(value);
    case DIGEST:
        return is_digest(value);
    case UID:
        return is_uid(value);
    case TEXT:
        return value[0] != '\0';
    case WAY:
        return is_way(value);
    case LOOPBACK:
        return is_loopback(value, &address);
    case KEPT:
        return strcmp(value, "backups") == 0;
    case NUMBER:
        return is_number(value, table[option].low, table[option].high, number);
    }
    return false;
}

static int append(const char **list, size_t *count, size_t room, const char *value,
                  const char *name) {
    if (*count == room) {
        return fail(FAIL_USAGE, "%s is given more than %d times", name, (int)room);
    }
    list[(*count)++] = value;
    return 0;
}

static int keep(struct options *o, enum option option, const char *value, long number) {
    const char **const texts[OPT_COUNT] = {
        [OPT_DIR] = &o->dir,
        [OPT_MANIFESTS] = &o->manifests,
        [OPT_COMPONENT] = &o->component,
        [OPT_CONTAINER] = &o->container,
        [OPT_FILE] = &o->file,
        [OPT_SHA256] = &o->sha256,
        [OPT_REASON] = &o->reason,
        [OPT_STATIC_UID] = &o->static_uid,
        [OPT_POD_UID] = &o->pod_uid,
        [OPT_WAY] = &o->way,
        [OPT_PROBE_ADDRESS] = &o->probe_address,
        [OPT_LOG_DIR] = &o->log_dir,
        [OPT_HOLD] = &o->hold,
        [OPT_CONTENT] = &o->content,
        [OPT_KEEP] = &o->keep,
        [OPT_FORMER] = &o->former,
        [OPT_PROC] = &o->proc,
    };
    long *const numbers[OPT_COUNT] = {
        [OPT_PORT] = &o->port, [OPT_LIMIT] = &o->limit, [OPT_LISTEN_LIMIT] = &o->listen_limit,
        [OPT_IDLE] = &o->idle, [OPT_BYTES] = &o->bytes,
        [OPT_RATE] = &o->rate, [OPT_DURATION] = &o->duration, [OPT_OFFSET] = &o->offset,
    };
    if (texts[option] != NULL) {
        *texts[option] = value;
    } else if (numbers[option] != NULL) {
        *numbers[option] = number;
    } else if (option == OPT_ADDRESS) {
        return append(o->addresses, &o->address_count, ADDRESSES_MAX, value, "--address");
    } else {
        return append(o->instance_uids, &o->instances, INSTANCES_MAX, value, "--instance-uid");
    }
    return 0;
}

static enum option option_named(const char *name) {
    int option = 0;
    while (option < OPT_COUNT && strcmp(table[option].name, name) != 0) {
        option++;
    }
    return (enum option)option;
}

int options_read(struct options *options, int count, char *const *words, unsigned needed,
                 unsigned allowed) {
    unsigned given = 0;
    *options = (struct options){
        .proc = "/proc", .probe_address = "127.0.0.1", .limit = 300, .listen_limit = 60,
        .idle = 600, .bytes = 65536};
    for (int i = 0; i < count; i += 2) {
        enum option option = option_named(words[i]);
        long number = 0;
        if (option == OPT_COUNT || ((needed | allowed) & 1u << option) == 0) {
            return fail(FAIL_USAGE, "this command takes no argument '%.60s'", words[i]);
        }
        if (i + 1 == count) {
            return fail(FAIL_USAGE, "%s needs a value", words[i]);
        }
        if (!fits(option, words[i + 1], &number)) {
            return fail(FAIL_USAGE, "%s can't be '%.200s'", words[i], words[i + 1]);
        }
        if (keep(options, option, words[i + 1], number) != 0) {
            return -1;
        }
        given |= 1u << option;
    }
    for (int option = 0; option < OPT_COUNT; option++) {
        if (needed & ~given & 1u << option) {
            return fail(FAIL_USAGE, "this command needs %s", table[option].name);
        }
    }
    return 0;
}
