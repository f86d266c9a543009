#include "lock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "failure.h"

bool lock_is_at(int fd, const char *path) {
    struct stat locked, there;
    return fstat(fd, &locked) == 0 && lstat(path, &there) == 0 &&
           locked.st_dev == there.st_dev && locked.st_ino == there.st_ino;
}

int lock_take(const char *path, bool wait, int *fd) {
    for (;;) {
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
        if (lock_is_at(*fd, path)) {
            return 0;
        }
        close(*fd); /* `tidy` removed the file meanwhile: nobody else takes this lock any more */
    }
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
