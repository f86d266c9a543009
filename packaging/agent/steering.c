#include "steering.h"

#include <errno.h>
#include <linux/filter.h>
#include <string.h>
#include <sys/socket.h>

#include "failure.h"

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
        IF_EQUAL(6, 3, 14),
        LOAD_WORD(IPV4_TO),
        IF_EQUAL(steering->probe_address, 9, 0),
        IF_EQUAL(LOCALHOST, 10, 11),
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
