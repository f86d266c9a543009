/* Who of a group of sockets gets a connection: a small program in the kernel that decides by the
 * connection's destination address. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Indexes into the group. One that nobody has means anybody. */
struct steering {
    int probe;     /* to the probe address */
    int loopback;  /* to ::1 */
    int localhost; /* to 127.0.0.1, and to what differs from it in the last `near_bits` alone */
    int rest;      /* to whatever else */
    const char *probe_address; /* IPv4 */
    unsigned near_bits;
};

/* Attaches the program to the group of a plain TCP socket (an MPTCP one refuses it). Replaces the one
 * that was there, and stays when the socket leaves. Returns 0, or -1 after fail() (share). */
int steering_attach(int fd, const struct steering *steering);

/* The same for the group of a recovery copy that stands in for the API server: the copy, which was
 * there first, has everything; whoever joins later has what that one needs to get ready. */
int steering_attach_standin(int fd);

/* The kernel's switch net.ipv4.tcp_migrate_req: with it, connections that a listener has not accepted
 * when it closes go to another one that shares its port. Since Linux 5.14; Debian's 5.10 has the switch
 * alone, without what it switches on. */

/* Whether this kernel moves such connections. */
bool migrate_works(const char *proc);

/* Turns it on. Returns what it was plus 1, or 0 where it does nothing. */
int64_t migrate_on(const char *proc);

/* Takes what migrate_on() gave. */
void migrate_restore(const char *proc, int64_t before);
