#include "lock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "failure.h"

int lock_take(const char *path, bool wait, int *fd) {
    *fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (*fd < 0) {
        return fail_errno("open", path);
    }
    while (flock(*fd, wait ? LOCK_EX : LOCK_EX | LOCK_NB) != 0) {
        if (errno != EINTR) {
            close(*fd);
            return fail(FAIL_BUSY, "%s is held by another process", path);
        }
    }
    return 0;
}

bool lock_is_held(const char *path) {
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    bool held = flock(fd, LOCK_SH | LOCK_NB) != 0;
    close(fd); /* gives the lock back */
    return held;
}
