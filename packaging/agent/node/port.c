#include "node/port.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/failure.h"
#include "base/runtime.h"
#include "node/sockets.h"

enum { POLL_HOLD = 50, POLL_PORT = 20, REASON_SIZE = PATH_SIZE + 64 };

struct target {
    struct sockaddr_storage address;
    socklen_t size;
    const char *text;
};

static void set_ipv6(struct target *target, struct in6_addr address, long port) {
    struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)&target->address;
    ipv6->sin6_family = AF_INET6;
    ipv6->sin6_port = htons((uint16_t)port);
    ipv6->sin6_addr = address;
    target->size = sizeof *ipv6;
}

static void set_ipv4(struct target *target, struct in_addr address, long port) {
    struct sockaddr_in *ipv4 = (struct sockaddr_in *)&target->address;
    ipv4->sin_family = AF_INET;
    ipv4->sin_port = htons((uint16_t)port);
    ipv4->sin_addr = address;
    target->size = sizeof *ipv4;
}

static bool has_ipv6(void) {
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        close(fd);
    }
    return fd >= 0;
}

/* A Go server (net.Listen "tcp") that is told 0.0.0.0 listens on [::] for both families where there
 * is IPv6, so both wildcards mean that here, too. */
static int set_target(struct target *target, const char *text, long port) {
    struct in_addr ipv4;
    struct in6_addr ipv6;
    memset(target, 0, sizeof *target);
    target->text = text;
    if (inet_pton(AF_INET, text, &ipv4) == 1) {
        if (ipv4.s_addr == INADDR_ANY && has_ipv6()) {
            set_ipv6(target, in6addr_any, port);
        } else {
            set_ipv4(target, ipv4, port);
        }
        return 0;
    }
    if (inet_pton(AF_INET6, text, &ipv6) != 1) {
        return fail(FAIL_USAGE, "--address can't be '%.100s'", text);
    }
    set_ipv6(target, ipv6, port);
    return 0;
}

/* Binds, sharing as a server with --permit-port-sharing does, and lets go at once. It never listens:
 * a listening socket would be given connections. Returns 0 or an errno; -1 after fail(). */
static int try_bind(const struct target *target, long user) {
    int on = 1, off = 0, error = 0;
    int family = target->address.ss_family;
    int fd = socket_of_user(family, user < 0 ? (int64_t)geteuid() : user);
    if (fd < 0) {
        return -1;
    }
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0 ||
        (family == AF_INET6 &&
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) != 0) ||
        bind(fd, (const struct sockaddr *)&target->address, target->size) != 0) {
        error = errno;
    }
    close(fd);
    return error;
}

/* What there is to wait for, in words; empty if nothing. Returns -1 where waiting can't help. */
static int find_reason(const struct options *options, const struct target *targets, size_t count,
                       char *reason) {
    struct stat facts;
    reason[0] = '\0';
    /* ENOENT is the good answer. EACCES is a server that isn't root: it can't see our directory. */
    if (options->hold != NULL && lstat(options->hold, &facts) == 0) {
        snprintf(reason, REASON_SIZE, "hold file %s", options->hold);
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        int error = try_bind(&targets[i], options->user);
        if (error < 0) {
            return -1;
        }
        if (error == EADDRINUSE) {
            snprintf(reason, REASON_SIZE,
                     "port %ld is held by a process that does not share it", options->port);
            return 0;
        }
        if (error == EADDRNOTAVAIL) {
            snprintf(reason, REASON_SIZE, "this node has no address %s", targets[i].text);
            return 0;
        }
        if (error != 0) {
            return fail(FAIL_IO, "cannot bind port %ld of %s: %s", options->port,
                        targets[i].text, strerror(error));
        }
    }
    return 0;
}

/* As pid 1 of its container a process without handlers gets no signal at all. Ending well here would
 * let the server start, so it ends as if killed. */
static void stop(int signal) { _exit(128 + signal); }

int port_wait(const struct options *options) {
    struct target targets[ADDRESSES_MAX];
    char reason[REASON_SIZE], before[REASON_SIZE] = "";
    size_t count = options->address_count;
    int64_t start = boot_milliseconds();
    for (size_t i = 0; i < count; i++) {
        if (set_target(&targets[i], options->addresses[i], options->port) != 0) {
            return -1;
        }
    }
    if (count == 0) {
        set_target(&targets[count++], "0.0.0.0", options->port);
    }
    sigaction(SIGTERM, &(struct sigaction){.sa_handler = stop}, NULL);
    sigaction(SIGINT, &(struct sigaction){.sa_handler = stop}, NULL);
    for (;;) {
        if (find_reason(options, targets, count, reason) != 0) {
            return -1;
        }
        if (reason[0] == '\0') {
            break;
        }
        if (strcmp(reason, before) != 0) {
            dprintf(STDOUT_FILENO, "waiting: %s\n", reason);
            memcpy(before, reason, sizeof before);
        }
        sleep_milliseconds(strncmp(reason, "hold", 4) == 0 ? POLL_HOLD : POLL_PORT);
    }
    dprintf(STDOUT_FILENO, "port %ld is free after %ld ms\n", options->port,
            (long)(boot_milliseconds() - start));
    return 0;
}
