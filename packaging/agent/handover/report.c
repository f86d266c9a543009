#include "handover/report.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/failure.h"
#include "base/files.h"
#include "base/json.h"
#include "base/runtime.h"
#include "handover/handover.h"
#include "handover/instance.h"
#include "handover/state.h"
#include "handover/watcher.h"
#include "node/program.h"
#include "node/sockets.h"
#include "steward/order.h"

enum {
    ENTRIES_MAX = 128,  /* files of one directory */
    TEST_BYTES = 65536, /* that are written to see whether a file can be */
};

/* ---- directories ---- */

struct listing {
    char names[ENTRIES_MAX][NAME_SIZE];
    size_t count;
};

static void add_sorted(struct listing *listing, const char *name) {
    size_t at = listing->count++;
    while (at > 0 && strcmp(listing->names[at - 1], name) > 0) {
        memcpy(listing->names[at], listing->names[at - 1], NAME_SIZE);
        at--;
    }
    snprintf(listing->names[at], NAME_SIZE, "%s", name);
}

/* The target of a symbolic link; empty if there is none, or it is too long. */
static void read_link(const char *path, char out[PATH_SIZE]) {
    ssize_t length = readlink(path, out, PATH_SIZE - 1);
    out[length < 0 || length == PATH_SIZE - 1 ? 0 : length] = '\0';
}

/* This pod has the directory above the kubelet's, as the kubelet finds it. Where that one's own last
 * part is a link to a place outside, it leads nowhere here. */
static int fail_to_list(const char *path) {
    char target[PATH_SIZE];
    int error = errno;
    read_link(path, target);
    if (error == ENOENT && target[0] != '\0') {
        return fail(FAIL_NOT_FOUND,
                    "%s is a symbolic link to %s, which this pod can't follow; set the kubelet's "
                    "staticPodPath to the directory itself",
                    path, target);
    }
    errno = error;
    return fail_errno("list", path);
}

/* The names in `path` of that kind (S_IFREG, S_IFDIR, S_IFLNK), hidden ones left out as the kubelet does. */
static int list_names(const char *path, mode_t kind, struct listing *listing) {
    char entry_path[PATH_SIZE];
    struct stat facts;
    const char *name;
    int result = 0;
    DIR *directory = opendir(path);
    listing->count = 0;
    if (directory == NULL) {
        return fail_to_list(path);
    }
    while (result == 0 && (name = directory_next(directory)) != NULL) {
        if (name[0] == '.' || path_join(entry_path, path, name) != 0 ||
            lstat(entry_path, &facts) != 0 || (facts.st_mode & S_IFMT) != kind) {
            continue;
        }
        if (listing->count == ENTRIES_MAX) {
            result = fail(FAIL_IO, "%s holds more than %d files", path, ENTRIES_MAX);
        } else {
            add_sorted(listing, name);
        }
    }
    directory_close(directory);
    return result;
}

/* ---- list ---- */

static void add_content(struct json *json, const char *path, const struct stat *facts) {
    static char content[CONTENT_MAX + 2];
    size_t length;
    bool found;
    if (facts->st_size <= CONTENT_MAX &&
        file_read(path, content, sizeof content, &length, &found) == 0 && found) {
        json_bytes(json, "content", content, length);
    } else {
        json_null(json, "content");
    }
}

static int add_file(struct json *json, const char *dir, const char *name, const char *component) {
    char path[PATH_SIZE], digest[DIGEST_SIZE], mode[8];
    struct stat facts;
    if (file_digest(dir, name, digest) != 0 || path_join(path, dir, name) != 0) {
        return failure_kind() == FAIL_NOT_FOUND ? 0 : -1; /* it has just gone */
    }
    if (lstat(path, &facts) != 0) {
        return 0;
    }
    snprintf(mode, sizeof mode, "%04o", (unsigned)facts.st_mode & 07777);
    json_open(json, NULL, '{');
    if (component != NULL) {
        json_string(json, "component", component);
    }
    json_string(json, "name", name);
    json_string(json, "mode", mode);
    json_string(json, "sha256", digest);
    add_content(json, path, &facts);
    json_close(json, '}');
    return 0;
}

static int add_files(struct json *json, const char *dir, const char *component) {
    static struct listing files;
    if (list_names(dir, S_IFREG, &files) != 0) {
        return -1;
    }
    for (size_t i = 0; i < files.count; i++) {
        bool is_hold = component != NULL && strcmp(files.names[i], HOLD_FILE) == 0;
        if (!is_hold && add_file(json, dir, files.names[i], component) != 0) {
            return -1;
        }
    }
    return 0;
}

/* The kubelet follows links (os.Stat); what is renamed here are files. */
static int add_links(struct json *json, const char *dir) {
    static struct listing links;
    char path[PATH_SIZE], target[PATH_SIZE];
    if (list_names(dir, S_IFLNK, &links) != 0) {
        return -1;
    }
    for (size_t i = 0; i < links.count; i++) {
        if (path_join(path, dir, links.names[i]) != 0) {
            return -1;
        }
        read_link(path, target);
        json_open(json, NULL, '{');
        json_string(json, "name", links.names[i]);
        json_string(json, "target", target);
        json_close(json, '}');
    }
    return 0;
}

static int add_kept(struct json *json, const char *dir) {
    static struct listing components;
    char path[PATH_SIZE];
    if (list_names(dir, S_IFDIR, &components) != 0) {
        return failure_kind() == FAIL_NOT_FOUND ? 0 : -1;
    }
    for (size_t i = 0; i < components.count; i++) {
        if (path_join(path, dir, components.names[i]) != 0 ||
            add_files(json, path, components.names[i]) != 0) {
            return -1;
        }
    }
    return 0;
}

int report_list(const struct options *options) {
    static struct listing probe;
    struct json json;
    const char *dir = options->manifests;
    /* What can fail fails before the answer has begun. */
    if (dir != NULL && list_names(dir, S_IFREG, &probe) != 0) {
        return -1;
    }
    answer_begin(&json);
    json_open(&json, "files", '[');
    int result = dir != NULL ? add_files(&json, dir, NULL) : add_kept(&json, options->dir);
    json_close(&json, ']');
    if (result == 0 && dir != NULL) {
        json_open(&json, "links", '[');
        result = add_links(&json, dir);
        json_close(&json, ']');
    }
    if (result != 0) {
        json_string(&json, "error", failure_text());
        json_string(&json, "code", failure_code());
        answer_end(&json);
        _exit(1);
    }
    return answer_end(&json);
}

/* ---- check ---- */

/* The file is where the host has it mounted: a privileged container's /sys lacks it. */
static bool selinux_enforces(const char *proc) {
    char root[PATH_SIZE], text[8];
    if (path_join(root, proc, "1/root") != 0) {
        return false;
    }
    file_line(root, "sys/fs/selinux/enforce", text, sizeof text);
    return text[0] == '1';
}

int report_check(const struct options *options) {
    static char block[TEST_BYTES];
    static struct listing probe;
    struct json json;
    char guardian[DIGEST_SIZE];
    memset(block, 'x', sizeof block); /* no hole */
    if (list_names(options->manifests, S_IFREG, &probe) != 0 ||
        directory_make(options->dir) != 0 ||
        file_replace(options->dir, "check", block, sizeof block) != 0 ||
        file_remove(options->dir, "check") != 0 ||
        program_kept_digest(options->dir, guardian) != 0) {
        return -1;
    }
    answer_begin(&json);
    json_bool(&json, "same_filesystem", same_file_system(options->manifests, options->dir));
    json_string(&json, "guardian", guardian);
    json_bool(&json, "selinux_enforces", selinux_enforces(options->proc));
    return answer_end(&json);
}

/* ---- status: where a hand-over stands ---- */

static int64_t remaining(const struct state *state) {
    int64_t left = state->deadline - boot_milliseconds();
    return (state->phase == ARMED || state->phase == PLACED) && left > 0 ? (left + 999) / 1000 : 0;
}

/* What is decided, but not done yet, is still the way it was. */
static enum phase phase_shown(enum phase phase) {
    return phase == PUTTING_BACK ? ARMED : phase == TAKING_AWAY ? PLACED : phase;
}

static void add_view(struct json *json, const char *proc, const struct state *state) {
    struct instance_view view = {0};
    if (state->phase != IDLE) {
        instance_look(proc, state, &view);
    }
    json_bool(json, "static_alive", view.static_alive);
    json_number(json, "static_servers", view.static_servers);
    json_bool(json, "listening", view.listening);
    json_number(json, "instance_processes", view.servers);
    /* The container's first start is none. */
    json_number(json, "restarts", view.starts > 1 ? view.starts - 1 : 0);
}

/* Who listens on the port that is being shared, or of the component that is armed. */
static void add_listeners(struct json *json, const char *proc, const struct state *state,
                          const struct order *order) {
    struct listeners listeners;
    struct order_view view;
    long port = order->number != 0 ? order->port : state->port;
    listeners.total = 0;
    if (port != 0) {
        listeners_find(proc, port, &listeners);
    }
    order_look(proc, order, &view);
    json_number(json, "listeners", (int64_t)listeners.total);
    json_bool(json, "old_listens", view.old_listens);
    json_bool(json, "new_listens", view.new_listens);
}

static void add_steward(struct json *json, const char *dir, const struct order *order) {
    struct progress progress = {.number = 0};
    if (order->seamless && progress_read(dir, &progress) != 0) {
        progress = (struct progress){.number = 0};
    }
    bool steered = progress.reached == STEERED && progress.number == order->number;
    json_string(json, "steward",
                progress.steward ? "watching" : steered && order->seamless ? "steered" : "none");
    json_string(json, "steward_reason", progress.reason);
}

int report_status(const struct options *options) {
    struct state state;
    struct order order;
    struct json json;
    char digest[DIGEST_SIZE];
    if (program_digest(digest) != 0 || state_read(options->dir, &state) != 0 ||
        order_read(options->dir, options->proc, &order) != 0) {
        return -1;
    }
    answer_begin(&json);
    json_string(&json, "state", phase_word(phase_shown(state.phase)));
    json_string(&json, "component", state.component);
    json_string(&json, "file", state.file);
    json_string(&json, "sha256", state.sha256);
    json_string(&json, "reason", state.reason);
    json_number(&json, "remaining", remaining(&state));
    add_view(&json, options->proc, &state);
    add_steward(&json, options->dir, &order);
    add_listeners(&json, options->proc, &state, &order);
    json_bool(&json, "agent_running", watcher_is_there(options->dir));
    json_string(&json, "program", digest);
    return answer_end(&json);
}
