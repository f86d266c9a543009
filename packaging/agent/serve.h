/* The main process of the agent's pod: the dead man's switch. */
#ifndef SERVE_H
#define SERVE_H

#include "options.h"

/* Runs until it is told to stop, or nobody has called for --idle seconds. */
int serve(const struct options *options);

/* Notes that a command was given: the idle time starts afresh. Does nothing where there is no DIR. */
void contact_touch(const char *dir);

#endif
