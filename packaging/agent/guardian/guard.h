/* The guardian: a static pod of this program, which the kubelet starts after a reboot when it can't
 * know yet of the DaemonSets' pods, since there is no API. */
#pragma once

#include "base/options.h"

/* The command: runs until it is told to stop. */
int guard(const struct options *options);
