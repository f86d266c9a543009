/* The processes of a pod, found by the pod's UID in /proc/PID/cgroup. */
#ifndef PROCESS_H
#define PROCESS_H

#include <stdbool.h>
#include <stddef.h>

/* How many processes of a pod there are, by what they do. */
struct pod_processes {
    int servers; /* the component itself, and whatever else isn't one of the two below */
    int agents;  /* of ours: an init container that waits for the port */
    int pauses;  /* the sandbox's own process */
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

/* Whether the process is an agent of ours. */
bool process_is_agent(const char *proc, long pid);

/* Whether it is neither that nor a sandbox's own process. */
bool process_is_server(const char *proc, long pid);

/* Whether it has ended and only waits to be reaped. */
bool process_is_zombie(const char *proc, long pid);

/* Sends the signal to every process of the pod. Never to pid 1 or this process. */
void pod_signal(const char *proc, const char *uid, int signal);

/* The same for servers alone. */
void pod_signal_servers(const char *proc, const char *uid, int signal);

/* Content of <proc>/sys/kernel/random/boot_id; empty if it can't be read. */
void boot_id_read(const char *proc, char *out, size_t size);

#endif
