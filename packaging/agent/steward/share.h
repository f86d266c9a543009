/* The orders that share the port of a server that runs, and steer it: share, release, steer,
 * unshare. Each makes its change under the hand-over's lock, and prints its answer. */
#pragma once

#include "base/options.h"

int share(const struct options *options);
int release(const struct options *options);
int steer(const struct options *options);
int unshare_port(const struct options *options);

/* For an agent that ends: the order goes, and so does the sharing unless somebody shares. */
void share_end(const struct options *options);
