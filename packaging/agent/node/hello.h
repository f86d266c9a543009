/* What a server on this node says to a first message. */
#pragma once

#include "base/options.h"

/* The order `hello`: sends `content` to a port, and answers with what comes back until it is silent. The
 * side that gives the order reads a certificate from it. */
int hello_answer(const struct options *options);
