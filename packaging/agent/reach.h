/* What a client in the cluster meets at an address: new connections, each as far as a ServerHello. */
#ifndef REACH_H
#define REACH_H

#include "options.h"

/* The command: asks until the duration is over or SIGTERM comes, then says in one line of JSON what
 * it saw. After SIGTERM it stays for a moment: with its pod its log goes, too. */
int reach(const struct options *options);

#endif
