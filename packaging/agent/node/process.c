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

enum role { SERVER, OTHER, AGENT, PAUSE, MONITOR };

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

/* Reads <proc>/<pid>/<file>; a process that has gone, or a file too long, is an empty text. */
static void read_proc(const char *proc, long pid, const char *file, char *out, size_t size) {
    char path[PATH_SIZE];
    size_t length;
    bool found;
    out[0] = '\0';
    int count = snprintf(path, sizeof path, "%s/%ld/%s", proc, pid, file);
    if (count > 0 && (size_t)count < sizeof path) {
        file_read(path, out, size, &length, &found);
    }
}

/* The first `size` - 1 bytes, of a file that may be longer. */
static void read_proc_start(const char *proc, long pid, const char *file, char *out, size_t size) {
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
    read_proc_start(proc, pid, "cmdline", words, sizeof words);
    return runs_component(comm, words) ? SERVER : OTHER;
}

bool process_is_of_pod(const char *proc, long pid, const char *uid) {
    static char cgroup[CGROUP_SIZE];
    read_proc(proc, pid, "cgroup", cgroup, sizeof cgroup);
    return cgroup_is_of_pod(cgroup, uid);
}

void process_each(const char *proc, const char *uid, void (*found)(const char *, long, void *),
                  void *argument) {
    struct directory directory;
    const char *name;
    directory_open(&directory, proc);
    while ((name = directory_next(&directory)) != NULL) {
        long pid;
        if (!is_number(name, 2, 999999999, &pid) || pid == getpid()) {
            continue;
        }
        if ((uid == NULL || process_is_of_pod(proc, pid, uid)) && !process_is_zombie(proc, pid)) {
            found(proc, pid, argument);
        }
    }
    directory_close(&directory);
}

bool process_is_agent(const char *proc, long pid) { return role_of(proc, pid) == AGENT; }

static void count(const char *proc, long pid, void *argument) {
    struct pod_processes *processes = argument;
    switch (role_of(proc, pid)) {
    case SERVER:
        processes->servers++;
        break;
    case OTHER:
        processes->others++;
        break;
    case AGENT:
        processes->agents++;
        break;
    case PAUSE:
        processes->pauses++;
        break;
    case MONITOR:
        break;
    }
}

struct pod_processes pod_processes(const char *proc, const char *uid) {
    struct pod_processes processes = {.servers = 0};
    process_each(proc, uid, count, &processes);
    return processes;
}

int pod_servers(const struct pod_processes *processes, bool known_program) {
    return processes->servers > 0 || known_program ? processes->servers : processes->others;
}

static void send(const char *proc, long pid, void *argument) {
    if (role_of(proc, pid) != MONITOR) {
        kill((pid_t)pid, *(int *)argument);
    }
}

bool process_is_server(const char *proc, long pid) { return role_of(proc, pid) == SERVER; }

void pod_signal(const char *proc, const char *uid, int signal) {
    process_each(proc, uid, send, &signal);
}

enum { SERVERS_MAX = 64 };

struct server_list {
    long pids[SERVERS_MAX];
    size_t count;
};

struct server_search {
    enum role role;
    struct server_list *found;
};

static void add_server(const char *proc, long pid, void *argument) {
    struct server_search *search = argument;
    if (search->found->count < SERVERS_MAX && role_of(proc, pid) == search->role) {
        search->found->pids[search->found->count++] = pid;
    }
}

/* Finds the processes that are the component, as pod_servers() counts them. */
static void pod_find_servers(const char *proc, const char *uid, bool known_program,
                             struct server_list *found) {
    struct server_search search = {SERVER, found};
    found->count = 0;
    process_each(proc, uid, add_server, &search);
    if (found->count == 0 && !known_program) {
        search.role = OTHER;
        process_each(proc, uid, add_server, &search);
    }
}

void pod_signal_servers(const char *proc, const char *uid, int signal) {
    struct server_list servers;
    pod_find_servers(proc, uid, false, &servers);
    for (size_t i = 0; i < servers.count; i++) {
        kill((pid_t)servers.pids[i], signal);
    }
}

void boot_id_read(const char *proc, char *out, size_t size) {
    char path[PATH_SIZE], text[256];
    size_t length;
    bool found;
    out[0] = '\0';
    if (path_join(path, proc, "sys/kernel/random/boot_id") == 0 &&
        file_read(path, text, sizeof text, &length, &found) == 0) {
        text[strcspn(text, "\n")] = '\0';
        copy_text(out, size, text);
    }
}

/* ---- the order `kill` ---- */

enum { DEAD_WITHIN = 5000 /* milliseconds */ };

/* One that waits to be reaped does nothing any more. */
static bool any_lives(const char *proc, const struct server_list *processes) {
    for (size_t i = 0; i < processes->count; i++) {
        if (kill((pid_t)processes->pids[i], 0) == 0 && !process_is_zombie(proc, processes->pids[i])) {
            return true;
        }
    }
    return false;
}

int kill_servers(const struct options *options) {
    static struct server_list processes;
    pod_find_servers(options->proc, options->pod_uid, options->by_name, &processes);
    for (size_t i = 0; i < processes.count; i++) {
        kill((pid_t)processes.pids[i], SIGKILL);
    }
    int64_t end = boot_milliseconds() + DEAD_WITHIN;
    while (any_lives(options->proc, &processes)) {
        if (boot_milliseconds() >= end) {
            return fail(FAIL_STATE, "a killed process of pod %s is not gone", options->pod_uid);
        }
        sleep_milliseconds(10);
    }
    return answer_number("killed", (int64_t)processes.count);
}
