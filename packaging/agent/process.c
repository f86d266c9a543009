#include "process.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "agent.h"
#include "directory.h"
#include "files.h"
#include "syntax.h"

enum role { SERVER, AGENT, PAUSE };

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

bool process_is_zombie(const char *proc, long pid) {
    char stat[1024];
    read_proc(proc, pid, "stat", stat, sizeof stat);
    /* "pid (comm) S ...", and the comm may hold anything. */
    const char *end = strrchr(stat, ')');
    return end != NULL && end[1] == ' ' && (end[2] == 'Z' || end[2] == 'X');
}

static enum role role_of(const char *proc, long pid) {
    char comm[64];
    read_proc(proc, pid, "comm", comm, sizeof comm);
    comm[strcspn(comm, "\n")] = '\0';
    /* "agent-...": ours, before it has given itself its name. */
    if (strcmp(comm, AGENT_COMM) == 0 || strncmp(comm, "agent-", 6) == 0) {
        return AGENT;
    }
    return strcmp(comm, "pause") == 0 || strcmp(comm, "pod") == 0 ? PAUSE : SERVER;
}

void process_each(const char *proc, const char *uid, void (*found)(const char *, long, void *),
                  void *argument) {
    static char cgroup[16384];
    struct directory directory;
    const char *name;
    directory_open(&directory, proc);
    while ((name = directory_next(&directory)) != NULL) {
        long pid;
        if (!is_number(name, 2, 999999999, &pid) || pid == getpid()) {
            continue;
        }
        if (uid != NULL) {
            read_proc(proc, pid, "cgroup", cgroup, sizeof cgroup);
        }
        if ((uid == NULL || cgroup_is_of_pod(cgroup, uid)) && !process_is_zombie(proc, pid)) {
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
    case AGENT:
        processes->agents++;
        break;
    case PAUSE:
        processes->pauses++;
        break;
    }
}

struct pod_processes pod_processes(const char *proc, const char *uid) {
    struct pod_processes processes = {0, 0, 0};
    process_each(proc, uid, count, &processes);
    return processes;
}

static void send(const char *proc, long pid, void *argument) {
    (void)proc;
    kill((pid_t)pid, *(int *)argument);
}

bool process_is_server(const char *proc, long pid) { return role_of(proc, pid) == SERVER; }

static void send_to_server(const char *proc, long pid, void *argument) {
    if (process_is_server(proc, pid)) {
        send(proc, pid, argument);
    }
}

void pod_signal(const char *proc, const char *uid, int signal) {
    process_each(proc, uid, send, &signal);
}

void pod_signal_servers(const char *proc, const char *uid, int signal) {
    process_each(proc, uid, send_to_server, &signal);
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
