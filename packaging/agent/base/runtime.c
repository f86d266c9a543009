#include "base/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/failure.h"

int64_t boot_milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void sleep_milliseconds(int milliseconds) {
    struct timespec time = {milliseconds / 1000, (long)(milliseconds % 1000) * 1000000};
    nanosleep(&time, NULL); /* a signal ends it early, which is wanted */
}

int64_t lasting(bool now_so, int64_t *since, int64_t now) {
    if (!now_so) {
        *since = 0;
        return 0;
    }
    if (*since == 0) {
        *since = now;
    }
    return now - *since;
}

void rfc3339_now(char out[RFC3339_SIZE]) {
    time_t now = time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    strftime(out, RFC3339_SIZE, "%Y-%m-%dT%H:%M:%SZ", &utc);
}

/* ---- being told to stop ---- */

volatile sig_atomic_t stopped;

static void stop(int signal) {
    (void)signal;
    stopped = 1;
}

void catch_stop(void) {
    sigaction(SIGTERM, &(struct sigaction){.sa_handler = stop}, NULL);
    sigaction(SIGINT, &(struct sigaction){.sa_handler = stop}, NULL);
}

/* ---- the log ---- */

void say(const char *format, ...) {
    char line[2560], now[RFC3339_SIZE];
    va_list arguments;
    rfc3339_now(now);
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    dprintf(STDOUT_FILENO, "%s %s\n", now, line);
}

/* ---- locks ---- */

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
