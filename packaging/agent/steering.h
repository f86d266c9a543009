/* Who of a group of sockets gets a connection: a small program in the kernel that decides by the
 * connection's destination address. */
#ifndef STEERING_H
#define STEERING_H

#include <stdint.h>

/* Indexes into the group. One that nobody has means anybody. */
struct steering {
    int probe;     /* to the probe address */
    int loopback;  /* to ::1 */
    int localhost; /* to 127.0.0.1 */
    int rest;      /* to whatever else */
    uint32_t probe_address; /* IPv4, as a number of this machine's byte order */
};

/* Attaches the program to the group of a plain TCP socket (an MPTCP one refuses it). Replaces the one
 * that was there, and stays when the socket leaves. Returns 0, or -1 after fail() (share). */
int steering_attach(int fd, const struct steering *steering);

#endif
