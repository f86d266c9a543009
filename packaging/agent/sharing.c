#include "sharing.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "failure.h"
#include "sockets.h"

enum { ANSWER_WAIT = 5000, POLL = 20 }; /* milliseconds */

int sharing_wait(const char *dir, const struct order *order, struct progress *progress) {
    int64_t end = boot_milliseconds() + ANSWER_WAIT;
    while (boot_milliseconds() < end) {
        if (progress_read(dir, progress) != 0) {
            return -1;
        }
        if (progress->number == order->number) {
            return 0;
        }
        sleep_milliseconds(POLL);
    }
    return fail(FAIL_SHARE, "the agent that watches did not answer within %d s",
                ANSWER_WAIT / 1000);
}

int sharing_set(const char *proc, const struct order *order, int on) {
    struct holder holder = socket_holder(proc, order->pod_uid, order->old);
    if (holder.pid == 0) {
        return on ? fail(FAIL_SHARE, "the old instance stopped listening") : 0;
    }
    int fd = socket_duplicate(holder, order->old);
    if (fd < 0) {
        return -1;
    }
    int result = setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    if (result != 0) {
        result = fail(FAIL_SHARE, "the kernel refuses SO_REUSEPORT (%s)", strerror(errno));
    }
    close(fd);
    return result;
}

int sharing_order(const char *dir, struct order *order, enum wanted wanted,
                  struct progress *progress) {
    order->wanted = wanted;
    return order_write(dir, order) == 0 ? sharing_wait(dir, order, progress) : -1;
}
