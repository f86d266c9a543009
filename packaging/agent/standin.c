#include "standin.h"

#include <errno.h>
#include <linux/filter.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "failure.h"
#include "members.h"
#include "order.h"
#include "sockets.h"

/* Where the headers have the destination, from the IP header's start. */
enum { IPV4_TO = 16, IPV6_TO = 24 };

/* 127.0.0.0/30: where an apiserver calls itself, and where the DaemonSet's is probed (127.0.0.2 and
 * 127.0.0.3). A copy is probed at 127.0.0.4. */
enum { NEAR_BITS = 2, NEAR = 0x7f000000 >> NEAR_BITS };

/* The first of the group, and whoever comes next. When the first one leaves, the last one gets its
 * place; an index that nobody has means anybody. So the program never needs to be changed: the copy
 * has what comes from elsewhere as long as it stands, then the DaemonSet's own has it all. */
enum { FIRST, SECOND };

#define NETWORK(offset) ((uint32_t)(SKF_NET_OFF + (offset)))
#define LOAD_BYTE(offset) BPF_STMT(BPF_LD | BPF_B | BPF_ABS, NETWORK(offset))
#define LOAD_WORD(offset) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, NETWORK(offset))
#define SHIFT_RIGHT(bits) BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, bits)
#define IF_EQUAL(value, then, otherwise) \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(value), then, otherwise)
#define GIVE_TO(index) BPF_STMT(BPF_RET | BPF_K, (uint32_t)(index))

static int attach(int fd) {
    struct sock_filter program[] = {
        LOAD_BYTE(0),
        SHIFT_RIGHT(4), /* the version: a socket for both families sees IPv4 headers too */
        IF_EQUAL(4, 1, 0),
        IF_EQUAL(6, 3, 12),
        LOAD_WORD(IPV4_TO),
        SHIFT_RIGHT(NEAR_BITS),
        IF_EQUAL(NEAR, 8, 9),
        LOAD_WORD(IPV6_TO), /* ::1 */
        IF_EQUAL(0, 0, 7),
        LOAD_WORD(IPV6_TO + 4),
        IF_EQUAL(0, 0, 5),
        LOAD_WORD(IPV6_TO + 8),
        IF_EQUAL(0, 0, 3),
        LOAD_WORD(IPV6_TO + 12),
        IF_EQUAL(1, 0, 1),
        GIVE_TO(SECOND),
        GIVE_TO(FIRST),
    };
    struct sock_fprog whole = {.len = sizeof program / sizeof program[0], .filter = program};
    if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &whole, sizeof whole) != 0) {
        return fail(FAIL_SHARE, "the kernel refuses a steering program (%s)", strerror(errno));
    }
    return 0;
}

int standin_steer(const char *proc, const struct guarded *guarded, int64_t *steered) {
    struct listeners listeners;
    listeners_find_at(proc, guarded->port, guarded->address, &listeners);
    const struct listener *only = &listeners.list[0];
    if (listeners.total != 1 || only->inode == *steered || !listener_is_wildcard(only)) {
        return 0;
    }
    *steered = only->inode;
    /* A server that takes IPv6 alone can't be told from one that takes both: it isn't shared then. */
    struct order order = {.port = guarded->port, .uid = only->uid, .ipv6 = only->ipv6};
    int fd = member_socket(&order);
    if (fd < 0) {
        return -1;
    }
    /* What comes to this socket in the meantime is lost with it: a moment after the server's start. */
    int result = attach(fd) == 0 ? 1 : -1;
    close(fd);
    return result;
}
