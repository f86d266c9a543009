/* Who gets which connection while a recovery copy stands in for the API server, and the DaemonSet's own
 * comes to its side. */
#ifndef STANDIN_H
#define STANDIN_H

#include <stdint.h>

#include "recovery.h"

/* Once for each server that listens alone where the API server does: leaves a program in the kernel,
 * which gives it everything, and whoever joins later what that one needs to get ready. `*steered` is the
 * socket that this was done (or tried) for. Returns 1 when done just now, 0 when there was nothing to do,
 * -1 after fail() (share). */
int standin_steer(const char *proc, const struct guarded *guarded, int64_t *steered);

#endif
