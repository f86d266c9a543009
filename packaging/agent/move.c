#include "move.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "failure.h"
#include "files.h"
#include "sha256.h"

static int open_regular(const char *path, struct stat *facts) {
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return errno == ELOOP ? fail(FAIL_IO, "%s is a symbolic link", path)
                              : fail_errno("read", path);
    }
    if (fstat(fd, facts) != 0 || !S_ISREG(facts->st_mode)) {
        close(fd);
        return fail(FAIL_IO, "%s is no regular file", path);
    }
    return fd;
}

int file_digest(const char *path, char hex[DIGEST_SIZE], struct stat *facts) {
    static char block[16384];
    struct sha256 sum;
    ssize_t count;
    int fd = open_regular(path, facts);
    if (fd < 0) {
        return -1;
    }
    sha256_start(&sum);
    while ((count = read(fd, block, sizeof block)) > 0) {
        sha256_add(&sum, block, (size_t)count);
    }
    int result = count < 0 ? fail_errno("read", path) : 0;
    close(fd);
    sha256_finish(&sum, hex);
    return result;
}

static int copy_content(int in, int out, const char *from, const char *to) {
    static char block[16384];
    ssize_t count;
    while ((count = read(in, block, sizeof block)) > 0) {
        if (write_all(out, block, (size_t)count, to) != 0) {
            return -1;
        }
    }
    return count < 0 ? fail_errno("read", from) : 0;
}

static int copy_facts(int out, const struct stat *facts, const char *to) {
    struct timespec times[2] = {facts->st_atim, facts->st_mtim};
    if (fchown(out, facts->st_uid, facts->st_gid) != 0) {
        return fail_errno("set the owner of", to);
    }
    if (fchmod(out, facts->st_mode & 07777) != 0) {
        return fail_errno("set the mode of", to);
    }
    if (futimens(out, times) != 0) {
        return fail_errno("set the times of", to);
    }
    return fsync(out) == 0 ? 0 : fail_errno("sync", to);
}

int file_copy(const char *from, const char *to) {
    struct stat facts;
    int in = open_regular(from, &facts);
    if (in < 0) {
        return -1;
    }
    unlink(to); /* what an interrupted copy left */
    int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    int result = out < 0 ? fail_errno("write", to) : copy_content(in, out, from, to);
    if (result == 0) {
        result = copy_facts(out, &facts, to);
    }
    close(in);
    if (out >= 0) {
        close(out);
    }
    if (result != 0) {
        unlink(to);
    }
    return result;
}

/* rename(2) that doesn't replace, where kernel (3.15) and file system can do it. */
static int rename_new(const char *from, const char *to) {
    enum { RENAME_NOREPLACE_FLAG = 1 };
    struct stat facts;
    if (syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE_FLAG) == 0) {
        return 0;
    }
    if (errno != EINVAL && errno != ENOSYS) {
        return -1;
    }
    if (lstat(to, &facts) == 0) {
        errno = EEXIST;
        return -1;
    }
    return rename(from, to);
}

int file_rename(const char *from_dir, const char *from, const char *to_dir, const char *to) {
    char source[PATH_SIZE], target[PATH_SIZE];
    if (path_join(source, from_dir, from) != 0 || path_join(target, to_dir, to) != 0) {
        return -1;
    }
    if (rename_new(source, target) != 0) {
        return errno == EEXIST ? fail(FAIL_BUSY, "%s exists already", target)
                               : fail_errno("move away", source);
    }
    if (directory_sync(to_dir) != 0) {
        return -1;
    }
    return strcmp(from_dir, to_dir) == 0 ? 0 : directory_sync(from_dir);
}

int file_move(const char *from_dir, const char *from, const char *to_dir, const char *to) {
    char hidden[NAME_SIZE], source[PATH_SIZE], temporary[PATH_SIZE];
    if (temporary_name(hidden, to) != 0 || path_join(source, from_dir, from) != 0 ||
        path_join(temporary, to_dir, hidden) != 0 || file_copy(source, temporary) != 0) {
        return -1;
    }
    if (file_rename(to_dir, hidden, to_dir, to) != 0) {
        unlink(temporary);
        return -1;
    }
    return file_remove(from_dir, from);
}
