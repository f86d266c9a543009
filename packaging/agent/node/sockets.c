#include "node/sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/agent.h"
#include "base/failure.h"
#include "base/files.h"
#include "base/record.h"
#include "base/text.h"
#include "node/process.h"

/* The same on every CPU; older headers lack them. */
enum { PIDFD_OPEN = 434, PIDFD_GETFD = 438 };

/* ---- the kernel's tables ---- */

static int hex_digit(char c) {
    const char *at = c == '\0' ? NULL : strchr("0123456789ABCDEF", c);
    return at == NULL ? -1 : (int)(at - "0123456789ABCDEF");
}

/* The kernel prints each four bytes as one number of its own byte order. */
static bool set_address(struct listener *listener, const char *field, size_t length) {
    if (length != 8 && length != 32) {
        return false;
    }
    listener->ipv6 = length == 32;
    for (size_t word = 0; word < length / 8; word++) {
        uint32_t number = 0;
        for (size_t i = 0; i < 8; i++) {
            int digit = hex_digit(field[8 * word + i]);
            if (digit < 0) {
                return false;
            }
            number = number << 4 | (uint32_t)digit;
        }
        memcpy(listener->address + 4 * word, &number, sizeof number);
    }
    return true;
}

static bool set_number(int64_t *number, const char *field, size_t length) {
    char text[24];
    if (length >= sizeof text) {
        return false;
    }
    memcpy(text, field, length);
    text[length] = '\0';
    return is_count(text, number);
}

/* "  0: 0100007F:192B 00000000:0000 0A 0:0 0:0 0 <uid> 0 <inode> ...": slot, local address, remote
 * address, state (0A listens), queues, timer, retransmits, user, time-out, inode. */
enum table_line table_line_parse(const char *line, long port, struct listener *listener) {
    char wanted[8];
    const char *field = line;
    bool ours = false;
    *listener = (struct listener){.inode = 0};
    snprintf(wanted, sizeof wanted, ":%04lX", port);
    for (int i = 0; i < 10; i++) {
        field += strspn(field, " ");
        size_t length = strcspn(field, " ");
        if (i == 0 && (length < 2 || field[length - 1] != ':')) {
            return LINE_OTHER;
        }
        if (i == 1) {
            ours = length > 5 && strncmp(field + length - 5, wanted, 5) == 0 &&
                   set_address(listener, field, length - 5);
        }
        if (i == 3 && (length != 2 || strncmp(field, "0A", 2) != 0)) {
            return length == 2 ? LINE_PAST : LINE_OTHER;
        }
        if ((i == 7 && length > 0 && !set_number(&listener->uid, field, length)) ||
            (i == 9 && length > 0 && !set_number(&listener->inode, field, length))) {
            return LINE_OTHER;
        }
        field += length;
    }
    return ours ? LINE_LISTENER : LINE_OTHER;
}

static void keep(struct listeners *listeners, const struct listener *listener) {
    listeners->total++;
    if (listeners->count < LISTENERS_MAX) {
        listeners->list[listeners->count++] = *listener;
    }
}

struct reading {
    long port;
    struct listeners *listeners;
};

static bool take_line(void *into, char *line) {
    struct reading *reading = into;
    struct listener listener;
    enum table_line kind = table_line_parse(line, reading->port, &listener);
    if (kind == LINE_LISTENER) {
        keep(reading->listeners, &listener);
    }
    return kind != LINE_PAST;
}

static void read_table(const char *proc, const char *table, long port,
                       struct listeners *listeners) {
    struct reading reading = {port, listeners};
    char path[PATH_SIZE];
    if (path_join(path, proc, table) == 0) {
        file_lines(path, take_line, &reading);
    }
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

int socket_of_user(int family, int64_t user) {
    uid_t wanted = (uid_t)user, self = (uid_t)setfsuid((uid_t)-1);
    setfsuid(wanted);
    if ((uid_t)setfsuid((uid_t)-1) != wanted) {
        return fail(FAIL_SHARE, "can't make a socket of user %lld", (long long)user);
    }
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
    int error = errno;
    setfsuid(self);
    return fd >= 0 ? fd : fail(FAIL_SHARE, "no socket can be made (%s)", strerror(error));
}

/* ---- their owners ---- */

int64_t socket_inode(const char *link) {
    int64_t inode;
    size_t length = strlen(link);
    if (length < 10 || strncmp(link, "socket:[", 8) != 0 || link[length - 1] != ']' ||
        !set_number(&inode, link + 8, length - 9)) {
        return 0;
    }
    return inode;
}

struct search {
    int64_t inode;
    struct holder holder;
};

static void search_process(const char *proc, long pid, void *argument) {
    struct search *search = argument;
    struct directory directory;
    const char *name;
    char folder[PATH_SIZE], path[PATH_SIZE], link[64];
    long fd;
    int count = snprintf(folder, sizeof folder, "%s/%ld/fd", proc, pid);
    if (search->holder.pid != 0 || count < 0 || (size_t)count >= sizeof folder) {
        return;
    }
    directory_open(&directory, folder);
    while (search->holder.pid == 0 && (name = directory_next(&directory)) != NULL) {
        if (!is_number(name, 0, 999999999, &fd) || path_join(path, folder, name) != 0) {
            continue;
        }
        ssize_t length = readlink(path, link, sizeof link - 1);
        link[length < 0 ? 0 : length] = '\0';
        if (socket_inode(link) == search->inode) {
            search->holder = (struct holder){.pid = pid, .fd = (int)fd};
        }
    }
    directory_close(&directory);
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
