/* The command that takes our directory off the node, at the very end of the way back. */
#ifndef TIDY_H
#define TIDY_H

#include "options.h"

int tidy(const struct options *options);

#endif
