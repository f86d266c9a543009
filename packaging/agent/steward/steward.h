/* The steward: a socket of ours in the group that shares a port, through which the agent that watches
 * says who gets which connection. It follows the order in DIR/steward (see order.h), and rebuilds
 * itself from it when the agent was killed.
 *
 * Whatever becomes of it, the connections go to somebody who serves: while it stands, all that the
 * new instance doesn't need go to the old one; when it has gone, the program that it leaves in the
 * kernel names the old one, or after the steering the new one; an index that nobody has means anybody. */
#pragma once

#include "base/options.h"
#include "steward/members.h"

void steward_start(struct steward *steward, const struct options *options);

/* Reads the order and does what is due. */
void steward_step(struct steward *steward);

/* Waits, and goes on steering meanwhile; a signal ends it early. */
void steward_wait(struct steward *steward, int milliseconds);

/* The agent ends: the old instance gets everything as long as it listens, and the steward leaves. */
void steward_finish(struct steward *steward);
