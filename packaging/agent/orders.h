/* The orders: what the other side asks of the agent, each a JSON object in and one out. */
#ifndef ORDERS_H
#define ORDERS_H

#include "options.h"

/* Reads one order from standard input, up to its newline, and carries it out. Returns 0 when its
 * answer is written, or -1 after fail(): then nothing was done, or `order` says what went wrong. */
int orders_take(const struct options *options);

#endif
