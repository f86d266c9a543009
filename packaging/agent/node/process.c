#include "node/process.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/agent.h"
#include "base/failure.h"
#include "base/files.h"
#include "base/json.h"
#include "base/runtime.h"
#include "base/text.h"

/* The programs of the components. A name in <proc>/<pid>/comm has 15 characters at most. */
static const char *const programs[] = {"kube-apiserver", "kube-controller-manager",
                                       "kube-scheduler"};
enum { COMM_MAX = 15, CGROUP_SIZE = 16384 };

/* CRI-O's monitors of a container, where it puts them into the pod's cgroup (conmon_cgroup = "pod"; of
 * cgroupfs always): <pod's cgroup>/crio-conmon-ID, or crio-conmon-ID.scope. */
static const char *const monitors[] = {"conmon", "conmonrs"};
static const char monitors_cgroup[] = "/crio-conmon-";

static bool same_uid(const char *text, const char *uid, size_t length) {
    for (size_t i = 0; i < length; i++) {
        if (text[i] != uid[i] && !(uid[i] == '-' && text[i] == '_')) {
            return false; /* also the end of the text */
        }
    }
    return true;
}

bool cgroup_is_of_pod(const char *text, const char *uid) {
    size_t length = strlen(uid);
    if (!is_uid(uid)) {
        return false;
    }
    /* cgroupfs: /kubepods/burstable/podUID/ID; systemd: .../kubepods-burstable-podUID.slice/... */
    for (const char *at = text; (at = strstr(at, "pod")) != NULL; at += 3) {
        const char *end = at + 3 + length;
        if (at != text && (at[-1] == '/' || at[-1] == '-') && same_uid(at + 3, uid, length) &&
            (*end == '/' || *end == '.' || *end == '\n' || *end == '\0')) {
            return true;
        }
    }
    return false;
}

/* The first `size` - 1 bytes of <proc>/<pid>/<file>; of a process that has gone: none. */
static void read_proc(const char *proc, long pid, const char *file, char *out, size_t size) {
    char path[PATH_SIZE];
    ssize_t length = 0;
    int count = snprintf(path, sizeof path, "%s/%ld/%s", proc, pid, file);
    int fd = count > 0 && (size_t)count < sizeof path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        length = read(fd, out, size - 1);
        close(fd);
    }
    out[length < 0 ? 0 : length] = '\0';
}

/* Whether it has ended and only waits to be reaped. */
static bool process_is_zombie(const char *proc, long pid) {
    char stat[1024];
    read_proc(proc, pid, "stat", stat, sizeof stat);
    /* "pid (comm) S ...", and the comm may hold anything. */
    const char *end = strrchr(stat, ')');
    return end != NULL && end[1] == ' ' && (end[2] == 'Z' || end[2] == 'X');
}

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

/* By the name that the kernel has of it, or the one that it was started by (its first word). */
static bool runs_component(const char *comm, const char *first_word) {
    for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++) {
        if (strncmp(comm, programs[i], COMM_MAX) == 0 ||
            strcmp(base_name(first_word), programs[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_monitor(const char *comm, const char *cgroup) {
    for (size_t i = 0; i < sizeof monitors / sizeof monitors[0]; i++) {
        if (strcmp(comm, monitors[i]) == 0) {
            return true;
        }
    }
    return strstr(cgroup, monitors_cgroup) != NULL;
}

static enum role role_of(const char *proc, long pid) {
    static char cgroup[CGROUP_SIZE];
    char comm[64], words[PATH_SIZE];
    read_proc(proc, pid, "comm", comm, sizeof comm);
    comm[strcspn(comm, "\n")] = '\0';
    /* "agent-...": ours, before it has given itself its name. */
    if (strcmp(comm, AGENT_COMM) == 0 || strncmp(comm, "agent-", 6) == 0) {
        return AGENT;
    }
    if (strcmp(comm, "pause") == 0 || strcmp(comm, "pod") == 0) {
        return PAUSE;
    }
    read_proc(proc, pid, "cgroup", cgroup, sizeof cgroup);
    if (is_monitor(comm, cgroup)) {
        return MONITOR;
    }
    read_proc(proc, pid, "cmdline", words, sizeof words);
    return runs_component(comm, words) ? SERVER : OTHER;
}

bool process_is_of_pod(const char *proc, long pid, const char *uid) {
    static char cgroup[CGROUP_SIZE];
    read_proc(proc, pid, "cgroup", cgroup, sizeof cgroup);
    return cgroup_is_of_pod(cgroup, uid);
}

void process_each(const char *proc, const char *uid, void (*found)(const char *, long, void *),
                  void *argument) {
    const char *name;
    DIR *directory = opendir(proc);
    while ((name = directory_next(directory)) != NULL) {
        int64_t number;
        if (!is_number(name, 2, INT32_MAX, &number) || number == getpid()) {
            continue;
        }
        long pid = (long)number;
        if ((uid == NULL || process_is_of_pod(proc, pid, uid)) && !process_is_zombie(proc, pid)) {
            found(proc, pid, argument);
        }
    }
    directory_close(directory);
}

bool process_is_agent(const char *proc, long pid) { return role_of(proc, pid) == AGENT; }

bool process_is_server(const char *proc, long pid) { return role_of(proc, pid) == SERVER; }

static void add(const char *proc, long pid, void *argument) {
    struct pod_processes *pod = argument;
    enum role role = role_of(proc, pid);
    pod->counts[role]++;
    if (pod->count < POD_PROCESSES_MAX) {
        pod->list[pod->count++] = (struct pod_process){pid, role};
    }
}

struct pod_processes pod_processes(const char *proc, const char *uid) {
    struct pod_processes pod = {.count = 0};
    process_each(proc, uid, add, &pod);
    return pod;
}

/* The role of the processes that are the component. */
static enum role role_of_servers(const struct pod_processes *pod, bool known_program) {
    return pod->counts[SERVER] > 0 || known_program ? SERVER : OTHER;
}

int pod_servers(const struct pod_processes *pod, bool known_program) {
    return pod->counts[role_of_servers(pod, known_program)];
}

void pod_signal(const char *proc, const char *uid, int signal) {
    struct pod_processes pod = pod_processes(proc, uid);
    for (size_t i = 0; i < pod.count; i++) {
        if (pod.list[i].role != MONITOR) {
            kill((pid_t)pod.list[i].pid, signal);
        }
    }
}

/* Signals the processes that are the component, and leaves only those in `pod`. */
static void signal_servers(struct pod_processes *pod, bool known_program, int signal) {
    enum role role = role_of_servers(pod, known_program);
    size_t servers = 0;
    for (size_t i = 0; i < pod->count; i++) {
        if (pod->list[i].role == role) {
            kill((pid_t)pod->list[i].pid, signal);
            pod->list[servers++] = pod->list[i];
        }
    }
    pod->count = servers;
}

void pod_signal_servers(const char *proc, const char *uid, int signal) {
    struct pod_processes pod = pod_processes(proc, uid);
    signal_servers(&pod, false, signal);
}

void boot_id_read(const char *proc, char *out, size_t size) {
    file_line(proc, "sys/kernel/random/boot_id", out, size);
}

/* ---- the order `kill` ---- */

enum { DEAD_WITHIN = 5000 /* milliseconds */ };

/* One that waits to be reaped does nothing any more. */
static bool any_lives(const char *proc, const struct pod_processes *pod) {
    for (size_t i = 0; i < pod->count; i++) {
        if (kill((pid_t)pod->list[i].pid, 0) == 0 && !process_is_zombie(proc, pod->list[i].pid)) {
            return true;
        }
    }
    return false;
}

int kill_servers(const struct options *options) {
    struct pod_processes pod = pod_processes(options->proc, options->pod_uid);
    signal_servers(&pod, options->by_name, SIGKILL);
    int64_t end = boot_milliseconds() + DEAD_WITHIN;
    while (any_lives(options->proc, &pod)) {
        if (boot_milliseconds() >= end) {
            return fail(FAIL_STATE, "a killed process of pod %s is not gone", options->pod_uid);
        }
        sleep_milliseconds(10);
    }
    return answer_number("killed", (int64_t)pod.count);
}
