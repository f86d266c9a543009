#include "instance.h"

#include <stdio.h>
#include <string.h>

#include "directory.h"
#include "files.h"
#include "port.h"
#include "process.h"
#include "syntax.h"

/* The highest <n> of <dir>/<n>.log plus one: the kubelet numbers them by the container's restarts
 * (Kubernetes 1.14 and later) and keeps the latest. Rotated ones (0.log.2026...) count the same. */
static long starts_in(const char *dir) {
    struct directory directory;
    const char *name;
    long starts = 0;
    directory_open(&directory, dir);
    while ((name = directory_next(&directory)) != NULL) {
        char digits[12];
        long number;
        size_t length = strspn(name, "0123456789");
        if (length == 0 || length >= sizeof digits || strncmp(name + length, ".log", 4) != 0) {
            continue;
        }
        memcpy(digits, name, length);
        digits[length] = '\0';
        if (is_number(digits, 0, 999999998, &number) && number + 1 > starts) {
            starts = number + 1;
        }
    }
    directory_close(&directory);
    return starts;
}

/* Pods' log directories are named <namespace>_<name>_<uid>. */
static bool is_log_directory_of(const char *name, const char *uid) {
    const char *last = strrchr(name, '_');
    return last != NULL && strcmp(last + 1, uid) == 0;
}

long instance_starts(const struct state *state) {
    struct directory directory;
    const char *name;
    char pod[PATH_SIZE], container[PATH_SIZE];
    long starts = 0;
    directory_open(&directory, state->log_dir);
    while ((name = directory_next(&directory)) != NULL) {
        for (size_t i = 0; i < state->instances; i++) {
            if (is_log_directory_of(name, state->instance_uids[i]) &&
                path_join(pod, state->log_dir, name) == 0 &&
                path_join(container, pod, state->container) == 0) {
                starts += starts_in(container);
            }
        }
    }
    directory_close(&directory);
    return starts;
}

void instance_look(const char *proc, const struct state *state, struct instance_view *view) {
    *view = (struct instance_view){.listening = port_is_listening(proc, state->port)};
    if (state->static_uid[0] != '\0') {
        struct pod_processes p = pod_processes(proc, state->static_uid);
        view->static_alive = p.servers + p.agents + p.pauses > 0;
    }
    for (size_t i = 0; i < state->instances; i++) {
        view->servers += pod_processes(proc, state->instance_uids[i]).servers;
    }
    long starts = instance_starts(state) - state->starts;
    view->starts = starts < 0 ? 0 : starts;
}

int instance_stop(const char *proc, const struct state *state, int signal) {
    int stopped = 0;
    for (size_t i = 0; i < state->instances; i++) {
        struct pod_processes p = pod_processes(proc, state->instance_uids[i]);
        bool waits = p.servers == 0 && p.agents > 0;
        if (!waits && p.servers + p.pauses > 0) {
            pod_signal(proc, state->instance_uids[i], signal);
            stopped++;
        }
    }
    return stopped;
}
