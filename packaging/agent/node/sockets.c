#include "node/sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/agent.h"
#include "base/failure.h"
#include "base/files.h"
#include "base/text.h"
#include "node/process.h"

/* The same on every CPU; older headers lack them. */
enum { PIDFD_OPEN = 434, PIDFD_GETFD = 438 };

/* ---- the kernel's tables ---- */

/* The kernel prints each four bytes as one number of its own byte order. */
static bool set_address(struct listener *listener, const char *digits) {
    size_t words = strlen(digits) / 8;
    listener->ipv6 = words == 4;
    for (size_t i = 0; i < words; i++) {
        uint32_t number;
        if (sscanf(digits + 8 * i, "%8" SCNx32, &number) != 1) {
            return false;
        }
        memcpy(listener->address + 4 * i, &number, sizeof number);
    }
    return strlen(digits) == 8 || strlen(digits) == 32;
}

/* "  0: 0100007F:192B 00000000:0000 0A 0:0 0:0 0 <uid> 0 <inode> ...": slot, local address, remote
 * address, state (0A listens), queues, timer, retransmits, user, time-out, inode. */
enum table_line table_line_parse(const char *line, long port, struct listener *listener) {
    char address[33];
    unsigned at, state;
    *listener = (struct listener){.inode = 0};
    int found = sscanf(line, " %*u: %32[0-9A-F]:%4x %*[0-9A-F]:%*4x %2x %*s %*s %*s %" SCNd64
                       " %*s %" SCNd64, address, &at, &state, &listener->uid, &listener->inode);
    if (found < 3) {
        return LINE_OTHER;
    }
    if (state != 0x0A) {
        return LINE_PAST;
    }
    return at == (unsigned long)port && set_address(listener, address) ? LINE_LISTENER : LINE_OTHER;
}

static void keep(struct listeners *listeners, const struct listener *listener) {
    listeners->total++;
    if (listeners->count < LISTENERS_MAX) {
        listeners->list[listeners->count++] = *listener;
    }
}

/* The buffer takes many lines at once: a table that changes between two reads may lose a line. */
static void read_table(const char *proc, const char *table, long port,
                       struct listeners *listeners) {
    static char block[65536];
    char path[PATH_SIZE], *line = NULL;
    size_t size = 0;
    struct listener listener;
    enum table_line kind = LINE_OTHER;
    FILE *file = path_join(path, proc, table) == 0 ? fopen(path, "re") : NULL;
    if (file == NULL) {
        return;
    }
    setvbuf(file, block, _IOFBF, sizeof block);
    while (kind != LINE_PAST && getline(&line, &size, file) > 0) {
        kind = table_line_parse(line, port, &listener);
        if (kind == LINE_LISTENER) {
            keep(listeners, &listener);
        }
    }
    free(line);
    fclose(file);
}

void listeners_find(const char *proc, long port, struct listeners *listeners) {
    listeners->count = listeners->total = 0;
    read_table(proc, "net/tcp", port, listeners);
    read_table(proc, "net/tcp6", port, listeners);
}

bool listener_is_wildcard(const struct listener *listener) {
    static const unsigned char any[16];
    return memcmp(listener->address, any, sizeof any) == 0;
}

/* An IPv4 address as IPv6 has it (::ffff:a.b.c.d); both families' wildcards are all zero. */
static void normal_address(const struct listener *listener, unsigned char out[16]) {
    memset(out, 0, 16);
    if (listener->ipv6 || listener_is_wildcard(listener)) {
        memcpy(out, listener->address, 16);
        return;
    }
    out[10] = out[11] = 0xff;
    memcpy(out + 12, listener->address, 4);
}

static bool same_address(const struct listener *a, const struct listener *b) {
    unsigned char first[16], second[16];
    normal_address(a, first);
    normal_address(b, second);
    return memcmp(first, second, sizeof first) == 0;
}

bool listener_at(struct listener *listener, const char *address) {
    *listener = (struct listener){.ipv6 = strchr(address, ':') != NULL};
    return inet_pton(listener->ipv6 ? AF_INET6 : AF_INET, address, listener->address) == 1;
}

bool listener_overlaps(const struct listener *a, const struct listener *b) {
    /* Whether a wildcard of IPv6 takes IPv4 too can't be seen in the table. */
    return same_address(a, b) || (listener_is_wildcard(a) && (a->ipv6 || !b->ipv6)) ||
           (listener_is_wildcard(b) && (b->ipv6 || !a->ipv6));
}

void listeners_find_at(const char *proc, long port, const char *address,
                       struct listeners *listeners) {
    struct listener wanted;
    size_t kept = 0;
    listeners_find(proc, port, listeners);
    if (!listener_at(&wanted, address)) {
        return;
    }
    for (size_t i = 0; i < listeners->count; i++) {
        if (same_address(&listeners->list[i], &wanted)) {
            listeners->list[kept++] = listeners->list[i];
        }
    }
    listeners->count = listeners->total = kept;
}

void listener_address(const struct listener *listener, char out[ADDRESS_SIZE]) {
    if (inet_ntop(listener->ipv6 ? AF_INET6 : AF_INET, listener->address, out, ADDRESS_SIZE) ==
        NULL) {
        out[0] = '\0';
    }
}

static int socket_of_user(int family, int64_t user) {
    uid_t wanted = (uid_t)user, self = (uid_t)setfsuid((uid_t)-1);
    setfsuid(wanted);
    if ((uid_t)setfsuid((uid_t)-1) != wanted) {
        errno = EPERM;
        return fail(FAIL_SHARE, "can't make a socket of user %lld", (long long)user);
    }
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
    int error = errno;
    setfsuid(self);
    errno = error;
    return fd >= 0 ? fd : fail(FAIL_SHARE, "no socket can be made (%s)", strerror(error));
}

int socket_that_shares(const struct listener *at, long port, int ipv6_only) {
    struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    const void *address = at->ipv6 ? (const void *)&ipv6 : (const void *)&ipv4;
    socklen_t size = at->ipv6 ? sizeof ipv6 : sizeof ipv4;
    int on = 1, fd = socket_of_user(at->ipv6 ? AF_INET6 : AF_INET, at->uid);
    memcpy(&ipv6.sin6_addr, at->address, sizeof ipv6.sin6_addr);
    memcpy(&ipv4.sin_addr, at->address, sizeof ipv4.sin_addr);
    if (fd < 0) {
        return -1;
    }
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0 ||
        (at->ipv6 &&
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &ipv6_only, sizeof ipv6_only) != 0) ||
        bind(fd, address, size) != 0) {
        int error = errno;
        close(fd);
        errno = error;
        return fail(FAIL_SHARE, "port %ld can't be shared (%s)", port, strerror(error));
    }
    return fd;
}

bool socket_has_ipv6(const struct in6_addr *address) {
    struct sockaddr_in6 at = {.sin6_family = AF_INET6, .sin6_addr = *address};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool has = fd >= 0 && bind(fd, (const struct sockaddr *)&at, sizeof at) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return has;
}

/* ---- their owners ---- */

int64_t socket_inode(const char *link) {
    char digits[18], end;
    int64_t inode;
    return sscanf(link, "socket:[%17[0-9]%c", digits, &end) == 2 && end == ']' &&
                   is_number(digits, 0, INT64_MAX, &inode)
               ? inode
               : 0;
}

struct search {
    int64_t inode;
    struct holder holder;
};

static void search_process(const char *proc, long pid, void *argument) {
    struct search *search = argument;
    const char *name;
    char folder[PATH_SIZE], path[PATH_SIZE], link[64];
    int64_t fd;
    int count = snprintf(folder, sizeof folder, "%s/%ld/fd", proc, pid);
    if (search->holder.pid != 0 || count < 0 || (size_t)count >= sizeof folder) {
        return;
    }
    DIR *directory = opendir(folder);
    while (search->holder.pid == 0 && (name = directory_next(directory)) != NULL) {
        if (!is_number(name, 0, INT32_MAX, &fd) || path_join(path, folder, name) != 0) {
            continue;
        }
        ssize_t length = readlink(path, link, sizeof link - 1);
        link[length < 0 ? 0 : length] = '\0';
        if (socket_inode(link) == search->inode) {
            search->holder = (struct holder){.pid = pid, .fd = (int)fd};
        }
    }
    directory_close(directory);
}

struct holder socket_holder(const char *proc, const char *uid, int64_t inode) {
    struct search search = {.inode = inode};
    if (inode != 0) {
        process_each(proc, uid, search_process, &search);
    }
    return search.holder;
}

int socket_duplicate(struct holder holder, int64_t inode) {
    struct stat facts;
    int process = (int)syscall(PIDFD_OPEN, (int)holder.pid, 0);
    if (process < 0) {
        return fail(FAIL_SHARE, "the kernel refuses pidfd_open (%s)", strerror(errno));
    }
    int fd = (int)syscall(PIDFD_GETFD, process, holder.fd, 0);
    int error = errno;
    close(process);
    if (fd < 0) {
        return fail(FAIL_SHARE, "the kernel refuses pidfd_getfd (%s)", strerror(error));
    }
    /* The number may be another file's by now. */
    if (fstat(fd, &facts) != 0 || !S_ISSOCK(facts.st_mode) || (int64_t)facts.st_ino != inode) {
        close(fd);
        return fail(FAIL_SHARE, "the server has just closed its socket");
    }
    return fd;
}
