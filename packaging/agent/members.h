/* The sockets that share the port, the steward's among them. What returns int gives 0, or -1 after
 * fail() (share). */
#ifndef MEMBERS_H
#define MEMBERS_H

#include "steward.h"

/* The new instance's inode: the last to join but the steward; 0: it doesn't listen. */
int64_t member_new(const struct steward *steward);

bool member_old_listens(const struct steward *steward);

/* Takes over who has come and gone; returns whether anybody has. */
bool members_refresh(struct steward *steward);

/* Gives connections to whom they belong as long as the steward stands. */
int members_steer(const struct steward *steward);

/* Gives all connections to one member. */
int members_steer_all(const struct steward *steward, int index);

/* The steward becomes a member, and steers. */
int members_join(struct steward *steward);

void members_leave(struct steward *steward);

/* A socket that listens on the order's port too, of its user and family. Returns it, or -1. */
int member_socket(const struct order *order);

#endif
