#include "handover/instance.h"

#include <stdio.h>
#include <string.h>

#include "base/files.h"
#include "base/text.h"
#include "node/process.h"
#include "node/sockets.h"

/* What the API server appends to a DaemonSet's name to name a pod, after a dash. */
enum { POD_SUFFIX = 5 };

/* The highest <n> of <dir>/<n>.log plus one: the kubelet numbers them by the container's restarts
 * (Kubernetes 1.14 and later) and keeps the latest. Rotated ones (0.log.2026...) count the same. */
static long starts_in(const char *dir) {
    const char *name;
    long starts = 0;
    DIR *directory = opendir(dir);
    while ((name = directory_next(directory)) != NULL) {
        long number;
        int length = 0;
        if (sscanf(name, "%9ld.log%n", &number, &length) == 1 && length > 0 && number >= starts) {
            starts = number + 1;
        }
    }
    directory_close(directory);
    return starts;
}

/* Pods' log directories are named <namespace>_<name>_<uid>. */
static bool is_log_directory_of(const char *name, const char *uid) {
    const char *last = strrchr(name, '_');
    return last != NULL && strcmp(last + 1, uid) == 0;
}

long instance_starts(const struct state *state) {
    const char *name;
    char pod[PATH_SIZE], container[PATH_SIZE];
    long starts = 0;
    DIR *directory = opendir(state->log_dir);
    while ((name = directory_next(directory)) != NULL) {
        for (size_t i = 0; i < state->instances; i++) {
            if (is_log_directory_of(name, state->instance_uids[i]) &&
                path_join(pod, state->log_dir, name) == 0 &&
                path_join(container, pod, state->container) == 0) {
                starts += starts_in(container);
            }
        }
    }
    directory_close(directory);
    return starts;
}

/* "<namespace>_<daemonset>-" of "<namespace>_<daemonset>-x7k2p_<uid>". */
static void set_prefix(struct state *state, const char *name) {
    char prefix[NAME_SIZE];
    if (!copy_whole(prefix, sizeof prefix, name)) {
        return;
    }
    *strrchr(prefix, '_') = '\0';
    char *dash = strrchr(prefix, '-');
    if (dash != NULL && strlen(dash) == 1 + POD_SUFFIX) {
        dash[1] = '\0';
        if (is_file_name(prefix)) {
            copy_whole(state->log_prefix, sizeof state->log_prefix, prefix);
        }
    }
}

void instance_find_prefix(struct state *state) {
    const char *name;
    state->log_prefix[0] = '\0';
    DIR *directory = opendir(state->log_dir);
    while ((name = directory_next(directory)) != NULL) {
        for (size_t i = 0; i < state->instances; i++) {
            if (is_log_directory_of(name, state->instance_uids[i])) {
                set_prefix(state, name);
            }
        }
    }
    directory_close(directory);
}

struct pods {
    char uids[2 * INSTANCES_MAX][UID_SIZE];
    size_t count;
};

static void add_pod(struct pods *pods, const char *uid) {
    for (size_t i = 0; i < pods->count; i++) {
        if (strcmp(pods->uids[i], uid) == 0) {
            return;
        }
    }
    if (pods->count < 2 * INSTANCES_MAX && is_uid(uid)) {
        copy_whole(pods->uids[pods->count++], UID_SIZE, uid);
    }
}

/* The pods that were named when it was armed, and those that the DaemonSet has put in their place. */
static void find_pods(const struct state *state, struct pods *pods) {
    const char *name;
    size_t length = strlen(state->log_prefix);
    pods->count = 0;
    for (size_t i = 0; i < state->instances; i++) {
        add_pod(pods, state->instance_uids[i]);
    }
    DIR *directory = length == 0 ? NULL : opendir(state->log_dir);
    while ((name = directory_next(directory)) != NULL) {
        if (strncmp(name, state->log_prefix, length) == 0 &&
            strcspn(name + length, "_-") == POD_SUFFIX && name[length + POD_SUFFIX] == '_') {
            add_pod(pods, name + length + POD_SUFFIX + 1);
        }
    }
    directory_close(directory);
}

/* The process of one of the two instances that has the socket open. */
static struct holder holder_in_pods(const char *proc, const struct state *state,
                                    const struct pods *pods, int64_t inode) {
    struct holder holder = {.pid = 0};
    if (state->static_uid[0] != '\0') {
        holder = socket_holder(proc, state->static_uid, inode);
    }
    for (size_t i = 0; holder.pid == 0 && i < pods->count; i++) {
        holder = socket_holder(proc, pods->uids[i], inode);
    }
    return holder;
}

/* A proxy at another address of the node may have the same port, and is no server. A component's program
 * is one in whatever pod: that may have replaced one that was named. What nobody is seen to hold counts,
 * for the switch must not fall back because of it. */
static bool is_listening(const char *proc, const struct state *state, const struct pods *pods) {
    struct listeners listeners;
    listeners_find(proc, state->port, &listeners);
    for (size_t i = 0; i < listeners.count; i++) {
        int64_t inode = listeners.list[i].inode;
        if (holder_in_pods(proc, state, pods, inode).pid != 0) {
            return true;
        }
        struct holder holder = socket_holder(proc, NULL, inode);
        if (holder.pid == 0 || process_is_server(proc, holder.pid)) {
            return true;
        }
    }
    return false;
}

bool instance_known_program(const char *proc, const char *uid) {
    return uid[0] != '\0' && pod_processes(proc, uid).counts[SERVER] > 0;
}

void instance_look(const char *proc, const struct state *state, struct instance_view *view) {
    struct pods pods;
    find_pods(state, &pods);
    *view = (struct instance_view){.listening = is_listening(proc, state, &pods)};
    if (state->static_uid[0] != '\0') {
        struct pod_processes p = pod_processes(proc, state->static_uid);
        view->static_alive = p.counts[SERVER] + p.counts[OTHER] + p.counts[AGENT] + p.counts[PAUSE] > 0;
        view->static_servers = pod_servers(&p, state->known_program);
    }
    for (size_t i = 0; i < pods.count; i++) {
        struct pod_processes p = pod_processes(proc, pods.uids[i]);
        view->servers += pod_servers(&p, state->known_program);
    }
    long starts = instance_starts(state) - state->starts;
    view->starts = starts < 0 ? 0 : starts;
}

int instance_stop(const char *proc, const struct state *state, int signal) {
    struct pods pods;
    int told = 0;
    find_pods(state, &pods);
    for (size_t i = 0; i < pods.count; i++) {
        struct pod_processes p = pod_processes(proc, pods.uids[i]);
        /* A side-car may run while an init container waits; the component can't. */
        bool waits = p.counts[SERVER] == 0 && p.counts[AGENT] > 0;
        if (!waits && p.counts[SERVER] + p.counts[OTHER] + p.counts[PAUSE] > 0) {
            pod_signal(proc, pods.uids[i], signal);
            told++;
        }
    }
    return told;
}
