#include "node/port.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/failure.h"
#include "base/runtime.h"
#include "node/sockets.h"

enum { POLL_HOLD = 50, POLL_PORT = 20, REASON_SIZE = PATH_SIZE + 64 };

/* A Go server (net.Listen "tcp") that is told 0.0.0.0 listens on [::] for both families where there
 * is IPv6, so both wildcards mean that here, too. */
static int set_target(struct listener *target, const char *text, long user) {
    if (!listener_at(target, text)) {
        return fail(FAIL_USAGE, "--address can't be '%.100s'", text);
    }
    if (listener_is_wildcard(target) && socket_has_ipv6(&in6addr_any)) {
        target->ipv6 = true;
    }
    target->uid = user < 0 ? (int64_t)geteuid() : user;
    return 0;
}

/* Binds, and lets go at once. It never listens: a listening socket would be given connections. Returns 0
 * or an errno. */
static int try_bind(const struct listener *target, long port) {
    int fd = socket_that_shares(target, port, 0);
    if (fd < 0) {
        return errno;
    }
    close(fd);
    return 0;
}

/* What there is to wait for, in words; empty if nothing. Returns -1 where waiting can't help. */
static int find_reason(const struct options *options, const struct listener *targets, size_t count,
                       char *reason) {
    struct stat facts;
    char address[ADDRESS_SIZE];
    reason[0] = '\0';
    /* ENOENT is the good answer. EACCES is a server that isn't root: it can't see our directory. */
    if (options->hold != NULL && lstat(options->hold, &facts) == 0) {
        snprintf(reason, REASON_SIZE, "hold file %s", options->hold);
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        int error = try_bind(&targets[i], options->port);
        if (error == EADDRINUSE) {
            snprintf(reason, REASON_SIZE,
                     "port %ld is held by a process that does not share it", options->port);
            return 0;
        }
        if (error == EADDRNOTAVAIL) {
            listener_address(&targets[i], address);
            snprintf(reason, REASON_SIZE, "this node has no address %s", address);
            return 0;
        }
        if (error != 0) {
            return -1;
        }
    }
    return 0;
}

/* As pid 1 of its container a process without handlers gets no signal at all. Ending well here would
 * let the server start, so it ends as if killed. */
static void stop(int signal) { _exit(128 + signal); }

int port_wait(const struct options *options) {
    struct listener targets[ADDRESSES_MAX];
    char reason[REASON_SIZE], before[REASON_SIZE] = "";
    size_t count = options->address_count;
    int64_t start = boot_milliseconds();
    for (size_t i = 0; i < count; i++) {
        if (set_target(&targets[i], options->addresses[i], options->user) != 0) {
            return -1;
        }
    }
    if (count == 0) {
        set_target(&targets[count++], "0.0.0.0", options->user);
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
