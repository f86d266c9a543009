/* The kernel's switch net.ipv4.tcp_migrate_req: with it, connections that a listener has not accepted
 * when it closes go to another one that shares its port. Since Linux 5.14; Debian's 5.10 has the switch
 * alone, without what it switches on. */
#ifndef MIGRATE_H
#define MIGRATE_H

#include <stdbool.h>
#include <stdint.h>

/* Whether this kernel moves such connections. */
bool migrate_works(const char *proc);

/* Turns it on. Returns what it was plus 1, or 0 where it does nothing. */
int64_t migrate_on(const char *proc);

/* Takes what migrate_on() gave. */
void migrate_restore(const char *proc, int64_t before);

#endif
