/* The two instances of a hand-over, as one sees them from the node: processes, restarts. */
#ifndef INSTANCE_H
#define INSTANCE_H

#include <stdbool.h>

#include "state.h"

struct instance_view {
    bool static_alive;   /* any process of the static pod is left */
    int static_servers;  /* those that are more than its sandbox */
    bool listening;      /* anybody listens on the port */
    int servers;         /* processes of the new instance's pods, without pauses and our own */
    long starts;         /* of the new instance's container since it was armed */
};

void instance_look(const char *proc, const struct state *state, struct instance_view *view);

/* How the log directories of the pods' DaemonSet begin ("<namespace>_<daemonset>-"): a pod that
 * replaces one of them meanwhile is known by it. Empty if the pods have no logs yet. */
void instance_find_prefix(struct state *state);

/* How often the container of the new instance's pods was started, by the log files' numbers. */
long instance_starts(const struct state *state);

/* Ends the new instance's pods, their sandboxes too, so that the kubelet runs them again from their
 * init container. A pod that is just waiting there is left alone. Returns how many were signalled. */
int instance_stop(const char *proc, const struct state *state, int signal);

#endif
