/* Which program this is, and which one the guardian runs: the side that gives the orders compares both.
 * What returns int gives 0, or -1 after fail(). */
#pragma once

#include "base/agent.h"

#define PROGRAM_FILE "agent" /* the guardian's, in our directory on the node */

/* The SHA-256 of the program that runs here. */
int program_digest(char hex[DIGEST_SIZE]);

/* The SHA-256 of DIR/agent; empty if there is no such file. */
int program_kept_digest(const char *dir, char hex[DIGEST_SIZE]);

/* Copies the program that runs here to DIR/agent, if it has this SHA-256. A guardian that runs keeps
 * its own program until its pod is restarted. */
int program_install(const char *dir, const char *sha256);
