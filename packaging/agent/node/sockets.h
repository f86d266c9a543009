/* Listening sockets of other processes: which there are, whose they are, a duplicate of one. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <netinet/in.h>

enum {
    LISTENERS_MAX = 16,
    ADDRESS_SIZE = 48, /* an address as text */
};

struct listener {
    int64_t inode; /* which /proc names a socket by */
    int64_t uid;   /* of the user that made it */
    bool ipv6;
    unsigned char address[16]; /* an IPv4 one has 4 bytes */
};

/* The first LISTENERS_MAX of them, and how many there are. */
struct listeners {
    struct listener list[LISTENERS_MAX];
    size_t count;
    size_t total;
};

enum table_line {
    LINE_OTHER,    /* a heading, another port */
    LINE_LISTENER, /* of the port */
    LINE_PAST,     /* a connection: no listener comes after it */
};

/* A line of /proc/net/tcp or tcp6. */
enum table_line table_line_parse(const char *line, long port, struct listener *listener);

/* All sockets of this network namespace that listen on the TCP port. */
void listeners_find(const char *proc, long port, struct listeners *listeners);

/* The sockets of a server that was told to listen at `address`: at just that one, or, where it is a
 * wildcard, at a wildcard of any family (a Go server that is told 0.0.0.0 listens on [::]). All sockets
 * where `address` is no address. */
void listeners_find_at(const char *proc, long port, const char *address,
                       struct listeners *listeners);

bool listener_is_wildcard(const struct listener *listener);

/* Makes a listener at the address, without an inode; returns whether the text is an address. */
bool listener_at(struct listener *listener, const char *address);

/* Whether two sockets of one port have an address in common. */
bool listener_overlaps(const struct listener *a, const struct listener *b);

void listener_address(const struct listener *listener, char out[ADDRESS_SIZE]);

/* A TCP socket that has the address, and shares the port as a server with --permit-port-sharing does; it
 * doesn't listen. Only sockets of one user share a port, and a socket's user is its maker's user for
 * files: `at->uid`, which needs CAP_SETUID if it is another one. Returns the socket, or -1 with errno after
 * fail() (share). */
int socket_that_shares(const struct listener *at, long port, int ipv6_only);

/* Whether this node has the IPv6 address. */
bool socket_has_ipv6(const struct in6_addr *address);

/* The number in "socket:[123]"; 0 if the text is something else. */
int64_t socket_inode(const char *link);

/* Where a socket is open. */
struct holder {
    long pid; /* 0: nowhere */
    int fd;
};

/* The first process of the pod (`uid` NULL: of all) that has the socket open. */
struct holder socket_holder(const char *proc, const char *uid, int64_t inode);

/* The same socket as a descriptor of this process (pidfd_getfd(2), Linux 5.6). Returns it, or -1
 * after fail() (share). */
int socket_duplicate(struct holder holder, int64_t inode);
