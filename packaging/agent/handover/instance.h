/* The two instances of a hand-over, as one sees them from the node: processes, restarts. */
#pragma once

#include <stdbool.h>

#include "handover/state.h"

struct instance_view {
    bool static_alive;   /* any process of the static pod is left */
    int static_servers;  /* its processes that are the component */
    bool listening;      /* one of the two instances listens on the port */
    int servers;         /* the new instance's processes that are the component */
    long starts;         /* of the new instance's container since it was armed */
};

/* Whether the pod's component runs under the name of a component's program: then a pod of the other
 * instance without such a process has no server, whatever else runs in it. */
bool instance_known_program(const char *proc, const char *uid);

void instance_look(const char *proc, const struct state *state, struct instance_view *view);

/* How the log directories of the pods' DaemonSet begin ("<namespace>_<daemonset>-"): a pod that
 * replaces one of them meanwhile is known by it. Empty if the pods have no logs yet. */
void instance_find_prefix(struct state *state);

/* How often the container of the new instance's pods was started, by the log files' numbers. */
long instance_starts(const struct state *state);

/* Ends the new instance's pods, their sandboxes too, so that the kubelet runs them again from their
 * init container. Skips a pod that is just waiting there. Returns how many were signalled. */
int instance_stop(const char *proc, const struct state *state, int signal);
