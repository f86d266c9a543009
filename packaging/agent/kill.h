/* Killing a pod's server so that it is known to be dead, e.g. a leader whose lease is to be given on.
 * The kubelet starts it again. */
#ifndef KILL_H
#define KILL_H

#include "options.h"

/* The command: answers when no process that was killed is left. */
int kill_servers(const struct options *options);

#endif
