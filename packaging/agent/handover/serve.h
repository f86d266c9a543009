/* The main process of the agent's pod: the dead man's switch. */
#pragma once

#include "base/options.h"

/* Runs until it is told to stop, or nobody has called for --idle seconds. */
int serve(const struct options *options);

/* Notes that an order was given: the idle time starts again at zero. Without DIR it does nothing. */
void contact_touch(const char *dir);
