/* The kernel's switch net.ipv4.tcp_migrate_req (Linux 5.14): with it, connections that a listener
 * has not accepted when it closes go to another one that shares its port. */
#ifndef MIGRATE_H
#define MIGRATE_H

#include <stdint.h>

/* Turns it on. Returns what it was plus 1, or 0 where there is no such switch. */
int64_t migrate_on(const char *proc);

/* Takes what migrate_on() gave. */
void migrate_restore(const char *proc, int64_t before);

#endif
