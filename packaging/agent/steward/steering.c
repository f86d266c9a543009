#include "steward/steering.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <stdio.h>
#include <stdlib.h>
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

static int attach(int fd, struct sock_filter *program, size_t length) {
    struct sock_fprog whole = {.len = (unsigned short)length, .filter = program};
    if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &whole, sizeof whole) != 0) {
        return fail(FAIL_SHARE, "the kernel refuses a steering program (%s)", strerror(errno));
    }
    return 0;
}

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
    return attach(fd, program, sizeof program / sizeof program[0]);
}

/* ---- while a recovery copy stands in ---- */

/* 127.0.0.0/30: where an apiserver calls itself, and where the DaemonSet's is probed (127.0.0.2 and
 * 127.0.0.3). A copy is probed at 127.0.0.4. */
enum { NEAR_BITS = 2, NEAR = 0x7f000000 >> NEAR_BITS };

/* The first of the group, and whoever comes next. When the first one leaves, the last one gets its
 * place; an index that nobody has means anybody. So the program never needs to be changed: the copy
 * has what comes from elsewhere as long as it stands, then the DaemonSet's own has it all. */
enum { FIRST, SECOND };

int steering_attach_standin(int fd) {
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
    return attach(fd, program, sizeof program / sizeof program[0]);
}

/* ---- the kernel's switch ---- */

static const char name[] = "sys/net/ipv4/tcp_migrate_req";

/* The first version, and the function that came with it: a kernel to which it was back-ported has it. */
enum { MAJOR = 5, MINOR = 14 };
static const char symbol[] = "reuseport_migrate_sock";

static bool is_new_enough(const char *proc) {
    char path[PATH_SIZE], text[128], *rest;
    size_t length;
    bool found;
    if (path_join(path, proc, "sys/kernel/osrelease") != 0 ||
        file_read(path, text, sizeof text, &length, &found) != 0 || !found) {
        return false;
    }
    long major = strtol(text, &rest, 10);
    long minor = *rest == '.' ? strtol(rest + 1, NULL, 10) : 0;
    return major > MAJOR || (major == MAJOR && minor >= MINOR);
}

/* "ffffffff81ea2e30 T reuseport_migrate_sock", and of a module its name in brackets. */
static bool is_symbol(char *line) {
    char *word = strchr(line, ' ');
    word = word == NULL ? NULL : strchr(word + 1, ' ');
    if (word == NULL) {
        return false;
    }
    word[1 + strcspn(word + 1, "\t")] = '\0';
    return strcmp(word + 1, symbol) == 0;
}

/* Goes on until the symbol is found. */
static bool look_for_symbol(void *into, char *line) {
    bool *found = into;
    *found = is_symbol(line);
    return !*found;
}

static bool has_symbol(const char *proc) {
    char path[PATH_SIZE];
    bool found = false;
    if (path_join(path, proc, "kallsyms") == 0) {
        file_lines(path, look_for_symbol, &found);
    }
    return found;
}

bool migrate_works(const char *proc) {
    return file_exists(proc, name) && (is_new_enough(proc) || has_symbol(proc));
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
    char path[PATH_SIZE], text[24];
    size_t length;
    bool found;
    long before;
    if (!migrate_works(proc) || path_join(path, proc, name) != 0 ||
        file_read(path, text, sizeof text, &length, &found) != 0 || !found) {
        return 0;
    }
    text[strcspn(text, "\n")] = '\0';
    return is_number(text, 0, 255, &before) && put(proc, 1) ? before + 1 : 0;
}

void migrate_restore(const char *proc, int64_t before) {
    if (before > 0) {
        put(proc, before - 1);
    }
}
