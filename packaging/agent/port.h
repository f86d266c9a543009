/* Ports: who listens, and waiting until one can be had. */
#ifndef PORT_H
#define PORT_H

#include <stdbool.h>

#include "options.h"

/* Whether any socket of this network namespace listens on the TCP port. */
bool port_is_listening(const char *proc, long port);

/* The command: returns 0 once every address could be bound, sharing, and the hold file is gone. */
int port_wait(const struct options *options);

#endif
