/* The processes of a pod, found by the pod's UID in /proc/PID/cgroup. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/options.h"

/* What a process of a pod does. */
enum role {
    SERVER,  /* runs a component's program */
    OTHER,   /* a side-car, or a program with another name */
    AGENT,   /* one of ours: an init container that waits for the port */
    PAUSE,   /* the sandbox's own process */
    MONITOR, /* the container runtime's (conmon), which may be in the pod's cgroup: none of the pod's */
    ROLES,
};

enum { POD_PROCESSES_MAX = 128 };

struct pod_process {
    long pid;
    enum role role;
};

struct pod_processes {
    struct pod_process list[POD_PROCESSES_MAX]; /* the first ones */
    size_t count;
    int counts[ROLES];
};

/* Whether the text of a cgroup file belongs to the pod; `uid` with '-' also matches with '_', as
 * systemd's slices have it. */
bool cgroup_is_of_pod(const char *text, const char *uid);

/* `proc` is /proc, or what a test puts in its place. */
struct pod_processes pod_processes(const char *proc, const char *uid);

/* Calls `found` with `proc`, a process' id and `argument` for every process of the pod; `uid` NULL:
 * for every process. Never for pid 1 or this process. */
void process_each(const char *proc, const char *uid, void (*found)(const char *, long, void *),
                  void *argument);

/* The processes that are the component. A pod without a process of a component's program may run one
 * under another name: then every process but agents and pauses counts, a side-car's too, unless it is
 * known that the program has its own name. */
int pod_servers(const struct pod_processes *pod, bool known_program);

/* Whether the process is an agent of ours. */
bool process_is_agent(const char *proc, long pid);

/* Whether the process runs a component's program. */
bool process_is_server(const char *proc, long pid);

bool process_is_of_pod(const char *proc, long pid, const char *uid);

/* Sends the signal to every process of the pod. Never to a monitor, pid 1 or this process. */
void pod_signal(const char *proc, const char *uid, int signal);

void pod_signal_servers(const char *proc, const char *uid, int signal);

/* Content of <proc>/sys/kernel/random/boot_id; empty if it can't be read. */
void boot_id_read(const char *proc, char *out, size_t size);

/* The order `kill`: kills the pod's server, so that it is known to be dead: a leader, say, whose lease is
 * to be given on. Answers when no process that was killed is left. The kubelet starts it again. With
 * `by_name` it kills only what runs under the name of a component's program. */
int kill_servers(const struct options *options);
