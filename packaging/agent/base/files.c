#include "base/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/failure.h"
#include "base/sha256.h"

int path_join(char *out, const char *dir, const char *name) {
    int length = snprintf(out, PATH_SIZE, "%s/%s", dir, name);
    if (length < 0 || length >= PATH_SIZE) {
        return fail(FAIL_USAGE, "the path %.100s.../%.100s is too long", dir, name);
    }
    return 0;
}

int temporary_name(char *out, const char *name) {
    int length = snprintf(out, NAME_SIZE, ".%s.part", name);
    if (length < 0 || length >= NAME_SIZE) {
        return fail(FAIL_USAGE, "the file name %s is too long", name);
    }
    return 0;
}

int directory_sync(const char *path) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return fail_errno("open", path);
    }
    int result = fsync(fd) == 0 ? 0 : fail_errno("sync", path);
    close(fd);
    return result;
}

static int parent_sync(const char *path) {
    char parent[PATH_SIZE];
    const char *slash = strrchr(path, '/');
    snprintf(parent, sizeof parent, "%.*s", (int)(slash - path), path);
    return directory_sync(parent[0] == '\0' ? "/" : parent);
}

int directory_make(const char *path) {
    struct stat facts;
    /* A component that runs as another user than root must be able to see its hold file. */
    if (mkdir(path, 0711) == 0) {
        return parent_sync(path);
    }
    if (errno != EEXIST) {
        return fail_errno("make directory", path);
    }
    if (lstat(path, &facts) != 0) {
        return fail_errno("look at", path);
    }
    if (!S_ISDIR(facts.st_mode)) {
        return fail(FAIL_IO, "%s is no directory", path);
    }
    return 0;
}

bool same_file_system(const char *from, const char *to) {
    struct stat a, b;
    char probe[PATH_SIZE], target[PATH_SIZE];
    if (stat(from, &a) != 0 || stat(to, &b) != 0 || a.st_dev != b.st_dev ||
        path_join(probe, from, ".selfhost-no-such-file") != 0 ||
        path_join(target, to, ".selfhost-no-such-file") != 0) {
        return false;
    }
    /* Two mounts of one device are told apart by the kernel before it looks for the file. */
    return rename(probe, target) == 0 || errno != EXDEV;
}

int file_read(const char *path, char *buffer, size_t size, size_t *length, bool *found) {
    *length = 0;
    *found = false;
    buffer[0] = '\0';
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return errno == ENOENT ? 0 : fail_errno("read", path);
    }
    int result = 0;
    for (;;) {
        ssize_t count = read(fd, buffer + *length, size - *length);
        if (count < 0) {
            result = fail_errno("read", path);
        }
        if (count <= 0) {
            break;
        }
        *length += (size_t)count;
        if (*length == size) {
            result = fail(FAIL_IO, "%s is larger than %d bytes", path, (int)size - 1);
            break;
        }
    }
    close(fd);
    if (result != 0) {
        *length = 0;
    }
    buffer[*length] = '\0';
    *found = result == 0;
    return result;
}

void file_line(const char *dir, const char *name, char *out, size_t size) {
    char path[PATH_SIZE];
    size_t length;
    bool found;
    out[0] = '\0';
    if (path_join(path, dir, name) == 0) {
        file_read(path, out, size, &length, &found);
    }
    out[strcspn(out, "\n")] = '\0';
}

int write_all(int fd, const char *bytes, size_t count, const char *path) {
    while (count > 0) {
        ssize_t part = write(fd, bytes, count);
        if (part < 0 && errno == EINTR) {
            continue;
        }
        if (part <= 0) {
            return fail_errno("write", path);
        }
        bytes += part;
        count -= (size_t)part;
    }
    return 0;
}

static int write_new(const char *path, const char *content, size_t length) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return fail_errno("write", path);
    }
    int result = write_all(fd, content, length, path);
    if (result == 0 && fsync(fd) != 0) {
        result = fail_errno("sync", path);
    }
    close(fd);
    if (result != 0) {
        unlink(path);
    }
    return result;
}

int file_take_place(const char *temporary, const char *dir, const char *name) {
    char path[PATH_SIZE];
    if (path_join(path, dir, name) != 0) {
        return -1;
    }
    if (rename(temporary, path) != 0) {
        fail_errno("write", path);
        unlink(temporary);
        return -1;
    }
    return directory_sync(dir);
}

int file_replace(const char *dir, const char *name, const char *content, size_t length) {
    char hidden[NAME_SIZE], temporary[PATH_SIZE];
    return temporary_name(hidden, name) == 0 && path_join(temporary, dir, hidden) == 0 &&
                   write_new(temporary, content, length) == 0
               ? file_take_place(temporary, dir, name)
               : -1;
}

int file_overwrite(const char *dir, const char *name, const char *content, size_t length) {
    char path[PATH_SIZE];
    if (path_join(path, dir, name) != 0) {
        return -1;
    }
    int fd = open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return fail_errno("write", path);
    }
    int result = write_all(fd, content, length, path);
    if (result == 0 && (ftruncate(fd, (off_t)length) != 0 || fsync(fd) != 0)) {
        result = fail_errno("write", path);
    }
    close(fd);
    return result;
}

int file_append(const char *dir, const char *name, const char *content, size_t length) {
    char path[PATH_SIZE];
    char last = '\n';
    if (path_join(path, dir, name) != 0) {
        return -1;
    }
    int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return fail_errno("write", path);
    }
    off_t end = lseek(fd, 0, SEEK_END);
    if (end > 0 && pread(fd, &last, 1, end - 1) != 1) {
        last = '\n';
    }
    /* A line that a power cut left half written stays alone. */
    int result = last == '\n' ? 0 : write_all(fd, "\n", 1, path);
    if (result == 0) {
        result = write_all(fd, content, length, path);
    }
    if (result == 0 && fsync(fd) != 0) {
        result = fail_errno("sync", path);
    }
    if (result != 0 && ftruncate(fd, end) != 0) {
        /* Half a line stays; the next one begins on a line of its own. */
    }
    close(fd);
    return result == 0 && end == 0 ? directory_sync(dir) : result;
}

int file_touch(const char *dir, const char *name) {
    char path[PATH_SIZE];
    if (path_join(path, dir, name) != 0) {
        return -1;
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return fail_errno("write", path);
    }
    close(fd);
    return directory_sync(dir);
}

int file_remove(const char *dir, const char *name) {
    char path[PATH_SIZE];
    if (path_join(path, dir, name) != 0) {
        return -1;
    }
    if (unlink(path) != 0) {
        return errno == ENOENT ? 0 : fail_errno("remove", path);
    }
    return directory_sync(dir);
}

bool file_exists(const char *dir, const char *name) {
    char path[PATH_SIZE];
    struct stat facts;
    return path_join(path, dir, name) == 0 && lstat(path, &facts) == 0;
}

/* ---- the names in a directory ---- */

const char *directory_next(DIR *directory) {
    const struct dirent *entry = directory == NULL ? NULL : readdir(directory);
    return entry == NULL ? NULL : entry->d_name;
}

void directory_close(DIR *directory) {
    if (directory != NULL) {
        closedir(directory);
    }
}

int directory_empty(const char *path, const char *prefix) {
    struct stat facts;
    const char *name;
    char file[PATH_SIZE];
    int removed, result = 0;
    do { /* removing moves the names that are still to be read */
        removed = 0;
        DIR *directory = opendir(path);
        if (directory == NULL) {
            return errno == ENOENT ? 0 : fail_errno("read", path);
        }
        while (result == 0 && (name = directory_next(directory)) != NULL) {
            if (strncmp(name, prefix, strlen(prefix)) == 0 && path_join(file, path, name) == 0 &&
                lstat(file, &facts) == 0 && S_ISREG(facts.st_mode)) {
                result = file_remove(path, name);
                removed++;
            }
        }
        directory_close(directory);
    } while (result == 0 && removed > 0);
    return result;
}

/* ---- whole files ---- */

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

int file_digest(const char *dir, const char *name, char hex[DIGEST_SIZE]) {
    static char block[16384];
    char path[PATH_SIZE];
    struct stat facts;
    struct sha256 sum;
    ssize_t count;
    int fd = path_join(path, dir, name) == 0 ? open_regular(path, &facts) : -1;
    hex[0] = '\0';
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

/* A whole copy of from/file in `to`, under a temporary name. */
static int copy_hidden(const char *from, const char *to, const char *file, char hidden[NAME_SIZE],
                       char copy[PATH_SIZE]) {
    char source[PATH_SIZE];
    return temporary_name(hidden, file) == 0 && path_join(source, from, file) == 0 &&
                   path_join(copy, to, hidden) == 0
               ? file_copy(source, copy)
               : -1;
}

int file_place(const char *from, const char *to, const char *file) {
    char hidden[NAME_SIZE], copy[PATH_SIZE];
    if (copy_hidden(from, to, file, hidden, copy) != 0) {
        return -1;
    }
    if (file_rename(to, hidden, to, file) != 0) {
        unlink(copy);
        return -1;
    }
    return 0;
}

int file_exchange(const char *from, const char *to, const char *file) {
    char hidden[NAME_SIZE], copy[PATH_SIZE];
    return copy_hidden(from, to, file, hidden, copy) == 0 ? file_take_place(copy, to, file) : -1;
}

int file_move(const char *from, const char *to, const char *file) {
    if (same_file_system(from, to)) {
        return file_rename(from, file, to, file);
    }
    return file_place(from, to, file) == 0 ? file_remove(from, file) : -1;
}
