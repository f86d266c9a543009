#include "steward/steering.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/failure.h"
#include "base/files.h"
#include "base/text.h"

/* Where the headers have the destination, from the IP header's start. */
enum { IPV4_TO = 16, IPV6_TO = 24, LOCALHOST = 0x7f000001 };

#define NETWORK(offset) ((uint32_t)(SKF_NET_OFF + (offset)))
#define LOAD_BYTE(offset) BPF_STMT(BPF_LD | BPF_B | BPF_ABS, NETWORK(offset))
#define LOAD_WORD(offset) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, NETWORK(offset))
#define SHIFT_RIGHT(bits) BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, bits)
/* Goes on `then` instructions further if the value is equal, else `otherwise` further. */
#define IF_EQUAL(value, then, otherwise) \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(value), then, otherwise)
#define GIVE_TO(index) BPF_STMT(BPF_RET | BPF_K, (uint32_t)(index))

int steering_attach(int fd, const struct steering *steering) {
    /* An IPv4 packet has its own header at a socket for both families, too: the version tells. A load
     * gives a number of this machine's byte order. */
    struct sock_filter program[] = {
        LOAD_BYTE(0),
        SHIFT_RIGHT(4),
        IF_EQUAL(4, 1, 0),
        IF_EQUAL(6, 4, 15),
        LOAD_WORD(IPV4_TO),
        IF_EQUAL(ntohl(inet_addr(steering->probe_address)), 10, 0),
        SHIFT_RIGHT(steering->near_bits),
        IF_EQUAL(LOCALHOST >> steering->near_bits, 10, 11),
        LOAD_WORD(IPV6_TO),
        IF_EQUAL(0, 0, 9),
        LOAD_WORD(IPV6_TO + 4),
        IF_EQUAL(0, 0, 7),
        LOAD_WORD(IPV6_TO + 8),
        IF_EQUAL(0, 0, 5),
        LOAD_WORD(IPV6_TO + 12),
        IF_EQUAL(1, 1, 3),
        GIVE_TO(steering->probe),
        GIVE_TO(steering->loopback),
        GIVE_TO(steering->localhost),
        GIVE_TO(steering->rest),
    };
    struct sock_fprog whole = {.len = sizeof program / sizeof program[0], .filter = program};
    if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &whole, sizeof whole) != 0) {
        return fail(FAIL_SHARE, "the kernel refuses a steering program (%s)", strerror(errno));
    }
    return 0;
}

int steering_attach_standin(int fd) {
    /* 127.0.0.0/30: where an apiserver calls itself, and where the DaemonSet's is probed (127.0.0.2 and
     * 127.0.0.3). A copy is probed at 127.0.0.4. When the first of the group leaves, the last one gets
     * its place; an index that nobody has means anybody. So the program never needs to be changed: the
     * copy has what comes from elsewhere as long as it stands, then the DaemonSet's own has it all. */
    enum { FIRST, SECOND };
    return steering_attach(fd, &(struct steering){.probe = SECOND,
                                                  .loopback = SECOND,
                                                  .localhost = SECOND,
                                                  .rest = FIRST,
                                                  .probe_address = "127.0.0.1",
                                                  .near_bits = 2});
}

/* ---- the kernel's switch ---- */

static const char name[] = "sys/net/ipv4/tcp_migrate_req";

bool migrate_works(const char *proc) {
    enum { MAJOR = 5, MINOR = 14 };
    char text[128];
    int major = 0, minor = 0;
    file_line(proc, "sys/kernel/osrelease", text, sizeof text);
    sscanf(text, "%d.%d", &major, &minor);
    return file_exists(proc, name) && (major > MAJOR || (major == MAJOR && minor >= MINOR));
}

static bool put(const char *proc, int64_t value) {
    char path[PATH_SIZE], text[24];
    int fd = path_join(path, proc, name) == 0 ? open(path, O_WRONLY | O_CLOEXEC) : -1;
    if (fd < 0) {
        return false;
    }
    int length = snprintf(text, sizeof text, "%lld\n", (long long)value);
    bool done = write(fd, text, (size_t)length) == length;
    close(fd);
    return done;
}

int64_t migrate_on(const char *proc) {
    char text[24];
    int64_t before;
    file_line(proc, name, text, sizeof text);
    return migrate_works(proc) && is_number(text, 0, 255, &before) && put(proc, 1) ? before + 1 : 0;
}

void migrate_restore(const char *proc, int64_t before) {
    if (before > 0) {
        put(proc, before - 1);
    }
}
