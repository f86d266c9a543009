/* Waiting until a port can be had. */
#pragma once

#include "base/options.h"

/* The command: returns 0 once every address could be bound, sharing, and the hold file is gone. With
 * --user it binds sockets of that user: a server that isn't root may have a port below 1024 by a
 * capability of its program's file, which no other program has under its user. */
int port_wait(const struct options *options);
